"""`casebridge import-tickets`."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from portal_service.base import open_database
from portal_service.files.storage import FolderStorage
from portal_service.imports.cleaning import Cleaner
from portal_service.imports.columns import Columns, match_columns
from portal_service.imports.directory import FALLBACK_TYPE, read_directory
from portal_service.imports.error_file import ErrorFile, open_error_file
from portal_service.imports.errors import CannotImport
from portal_service.imports.mapping import Rules, read_rules
from portal_service.imports.placing import fallback_type
from portal_service.imports.progress import progress
from portal_service.imports.reading import read_rows
from portal_service.imports.run import Import
from portal_service.imports.source import open_source
from portal_service.imports.storing import Store
from portal_service.imports.summary import opening_lines, summary_lines
from portal_service.imports.tally import Outcome, Tally
from portal_service.settings import PortalSettings, read_settings
from shared.clock import utc_now
from shared.database import Database, opened

NOTHING_IMPORTED = 2
SOME_BAD = 3
_MAX_SOURCE = 60
_SHOWN_BAD = 20
_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the administrator asked for."""

    path: Path
    source: str
    rules: Rules
    encoding: str | None
    errors: Path | None
    """None: bad rows are only shown."""
    create_accounts: bool
    dry_run: bool


def _pairs(_context: click.Context, _parameter: click.Parameter, told: Sequence[str]) -> dict[str, str]:
    pairs = dict(item.partition("=")[::2] for item in told)
    for name, column in pairs.items():
        if not name.strip() or not column.strip():
            raise click.BadParameter(f"{name!r}: write it as FIELD=COLUMN, for example status='Current status'")
    return {name.strip(): column.strip() for name, column in pairs.items()}


@click.command("import-tickets")
@click.argument("file", type=_FILE)
@click.option("--source", help="Name of the help desk the file comes from; the same for every file of it. [file name]")
@click.option("--mapping", type=_FILE, help="TOML file that says what columns and values mean.")
@click.option("--column", multiple=True, callback=_pairs, metavar="FIELD=COLUMN", help="Which column holds a field.")
@click.option("--timezone", help="Time zone of dates that name none. [UTC]")
@click.option("--encoding", help="Encoding of the file, where the one found is wrong.")
@click.option(
    "--create-missing-accounts", is_flag=True, help="Add accounts that are not known instead of refusing rows."
)
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), help="File for bad rows. [FILE.errors.csv]")
@click.option("--dry-run", is_flag=True, help="Store nothing, say what would happen.")
@click.pass_context
def import_command(
    context: click.Context,
    *,
    file: Path,
    source: str | None,
    mapping: Path | None,
    column: dict[str, str],
    timezone: str | None,
    encoding: str | None,
    create_missing_accounts: bool,
    errors: Path | None,
    dry_run: bool,
) -> None:
    """Import tickets that another help desk exported to FILE, CSV or JSON Lines.

    Safe to repeat and to interrupt: what is here already is left as it is. Exit status 0: all rows are here; 3: some
    were bad, the rest is here; 2: nothing could be imported.
    """
    console = Console(stderr=True)
    try:
        rules = (read_rules(mapping) if mapping else Rules()).with_options(columns=column, timezone=timezone)
        request = Request(
            path=file,
            source=source_name(source, file),
            rules=rules,
            encoding=encoding,
            errors=_error_path(file, errors, dry_run=dry_run),
            create_accounts=create_missing_accounts,
            dry_run=dry_run,
        )
        settings = read_settings()
        with opened(open_database(settings.database_url)) as database:
            database.check()
            tally = run_import(request, settings, database, console)
    except CannotImport as error:
        console.print(f"casebridge: {error}", style="red", highlight=False, soft_wrap=True, markup=False)
        context.exit(NOTHING_IMPORTED)
    context.exit(exit_status(tally))


def run_import(request: Request, settings: PortalSettings, database: Database, console: Console) -> Tally:
    """Import a file and say how it went. Raises CannotImport."""
    begin = time.monotonic()
    with open_source(request.path, encoding=request.encoding) as source:
        rows = read_rows(source.lines())
        columns = match_columns(rows.columns, request.rules.columns)
        for line in opening_lines(request.path, source, name=request.source, delimiter=rows.delimiter, columns=columns):
            click.echo(line)
        check_columns(columns, request.rules)
        import_ = _import(request, settings, database, columns)
        with (
            _bad_rows(request, console) as keep,
            _told(request, import_.tally, begin),
            progress(console, source) as show,
        ):

            def report(tally: Tally, outcome: Outcome) -> None:
                keep(outcome)
                show(tally)

            import_.run(rows, report=report, now=utc_now)
    return import_.tally


