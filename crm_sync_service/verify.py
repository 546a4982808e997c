"""`casebridge verify`: what the comparison of all tickets with their Cases found, for people and programs."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crm_sync_service.connectors.base import CrmError
from crm_sync_service.crm import open_crm
from crm_sync_service.models import open_database
from crm_sync_service.settings import read_settings
from crm_sync_service.verifier import THREADS, Counts, Findings, Verifier, WebLinks, lasting
from shared.broker import Broker, BrokerUnavailableError, open_broker
from shared.database import opened
from shared.ticket_source import open_source

DIFFERENT = 1
CANNOT_COMPARE = 2


class Report:
    """Prints findings as they come: lines for people, or one JSON object a line."""

    def __init__(self, *, as_json: bool, write: Callable[[str], None] = click.echo) -> None:
        self._as_json = as_json
        self._write = write

    def show(self, found: Findings) -> None:
        for difference in found.differences:
            self._line({"difference": difference.as_json()}, str(difference))
        for words in found.waiting:
            self._line({"waiting": words}, f"waits: {words}")

    def end(self, counts: Counts, *, links: bool) -> None:
        compared = (
            f"Compared {_counted(counts.tickets, 'ticket')}, {_counted(counts.cases, 'Case')}, "
            f"{_counted(counts.notes, 'Note')}; "
            + (f"opened {_counted(counts.links, 'link')}." if links else "links were not opened.")
        )
        if counts.all_equal:
            verdict = "No difference, and nothing waits."
        else:
            verdict = f"{_counted(counts.differences, 'difference')}; {counts.waiting:,} still waiting."
        self._line({"summary": asdict(counts) | {"all_equal": counts.all_equal}}, f"{compared}\n{verdict}")

    def _line(self, value: Mapping[str, object], words: str) -> None:
        self._write(json.dumps(value, ensure_ascii=False) if self._as_json else words)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def verify(verifier: Verifier, broker: Broker, report: Report) -> Counts:
    """Compare everything, telling what is found as it is found. Raises CrmError."""
    total = Counts()
    bar = Progress(
        TextColumn("Comparing tickets"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("", total=verifier.source.count())
        for found in verifier.run():
            total.add(found.counts)
            report.show(found)
            bar.advance(task, found.counts.tickets)
    in_broker = _in_broker(broker)
    total.add(in_broker.counts)
    report.show(in_broker)
    return total


def _in_broker(broker: Broker) -> Findings:
    found = Findings()
    try:
        number = lasting(lambda: sum(broker.depths().values()))
    except BrokerUnavailableError as error:
        found.wait([f"nobody knows what: {error}"])
    else:
        found.wait([f"{number:,} events in the broker's queues"] if number else [])
    return found


@click.command("verify")
@click.option("--no-links", is_flag=True, help="Do not open the attachments' links.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: differences, what waits, a summary.")
@click.pass_context
def verify_command(context: click.Context, no_links: bool, as_json: bool) -> None:
    """Compare every ticket with its Case: fields, words, Notes, links, and whether anything waits.

    Exit status: 0 when nothing differs or waits, 1 when something does, 2 when it could not compare.
    """
    settings = read_settings()
    links = None if no_links else WebLinks()
    report = Report(as_json=as_json)
    crm, mapping = open_crm(settings)
    try:
        with opened(open_database(settings.database_url, pool_size=THREADS + 2)) as database, open_source() as source:
            database.check()
            verifier = Verifier(source=source, database=database, crm=crm, mapping=mapping, links=links)
            counts = verify(verifier, open_broker(settings.common), report)
    except CrmError as error:
        click.echo(f"casebridge: could not compare, as the CRM did not do its part. {error}", err=True)
        context.exit(CANNOT_COMPARE)
    finally:
        crm.close()
        if links is not None:
            links.close()
    report.end(counts, links=links is not None)
    context.exit(0 if counts.all_equal else DIFFERENT)
