"""`casebridge connect`: from an address and a password to a CRM whose Cases follow tickets."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import click

from crm_sync_service.adopt_command import adopt, summary
from crm_sync_service.adoption import Adopter
from crm_sync_service.connection import open_connector
from crm_sync_service.connectors.base import Connector, CrmError
from crm_sync_service.connectors.config import CREDENTIALS, SECRETS, ConfigError, ConnectorConfig
from crm_sync_service.connectors.conformance.config import CheckConfig, read_check_config
from crm_sync_service.connectors.conformance.opening import opened_trial
from crm_sync_service.connectors.conformance.run import CHECKS, Result, run_checks
from crm_sync_service.connectors.registry import find_kind, kind_names
from crm_sync_service.directory_feed import refresh_directory
from crm_sync_service.env_file import write_env
from crm_sync_service.guard import guard
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.mapping_check import check_mapping
from crm_sync_service.models import open_database
from crm_sync_service.operation_settings import read_operation_settings
from crm_sync_service.settings import read_database_url, read_hooks_url
from shared.clock import utc_now
from shared.database import opened
from shared.settings import read_env, secret
from shared.ticket_source import open_source

NOT_READY = 1
CANNOT_CONNECT = 2
_ROUND_TRIP = ("create", "update", "notes", "deletion")
_WORDS = {
    "api_key": "API key",
    "client_id": "OAuth2 client id",
    "client_secret": "OAuth2 client secret",
    "username": "User name (empty if the client alone logs in)",
    "password": "Password (empty if there is none)",
    "secret_key": "Secret key that signs requests (empty if there is none)",
    "webhook_secret": "Secret that signs webhooks (empty if there is none)",
}


class NotReadyError(Exception):
    """Something has to be mended first; what, was told already."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the options say; the rest is asked for, or is an error."""

    config: Path | None
    kind: str | None
    url: str | None
    mapping: Path | None
    ca_file: Path | None
    allow_http: bool
    env_file: Path
    ask: bool
    webhooks: bool | None
    directory: bool
    match: bool | None
    trial: bool


@click.command("connect")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML with kind, url and credentials.")
@click.option("--kind", envvar="CRM_KIND", help="Which CRM: " + ", ".join(kind_names()) + ".")
@click.option("--url", envvar="CRM_API_URL", help="Its address, like https://crm.example.com.")
@click.option(
    "--mapping",
    envvar="CRM_MAPPING",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A mapping file of your own.",
)
@click.option(
    "--ca-file",
    envvar="CRM_CA_FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PEM file for its own certificate.",
)
@click.option(
    "--allow-http",
    envvar="CRM_ALLOW_HTTP",
    is_flag=True,
    help="Plain HTTP to another machine, within a private network.",
)
@click.option("--env-file", type=click.Path(dir_okay=False, path_type=Path), default=Path(".env"), show_default=True)
@click.option("--ask/--no-ask", default=True, help="Ask for what is missing; without it, secrets come from CRM_*.")
@click.option("--webhooks/--no-webhooks", default=None, help="Set up webhooks in the CRM, where it lets us.")
@click.option("--directory/--no-directory", default=True, help="Read accounts, contacts, users and products.")
@click.option(
    "--match/--no-match", default=None, help="Say which Cases the CRM has of tickets already; nothing is linked."
)
@click.option("--trial/--no-trial", default=True, help="End with a Case that is made, changed and removed.")
@click.pass_context
def connect_command(context: click.Context, /, **options: Any) -> None:
    """Connect a CRM: check address, rights and fields, keep the settings, read the directory, try one Case.

    Secrets are asked for without showing them, or read from CRM_API_KEY and so on, and written to the .env file that
    only you can read. Exit status: 0 connected, 1 something is missing in the CRM, 2 it cannot be reached.
    """
    answers = Answers(**options)
    try:
        _connect(answers)
        _tell_next(answers)
    except NotReadyError:
        context.exit(NOT_READY)
    except (ConfigError, CrmError) as error:
        click.echo(f"casebridge: {error}", err=True)
        context.exit(CANNOT_CONNECT)


def _connect(answers: Answers) -> None:
    given = _given(answers)
    if answers.directory:
        # Before anything is kept or made: most often it was only not migrated yet.
        with opened(open_database(read_database_url())) as database:
            database.check()
    title = find_kind(given.kind).title
    crm, mapping = open_connector(given.kind, given.config, given.mapping)
    try:
        info = crm.info()
        click.echo(f"Reached {info.name} {info.version} at {given.config.url}.")
        _tell_missing(crm, title)
        _tell_mapping(mapping)
        given = _with_webhook_secret(given)
        _keep(given, answers.env_file)
        _set_up_webhooks(crm, given, answers)
        if answers.directory:
            _read_directory(crm)
    finally:
        crm.close()
    if answers.directory and _wants_match(answers):
        _match(given)
    if answers.trial:
        _round_trip(given)


def _wants_match(answers: Answers) -> bool:
    if answers.match is None:
        question = "Look for Cases that the CRM has of your tickets already? Nothing is linked yet"
        return answers.ask and sys.stdin.isatty() and click.confirm(question, default=False)
    return answers.match


def _match(given: CheckConfig) -> None:
    """Say which tickets have a Case already, by the number that stands in it. Raises CrmError."""
    crm, mapping = open_connector(given.kind, given.config, given.mapping)
    try:
        with opened(open_database(read_database_url())) as database, open_source() as source:
            guarded = guard(database, crm, read_operation_settings())
            work = Adopter(
                database=database, source=source, crm=guarded, mapping=mapping, by="ticket-number", now=utc_now
            )
            click.echo(f"Cases that are there: {summary(adopt(work, applying=False))}")
            guarded.budget.flush()
    finally:
        crm.close()


