"""What no receipt came for is sent again: bounded, less and less often, and only while somebody can hear it."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from crm_sync_service import inbox as sync_inbox
from crm_sync_service.models import Base as SyncBase
from crm_sync_service.models import Lane, Replica, ReplyReplica
from portal_service.base import outbox
from portal_service.channels.mailer import Mailer
from portal_service.crm.handlers import apply
from portal_service.crm.models import Resend
from portal_service.crm.resend import ALIVE, BATCH, SILENCE, resend_unanswered, unanswered_count
from portal_service.tickets.actions import add_reply, edit
from portal_service.tickets.models import Ticket
from portal_service.worker import PortalWorker
from shared.broker import Broker
from shared.consumer import Consumer
from shared.events import PORTAL_EVENTS, CrmStatusChanged, Event, Message, Receipt, ReplyAdded, TicketChanged, unpack
from shared.relay import Relay
from tests.portal_service.support_desk import Help


def hear(desk: Help, session: Any, state: Any = "reachable") -> None:
    """The sync service tells that it lives."""
    now = desk.clock.now
    apply(session, CrmStatusChanged(crm="desk", state=state, since=now, checked_at=now, reason=None), now=now)


def answer(desk: Help, session: Any, ticket: Ticket, number: int = 1, **changes: Any) -> None:
    values: dict[str, Any] = {
        "state": "in_sync",
        "version": ticket.version,
        "case_id": "c",
        "case_number": "C-1",
        "case_url": None,
        "notes": ticket.entry_count,
        "reason": None,
        "compared_at": desk.clock.now,
    }
    receipt = Receipt(ticket_id=ticket.id, number=number, **(values | changes))
    apply(session, receipt, now=desk.clock.now)


def resend(desk: Help, session: Any) -> list[int]:
    return resend_unanswered(session, now=desk.clock.now)


def forget_sent(desk: Help, session: Any) -> None:
    session.execute(outbox.table.delete())


@pytest.fixture
def silent(desk: Help) -> Help:
    """One ticket with a reply was filed, and minutes later nothing has been heard of it; the sync service lives."""
    with desk.write() as session:
        ticket = desk.submit(session)
        add_reply(session, ticket, actor=desk.actor(session, "carol"), body="Any news?", now=desk.clock.now)
        forget_sent(desk, session)
    desk.clock.forward(seconds=SILENCE.total_seconds() + 1)
    with desk.write() as session:
        hear(desk, session)
    return desk


def the_ticket(desk: Help, session: Any) -> Ticket:
    return desk.ticket(session, 1001)


def test_a_ticket_nobody_has_heard_of_is_sent_again_with_all_that_was_said(silent: Help) -> None:
    with silent.write() as session:
        assert resend(silent, session) == [1001]
        told = silent.told(session)
        assert [type(event) for event in told] == [TicketChanged, ReplyAdded]
        assert told[0].version == the_ticket(silent, session).version


def test_it_is_sent_less_and_less_often(silent: Help) -> None:
    sent = []
    for minute in range(40):
        with silent.write() as session:
            hear(silent, session)
            if resend(silent, session):
                sent.append(minute)
        silent.clock.forward(minutes=1)
    assert sent == [0, 2, 6, 14, 30]


def test_a_new_change_is_not_kept_waiting_by_old_attempts(silent: Help) -> None:
    with silent.write() as session:
        resend(silent, session)
        session.get_one(Resend, the_ticket(silent, session).id).next_at = silent.clock.now + timedelta(hours=6)
        edit(
            session,
            the_ticket(silent, session),
            actor=silent.actor(session, "sam"),
            changes={"priority": "high"},
            now=silent.clock.now,
        )
    silent.clock.forward(seconds=SILENCE.total_seconds() + 1)
    with silent.write() as session:
        hear(silent, session)
        assert resend(silent, session) == [1001]


def test_what_was_answered_is_not_sent(silent: Help) -> None:
    with silent.write() as session:
        answer(silent, session, the_ticket(silent, session))
    silent.clock.forward(minutes=5)
    with silent.write() as session:
        hear(silent, session)
        assert (resend(silent, session), unanswered_count(session, now=silent.clock.now)) == ([], 0)


@pytest.mark.parametrize("changes", [{"version": 1}, {"notes": 0}])
def test_a_receipt_of_an_older_version_or_without_the_reply_is_no_answer(silent: Help, changes: dict[str, int]) -> None:
    with silent.write() as session:
        answer(silent, session, the_ticket(silent, session), **changes)
        assert resend(silent, session) == [], "it was heard of just now: the next receipt may come any moment"
    silent.clock.forward(minutes=3)
    with silent.write() as session:
        hear(silent, session)
        assert unanswered_count(session, now=silent.clock.now) == 1
        assert resend(silent, session) == [1001]


def test_a_change_that_was_made_just_now_has_time(desk: Help) -> None:
    with desk.write() as session:
        desk.submit(session)
        hear(desk, session)
        assert resend(desk, session) == []


@pytest.mark.parametrize("state", ["unreachable", "paused"])
def test_nothing_is_sent_while_it_is_known_why_no_answer_comes(silent: Help, state: str) -> None:
    with silent.write() as session:
        hear(silent, session, state)
        assert resend(silent, session) == []


def test_nothing_is_sent_to_a_sync_service_that_does_not_live(silent: Help) -> None:
    silent.clock.forward(seconds=ALIVE.total_seconds() + 1)
    with silent.write() as session:
        assert resend(silent, session) == []


def test_nothing_is_sent_before_the_sync_service_was_ever_heard(desk: Help) -> None:
    with desk.write() as session:
        desk.submit(session)
    desk.clock.forward(minutes=10)
    with desk.write() as session:
        assert resend(desk, session) == []


def test_so_many_at_once_and_the_others_next(desk: Help) -> None:
    with desk.write() as session:
        for _ in range(BATCH + 3):
            desk.submit(session)
    desk.clock.forward(minutes=3)
    with desk.write() as session:
        hear(desk, session)
        assert len(resend(desk, session)) == BATCH
        assert len(resend(desk, session)) == 3
        assert resend(desk, session) == []


def test_events_that_a_purged_queue_lost_arrive_after_all(desk: Help, open_database: Any, tmp_path: Any) -> None:
    """FAILURES 62: confirmed by the broker, marked as sent, and then gone."""
    broker = Broker(f"embedded:///{tmp_path}/broker.db")
    relay = Relay(desk.database, outbox, broker)
    sync = open_database("sqlite", SyncBase.metadata)
    with desk.write() as session:
        ticket = desk.submit(session)
        add_reply(session, ticket, actor=desk.actor(session, "carol"), body="Any news?", now=desk.clock.now)
        ticket_id = ticket.id
    assert relay.run_once(desk.clock.now) > 0
    assert purge(broker) == 3
    desk.clock.forward(minutes=3)
    with desk.write() as session:
        assert outbox.waiting(session)[0] == 0
        hear(desk, session)
        resend(desk, session)
    relay.run_once(desk.clock.now)
    with sync.write() as session:
        for event in received(broker, 2):
            sync_inbox.apply(session, event, now=desk.clock.now)
    relay.close()
    with sync.read() as session:
        assert session.get_one(Replica, ticket_id).version == 2
        assert session.query(ReplyReplica).count() == 1
        assert session.get_one(Lane, ticket_id).state == "due"


def purge(broker: Broker) -> int:
    """An operator empties the portal's queue; returns how many messages that were."""
    with broker.connected() as connection:
        purged: int = connection.channel.queue_purge(connection.topology.queue(PORTAL_EVENTS))
        return purged


def received(broker: Broker, count: int) -> list[Event]:
    """The next events of the portal's queue."""
    events: list[Event] = []
    stop = threading.Event()

    def take(messages: Sequence[Message]) -> None:
        events.extend(unpack(message) for message in messages)
        if len(events) >= count:
            stop.set()

    Consumer(broker, PORTAL_EVENTS, take).run(stop)
    return events


def test_the_worker_has_the_loop(desk: Help) -> None:
    worker = PortalWorker(
        database=desk.database, broker=Broker("embedded:///unused"), mailer=Mailer("smtp://x:1", sender="a@b.example")
    )
    assert "resend" in worker.loops()