def source_name(given: str | None, path: Path) -> str:
    """The help desk's name in every external reference, by default the file's. Raises CannotImport."""
    name = given.strip() if given is not None else path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    if not name or ":" in name or not name.isprintable() or len(name) > _MAX_SOURCE:
        raise CannotImport(f"{name!r} cannot name a source: give --source a short name without a colon, like zendesk")
    return name


def check_columns(columns: Columns, rules: Rules) -> None:
    """Raises CannotImport when no row could become a ticket for want of a column."""
    found = set(columns.by_field)
    needs = {
        "id": "id" in found,
        "subject": bool(found & {"subject", "description"}),
        "status": "status" in found or "status" in rules.defaults,
        "requester_email": "requester_email" in found or "requester_email" in rules.defaults,
    }
    missing = [field for field, there in needs.items() if not there]
    if missing:
        ways = " ".join(f"--column {field}=COLUMN" for field in missing)
        raise CannotImport(
            f"no column is known to hold {' and '.join(missing)}: say which one does with {ways}. "
            "A status or requester_email for all rows can stand under [defaults] in the file of --mapping."
        )


def exit_status(tally: Tally) -> int:
    if not tally.imported and not tally.present:
        return NOTHING_IMPORTED
    return SOME_BAD if tally.bad else 0


def _error_path(file: Path, given: Path | None, *, dry_run: bool) -> Path | None:
    if given is None:
        # A dry run writes nothing unless it is asked to.
        return None if dry_run else file.with_name(f"{file.name}.errors.csv")
    if given.resolve() == file.resolve():
        raise CannotImport("--errors names the file that is imported: give another")
    return given


def _import(request: Request, settings: PortalSettings, database: Database, columns: Columns) -> Import:
    fallback = request.rules.defaults.get("type", FALLBACK_TYPE)
    with database.read() as session:
        fallback_type(read_directory(session, [], []).request_types, fallback)
    store = Store(
        storage=FolderStorage(settings.files_root),
        max_file_bytes=settings.max_file_bytes,
        source=request.source,
        rng=random.SystemRandom(),
    )
    return Import(
        database=database,
        cleaner=Cleaner(columns=columns, rules=request.rules, source=request.source, now=utc_now()),
        store=store,
        create_accounts=request.create_accounts,
        dry_run=request.dry_run,
        fallback_type=fallback,
    )


@contextmanager
def _bad_rows(request: Request, console: Console) -> Iterator[Callable[[Outcome], None]]:
    """Writes bad rows to their file; without one, shows the first of them."""
    if request.errors is None:
        yield _Shown(console).add
        return
    with open_error_file(request.errors) as file:
        yield lambda outcome: _keep(file, outcome)


def _keep(file: ErrorFile, outcome: Outcome) -> None:
    for row, error in sorted(outcome.bad, key=lambda bad: bad[0].line):
        file.add(row, error)


class _Shown:
    """The first bad rows of a dry run, on the screen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._left = _SHOWN_BAD

    def add(self, outcome: Outcome) -> None:
        for row, error in sorted(outcome.bad, key=lambda bad: bad[0].line)[: self._left]:
            self._left -= 1
            words = f"line {row.line}: {error.reason}"
            self._console.print(words, highlight=False, markup=False, soft_wrap=True)
            if not self._left:
                self._console.print("further bad rows: see them all in a file with --errors FILE")


@contextmanager
def _told(request: Request, tally: Tally, begin: float) -> Iterator[None]:
    """Says at the end how it went, however it ends."""
    finished = False
    try:
        yield
        finished = True
    finally:
        seconds = time.monotonic() - begin
        for line in summary_lines(tally, dry_run=request.dry_run, errors=request.errors, seconds=seconds):
            click.echo(line)
        if not finished:
            click.echo("The import did not reach its end. Run the same command again: it goes on where it stopped.")
