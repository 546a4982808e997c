"""The words of a ticket are taken out of every table, mail, event and file of the portal (FAILURES 49)."""

import hashlib
import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from portal_service.base import Base, outbox
from portal_service.files.models import Attachment
from portal_service.files.storage import FolderStorage, StoredFile, store_upload
from portal_service.tickets import queries, redaction_command
from portal_service.tickets.actions import add_internal_note, add_reply, delete, edit, rate, restore, set_status
from portal_service.tickets.errors import Refused
from portal_service.tickets.models import Ticket
from portal_service.tickets.redaction import REDACTED_ALREADY, forget_contents, redact
from portal_service.tickets.redaction_command import redact_ticket_command
from shared.broker import Broker
from shared.broker_ops import open_operations
from shared.clock import utc_now
from shared.database import Database
from shared.events import InternalNoteAdded, ReplyAdded, TicketChanged
from shared.redaction import REDACTED
from tests.portal_service.support_desk import Help

WORD = "Zebedee"
WHO_THERE_IS = {"contacts", "contact_emails", "users"}
"""The requester stays known as a person of the account: that is another matter than what he said."""


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "files")


def stored(storage: FolderStorage, content: str) -> StoredFile:
    return store_upload(storage, f"{WORD}.txt", BytesIO(content.encode()), limit=1000)


def is_kept(storage: FolderStorage, content: str) -> bool:
    try:
        storage.open(hashlib.sha256(content.encode()).hexdigest()).close()
    except FileNotFoundError:
        return False
    return True


@pytest.fixture
def number(desk: Help, storage: FolderStorage) -> int:
    """A ticket with everything that may hold words, and another one that has a file in common with it."""
    with desk.write() as session:
        now, carol, sam = desk.clock.now, desk.actor(session, "carol"), desk.actor(session, "sam")
        files = (stored(storage, "of this ticket only"), stored(storage, "of both"))
        details = {"Name": WORD}
        ticket = desk.submit(session, subject=WORD, description=f"I am {WORD}", details=details, files=files)
        add_reply(session, ticket, actor=carol, body=f"Still {WORD}", now=now)
        add_internal_note(session, ticket, actor=sam, body=f"{WORD} called", now=now)
        edit(session, ticket, actor=sam, changes={"priority": "low"}, now=now)
        set_status(session, ticket, "solved", actor=sam, now=now)
        rate(session, ticket, actor=carol, score=4, words=WORD, now=now)
        desk.submit(session, subject="Another", files=(stored(storage, "of both"),))
        return ticket.number


def redact_now(desk: Help, storage: FolderStorage, number: int) -> None:
    with desk.write() as session:
        ticket = session.get_one(Ticket, number)
        contents = redact(session, ticket, actor=desk.actor(session, "sam"), now=desk.clock.now)
    with desk.write() as session:
        forget_contents(session, storage, contents, now=utc_now())


def tables_about(desk: Help, number: int) -> set[str]:
    """Tables in which a row of this ticket, or an event about it, holds the word."""
    found = set()
    with desk.database.read() as session:
        others = str(session.scalars(select(Ticket.id).where(Ticket.number != number)).one())
        for table in Base.metadata.sorted_tables:
            rows = [json.dumps(list(map(str, row))) for row in session.execute(table.select())]
            if any(WORD in row and others not in row for row in rows):
                found.add(table.name)
    return found - WHO_THERE_IS


def test_no_table_has_the_words_any_more(desk: Help, storage: FolderStorage, number: int) -> None:
    with_words = {"attachments", "entries", "outbox", "outgoing_mails", "ratings", "tickets"}
    assert with_words <= tables_about(desk, number)
    redact_now(desk, storage, number)
    assert tables_about(desk, number) == set()
    with desk.database.read() as session:
        ticket = session.get_one(Ticket, number)
        assert (ticket.subject, ticket.priority, ticket.contact_id, ticket.deleted_by) == (REDACTED, "low", None, "Sam")
        assert "redacted" in [line.action for line in queries.history(session, ticket, public_only=False)]


