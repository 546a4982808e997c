"""Notes: long texts, refusals, and those that people mark for the customer (S91)."""

from dataclasses import replace
from datetime import timedelta

import pytest

import crm_sync_service.models
from crm_sync_service import change_feed, decisions
from crm_sync_service.compare import compare_notes
from crm_sync_service.connectors.base import InvalidError, UnreachableError
from crm_sync_service.mapping import case_id_of
from shared.events import AttachmentLink, NoteForCustomer, ReplyAdded
from shared.ids import new_id
from tests.crm_sync_service.engine import Engine, new_reply, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm
from tests.crm_sync_service.keyed_crm import KeyedCrm

LOST = UnreachableError("the answer was lost")


@pytest.fixture
def crm(engine_clock):
    return FakeCrm(customer_notes=True, description_bytes=2000, note_bytes=1000, now=engine_clock)


@pytest.fixture
def engine_clock():
    """The engine's clock, for a CRM that is made before it."""
    clocks = []

    def now():
        return clocks[0].clock

    now.of = clocks.append
    return now


@pytest.fixture
def engine(open_database, crm, engine_clock):
    engine = Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)
    engine_clock.of(engine)
    return engine


def mirrored(engine, **changes):
    ticket = new_ticket(**changes)
    engine.receive(ticket)
    engine.settle()
    return ticket


def look_at_notes(engine):
    engine.clock += timedelta(seconds=1)
    change_feed.poll_notes(engine.database, engine.crm, overlap=timedelta(seconds=120), now=engine.clock)
    engine.runner.run_until_idle()


# Long texts (FAILURES 39).


def full_text(crm):
    parts = [note for note in crm.notes.values() if note.title.startswith("Full text of ticket #1001")]
    return "".join(note.body.split("\n\n", 1)[1] for note in sorted(parts, key=lambda note: note.title))


def test_what_the_case_has_no_room_for_is_kept_whole_in_notes(engine, crm):
    words = "Seven words that are said again 👩‍👩‍👧‍👦. " * 60
    ticket = mirrored(engine, description=words)
    text = engine.case(ticket)["description"]
    assert len(text.encode()) <= 2000
    assert "[cut; full text: http://portal.example/tickets/1001]" in text
    assert full_text(crm) == words
    assert all(len(note.body.encode()) <= 1000 for note in crm.notes.values())
    assert engine.receipt().state == "in_sync"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", [FakeCrm, lambda **o: KeyedCrm(unique_keys=True, **o)], ids=["ids", "keys"])
def test_notes_with_the_full_text_are_written_once(open_database, kind, moment):
    crm = kind(description_bytes=2000, note_bytes=1000)
    engine = Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)
    crm.fail("create_note", LOST, when=moment, times=2)
    ticket = new_ticket(description="x" * 3000)
    engine.receive(ticket)
    engine.settle_through_failures()
    engine.receive(replace(ticket, version=2, status="open"))
    engine.settle()
    assert (full_text(crm), engine.receipt().state) == ("x" * 3000, "in_sync")


def test_a_reply_too_long_for_the_crm_is_cut_with_a_link(engine, crm):
    ticket = mirrored(engine)
    engine.receive(new_reply(ticket, 1, "👩‍👩‍👧‍👦" * 100))
    engine.settle()
    [note] = crm.notes.values()
    assert len(note.body.encode()) <= 1000
    assert note.body.endswith("👦 … [cut; full text: http://portal.example/tickets/1001]")


def test_a_reply_that_is_cut_keeps_the_links_of_its_attachments(engine, crm):
    ticket = mirrored(engine)
    link = AttachmentLink(id=new_id(), name="shot.png", size=2048, url="http://portal.example/files/abc")
    engine.receive(replace(new_reply(ticket, 1, "ü" * 2000), attachments=(link,)))
    engine.settle()
    [note] = crm.notes.values()
    assert len(note.body.encode()) <= 1000
    assert "ü … [cut; full text: http://portal.example/tickets/1001]" in note.body
    assert note.body.endswith("- shot.png (2,048 bytes) http://portal.example/files/abc")