def _tell_next(answers: Answers) -> None:
    click.echo(f"Connected. Start the processes with the settings in {answers.env_file}: each ticket gets its Case.")
    click.echo("If the CRM has Cases of your tickets already, link them first: casebridge adopt.")


def _given(answers: Answers) -> CheckConfig:
    """Kind, address and credentials from the file, the options, the environment or a person. Raises ConfigError."""
    if answers.config is not None:
        given = read_check_config(answers.config)
        return replace(given, config=_asked(given.kind, given.config, ask=answers.ask))
    kind = answers.kind or _prompt("Which CRM", ask=answers.ask, option="--kind", choices=kind_names())
    find_kind(kind)
    url = answers.url or _prompt("Its address, like https://crm.example.com", ask=answers.ask, option="--url")
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is not a web address: give one like https://crm.example.com")
    config = ConnectorConfig(url=url.rstrip("/"), ca_file=answers.ca_file, allow_http=answers.allow_http)
    config.check_url()
    env = read_env()
    known: dict[str, Any] = {name: secret(env, setting) for name, setting in CREDENTIALS.items()}
    config = replace(config, **known)
    return CheckConfig(kind=kind, config=_asked(kind, config, ask=answers.ask), mapping=answers.mapping, account=None)


def _asked(kind: str, config: ConnectorConfig, *, ask: bool) -> ConnectorConfig:
    """With the credentials that were not given, from a person. What stays empty the connector may miss."""
    if not ask:
        return config
    for name in find_kind(kind).asks:
        if not getattr(config, name):
            value = click.prompt(_WORDS[name], default="", show_default=False, hide_input=name in SECRETS)
            answer: dict[str, Any] = {name: value.strip() or None}
            config = replace(config, **answer)
    return config


def _prompt(words: str, *, ask: bool, option: str, choices: Sequence[str] | None = None) -> str:
    if not ask:
        raise ConfigError(f"{option} is not given")
    kind = click.Choice(choices) if choices else None
    return str(click.prompt(words, type=kind)).strip()


def _tell_missing(crm: Connector, title: str) -> None:
    missing = crm.missing()
    for each in missing:
        click.echo(f"{'Missing' if each.fatal else 'Better'}: {each.what}\n  {each.remedy}")
    if any(each.fatal for each in missing):
        click.echo(f"Do this in {title}, then run the command again.")
        raise NotReadyError
    if not missing:
        click.echo("Rights and fields: nothing is missing.")


def _tell_mapping(mapping: CaseMapping) -> None:
    problems = check_mapping(mapping)
    for problem in problems:
        click.echo(str(problem))
    if any(problem.fatal for problem in problems):
        click.echo("Correct the mapping file (copy the shipped one and give it with --mapping), then run this again.")
        raise NotReadyError
    click.echo("Mapping file: it fits the CRM.")


def _with_webhook_secret(given: CheckConfig) -> CheckConfig:
    """With a secret of our making, where the CRM's webhooks take one and there is none yet."""
    if given.config.webhook_secret or not find_kind(given.kind).hooks_by:
        return given
    return replace(given, config=replace(given.config, webhook_secret=token_urlsafe(32)))


def _keep(given: CheckConfig, path: Path) -> None:
    config = given.config
    values = {setting: getattr(config, name) for name, setting in CREDENTIALS.items()}
    values |= {
        "CRM_KIND": given.kind,
        "CRM_API_URL": config.url,
        "CRM_MAPPING": str(given.mapping.resolve()) if given.mapping else None,
        "CRM_CA_FILE": str(config.ca_file.resolve()) if config.ca_file else None,
        "CRM_ALLOW_HTTP": "1" if config.allow_http else None,
    }
    try:
        write_env(path, values)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"Settings: kept in {path}, which only its owner can read.")


def _set_up_webhooks(crm: Connector, given: CheckConfig, answers: Answers) -> None:
    if not crm.capabilities.webhooks:
        click.echo("Changes made in the CRM: found by asking every few seconds, as it sends no hints.")
        return
    url = f"{read_hooks_url()}/hooks/{given.kind}"
    register: Callable[[str], Sequence[str]] | None = getattr(crm, "register_webhooks", None)
    if register is None:
        how = find_kind(given.kind).hooks_by or "let the CRM send them"
        click.echo(f"Webhooks, so that changes arrive at once: {how}; they go to {url}/changed.")
        return
    wanted = answers.webhooks
    if wanted is None and answers.ask:
        wanted = click.confirm(f"May Casebridge set up webhooks to {url}?", default=True)
    if not wanted:
        click.echo(f"Webhooks, so that changes arrive at once: run this again with --webhooks; they go to {url}.")
        return
    for line in register(url):
        click.echo(line)


def _read_directory(crm: Connector) -> None:
    with opened(open_database(read_database_url())) as database:
        database.check()
        for found in refresh_directory(database, crm, now=utc_now):
            click.echo(f"Directory, {found.kind}s: {found.records:,} read, {found.changed:,} new or changed.")


def _round_trip(given: CheckConfig) -> None:
    """One Case, made, changed, noted on and removed."""
    checks = [check for check in CHECKS if check.name in _ROUND_TRIP]
    with opened_trial(given) as trial:
        results: list[Result] = []
        try:
            results.extend(run_checks(trial, checks, progress=lambda _: None))
        finally:
            left = trial.clean_up()
    for result in results:
        click.echo(f"Round trip: {result.title}: {result.status}, {result.words}")
    for each in left:
        click.echo(f"Left behind, remove it by hand: {each.kind} {each.record_id} ({each.reason})")
    if left or any(result.status == "fails" for result in results):
        click.echo("The round trip did not go well: run casebridge connector check for the whole picture.")
        raise NotReadyError
