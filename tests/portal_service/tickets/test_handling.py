import uuid
from typing import Any

import pytest

from portal_service.tickets import queries
from portal_service.tickets.actions import (
    add_reply,
    close,
    delete,
    edit,
    mark_reviewed,
    record_refusal,
    reopen,
    restore,
    set_status,
    transfer,
)
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.models import Ticket
from shared.events import InternalNoteAdded, TicketChanged
from tests.portal_service.support_desk import Help


def snapshots(desk: Help, session: Any) -> list[TicketChanged]:
    return [event for event in desk.told(session) if isinstance(event, TicketChanged)]


def test_a_transfer_is_one_version_and_one_snapshot(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        other = desk.staff(session, "Nora" if ticket.assignee and ticket.assignee.name == "Sam" else "Sam")
        transfer(
            session,
            ticket,
            actor=desk.actor(session, "admin"),
            assignee_id=other.id,
            account_id=desk.account(session, "Globex").id,
            product_id=desk.product(session, "Sync Engine").id,
            note="Belongs to Globex",
            now=desk.clock.forward(minutes=3),
        )
        told = snapshots(desk, session)
        assert [event.version for event in told] == [1, 2]
        assert told[1].assignee is not None
        assert told[1].assignee.crm_id == other.crm_id
        assert (told[1].account_crm_id, told[1].product_crm_id) == ("A-Globex", "P-Sync Engine")
        assert (told[1].status, told[1].changed_by, told[1].reply_count) == ("open", "Admin", 1)
        (note,) = [event for event in desk.told(session) if isinstance(event, InternalNoteAdded)]
        assert note.body == "Belongs to Globex"
        changed = [
            (line.field, line.after) for line in queries.history(session, ticket, public_only=False) if line.field
        ]
        assert changed == [
            ("assignee", other.name),
            ("account", "Globex"),
            ("product", "Sync Engine"),
            ("status", "open"),
        ]


def test_a_transfer_that_changes_nothing_tells_nothing(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        transfer(
            session,
            ticket,
            actor=desk.actor(session, "sam"),
            assignee_id=ticket.assignee_id,
            account_id=ticket.account_id,
            product_id=ticket.product_id,
            note="  ",
            now=desk.clock.now,
        )
        assert ticket.version == 1


def test_a_refused_transfer_changes_nothing_at_all(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        before = ticket.assignee_id
        with pytest.raises(Invalid) as refused:
            transfer(
                session,
                ticket,
                actor=desk.actor(session, "admin"),
                assignee_id=desk.staff(session, "Mila").id,
                account_id=uuid.uuid4(),
                product_id=None,
                note="",
                now=desk.clock.now,
            )
        assert set(refused.value.errors) == {"account_id", "product_id"}
        assert (ticket.assignee_id, ticket.version) == (before, 1)


def test_the_right_column_changes_each_field_in_one_version(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        changes = {"priority": "urgent", "status": "pending", "product_id": desk.product(session, "Sync Engine").id}
        edit(session, ticket, actor=desk.actor(session, "sam"), changes=changes, now=desk.clock.now)
        told = snapshots(desk, session)[-1]
        assert (told.version, told.priority, told.status, told.product_name) == (2, "urgent", "pending", "Sync Engine")


@pytest.mark.parametrize("field", ["description", "subject", "created_at", "version", "contact_id"])
def test_what_was_said_cannot_be_edited(desk: Help, field: str) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        sam = desk.actor(session, "sam")
        with pytest.raises(Refused):
            edit(session, ticket, actor=sam, changes={"priority": "low", field: "other"}, now=desk.clock.now)
        assert (ticket.priority, ticket.version) == ("normal", 1)
        record_refusal(session, ticket, actor=sam, field=field, now=desk.clock.now)
        line = queries.history(session, ticket, public_only=False)[-1]
        assert (line.action, line.field, line.actor_name) == ("refused", field, "Sam")


@pytest.mark.parametrize(
    "changes", [{"status": "lost"}, {"priority": ""}, {"assignee_id": uuid.uuid4()}, {"product_id": uuid.uuid4()}]
)
def test_values_that_do_not_exist_are_refused(desk: Help, changes: dict[str, Any]) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        with pytest.raises(Invalid) as refused:
            edit(session, ticket, actor=desk.actor(session, "sam"), changes=changes, now=desk.clock.now)
        assert refused.value.errors.keys() == changes.keys()


def test_opening_a_new_ticket_makes_it_open_once(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        sam = desk.actor(session, "sam")
        reviewed = desk.clock.forward(minutes=2)
        mark_reviewed(session, ticket, actor=sam, now=reviewed)
        mark_reviewed(session, ticket, actor=sam, now=desk.clock.forward(minutes=2))
        assert (ticket.status, ticket.version, ticket.reviewed_at) == ("open", 2, reviewed)


def test_closing_and_reopening_keep_the_dates(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        sam = desk.actor(session, "sam")
        solved = desk.clock.forward(hours=1)
        set_status(session, ticket, "solved", actor=sam, now=solved)
        closed = desk.clock.forward(hours=1)
        close(session, ticket, actor=sam, now=closed)
        assert (ticket.resolved_at, ticket.closed_at) == (solved, closed)
        with pytest.raises(Refused):
            close(session, ticket, actor=sam, now=closed)
        reopen(session, ticket, actor=sam, now=desk.clock.forward(hours=1))
        assert (ticket.status, ticket.resolved_at, ticket.closed_at) == ("open", None, None)


def test_the_requester_may_solve_and_reopen_but_not_more(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        carol = desk.actor(session, "carol")
        set_status(session, ticket, "solved", actor=carol, now=desk.clock.now)
        set_status(session, ticket, "open", actor=carol, now=desk.clock.now)
        for forbidden in (
            lambda: set_status(session, ticket, "pending", actor=carol, now=desk.clock.now),
            lambda: edit(session, ticket, actor=carol, changes={"priority": "urgent"}, now=desk.clock.now),
            lambda: delete(session, ticket, actor=carol, now=desk.clock.now),
        ):
            with pytest.raises(Refused):
                forbidden()
        assert ticket.version == 3


def test_a_deleted_ticket_is_a_tombstone(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        sam = desk.actor(session, "sam")
        delete(session, ticket, actor=sam, now=desk.clock.forward(minutes=1))
        told = snapshots(desk, session)[-1]
        assert (told.version, told.deleted_at, told.deleted_by) == (2, desk.clock.now, "Sam")
        assert queries.ticket_for_staff(session, ticket.number) is None
        assert queries.ticket_for_contact(session, desk.contact(session, "Carol"), ticket.number) is None
        assert queries.tickets_for_staff(session, queries.TicketFilter(status="all"), limit=9).items == []
        with pytest.raises(Refused):
            add_reply(session, ticket, actor=sam, body="x", now=desk.clock.now)


def test_a_restored_ticket_is_as_it_was_and_told(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        sam, carol = desk.actor(session, "sam"), desk.actor(session, "carol")
        delete(session, ticket, actor=sam, now=desk.clock.now)
        with pytest.raises(Refused):
            restore(session, ticket, actor=carol, now=desk.clock.now)
        restore(session, ticket, actor=sam, now=desk.clock.forward(minutes=1))
        told = snapshots(desk, session)[-1]
        assert (told.version, told.deleted_at, told.deleted_by, told.status) == (3, None, None, "new")
        assert queries.ticket_for_staff(session, ticket.number) is ticket
        with pytest.raises(Refused):
            restore(session, ticket, actor=sam, now=desk.clock.now)


def test_a_parent_is_another_ticket_that_does_not_follow_from_this_one(desk: Help) -> None:
    with desk.write() as session:
        first, second, third = (desk.submit(session) for _ in range(3))
        sam = desk.actor(session, "sam")
        for ticket, parent in ((second, first), (third, second)):
            edit(session, ticket, actor=sam, changes={"parent_number": parent.number}, now=desk.clock.now)
        for ticket, number in ((first, first.number), (first, third.number), (first, 9999), (first, 0)):
            with pytest.raises(Invalid) as refused:
                edit(session, ticket, actor=sam, changes={"parent_number": number}, now=desk.clock.now)
            assert list(refused.value.errors) == ["parent_number"]
        assert list(queries.followers(session, first)) == [second]
        edit(session, second, actor=sam, changes={"parent_number": None}, now=desk.clock.now)
        changed = [(line.before, line.after) for line in queries.history(session, second, public_only=False)
                   if line.field == "parent_number"]  # fmt: skip
        assert changed == [(None, "#1001"), ("#1001", None)]


def test_opening_again_is_when_it_was_last_opened(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        sam = desk.actor(session, "sam")
        assert ticket.opened_at == ticket.created_at
        mark_reviewed(session, ticket, actor=sam, now=desk.clock.forward(hours=1))
        set_status(session, ticket, "pending", actor=sam, now=desk.clock.forward(hours=1))
        assert ticket.opened_at == ticket.created_at
        close(session, ticket, actor=sam, now=desk.clock.forward(hours=1))
        again = desk.clock.forward(hours=1)
        add_reply(session, ticket, actor=desk.actor(session, "carol"), body="It is back", now=again)
        assert ticket.opened_at == again


def test_two_agents_at_once_lose_nothing(desk: Help) -> None:
    with desk.write() as session:
        desk.submit(session)
    with desk.database.read() as reading:
        stale = reading.query(Ticket).one()
        with desk.write() as session:
            edit(
                session,
                desk.ticket(session),
                actor=desk.actor(session, "nora"),
                changes={"priority": "high"},
                now=desk.clock.now,
            )
        reading.expunge(stale)
    with desk.write() as session:
        session.add(stale)
        add_reply(session, stale, actor=desk.actor(session, "sam"), body="Hello", now=desk.clock.now)
        assert (stale.priority, stale.version) == ("high", 3)