def test_text_that_no_database_takes_is_cleaned_before_it_is_sent(engine, crm):
    """FAILURES 41."""
    ticket = mirrored(engine, subject="Printer\x00 on\x01 fire", description="It\x00 burns \ud800 now")
    engine.receive(new_reply(ticket, 1, "still\x00 burning\x08 \udfff"))
    engine.settle()
    assert engine.case(ticket)["subject"] == "Printer on fire"
    assert engine.case(ticket)["description"].startswith("It burns \N{REPLACEMENT CHARACTER} now")
    assert engine.notes() == ["still burning \N{REPLACEMENT CHARACTER}"]
    assert engine.receipt().state == "in_sync"


# Refusals.


def test_a_refused_note_stops_no_other_and_is_told_of_in_the_crms_words(engine, crm):
    crm.fail("create_note", InvalidError("422: A Note may not be so sad."))
    ticket = new_ticket()
    engine.receive(ticket, *(new_reply(ticket, n, f"reply {n}") for n in (1, 2, 3)))
    engine.settle()
    assert engine.notes() == ["reply 2", "reply 3"]
    assert (engine.receipt().state, engine.receipt().notes) == ("failed", 2)
    assert engine.receipt().reason == "the CRM refuses the Note of reply 1: 422: A Note may not be so sad."
    calls = crm.called("create_note")
    engine.receive(replace(ticket, version=2))
    engine.settle()
    assert crm.called("create_note") == calls


def test_a_case_that_vanishes_while_its_notes_are_written_is_no_refusal_of_a_note(engine, crm):
    ticket = mirrored(engine)

    def vanish(call, moment):
        if call.method == "create_note" and moment == "before":
            crm.hooks.clear()
            crm.delete_case(case_id_of(ticket.ticket_id))

    crm.hooks.append(vanish)
    engine.receive(new_reply(ticket, 1))
    engine.settle()
    assert engine.link(ticket).state == "case_deleted"
    assert "was deleted in the CRM" in engine.receipt().reason


def test_a_burst_costs_one_read_one_update_and_a_note_for_each_reply(engine, crm):
    ticket = mirrored(engine)
    crm.calls.clear()
    for version in range(2, 22):
        engine.receive(replace(ticket, version=version, priority=("high", "low")[version % 2], subject=f"v{version}"))
    engine.receive(*(new_reply(ticket, position) for position in (1, 2, 3)))
    engine.runner.run_until_idle()
    made = [call.method for call in crm.calls if not call.method.startswith("changed")]
    assert made == ["get_case", "update_case", "create_note", "create_note", "create_note"]


# Notes for the customer (S91).


def test_a_note_marked_for_the_customer_is_told_once(engine, crm):
    ticket = mirrored(engine)
    crm.write_note(case_id_of(ticket.ticket_id), "Do not tell him.", by="Anna Visser")
    marked = crm.write_note(case_id_of(ticket.ticket_id), "We send a new one.", by="Anna Visser")
    crm.mark_for_customer(marked)
    for _ in range(3):
        look_at_notes(engine)
        engine.settle(seconds=60)
    [note] = engine.sent(NoteForCustomer)
    assert (note.crm_note_id, note.body, note.author) == (marked, "We send a new one.", "Anna Visser")
    assert (engine.receipt().state, engine.receipt().notes) == ("in_sync", 0)


def test_a_note_may_be_marked_later(engine, crm):
    ticket = mirrored(engine)
    note_id = crm.write_note(case_id_of(ticket.ticket_id), "Now then.")
    look_at_notes(engine)
    assert engine.sent(NoteForCustomer) == []
    crm.mark_for_customer(note_id)
    look_at_notes(engine)
    assert [note.crm_note_id for note in engine.sent(NoteForCustomer)] == [note_id]


def test_notes_are_read_once_for_each_news_of_them(engine, crm):
    ticket = mirrored(engine)
    crm.write_note(case_id_of(ticket.ticket_id), "among us")
    look_at_notes(engine)
    reads = crm.called("notes_of")
    look_at_notes(engine)
    engine.receive(replace(ticket, version=2, status="open"), new_reply(ticket, 1))
    engine.settle()
    look_at_notes(engine)
    assert (reads, crm.called("notes_of")) == (1, 1)


def test_our_own_notes_are_never_read_back(engine, crm):
    """FAILURES 15, even if somebody marks them."""
    ticket = mirrored(engine)
    engine.receive(new_reply(ticket, 1, "from the customer"))
    engine.settle()
    [note_id] = crm.notes
    crm.mark_for_customer(note_id)
    crm.write_note(case_id_of(ticket.ticket_id), "something else")
    look_at_notes(engine)
    assert crm.called("notes_of") == 1
    assert engine.sent(NoteForCustomer) == []


