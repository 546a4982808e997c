import pytest
from sqlalchemy import select

from portal_service.channels.models import OutgoingMail
from portal_service.files.storage import StoredFile
from portal_service.tickets import queries
from portal_service.tickets.actions import add_internal_note, add_reply, close, set_status
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.snapshots import ticket_changed
from shared.events import InternalNoteAdded, ReplyAdded, TicketChanged
from tests.portal_service.support_desk import Help

SECRET = "The customer must not read this"


def a_file(name: str) -> StoredFile:
    return StoredFile(name=name, content_type="text/plain", size=3, sha256="ab" * 32)


def test_replies_of_both_sides_stand_in_order_and_are_told_once(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        for by, body in (("sam", "Which button?"), ("carol", "The red one"), ("sam", "Try the green one")):
            now = desk.clock.forward(minutes=1)
            add_reply(session, ticket, actor=desk.actor(session, by), body=body, now=now)

        said = [(reply.position, reply.side, reply.body) for reply in queries.public_replies(session, ticket)]
        assert said == [
            (1, "staff", "Which button?"),
            (2, "customer", "The red one"),
            (3, "staff", "Try the green one"),
        ]
        told = [event for event in desk.told(session) if isinstance(event, ReplyAdded)]
        assert [(event.position, event.author.name, event.author.crm_id) for event in told] == [
            (1, "Sam", "U-Sam"),
            (2, "Carol", "C-Carol"),
            (3, "Sam", "U-Sam"),
        ]


def test_each_reply_is_one_version_with_one_snapshot(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        add_reply(session, ticket, actor=desk.actor(session, "sam"), body="?", pending=True, now=desk.clock.now)
        snapshots = [event for event in desk.told(session) if isinstance(event, TicketChanged)]
        assert [(event.version, event.status, event.reply_count) for event in snapshots] == [
            (1, "new", 0),
            (2, "pending", 1),
        ]
        assert ticket.pending_since == desk.clock.now
        assert ticket.reviewed_at == desk.clock.now


@pytest.mark.parametrize("status", ["pending", "solved", "closed"])
def test_the_customers_reply_takes_the_ticket_up_again(desk: Help, status: str) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        set_status(session, ticket, status, actor=desk.actor(session, "sam"), now=desk.clock.now)
        add_reply(session, ticket, actor=desk.actor(session, "carol"), body="Here", now=desk.clock.forward(hours=1))
        assert ticket.status == "open"
        assert (ticket.pending_since, ticket.resolved_at, ticket.closed_at) == (None, None, None)


@pytest.mark.parametrize(("by", "told"), [("sam", "carol@acme.example"), ("carol", "@support.example")])
def test_a_reply_with_a_new_status_is_one_version_and_one_mail(desk: Help, by: str, told: str) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        mails = len(desk.mails(session))
        now = desk.clock.forward(minutes=1)
        add_reply(session, ticket, actor=desk.actor(session, by), body="It works", status="solved", now=now)
        assert (ticket.status, ticket.version, ticket.resolved_at) == ("solved", 2, now)
        new = [recipient for recipient, _heading in desk.mails(session)[mails:]]
        assert len(new) == len(set(new))
        assert any(told in recipient for recipient in new)


def test_a_customer_chooses_only_what_he_may(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        carol = desk.actor(session, "carol")
        with pytest.raises(Refused):
            add_reply(session, ticket, actor=carol, body="x", status="pending", now=desk.clock.now)
        with pytest.raises(Invalid):
            add_reply(session, ticket, actor=carol, body="x", status="lost", now=desk.clock.now)
        assert (ticket.status, ticket.entry_count) == ("new", 0)


def test_a_late_answer_of_staff_leaves_a_closed_ticket_closed(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        close(session, ticket, actor=desk.actor(session, "sam"), now=desk.clock.now)
        add_reply(session, ticket, actor=desk.actor(session, "nora"), body="PS", now=desk.clock.now)
        assert ticket.status == "closed"


def test_internal_notes_reach_nobody_outside(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session, files=(a_file("shown.txt"),))
        sam, carol = desk.actor(session, "sam"), desk.contact(session, "Carol")
        add_reply(
            session, ticket, actor=sam, body="We look at it", files=[a_file("also-shown.txt")], now=desk.clock.now
        )
        note = add_internal_note(
            session, ticket, actor=sam, body=SECRET, files=[a_file("hidden.txt")], now=desk.clock.now
        )
        session.flush()

        assert [entry.body for entry in queries.public_replies(session, ticket)] == ["We look at it"]
        assert [entry.body for entry in queries.all_entries(session, ticket)] == ["We look at it", SECRET]
        public = [file.name for file in queries.ticket_files(session, ticket, public_only=True)]
        assert public == ["shown.txt", "also-shown.txt"]
        hidden = note.attachments[0]
        assert hidden.internal
        assert queries.attachment_for_contact(session, carol, hidden.id) is None
        assert queries.attachment_for_staff(session, hidden.id) is hidden
        assert "noted" not in [line.action for line in queries.history(session, ticket, public_only=True)]
        assert SECRET not in str(ticket_changed(session, ticket, changed_by="test"))
        found = queries.tickets_for_contact(session, carol, queries.TicketFilter(q="must not read"), limit=9)
        assert found.items == []
        assert len(queries.tickets_for_staff(session, queries.TicketFilter(q="must not read"), limit=9).items) == 1
        outside = session.scalars(select(OutgoingMail).where(OutgoingMail.recipient.not_like("%support.example")))
        assert not [mail.subject for mail in outside if SECRET in mail.text + mail.html]
        notes = [event for event in desk.told(session) if isinstance(event, InternalNoteAdded)]
        assert [(event.body, [link.name for link in event.attachments]) for event in notes] == [
            (SECRET, ["hidden.txt"])
        ]


def test_a_customer_cannot_write_an_internal_note_or_ask(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        carol = desk.actor(session, "carol")
        with pytest.raises(Refused):
            add_internal_note(session, ticket, actor=carol, body="x", now=desk.clock.now)
        with pytest.raises(Refused):
            add_reply(session, ticket, actor=carol, body="x", pending=True, now=desk.clock.now)


@pytest.mark.parametrize("body", ["", "  \n", "x" * 60_001])
def test_an_empty_or_endless_reply_is_refused_and_changes_nothing(desk: Help, body: str) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        with pytest.raises(Invalid) as refused:
            add_reply(session, ticket, actor=desk.actor(session, "carol"), body=body, now=desk.clock.now)
        assert list(refused.value.errors) == ["body"]
        assert (ticket.version, ticket.entry_count) == (1, 0)


def test_two_files_of_one_name_both_stay(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session, files=(a_file("screen.txt"), a_file("screen.txt")))
        files = queries.ticket_files(session, ticket, public_only=True)
        assert [(file.name, file.position) for file in files] == [("screen.txt", 1), ("screen.txt", 2)]
