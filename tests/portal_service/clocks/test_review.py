"""The review target: five minutes from receipt, told of once (S38)."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal_service.channels.models import OutgoingMail
from portal_service.clocks.hours import read_hours
from portal_service.clocks.review import review_of
from portal_service.clocks.run import strike_due
from portal_service.clocks.settings import ClockSettings
from portal_service.tickets.actions import (
    SYSTEM,
    add_reply,
    mark_reviewed,
    set_status,
    submit_ticket,
    transfer,
)
from tests.portal_service.support_desk import Help

SAM, ADMIN = "sam@support.example", "admin@support.example"
REVIEW = ClockSettings()


@pytest.fixture
def filed(desk: Help) -> Help:
    with desk.write() as session:
        desk.staff(session, "Admin").is_admin = True
        desk.submit(session, favourite_staff_id=desk.staff(session, "Sam").id)
    return desk


def look(desk: Help, settings: ClockSettings = REVIEW, **after: float) -> list[str]:
    """Who is told after so long that a review is overdue."""
    now = desk.clock.forward(**after)
    before = set(_told(desk))
    strike_due(desk.database, settings, now)
    return sorted(set(_told(desk)) - before)


def _told(desk: Help) -> list[str]:
    with desk.database.read() as session:
        return list(session.scalars(select(OutgoingMail.recipient).where(OutgoingMail.kind == "review_overdue")))


def test_after_five_minutes_the_agent_and_the_admins_are_told_once(filed: Help) -> None:
    assert look(filed, minutes=5) == []
    assert look(filed, seconds=1) == [ADMIN, SAM]
    assert look(filed, hours=1) == []
    assert look(filed, days=3) == []


def test_a_ticket_opened_in_time_is_nobodys_alarm(filed: Help) -> None:
    with filed.write() as session:
        ticket = filed.ticket(session)
        mark_reviewed(session, ticket, actor=filed.actor(session, "sam"), now=filed.clock.forward(minutes=4))
        review = review_of(ticket, REVIEW, now=filed.clock.now)
        assert review is not None
        assert (review.overdue, review.late) == (False, False)
    assert look(filed, days=1) == []


def test_the_first_action_counts_as_the_first_look(filed: Help) -> None:
    with filed.write() as session:
        ticket, sam = filed.ticket(session), filed.actor(session, "sam")
        add_reply(session, ticket, actor=sam, body="On it", now=filed.clock.forward(minutes=4))
        assert ticket.reviewed_at == filed.clock.now
    assert look(filed, days=1) == []


def test_a_late_review_is_remembered_as_late(filed: Help) -> None:
    with filed.write() as session:
        ticket = filed.ticket(session)
        before = review_of(ticket, REVIEW, now=filed.clock.forward(minutes=6))
        mark_reviewed(session, ticket, actor=filed.actor(session, "sam"), now=filed.clock.forward(minutes=6))
        after = review_of(ticket, REVIEW, now=filed.clock.now)
        assert before is not None
        assert after is not None
        assert (before.overdue, before.late) == (True, False)
        assert (after.overdue, after.late) == (False, True)
        assert before.due == after.due == ticket.created_at + timedelta(minutes=5)


def test_neither_a_customers_word_nor_the_next_agent_stops_the_clock(filed: Help) -> None:
    with filed.write() as session:
        ticket, carol = filed.ticket(session), filed.actor(session, "carol")
        add_reply(session, ticket, actor=carol, body="Hello?", now=filed.clock.forward(minutes=2))
    assert look(filed, minutes=4) == [ADMIN, SAM]


def test_what_its_requester_closed_needs_no_review(filed: Help) -> None:
    with filed.write() as session:
        ticket, carol = filed.ticket(session), filed.actor(session, "carol")
        set_status(session, ticket, "solved", actor=carol, now=filed.clock.forward(minutes=2))
        assert review_of(ticket, REVIEW, now=filed.clock.forward(days=1)) is None
    assert look(filed, days=1) == []


def test_a_ticket_handed_on_at_once_was_looked_at(filed: Help) -> None:
    with filed.write() as session:
        ticket = filed.ticket(session)
        transfer(
            session,
            ticket,
            actor=filed.actor(session, "sam"),
            assignee_id=filed.staff(session, "Nora").id,
            account_id=ticket.account_id,
            product_id=ticket.product_id,
            note="",
            now=filed.clock.forward(minutes=1),
        )
    assert look(filed, days=1) == []


def test_imported_tickets_alarm_nobody(desk: Help) -> None:
    with desk.write() as session:
        new = desk.new(session, origin="import")
        ticket = submit_ticket(session, new, actor=SYSTEM, now=desk.clock.now, rng=desk.rng)
        assert review_of(ticket, REVIEW, now=desk.clock.forward(days=1)) is None
    assert look(desk, days=1) == []


def test_only_review_hours_count(filed: Help) -> None:
    """Filed on a Friday at 9 o'clock UTC; support opens at 11."""
    hours = ClockSettings(review_hours=read_hours("REVIEW_HOURS", "Mon-Fri 11:00-17:00 UTC"))
    assert look(filed, hours, hours=2, minutes=5) == []
    assert look(filed, hours, seconds=1) == [ADMIN, SAM]


def test_the_clock_can_be_turned_off(filed: Help) -> None:
    off = ClockSettings(review=None)
    assert look(filed, off, days=1) == []
    with filed.write() as session:
        assert review_of(filed.ticket(session), off, now=filed.clock.now) is None