def test_the_reply_that_a_crm_note_became_gets_no_second_note(engine, crm):
    ticket = mirrored(engine)
    note_id = crm.write_note(case_id_of(ticket.ticket_id), "We send a new one.")
    crm.mark_for_customer(note_id)
    look_at_notes(engine)
    reply = replace(new_reply(ticket, 1, "We send a new one."), side="staff", crm_note_id=note_id)
    assert isinstance(reply, ReplyAdded)
    engine.receive(reply, replace(ticket, version=2, reply_count=1))
    engine.settle()
    assert (list(crm.notes), engine.receipt().notes, engine.receipt().state) == ([note_id], 1, "in_sync")
    there = crm.notes_of(case_id_of(ticket.ticket_id))
    compared = compare_notes(
        ticket, [reply], there, mapping=engine.runner.mapping, written={str(reply.reply_id): note_id}
    )
    assert list(compared) == []


def test_a_crash_between_reading_and_telling_loses_nothing(engine, crm):
    ticket = mirrored(engine)
    note_id = crm.write_note(case_id_of(ticket.ticket_id), "We send a new one.")
    crm.mark_for_customer(note_id)
    crm.fail("notes_of", LOST, when="after")
    look_at_notes(engine)
    assert engine.sent(NoteForCustomer) == []
    engine.settle_through_failures(3)
    assert [note.crm_note_id for note in engine.sent(NoteForCustomer)] == [note_id]


# A lost race without conditional update (FAILURES 20).


@pytest.mark.parametrize(("field", "theirs", "stays"), [("priority", "critical", "critical"), ("subject", "X", "Mine")])
def test_a_value_overwritten_unseen_is_logged_and_follows_the_policy(open_database, field, theirs, stays):
    crm = FakeCrm(conditional_update=False, tells_replaced=True)
    engine = Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)
    ticket = mirrored(engine)
    ours = {"priority": "low", "subject": "Mine"}[field]

    def slip_in(call, moment):
        if call.method == "update_case" and moment == "before":
            crm.hooks.clear()
            crm.edit(case_id_of(ticket.ticket_id), **{field: theirs})

    crm.hooks.append(slip_in)
    engine.receive(ticket := replace(ticket, version=2, **{field: ours}))
    engine.settle()
    engine.settle(seconds=31)
    [conflict] = engine.conflicts()
    assert (conflict.field, conflict.ours) == (field, ours)
    assert conflict.theirs == {"critical": "urgent"}.get(theirs, theirs)
    assert engine.case(ticket)[field] == stays


# Replies and the Case they wait for.


def test_a_reply_that_comes_before_its_ticket_waits_for_it(engine, crm):
    """FAILURES 12."""
    ticket = new_ticket()
    engine.receive(new_reply(ticket, 1, "too early"))
    engine.settle()
    assert crm.called("create_note") == 0
    engine.receive(ticket)
    engine.settle()
    assert (engine.notes(), engine.receipt().state) == (["too early"], "in_sync")


def test_replies_to_a_ticket_whose_case_is_refused_wait_as_one_parked_item(engine, crm):
    """FAILURES 17."""
    crm.fail("create_case", InvalidError("422: no", fields={"subject": "no"}))
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    for position in range(1, 51):
        engine.receive(new_reply(ticket, position, f"reply {position}"))
        engine.settle()
    assert (crm.called("create_case"), engine.lane(ticket.ticket_id).state) == (1, "parked")
    with engine.database.write() as session:
        decisions.retry(session, [ticket.ticket_id], by="Ada", now=engine.clock)
    engine.settle()
    assert engine.notes() == [f"reply {position}" for position in range(1, 51)]


def test_notes_are_in_the_order_of_the_replies_however_they_come(engine, crm):
    """FAILURES 13."""
    ticket = mirrored(engine)
    replies = [new_reply(ticket, position, f"reply {position}") for position in range(1, 6)]
    for reply in (replies[4], replies[1], replies[0], replies[3], replies[2]):
        engine.receive(reply)
        engine.settle()
    bodies = [note.body.rsplit("\n", 1)[-1] for note in crm.notes_of(case_id_of(ticket.ticket_id))]
    assert bodies == [f"reply {position}" for position in range(1, 6)]
