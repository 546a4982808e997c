"""`casebridge connector`: which connectors there are, and whether a live CRM keeps their contract."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crm_sync_service.connectors.config import ConfigError
from crm_sync_service.connectors.conformance.config import CheckConfig, read_check_config
from crm_sync_service.connectors.conformance.opening import opened_trial
from crm_sync_service.connectors.conformance.run import CHECKS, Check, NotCheckableError, Result, run_checks, summary
from crm_sync_service.connectors.conformance.trial import Leftover, Trial
from crm_sync_service.connectors.registry import find_kind, kind_names

NOT_KEPT = 1
NOT_CHECKED = 2
_COLOURS = {"holds": "green", "degraded": "yellow", "fails": "bold red", "skipped": "dim"}


@click.group("connector")
def connector_group() -> None:
    """Connectors: the kinds of CRM that Casebridge speaks to."""


@connector_group.command("list")
def list_command() -> None:
    """What CRM_KIND may be."""
    for name in kind_names():
        try:
            click.echo(f"{name:12} {find_kind(name).title}")
        except ConfigError as error:
            click.echo(f"{name:12} {error}")


@connector_group.command("check")
@click.option(
    "--config", "path", type=click.Path(dir_okay=False, path_type=Path), required=True, help="TOML: kind, url, ..."
)
@click.option("--account", help="Id of an account that trial Cases may be filed under for a moment.")
@click.option("--only", multiple=True, help="Only these checks, by name; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def check_command(
    context: click.Context, path: Path, account: str | None, only: tuple[str, ...], as_json: bool
) -> None:
    """Try the connector contract out on a live CRM, by about 250 records that are removed again.

    Nobody is assigned, no account and no contact of yours is touched; the one contact it makes has an address at
    example.com. Exit status: 0 when everything holds or is degraded as told, 1 when something fails or could not be
    removed, 2 when it could not be checked.
    """
    try:
        given = read_check_config(path)
        given = replace(given, account=account or given.account)
        checks = [check for check in CHECKS if not only or check.first or check.name in only]
        _refuse_unknown(only)
        with opened_trial(given) as trial:
            context.exit(_check(trial, given, checks, as_json=as_json))
    except ConfigError as error:
        click.echo(f"casebridge: {error}", err=True)
        context.exit(NOT_CHECKED)


def _refuse_unknown(only: Sequence[str]) -> None:
    names = [check.name for check in CHECKS]
    for name in only:
        if name not in names:
            raise ConfigError(f"there is no check {name!r}: the checks are {', '.join(names)}")


def _check(trial: Trial, given: CheckConfig, checks: Sequence[Check], *, as_json: bool) -> int:
    results: list[Result] = []
    reason, left = None, []
    screen = Console(stderr=True)
    with screen.status("Checking") as status:
        try:
            results.extend(run_checks(trial, checks, progress=lambda title: status.update(f"Checking: {title}")))
        except NotCheckableError as error:
            reason = str(error)
        finally:
            status.update("Removing what was made")
            left = trial.clean_up()
    _tell(given, results, left, reason, as_json=as_json)
    if reason is not None:
        return NOT_CHECKED
    return NOT_KEPT if left or any(result.status == "fails" for result in results) else 0


def _tell(
    given: CheckConfig, results: Sequence[Result], left: Sequence[Leftover], reason: str | None, *, as_json: bool
) -> None:
    counts = summary(results, left)
    if as_json:
        document = {
            "kind": given.kind,
            "url": given.config.url,
            "results": [asdict(result) for result in results],
            "left_behind": [asdict(each) for each in left],
            "not_checked": reason,
            "summary": counts,
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(_table(results))
    for each in left:
        console.print(f"Left behind, remove it by hand: {each.kind} {each.record_id} ({each.reason})", style="bold red")
    if reason is not None:
        console.print(f"Nothing more could be checked. Mend this first: {reason}", style="bold red", markup=False)
    console.print(
        f"{counts['holds']} hold, {counts['degraded']} degraded, {counts['fails']} fail, {counts['skipped']} skipped; "
        + (f"{len(left)} records left behind." if left else "everything made was removed.")
    )


def _table(results: Sequence[Result]) -> Table:
    table = Table("Check", "Result", "What was seen")
    for result in results:
        table.add_row(Text(result.title), Text(result.status, style=_COLOURS[result.status]), Text(result.words))
    return table
