import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import func, select

from portal_service.base import inbox, outbox
from portal_service.channels.mailer import Mailer
from portal_service.channels.models import OutgoingMail
from portal_service.crm.ticket_source import PortalTickets
from portal_service.tickets.actions import add_internal_note, add_reply, delete
from portal_service.worker import PortalWorker
from shared.broker import Broker
from shared.clock import utc_now
from shared.events import CaseChanged, FieldChange, TicketChanged, pack
from tests.portal_service.support_desk import Help


@pytest.fixture
def mail_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(_Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()


class _Sink:
    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 (aiosmtpd)
        return "250 OK"


@pytest.fixture
def worker(desk: Help, tmp_path: Path, mail_port: int) -> Iterator[PortalWorker]:
    worker = PortalWorker(
        database=desk.database,
        broker=Broker(f"embedded:///{tmp_path}/broker.db"),
        mailer=Mailer(f"smtp://127.0.0.1:{mail_port}", sender="support@support.test"),
    )
    stop = threading.Event()
    threads = [threading.Thread(target=loop, args=(stop,)) for loop in worker.loops().values()]
    for thread in threads:
        thread.start()
    yield worker
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def until(holds: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_what_the_portal_stored_is_published_and_mailed(desk: Help, worker: PortalWorker) -> None:
    desk.clock.now = utc_now()
    with desk.write() as session:
        desk.submit(session)

    def all_gone() -> bool:
        with desk.database.read() as session:
            unsent = session.scalars(select(OutgoingMail.id).where(OutgoingMail.sent_at.is_(None))).all()
            return outbox.waiting(session)[0] == 0 and not unsent

    until(all_gone)
    gauges = {gauge.name: gauge.value for gauge in worker.gauges()}
    assert (gauges["casebridge_outbox_unsent"], gauges["casebridge_mails_waiting"]) == (0, 0)
    assert gauges["casebridge_reviews_overdue"] == 0


def test_a_change_in_the_crm_is_applied_once_although_delivered_twice(desk: Help, worker: PortalWorker) -> None:
    desk.clock.now = utc_now()
    with desk.write() as session:
        ticket_id = desk.submit(session).id
    change = FieldChange(field="priority", before="normal", after="urgent", after_label=None)
    event = CaseChanged(
        ticket_id=ticket_id, pull_number=1, changes=(change,), changed_by="Anna", changed_at=desk.clock.now
    )
    publisher = worker.broker.publisher()
    message = pack(event, source="crm-sync", now=desk.clock.now)
    for _twice in range(2):
        assert publisher.publish([message]) == {message.id}
    publisher.close()

    def applied() -> bool:
        with desk.database.read() as session:
            return desk.ticket(session).priority == "urgent"

    until(applied)
    with desk.database.read() as session:
        assert desk.ticket(session).version == 2
        assert session.scalars(select(inbox.seen.c.event_id)).all() == [message.id]


class _OneRound(threading.Event):
    """A stop event that lets a loop go round once, without any waiting."""

    def __init__(self) -> None:
        super().__init__()
        self._rounds = iter([False])

    def wait(self, timeout: float | None = None) -> bool:
        return next(self._rounds, True)


def test_what_was_sent_and_seen_long_ago_is_forgotten(desk: Help, tmp_path: Path) -> None:
    now = desk.clock.now
    with desk.write() as session:
        desk.submit(session)
        first = session.scalars(select(outbox.table.c.event_id)).one()
        outbox.mark_sent(session, [first], now=now)
        desk.submit(session)
        change = CaseChanged(
            ticket_id=desk.ticket(session).id, pull_number=1, changes=(), changed_by="Anna", changed_at=now
        )
        inbox.new_among(session, [pack(change, source="crm-sync", now=now)], now=now)

    def kept_after(days: int) -> list[int | None]:
        moment = now + timedelta(days=days)
        worker = PortalWorker(
            database=desk.database,
            broker=Broker(f"embedded:///{tmp_path}/broker.db"),
            mailer=Mailer("smtp://127.0.0.1:9", sender="support@support.test"),
            now=lambda: moment,
        )
        worker.keep_house(_OneRound())
        with desk.database.read() as session:
            tables = (outbox.table, inbox.seen)
            return [session.scalar(select(func.count()).select_from(table)) for table in tables]

    assert kept_after(1) == [2, 1]
    assert kept_after(60) == [1, 0], "what is unsent stays however old it is"


def test_the_ticket_source_gives_everything_removed_tickets_too(desk: Help) -> None:
    with desk.write() as session:
        sam = desk.actor(session, "sam")
        tickets = [desk.submit(session) for _ in range(3)]
        add_reply(session, tickets[0], actor=sam, body="one", now=desk.clock.now)
        add_internal_note(session, tickets[0], actor=sam, body="two", now=desk.clock.now)
        delete(session, tickets[1], actor=sam, now=desk.clock.now)
        newest = {event.number: event for event in desk.told(session) if isinstance(event, TicketChanged)}
    source = PortalTickets(desk.database)
    found = list(source.tickets())
    assert source.count() == 3
    assert [(event.number, event.version, event.deleted_by) for event in found] == [
        (1001, 3, None),
        (1002, 2, "Sam"),
        (1003, 1, None),
    ]
    assert found == [replace(newest[event.number], changed_by="portal") for event in found]
    entries = source.entries(found[0].ticket_id)
    assert [(type(entry).__name__, entry.position, entry.body) for entry in entries] == [
        ("ReplyAdded", 1, "one"),
        ("InternalNoteAdded", 2, "two"),
    ]
    assert source.entries(found[2].ticket_id) == []
    assert source.unsent() == 8
