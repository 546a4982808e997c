"""A redacted ticket: its words leave the CRM and every table of ours, and stay away (FAILURES 49)."""

import json
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from crm_sync_service import decisions
from crm_sync_service.connectors.base import InvalidError, UnreachableError
from crm_sync_service.mapping import BLOCK_BEGIN
from crm_sync_service.models import Base, inbox
from shared.events import CaseChanged, Message, NoteForCustomer, Person
from shared.redaction import REDACTED
from tests.crm_sync_service.engine import Engine, new_internal_note, new_reply, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm
from tests.crm_sync_service.keyed_crm import KeyedCrm

SECRET = "Zebedee"
"""Stands in everything that a person said or was called."""


@pytest.fixture
def crm(request):
    kind = getattr(request, "param", FakeCrm)
    return kind(description_bytes=2000, note_bytes=1000)


@pytest.fixture
def engine(sync_database, crm):
    return Engine(sync_database, crm)


def said(ticket):
    customer = replace(new_reply(ticket, 1, f"I am {SECRET}"), author=Person(name=SECRET))
    return [customer, replace(new_internal_note(ticket, 2), body=f"{SECRET} called")]


@pytest.fixture
def ticket(engine, crm):
    """Mirrored with a long description, a reply and a note, a conflict, and a field that was refused."""
    ticket = new_ticket(
        subject=f"Printer of {SECRET}",
        description=f"{SECRET} cannot print. " * 150,
        details={"Name": SECRET},
        contact=Person(name=SECRET, email="zebedee@acme.example", crm_id="carol"),
        changed_by=SECRET,
        reply_count=2,
    )
    engine.receive(ticket, *said(ticket))
    engine.settle()
    crm.fail("update_case", InvalidError("no", fields={"assignee": f"{SECRET} may not"}))
    engine.receive(ticket := replace(ticket, version=2, subject=f"{SECRET} again", priority="low", assignee=None))
    crm.edit(engine.link(ticket).case_id, priority="critical")
    engine.settle()
    ticket = engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle()
    return ticket


def redacted(engine, ticket):
    return replace(
        ticket,
        version=ticket.version + 1,
        subject=REDACTED,
        description=REDACTED,
        details={},
        link_url=None,
        contact=None,
        changed_by="Ada",
        deleted_at=engine.clock,
        deleted_by="Ada",
        redacted_at=engine.clock,
    )


def tables_with(engine, word):
    """Tables of the sync service that hold a word anywhere."""
    found = set()
    with engine.database.read() as session:
        for table in Base.metadata.sorted_tables:
            rows = session.execute(table.select()).all()
            if word.lower() in json.dumps([list(map(str, row)) for row in rows]).lower():
                found.add(table.name)
    return found


def words_of_crm(crm):
    cases = [list(case.fields.items()) for case in crm.cases.values()]
    return json.dumps([cases, [[note.title, note.body, note.author] for note in crm.notes.values()]])


@pytest.mark.parametrize("crm", [FakeCrm, partial(KeyedCrm, unique_keys=True)], indirect=True, ids=["ids", "keys"])
def test_the_words_leave_the_crm_and_our_tables_and_the_case_stays(engine, crm, ticket):
    assert {"activities", "conflicts", "links", "replicas", "reply_replicas"} <= tables_with(engine, SECRET)
    assert SECRET in words_of_crm(crm)
    notes = len(crm.notes)
    with capture_logs() as logs:
        engine.receive(redacted(engine, ticket))
        engine.settle()
    case = crm.fields_of(engine.link(ticket).case_id)
    assert (case["subject"], case["contact"], case["ticket_number"]) == (REDACTED, None, "1001")
    assert case["description"].startswith(f"{REDACTED}\n\n{BLOCK_BEGIN}")
    assert (len(crm.cases), len(crm.notes)) == (1, notes + 1), "and one that says who removed the ticket"
    assert SECRET not in words_of_crm(crm)
    assert tables_with(engine, SECRET) == tables_with(engine, "zebedee@") == set()
    assert SECRET not in str(logs)
    assert (engine.link(ticket).state, engine.receipt().state, engine.receipt().notes) == ("redacted", "in_sync", 2)


def test_old_events_and_changes_of_the_case_bring_nothing_back(engine, crm, ticket):
    gone = redacted(engine, ticket)
    engine.receive(gone)
    engine.settle()
    engine.receive(ticket, *said(ticket))
    crm.edit(engine.link(ticket).case_id, priority="high")
    engine.settle()
    late = replace(new_reply(ticket, 3, f"Late: {SECRET}"), author=Person(name=SECRET))
    engine.receive(late)
    engine.settle()
    assert tables_with(engine, SECRET) == set()
    assert SECRET not in words_of_crm(crm)
    assert (engine.sent(CaseChanged), engine.sent(NoteForCustomer)) == ([], [])
    writes = len(crm.writes)
    engine.settle(seconds=300)
    assert len(crm.writes) == writes


@pytest.mark.parametrize("method", ["update_case", "rewrite_note"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_answer_leaves_nothing_behind(engine, crm, ticket, method, moment):
    crm.fail(method, UnreachableError("the answer was lost"), when=moment, times=2)
    engine.receive(redacted(engine, ticket))
    engine.settle_through_failures(4)
    assert (SECRET in words_of_crm(crm), tables_with(engine, SECRET)) == (False, set())
    assert engine.link(ticket).state == "redacted"


def test_a_removed_ticket_and_one_whose_case_is_gone_can_be_redacted(engine, crm, ticket):
    engine.receive(removed := replace(ticket, version=ticket.version + 1, deleted_at=engine.clock, deleted_by="Sam"))
    engine.settle()
    crm.delete_case(engine.link(ticket).case_id)
    engine.receive(redacted(engine, removed))
    engine.settle()
    assert (engine.link(ticket).state, engine.lane(ticket.ticket_id).state) == ("redacted", "idle")
    assert tables_with(engine, SECRET) == set()
    with pytest.raises(decisions.DecisionError), engine.database.write() as session:
        decisions.relink_case(session, ticket.ticket_id, "other", by="Ada", why="so", now=engine.clock)


def test_a_note_that_an_account_manager_wrote_stays_theirs(engine, crm, ticket):
    note_id = crm.write_note(engine.link(ticket).case_id, "My own words")
    engine.receive(redacted(engine, ticket))
    engine.settle()
    assert crm.notes[note_id].body == "My own words"


def test_a_crm_that_cannot_rewrite_notes_has_them_removed(engine, crm, ticket, monkeypatch):
    monkeypatch.delattr(FakeCrm, "rewrite_note")
    engine.receive(redacted(engine, ticket))
    engine.settle()
    assert SECRET not in words_of_crm(crm)
    assert [note.title for note in crm.notes.values()] == ["Ticket #1001 was removed from the portal by Ada"]


def test_an_event_that_could_not_be_read_is_emptied(engine, crm, ticket):
    odd = Message(
        id=ticket.ticket_id,
        type="casebridge.ticket.changed.v9",
        destination="portal-events",
        subject=str(ticket.ticket_id),
        source="portal",
        time=engine.clock,
        body=f'{{"subject": "{SECRET}"}}',
    )
    with engine.database.write() as session:
        inbox.keep_unreadable(session, odd, f"unknown: {SECRET}", now=engine.clock)
    engine.receive(redacted(engine, ticket))
    engine.settle()
    assert tables_with(engine, SECRET) == set()
    with engine.database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM unreadable_events")) == 1
