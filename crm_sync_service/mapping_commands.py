"""`casebridge mapping`: check a mapping file against the CRM, and see what a changed one would do."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from crm_sync_service.connection import open_connector
from crm_sync_service.connectors.base import Connector, CrmError
from crm_sync_service.connectors.config import ConfigError
from crm_sync_service.crm import open_crm
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.mapping_check import Problem, check_mapping
from crm_sync_service.mapping_preview import Preview, preview_mapping
from crm_sync_service.models import open_database
from crm_sync_service.settings import SyncSettings, read_settings
from shared.database import opened
from shared.settings import SettingsError

PROBLEMS = 1
CANNOT_CHECK = 2
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("mapping")
def mapping_group() -> None:
    """The file that says how tickets and Cases stand for each other."""


@mapping_group.command("check")
@click.option("--file", "path", type=_FILE, help="The file to check; without it the one in force.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem.")
@click.pass_context
def check_command(context: click.Context, path: Path | None, as_json: bool) -> None:
    """Compare a mapping file with the fields and options that the CRM has.

    Exit status: 0 when it fits, 1 when something cannot be written, 2 when it could not be checked.
    """
    settings = read_settings()
    crm, mapping = _open(settings, path)
    try:
        problems = check_mapping(mapping)
    except CrmError as error:
        click.echo(f"casebridge: the CRM could not be asked. {error}", err=True)
        context.exit(CANNOT_CHECK)
    finally:
        crm.close()
    _tell(problems, as_json=as_json)
    context.exit(PROBLEMS if any(problem.fatal for problem in problems) else 0)


def _tell(problems: Sequence[Problem], *, as_json: bool) -> None:
    for problem in problems:
        click.echo(json.dumps(asdict(problem), ensure_ascii=False) if as_json else str(problem))
    if not problems and not as_json:
        click.echo("The mapping file fits the CRM.")


@mapping_group.command("preview")
@click.option("--file", "path", type=_FILE, required=True, help="The changed mapping file.")
@click.option("--limit", type=click.IntRange(min=0), default=200, show_default=True, help="Pairs to look at; 0: all.")
@click.option("--diffs", type=click.IntRange(min=0), default=50, show_default=True, help="Differences to list.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def preview_command(context: click.Context, path: Path, limit: int, diffs: int, as_json: bool) -> None:
    """Show what a changed mapping file would do to real pairs. Reads both sides and writes nothing.

    Exit status: 0, or 2 when the CRM could not be read.
    """
    settings = read_settings()
    crm, changed = _open(settings, path)
    _, now = _open(settings, settings.crm_mapping)
    try:
        with opened(open_database(settings.database_url)) as database:
            database.check()
            found = preview_mapping(database, crm, now=now, changed=changed, limit=limit or None)
    except CrmError as error:
        click.echo(f"casebridge: the CRM could not be read. {error}", err=True)
        context.exit(CANNOT_CHECK)
    finally:
        crm.close()
        now.connector.close()
    click.echo(json.dumps(_as_json(found), ensure_ascii=False) if as_json else _in_words(found, diffs=diffs))


def _open(settings: SyncSettings, path: Path | None) -> tuple[Connector, CaseMapping]:
    """Raises SettingsError."""
    if path is None:
        return open_crm(settings)
    try:
        return open_connector(settings.crm_kind, settings.crm, path)
    except ConfigError as error:
        raise SettingsError(str(error)) from error


def _as_json(found: Preview) -> dict[str, object]:
    return asdict(found) | {"by_field": found.by_field, "reads": found.reads, "writes": found.writes}


def _in_words(found: Preview, *, diffs: int) -> str:
    lines = [str(diff) for diff in found.diffs[:diffs]]
    if len(found.diffs) > diffs:
        lines.append(f"and {len(found.diffs) - diffs:,} more differences")
    lines.append(f"Looked at {found.pairs:,} of {found.of:,} pairs; nothing was written.")
    lines.append(
        f"With this file: {found.creates:,} creates (tickets that have no Case yet), {found.updates:,} updates of "
        f"Cases, {found.pulls:,} changes of tickets, {found.waiting:,} fields left to a person, "
        f"{found.gone:,} Cases gone."
    )
    if found.by_field:
        lines.append("By field: " + ", ".join(f"{name} {count:,}" for name, count in found.by_field.items()))
    lines.append(
        f"API calls when each is looked at next: {found.reads:,} reads and {found.writes:,} writes. "
        "Notes that are there keep their words."
    )
    return "\n".join(lines)
