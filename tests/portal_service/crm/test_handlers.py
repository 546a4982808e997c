from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from portal_service.crm.freshness import age, freshness
from portal_service.crm.handlers import apply
from portal_service.crm.models import Mirror
from portal_service.tickets.actions import add_reply, edit
from portal_service.tickets.snapshots import ticket_changed
from shared.events import CrmStatusChanged, EventError, Receipt, dump, load
from shared.ids import new_id
from tests.portal_service.support_desk import START, Help


def receipt(
    ticket_id: Any, number: int, state: Any = "in_sync", version: int = 1, reason: str | None = None
) -> Receipt:
    return Receipt(
        ticket_id=ticket_id,
        number=number,
        state=state,
        version=version,
        case_id="case-1",
        case_number="C-00001",
        case_url="https://crm.test/cases/1",
        notes=0,
        reason=reason,
        compared_at=START,
    )


def crm(state: Any, *, minutes: int = 0) -> CrmStatusChanged:
    at = START + timedelta(minutes=minutes)
    return CrmStatusChanged(crm="desk", state=state, since=at, checked_at=at, reason=None)


def test_only_the_newest_receipt_counts(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        apply(session, receipt(ticket.id, 2), now=desk.clock.now)
        apply(session, receipt(ticket.id, 1, "failed", reason="old"), now=desk.clock.now)
        apply(session, receipt(ticket.id, 2, "waiting"), now=desk.clock.now)
        mirror = session.get_one(Mirror, ticket.id)
        assert (mirror.state, mirror.receipt_number, mirror.case_number) == ("in_sync", 2, "C-00001")


def test_a_sync_service_restored_from_a_backup_is_heard_again(desk: Help) -> None:
    """Its numbers begin again at older ones (FAILURES 67)."""
    with desk.write() as session:
        ticket = desk.submit(session)
        apply(session, receipt(ticket.id, 9), now=desk.clock.now)
        late = replace(receipt(ticket.id, 3, "waiting"), compared_at=START + timedelta(minutes=4))
        apply(session, late, now=desk.clock.now)
        assert session.get_one(Mirror, ticket.id).receipt_number == 9
        restored = replace(receipt(ticket.id, 3, "waiting"), compared_at=START + timedelta(hours=1))
        apply(session, restored, now=desk.clock.now)
        assert session.get_one(Mirror, ticket.id).receipt_number == 3


def test_a_receipt_of_an_unknown_ticket_is_no_failure(desk: Help) -> None:
    with desk.write() as session:
        apply(session, receipt(desk.product(session, "Sync Engine").id, 1), now=desk.clock.now)


def test_an_event_of_the_portal_itself_is_not_applied(desk: Help) -> None:
    with desk.write() as session:
        own = ticket_changed(session, desk.submit(session), changed_by="Carol")
        with pytest.raises(EventError):
            apply(session, own, now=desk.clock.now)


def test_freshness_says_what_a_comparison_showed(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        later = START + timedelta(seconds=4)

        def said() -> tuple[str, str]:
            found = freshness(session, ticket, later)
            return found.state, found.text

        assert said() == ("waiting", "1 change waiting")
        apply(session, receipt(ticket.id, 1), now=later)
        assert said() == ("in_sync", "in sync, 4 s ago")
        for priority in ("low", "high"):
            edit(session, ticket, actor=desk.actor(session, "sam"), changes={"priority": priority}, now=later)
        assert said() == ("waiting", "2 changes waiting")
        apply(session, crm("unreachable", minutes=1), now=later)
        assert said() == ("unreachable", "CRM unreachable since 09:01 UTC, your ticket is safe")
        apply(session, crm("reachable", minutes=0), now=later)
        assert said()[0] == "unreachable"
        apply(session, crm("reachable", minutes=2), now=later)
        assert said()[0] == "waiting"
        apply(session, receipt(ticket.id, 2, "failed", version=3, reason="Account: unknown"), now=later)
        assert said() == ("failed", "could not be mirrored: Account: unknown")


def test_a_reply_without_its_note_is_a_change_that_waits(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        add_reply(session, ticket, actor=desk.actor(session, "sam"), body="Which button?", now=START)
        apply(session, receipt(ticket.id, 1, version=ticket.version), now=START)
        assert freshness(session, ticket, START).text == "1 change waiting"
        apply(session, replace(receipt(ticket.id, 2, version=ticket.version), notes=1), now=START)
        assert freshness(session, ticket, START).state == "in_sync"


@pytest.mark.parametrize(
    ("decisions", "words"), [(1, "one field waits for a decision"), (3, "3 fields wait for a decision")]
)
def test_a_field_that_waits_for_a_decision_is_said(desk: Help, decisions: int, words: str) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        waits = receipt(ticket.id, 1, "failed", reason="status waits")
        apply(session, replace(waits, decisions=decisions), now=START)
        found = freshness(session, ticket, START)
        assert (found.state, found.text) == ("decision", words)


def test_a_sync_service_that_has_gone_silent_is_said_only_while_something_waits(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        apply(session, crm("reachable"), now=START)
        assert freshness(session, ticket, START + timedelta(seconds=90)).state == "waiting"
        late = freshness(session, ticket, START + timedelta(minutes=10))
        assert late.text == "the connection to the CRM has been silent since 09:00 UTC, your ticket is safe"
        apply(session, receipt(ticket.id, 1), now=START)
        assert freshness(session, ticket, START + timedelta(minutes=10)).text == "in sync, 10 min ago"


def test_a_receipt_of_an_older_version_of_the_sync_service_is_understood() -> None:
    body = dump(receipt(new_id(), 1))
    del body["decisions"]
    assert load(Receipt.type, body).decisions == 0


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(hours=2, minutes=59), "2 h"),
        (timedelta(days=3), "3 d"),
    ],
)
def test_ages_are_told_in_their_largest_unit(span: timedelta, words: str) -> None:
    assert age(span) == words
