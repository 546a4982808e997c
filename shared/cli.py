"""The command line `casebridge`, put together from what the services bring along.

Three groups of entry points in pyproject.toml, so that this module need not know the services:
`casebridge.commands` (by name, each loaded when it is called), `casebridge.migrations` and `casebridge.demo_data`
(functions to call).
"""

import errno
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points, version

import click
from environs import EnvError
from sqlalchemy.exc import OperationalError

from shared.broker import BrokerUnavailableError
from shared.database import DatabaseUnavailableError
from shared.process import PortTakenError, follow_parent
from shared.settings import SettingsError

CANNOT_WORK = 2
INTERRUPTED = 130
_HELP = "A support portal and a CRM that agree: start its processes, check them, and see to their data."
_EXPLAINED = (SettingsError, DatabaseUnavailableError, BrokerUnavailableError, PortTakenError)
_SURROUNDINGS = {
    errno.EACCES: "give this user the right to use it, or choose another folder with CASEBRIDGE_HOME",
    errno.EADDRINUSE: "stop the program that holds the port, or choose another",
    errno.EDQUOT: "make room, then start again; nothing that was stored is lost",
    errno.ENOSPC: "make room, then start again; nothing that was stored is lost",
    errno.ENOTDIR: "choose a folder with CASEBRIDGE_HOME",
    errno.EEXIST: "choose a folder with CASEBRIDGE_HOME",
    errno.EROFS: "make it writable, or choose another folder with CASEBRIDGE_HOME",
}


def main() -> None:
    """Run the command named by the arguments and exit with its status."""
    follow_parent()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit status: 0, what the command says, or 2 when it could not work, after one sentence that says why."""
    try:
        status = command_line().main(list(arguments), prog_name="casebridge", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        click.echo(f"casebridge: {sentence}", err=True)
        return CANNOT_WORK
    return status if isinstance(status, int) else 0


def explain(error: Exception) -> str | None:
    """One sentence for trouble that people can mend; None for a mistake in the program, which needs its traceback."""
    if isinstance(error, _EXPLAINED):
        return str(error)
    if isinstance(error, EnvError):
        return f"a setting cannot be used: {error}"
    if isinstance(error, OperationalError):
        cause = str(error.orig).strip()
        return f"the database cannot be used: {cause}. Check that it runs and that the disk is not full"
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{place}: {_SURROUNDINGS[error.errno]}"
    return None


class _Commands(click.Group):
    """Commands of installed parts beside those that were added; a command costs its imports only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(entry.name for entry in _entries("commands"))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = next((entry for entry in _entries("commands") if entry.name == cmd_name), None)
        return super().get_command(ctx, cmd_name) if entry is None else entry.load()


def command_line() -> click.Group:
    """All commands of all installed parts."""
    group = _Commands("casebridge", help=_HELP, no_args_is_help=True)
    click.version_option(version("casebridge"), message="casebridge %(version)s")(group)
    for command in (migrate, demo_data):
        group.add_command(command)
    return group


def command_names() -> set[str]:
    """Of all commands there are."""
    group = command_line()
    return set(group.list_commands(click.Context(group)))


@click.command()
def migrate() -> None:
    """Bring all databases to the newest schema; safe to repeat and to run while the processes work."""
    for name in migrate_all():
        click.echo(f"{name}: up to date")


@click.command("demo-data")
def demo_data() -> None:
    """Load the demo people, products, articles and log-ins; what is already there stays as it is."""
    for name in load_demo_data():
        click.echo(f"{name}: demo data loaded")


def migrate_all() -> list[str]:
    """Migrate each part's database; returns the parts' names. Raises SettingsError, DatabaseUnavailableError."""
    return _call_each("migrations")


def load_demo_data() -> list[str]:
    """Load each part's demo data; returns the parts' names. Raises SettingsError, DatabaseUnavailableError."""
    return _call_each("demo_data")


def _call_each(kind: str) -> list[str]:
    names = []
    for entry in _entries(kind):
        function: Callable[[], None] = entry.load()
        function()
        names.append(entry.name)
    return names


def _entries(kind: str) -> list[EntryPoint]:
    return sorted(entry_points(group=f"casebridge.{kind}"))


if __name__ == "__main__":
    main()
