"""Runs the checks of this checkout: `make check` without servers, `make test` with everything."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import click
from rich.console import Console

from deploy.servers import ServerFailedError, postgres_url, rabbitmq_url
from deploy.system_programs import install_missing, left_out

_STATIC = {
    "format": ["-m", "ruff", "format", "--check", "."],
    "lint": ["-m", "ruff", "check", "."],
    "types": ["-m", "mypy"],
    "imports": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
}
_NEEDS = {"rabbitmq": "RabbitMQ", "postgres": "PostgreSQL", "browser": "Chromium"}
_QUICK = "not rabbitmq and not postgres and not browser and not faults"
_SPREAD = ["-n", "auto", "--dist", "loadfile"]

console = Console(highlight=False)


@click.group()
def suite() -> None:
    """Check this checkout."""


@suite.command()
def check() -> None:
    """Format, lint, types, import contracts, and the tests that need no server."""
    sys.exit(_report([*_static_checks(), ("quick tests", _pytest(_QUICK, *_SPREAD))]))


@suite.command()
def test() -> None:
    """Everything, on real servers and in a real browser."""
    install_missing(console)
    missing = left_out()
    if missing and os.environ.get("CI"):
        console.print(f"[red]CI must leave nothing out, but there is no {', no '.join(missing)}[/]")
        sys.exit(1)
    with ExitStack() as servers:
        try:
            if "PostgreSQL" not in missing:
                os.environ["TEST_POSTGRES_URL"] = servers.enter_context(postgres_url())
            if "RabbitMQ" not in missing:
                os.environ["TEST_RABBITMQ_URL"] = servers.enter_context(rabbitmq_url())
        except ServerFailedError as error:
            console.print(f"[red]{error}[/]")
            sys.exit(1)
        results = [*_static_checks(), *_tests(missing)]
    if missing:
        console.print(f"[yellow]Left out, because this machine has no {', no '.join(missing)}: its tests[/]")
    sys.exit(_report(results))


@suite.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def chaos(options: Sequence[str]) -> None:
    """The long fault suite, on servers of its own."""
    install_missing(console)
    if missing := [program for program in ("RabbitMQ", "PostgreSQL") if program in left_out()]:
        console.print(f"[red]The fault suite needs {' and '.join(missing)}, which this machine does not have[/]")
        sys.exit(2)
    sys.exit(_run("fault suite", ["-m", "tests.faults.chaos", *options]))


def _static_checks() -> list[tuple[str, int]]:
    return [(name, _run(name, command)) for name, command in _STATIC.items()]


def _tests(missing: Sequence[str]) -> list[tuple[str, int]]:
    """Those that kill processes have the machine to themselves; the others share its cores."""
    there = [f"not {marker}" for marker, program in _NEEDS.items() if program in missing]
    return [
        ("tests under fault", _pytest(" and ".join(["faults", *there]))),
        ("tests", _pytest(" and ".join(["not faults", *there]), *_SPREAD)),
    ]


def _pytest(marked: str, *arguments: str) -> int:
    return _run("tests", ["-m", "pytest", "-m", marked, "--durations=12", "-rR", *arguments])


def _run(name: str, arguments: Sequence[str]) -> int:
    console.rule(name, align="left")
    return subprocess.run([sys.executable, *arguments], check=False).returncode


def _report(results: Sequence[tuple[str, int]]) -> int:
    console.rule("result", align="left")
    for name, status in results:
        console.print(f"[green]✓[/] {name}" if status == 0 else f"[red]✗ {name}[/]")
    return int(any(status for _, status in results))


if __name__ == "__main__":
    suite(prog_name="suite")
