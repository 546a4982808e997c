"""`casebridge suitecrm-package`: the package that an administrator installs in SuiteCRM."""

import re
from importlib.metadata import version
from pathlib import Path

import click

from crm_sync_service.connectors.suitecrm.installable import build_package

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .-]{0,99}")
_SHORTEST_SECRET = 16
_OWNER_ONLY = 0o600


@click.command("suitecrm-package")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Where to write it, such as casebridge-suitecrm.zip.",
)
@click.option("--webhook-url", default="", help="Where Casebridge takes hints, as SuiteCRM's server reaches it.")
@click.option(
    "--secret", default="", envvar="CRM_WEBHOOK_SECRET", help="Signs hints; better given as CRM_WEBHOOK_SECRET."
)
@click.option("--product", "products", multiple=True, metavar="KEY=LABEL", help="An option of the product field.")
@click.option("--no-product-field", is_flag=True, help="Leave product_c as it is, where you have one already.")
def suitecrm_package_command(
    output: Path, webhook_url: str, secret: str, products: tuple[str, ...], no_product_field: bool
) -> None:
    """Make the package for SuiteCRM (Admin > Module Loader): fields, their place on the pages, hints of changes.

    Without --webhook-url it brings only the fields, and changes are found by polling.
    """
    if webhook_url:
        _check_hints(webhook_url, secret)
    package = build_package(
        version=version("casebridge"),
        webhook_url=webhook_url,
        secret=secret if webhook_url else "",
        products=dict(map(_product, products)),
        with_product_field=not no_product_field,
    )
    _write(output, package)
    click.echo(f"{output} is made: upload and install it in SuiteCRM under Admin > Module Loader,")
    click.echo("then run Admin > Repair > Quick Repair and Rebuild.")
    if webhook_url:
        click.echo("It holds the secret that signs hints: delete it when it is installed.")


def _check_hints(url: str, secret: str) -> None:
    if not url.startswith(("https://", "http://")):
        raise click.BadParameter("give an address that begins with https://", param_hint="--webhook-url")
    if len(secret) < _SHORTEST_SECRET:
        words = f"give at least {_SHORTEST_SECRET} characters, the same as CRM_WEBHOOK_SECRET of the sync service"
        raise click.BadParameter(words, param_hint="--secret")


def _product(text: str) -> tuple[str, str]:
    key, found, label = text.partition("=")
    if not found or not _KEY.fullmatch(key) or not label.strip():
        raise click.BadParameter(f'{text!r} is no KEY=LABEL, such as router_x1="Router X1"', param_hint="--product")
    return key, label.strip()


def _write(output: Path, package: bytes) -> None:
    """Readable by its owner only, for the secret in it."""
    try:
        output.touch(mode=_OWNER_ONLY)
        output.chmod(_OWNER_ONLY)
        output.write_bytes(package)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
