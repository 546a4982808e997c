from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from portal_service.crm.handlers import apply
from portal_service.tickets import queries
from portal_service.tickets.actions import delete
from portal_service.tickets.models import Reply, Ticket
from shared.events import CaseChanged, EventError, FieldChange, NoteForCustomer, ReplyAdded, TicketChanged
from shared.ids import new_id
from tests.portal_service.support_desk import Help


def change(field: Any, before: str | None, after: str | None, label: str | None = None) -> FieldChange:
    return FieldChange(field=field, before=before, after=after, after_label=label)


def from_crm(desk: Help, session: Any, ticket: Ticket, *changes: FieldChange, pull_number: int = 1) -> None:
    event = CaseChanged(
        ticket_id=ticket.id,
        pull_number=pull_number,
        changes=changes,
        changed_by="Anna Visser",
        changed_at=desk.clock.now,
    )
    apply(session, event, now=desk.clock.now)


def last(desk: Help, session: Any) -> TicketChanged:
    return [event for event in desk.told(session) if isinstance(event, TicketChanged)][-1]


def test_every_field_follows_the_crm_in_one_version(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        assert ticket.assignee is not None
        other = "Sam" if ticket.assignee.name == "Nora" else "Nora"
        from_crm(
            desk,
            session,
            ticket,
            change("assignee", ticket.assignee.crm_id, f"U-{other}"),
            change("account", "A-Acme", "A-Globex"),
            change("product", "P-Portal Server", "P-Sync Engine"),
            change("priority", "normal", "urgent"),
            change("status", "new", "solved"),
        )
        told = last(desk, session)
        assert told.assignee is not None
        assert (told.version, told.pull_number, told.changed_by) == (2, 1, "Anna Visser")
        assert (told.assignee.name, told.account_name, told.product_name) == (other, "Globex", "Sync Engine")
        assert (told.priority, told.status) == ("urgent", "solved")
        assert ticket.resolved_at == desk.clock.now
        lines = [line for line in queries.history(session, ticket, public_only=False) if line.actor_kind == "crm"]
        assert {line.actor_name for line in lines} == {"Anna Visser"}
        assert [line.field for line in lines] == ["assignee", "account", "product", "priority", "status"]


def test_a_field_that_changed_here_meanwhile_is_left_and_answered(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session, priority="high")
        from_crm(desk, session, ticket, change("priority", "normal", "low"), change("status", "new", "open"))
        told = last(desk, session)
        assert (told.priority, told.status, told.pull_number) == ("high", "open", 1)
        refused = [line for line in queries.history(session, ticket, public_only=False) if line.action == "refused"]
        assert [(line.field, line.before, line.after) for line in refused] == [("priority", "high", "low")]


def test_a_value_that_is_there_already_is_no_change(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session, priority="low")
        from_crm(desk, session, ticket, change("priority", "normal", "low"))
        assert last(desk, session).pull_number == 1
        assert [line.action for line in queries.history(session, ticket, public_only=False)] == ["created"]


def test_a_replay_is_ignored(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        for _again in range(3):
            from_crm(desk, session, ticket, change("priority", "normal", "low"))
        assert ticket.version == 2
        from_crm(desk, session, ticket, change("priority", "low", "normal"), pull_number=2)
        from_crm(desk, session, ticket, change("priority", "normal", "low"), pull_number=1)
        assert (ticket.priority, ticket.version) == ("normal", 3)


@pytest.mark.parametrize(("crm_id", "label"), [("U-Anna", "Anna Visser"), ("U-Gone", "Gone")])
def test_a_crm_user_who_is_no_agent_becomes_the_foreign_assignee(desk: Help, crm_id: str, label: str) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        assert ticket.assignee is not None
        desk.staff(session, "Mila").crm_id, desk.staff(session, "Mila").active = "U-Gone", False
        session.flush()
        from_crm(desk, session, ticket, change("assignee", ticket.assignee.crm_id, crm_id, label))
        told = last(desk, session)
        assert ticket.assignee is None
        assert told.assignee is not None
        assert (told.assignee.crm_id, told.assignee.name) == (crm_id, label)
        from_crm(desk, session, ticket, change("assignee", crm_id, "U-Sam"), pull_number=2)
        assert ticket.assignee is not None
        assert ticket.foreign_assignee is None


def test_unknown_records_become_stubs_until_the_directory_tells_of_them(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        from_crm(
            desk,
            session,
            ticket,
            change("account", "A-Acme", "A-9", "Umbrella"),
            change("product", "P-Portal Server", "P-9", None),
        )
        told = last(desk, session)
        assert (told.account_crm_id, told.account_name) == ("A-9", "Umbrella")
        assert (told.product_crm_id, told.product_name) == ("P-9", "P-9")


@pytest.mark.parametrize("impossible", [change("status", "new", "Pending_Legal"), change("priority", "normal", None)])
def test_a_value_that_does_not_exist_here_is_refused(desk: Help, impossible: FieldChange) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        from_crm(desk, session, ticket, impossible)
        assert (ticket.status, ticket.priority, ticket.pull_number) == ("new", "normal", 1)


def test_a_deleted_ticket_answers_and_stays_deleted(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        delete(session, ticket, actor=desk.actor(session, "sam"), now=desk.clock.now)
        from_crm(desk, session, ticket, change("priority", "normal", "low"))
        told = last(desk, session)
        assert (told.priority, told.pull_number, told.deleted_by) == ("normal", 1, "Sam")


def test_a_ticket_nobody_knows_is_no_failure(desk: Help) -> None:
    with desk.write() as session:
        ghost = Ticket(id=desk.product(session, "Sync Engine").id)
        from_crm(desk, session, ghost, change("priority", "normal", "low"))
        assert desk.told(session) == []


def test_the_one_who_gets_the_ticket_and_the_requester_are_told(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        assert ticket.assignee is not None
        before = len(desk.mails(session))
        other = "Sam" if ticket.assignee.name == "Nora" else "Nora"
        desk.clock.forward(seconds=1)
        from_crm(
            desk,
            session,
            ticket,
            change("assignee", ticket.assignee.crm_id, f"U-{other}"),
            change("status", "new", "closed"),
        )
        assert sorted(desk.mails(session)[before:]) == [
            ("carol@acme.example", "Your ticket is closed"),
            (f"{other.lower()}@support.example", "Ticket #1001 is yours"),
        ]


def note_for(ticket: Ticket, note_id: str = "N-1", body: str = "We send a new one.") -> NoteForCustomer:
    return NoteForCustomer(
        ticket_id=ticket.id, crm_note_id=note_id, body=body, author="Anna Visser", created_at=ticket.created_at
    )


def test_a_note_marked_for_the_customer_becomes_one_reply(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        for _ in range(3):
            apply(session, note_for(ticket), now=desk.clock.now)
        [reply] = session.scalars(select(Reply).where(Reply.ticket_id == ticket.id))
        assert (reply.body, reply.author_name, reply.side) == ("We send a new one.", "Anna Visser", "staff")
        assert ticket.status == "open"
        [told] = [event for event in desk.told(session) if isinstance(event, ReplyAdded)]
        assert told.crm_note_id == "N-1"


def test_a_note_for_a_removed_ticket_or_an_unknown_one_is_left_alone(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        delete(session, ticket, actor=desk.actor(session, "sam"), now=desk.clock.now)
        apply(session, note_for(ticket), now=desk.clock.now)
        apply(session, replace(note_for(ticket), ticket_id=new_id()), now=desk.clock.now)
        assert session.scalars(select(Reply)).all() == []


def test_a_note_without_words_is_kept_for_a_person_to_see(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        with pytest.raises(EventError, match="N-1"):
            apply(session, note_for(ticket, body=" \n"), now=desk.clock.now)