def test_the_sync_service_is_told_and_nothing_else_waits(desk: Help, storage: FolderStorage, number: int) -> None:
    redact_now(desk, storage, number)
    with desk.database.read() as session:
        ticket = session.get_one(Ticket, number)
        told = [event for event in desk.told(session) if getattr(event, "ticket_id", None) == ticket.id]
    [snapshot, reply, note] = told
    assert isinstance(snapshot, TicketChanged)
    assert (snapshot.redacted_at, snapshot.deleted_at, snapshot.contact) == (desk.clock.now, desk.clock.now, None)
    assert (snapshot.subject, snapshot.description, snapshot.details, snapshot.attachments) == (
        REDACTED,
        REDACTED,
        {},
        (),
    )
    assert isinstance(reply, ReplyAdded)
    assert isinstance(note, InternalNoteAdded)
    assert (reply.body, reply.author.name, note.body, note.author.name) == (REDACTED, REDACTED, REDACTED, "Sam")


def test_its_files_are_deleted_unless_another_ticket_has_the_same(
    desk: Help, storage: FolderStorage, number: int
) -> None:
    contents = ("of this ticket only", "of both")
    assert [is_kept(storage, content) for content in contents] == [True, True]
    redact_now(desk, storage, number)
    assert [is_kept(storage, content) for content in contents] == [False, True]
    with desk.database.read() as session:
        assert len(session.scalars(select(Attachment)).all()) == 1


def test_it_is_for_good(desk: Help, storage: FolderStorage, number: int) -> None:
    with desk.write() as session:
        delete(session, session.get_one(Ticket, number), actor=desk.actor(session, "sam"), now=desk.clock.now)
    redact_now(desk, storage, number)
    with pytest.raises(Refused, match="gone for good"), desk.write() as session:
        restore(session, session.get_one(Ticket, number), actor=desk.actor(session, "sam"), now=desk.clock.now)
    with pytest.raises(Refused, match=REDACTED_ALREADY):
        redact_now(desk, storage, number)
    with pytest.raises(Refused), desk.write() as session:
        redact(session, desk.submit(session), actor=desk.actor(session, "carol"), now=desk.clock.now)


def test_the_command_asks_redacts_and_deletes_dead_letters(
    desk: Help, storage: FolderStorage, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(f"embedded:///{tmp_path}/broker.db")
    with desk.write() as session:
        messages = outbox.claim(session, now=desk.clock.now, lease=desk.clock.now - desk.clock.now, limit=100)
    broker.publisher().publish(messages)
    with broker.connected() as connection:
        name = broker.topology.queue("portal-events")
        for _ in messages:
            connection.channel.basic_get(name).reject(requeue=False)
    settings = SimpleNamespace(database_url="", files_root=tmp_path / "files", common=None)
    monkeypatch.setattr(redaction_command, "read_settings", lambda: settings)
    monkeypatch.setattr(redaction_command, "open_database", lambda _: desk.database)
    monkeypatch.setattr(redaction_command, "open_broker", lambda _: broker)
    monkeypatch.setattr(Database, "check", lambda _: None)
    monkeypatch.setattr(Database, "dispose", lambda _: None)
    run = CliRunner().invoke
    assert "there is no ticket #9" in run(redact_ticket_command, ["9", "--by", "Ada"]).output
    assert run(redact_ticket_command, [str(number), "--by", "Ada"], input="n").exit_code == 1
    assert tables_about(desk, number) != set()
    done = run(redact_ticket_command, [str(number), "--by", "Ada", "--yes"])
    assert done.exit_code == 0, done.output
    left = open_operations(broker).dead_letters("portal-events")
    about_it = [message for message in messages if WORD in message.body and "Another" not in message.body]
    assert f"{len(messages) - len(left)} dead letters about it were deleted" in done.output
    assert 0 < len(about_it) <= len(messages) - len(left)
    assert tables_about(desk, number) == set()
    assert "redacted already" in run(redact_ticket_command, [str(number), "--by", "Ada", "--yes"]).output
