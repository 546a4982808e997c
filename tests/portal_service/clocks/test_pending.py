"""Tickets that wait for the customer, with time that moves only when told to (S63, S64)."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal_service.channels.models import OutgoingMail
from portal_service.clocks.run import strike_due
from portal_service.clocks.settings import ClockSettings
from portal_service.tickets.actions import add_internal_note, add_reply, delete, set_status, submit_ticket
from portal_service.tickets.actor import SYSTEM
from portal_service.tickets.models import HistoryEntry, Ticket
from shared.events import TicketChanged
from tests.portal_service.support_desk import Help

CAROL, SAM = "carol@acme.example", "sam@support.example"
DAYS = ClockSettings(review=None)


class Waiting:
    """Carol's ticket at Sam's, pending since this moment."""

    def __init__(self, desk: Help) -> None:
        self.desk = desk
        with desk.write() as session:
            ticket = desk.submit(session, favourite_staff_id=desk.staff(session, "Sam").id)
            desk.clock.forward(hours=3)
            sam = desk.actor(session, "sam")
            add_reply(session, ticket, actor=sam, body="Which browser?", pending=True, now=desk.clock.now)
        self.began = desk.clock.now

    def look(self, settings: ClockSettings = DAYS, **after: float) -> list[tuple[str, str]]:
        """What a look at the clocks so long after the question brings: recipient and kind of each mail."""
        self.desk.clock.now = self.began + timedelta(**after)
        before = set(self.mails())
        strike_due(self.desk.database, settings, self.desk.clock.now)
        return sorted(set(self.mails()) - before)

    def mails(self) -> list[tuple[str, str]]:
        with self.desk.database.read() as session:
            return [(mail.recipient, mail.kind) for mail in session.scalars(select(OutgoingMail))]

    @property
    def status(self) -> str:
        with self.desk.database.read() as session:
            return self.desk.ticket(session).status


@pytest.fixture
def waiting(desk: Help) -> Waiting:
    return Waiting(desk)


REMINDED = [(CAROL, "reminder")]
CLOSED = [(CAROL, "closed_unanswered"), (SAM, "closed_unanswered_staff")]


def test_reminded_on_day_7_and_closed_on_day_14_each_once(waiting: Waiting) -> None:
    assert waiting.look(days=6, hours=23) == []
    assert waiting.look(days=7) == REMINDED
    for day in (7, 8, 10, 13):
        assert waiting.look(days=day, hours=23) == []
    assert waiting.status == "pending"
    assert waiting.look(days=14) == CLOSED
    assert waiting.status == "closed"
    assert waiting.look(days=40) == []


def test_the_reminder_asks_the_question_again_and_says_when_it_ends(waiting: Waiting) -> None:
    with waiting.desk.write() as session:
        waiting.desk.user(session, "carol").timezone = "Europe/Amsterdam"
    waiting.look(days=7)
    with waiting.desk.database.read() as session:
        text = waiting.desk.mail_texts(session, CAROL)[-1]
    assert "> Which browser?" in text
    assert "since 20 Nov 2026, 13:00 CET" in text
    assert "closed on 4 Dec 2026, 13:00 CET" in text


def test_the_case_is_told_of_the_closing_as_of_any_other(waiting: Waiting) -> None:
    waiting.look(days=7)
    waiting.look(days=14)
    with waiting.desk.database.read() as session:
        ticket = waiting.desk.ticket(session)
        last = [event for event in waiting.desk.told(session) if isinstance(event, TicketChanged)][-1]
        assert (last.status, last.version, last.changed_by) == ("closed", ticket.version, "Casebridge clock")
        assert ticket.closed_at == ticket.resolved_at == waiting.desk.clock.now
        history = session.scalars(select(HistoryEntry).order_by(HistoryEntry.id.desc())).first()
        assert history is not None
        assert (history.before, history.after, history.actor_kind) == ("pending", "closed", "system")


def test_a_reply_on_day_13_stops_it(waiting: Waiting) -> None:
    desk = waiting.desk
    waiting.look(days=7)
    desk.clock.now = waiting.began + timedelta(days=13)
    with desk.write() as session:
        add_reply(session, desk.ticket(session), actor=desk.actor(session, "carol"), body="Firefox", now=desk.clock.now)
    assert waiting.look(days=14) == []
    assert waiting.look(days=60) == []
    assert waiting.status == "open"


def test_asked_anew_the_days_begin_anew(waiting: Waiting) -> None:
    desk = waiting.desk
    waiting.look(days=7)
    with desk.write() as session:
        ticket = desk.ticket(session)
        add_reply(session, ticket, actor=desk.actor(session, "carol"), body="Firefox", now=desk.clock.forward(days=1))
        sam = desk.actor(session, "sam")
        add_reply(session, ticket, actor=sam, body="Which one?", pending=True, now=desk.clock.forward(days=1))
    waiting.began = desk.clock.now
    assert waiting.look(days=6, hours=23) == []
    with desk.database.read() as session:
        assert len([kind for _, kind in waiting.mails() if kind == "reminder"]) == 1
    strike_due(desk.database, DAYS, waiting.began + timedelta(days=7))
    assert len([kind for _, kind in waiting.mails() if kind == "reminder"]) == 2


def test_what_support_does_meanwhile_is_no_reaction(waiting: Waiting) -> None:
    desk = waiting.desk
    with desk.write() as session:
        nora = desk.actor(session, "nora")
        add_internal_note(session, desk.ticket(session), actor=nora, body="x", now=desk.clock.forward(days=2))
        add_reply(session, desk.ticket(session), actor=nora, body="Please answer", now=desk.clock.forward(days=2))
    assert waiting.look(days=7) == REMINDED


def test_after_an_outage_over_both_days_nobody_is_closed_unwarned(waiting: Waiting) -> None:
    assert waiting.look(days=20) == REMINDED
    with waiting.desk.database.read() as session:
        assert "closed on 13 Dec 2026, 12:00 UTC" in waiting.desk.mail_texts(session, CAROL)[-1]
    assert waiting.look(days=22, hours=23) == []
    assert waiting.status == "pending"
    assert waiting.look(days=23) == CLOSED


def test_a_reminder_a_little_late_does_not_delay_the_closing(waiting: Waiting) -> None:
    assert waiting.look(days=9) == REMINDED
    assert waiting.look(days=14) == CLOSED


def test_several_workers_at_once_strike_once(desk: Help) -> None:
    tickets = 4
    for _ in range(tickets):
        waiting = Waiting(desk)
    began = waiting.began + timedelta(hours=12)

    def both_look(days: int) -> None:
        barrier = threading.Barrier(2)

        def look() -> None:
            barrier.wait()
            strike_due(desk.database, DAYS, began + timedelta(days=days))

        workers = [threading.Thread(target=look) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        # What one worker left to the other, because that one had it just then, is done by now.
        strike_due(desk.database, DAYS, began + timedelta(days=days))

    both_look(7)
    both_look(14)
    kinds = [kind for _, kind in waiting.mails()]
    assert kinds.count("reminder") == tickets
    assert kinds.count("closed_unanswered") == tickets
    assert kinds.count("closed_unanswered_staff") == tickets
    with desk.database.read() as session:
        closings = select(HistoryEntry).where(HistoryEntry.after == "closed")
        assert len(session.scalars(closings).all()) == tickets


def test_a_worker_that_dies_in_the_middle_leaves_all_of_it_to_the_next(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("portal_service.channels.notices.reminded", _dies)
        with pytest.raises(KeyboardInterrupt):
            waiting.look(days=7)
    assert waiting.look(days=7, minutes=1) == REMINDED


def test_a_ticket_that_fails_keeps_back_no_other(desk: Help, monkeypatch: pytest.MonkeyPatch) -> None:
    from portal_service.channels import notices  # noqa: PLC0415

    first, second = Waiting(desk), Waiting(desk)
    tell = notices.reminded

    def fails_for_first(session: object, ticket: Ticket, **words: object) -> None:
        if ticket.number == 1001:
            raise _refused()
        tell(session, ticket, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(notices, "reminded", fails_for_first)
    assert first.look(days=8) == REMINDED
    assert second.status == "pending"


def test_a_deleted_ticket_is_left_alone(waiting: Waiting) -> None:
    with waiting.desk.write() as session:
        sam = waiting.desk.actor(session, "sam")
        delete(session, waiting.desk.ticket(session), actor=sam, now=waiting.desk.clock.forward(days=1))
    assert waiting.look(days=30) == []


def test_what_the_old_help_desk_asked_is_not_reminded_of(desk: Help) -> None:
    with desk.write() as session:
        new = desk.new(session, origin="import")
        ticket = submit_ticket(session, new, actor=SYSTEM, now=desk.clock.now, rng=desk.rng)
        ticket.status, ticket.pending_since = "pending", desk.clock.now
    desk.clock.forward(days=30)
    assert strike_due(desk.database, DAYS, desk.clock.now) == 0
    with desk.write() as session:
        ticket = desk.ticket(session)
        set_status(session, ticket, "open", actor=desk.actor(session, "sam"), now=desk.clock.now)
        set_status(session, ticket, "pending", actor=desk.actor(session, "sam"), now=desk.clock.now)
    assert strike_due(desk.database, DAYS, desk.clock.forward(days=7)) == 1
    assert strike_due(desk.database, DAYS, desk.clock.forward(days=7)) == 1
    with desk.database.read() as session:
        kinds = session.scalars(select(OutgoingMail.kind).where(OutgoingMail.recipient == CAROL)).all()
        assert sorted(kinds) == ["closed_unanswered", "reminder", "waiting"]


def test_each_clock_stops_when_it_is_turned_off(waiting: Waiting) -> None:
    assert waiting.look(ClockSettings(review=None, reminder=None, close=None), days=30) == []
    assert waiting.look(ClockSettings(review=None, close=None), days=31) == REMINDED
    with waiting.desk.database.read() as session:
        assert "closed on" not in waiting.desk.mail_texts(session, CAROL)[-1]
    assert waiting.look(ClockSettings(review=None, reminder=None), days=32) == CLOSED


def test_a_requester_without_an_address_is_closed_all_the_same(waiting: Waiting) -> None:
    with waiting.desk.write() as session:
        waiting.desk.contact(session, "Carol").emails = []
    assert waiting.look(days=7) == []
    assert waiting.look(days=14) == CLOSED[1:]


def _dies(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _refused() -> Exception:
    from portal_service.tickets.errors import Refused  # noqa: PLC0415

    return Refused("not now")
