"""Commands of the local stack."""

import sys
import threading
from collections.abc import Callable

import click
from rich import box
from rich.console import Console
from rich.table import Table

from deploy.local.home import held, start_over
from deploy.local.mails.server import run_mails
from deploy.local.plan import DEMO_PASSWORD, HOST, Plan, home_of, read_plan
from deploy.local.stack import Stack, StackFailedError
from shared.cli import load_demo_data, migrate_all
from shared.logs import configure_logs
from shared.process import stop_on_signals
from shared.settings import port, read_common, read_env

_WIDTH_OF_A_PIPE = 140


@click.command()
@click.option("--fresh", is_flag=True, help="Delete the data of earlier runs first.")
def up(*, fresh: bool) -> None:
    """Run the whole product on this machine, with demo data, until Ctrl+C."""
    configure_logs("up", default_level="WARNING")
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE, highlight=False)
    stop = stop_on_signals()
    env = read_env()
    home = home_of(env)
    with held(home):
        plan = read_plan(env, home)
        if fresh:
            start_over(home)
        _run(plan, stop=stop, console=console)


def _run(plan: Plan, *, stop: threading.Event, console: Console) -> None:
    _step(console, "databases", migrate_all)
    _step(console, "demo data", load_demo_data)
    stack = Stack(plan, stop=stop, console=console)
    try:
        stack.start()
        if not stop.is_set():
            _introduce(plan, console)
        stack.watch()
    except StackFailedError as error:
        raise click.ClickException(str(error)) from None
    finally:
        console.print("stopping...")
        stack.shut_down()
        console.print(f"Stopped. Your data is kept in {plan.home}.")


def _step(console: Console, name: str, do: Callable[[], object]) -> None:
    do()
    console.print(f"  [green]✓[/] {name}")


def _introduce(plan: Plan, console: Console) -> None:
    table = Table(title="Casebridge is running", title_justify="left", title_style="bold", box=box.ROUNDED)
    for heading in ("Open", "What it is", "Log in as"):
        table.add_column(heading, no_wrap=heading == "Open")
    for part in plan.parts:
        if part.page:
            table.add_row(part.url, part.page, part.log_in)
    console.print()
    console.print(table)
    console.print(f"Password of every log-in: [bold]{DEMO_PASSWORD}[/]")
    console.print(
        "carol is a customer, sam a support agent, alex the administrator; anna and bram are account managers."
    )
    console.print(f"Mails are caught on {HOST}:{plan.smtp_port}. Data and logs: {plan.home}")
    console.print("[bold]Ctrl+C[/] stops all of it.")


@click.command()
def mails() -> None:
    """Catch mails instead of delivering them, and show them on a page."""
    configure_logs("mails")
    env = read_env()
    settings = read_common(env)
    run_mails(
        settings,
        host=HOST,
        smtp_port=port(env, "MAILS_SMTP_PORT", 1025),
        page_port=port(env, "MAILS_PORT", 8025),
        stop=stop_on_signals(),
    )
