"""Damage behind the sync's back: all found, all repaired, none invented (SPEC O6)."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, func, select, update

from crm_sync_service import reconcile_command as module
from crm_sync_service.compare import Difference
from crm_sync_service.connectors.base import NewCase, UnreachableError
from crm_sync_service.drift import DriftChecker
from crm_sync_service.mapping import case_id_of, note_id_of
from crm_sync_service.models import Activity, Base, Conflict, Lane, Link
from crm_sync_service.operation_models import DriftRun
from crm_sync_service.reconcile_command import Reconciliation, reconcile, reconcile_command
from shared.clock import utc_now
from shared.database import Database
from shared.events import CaseChanged
from tests.crm_sync_service.engine import Engine, new_internal_note, new_reply, new_ticket

PAIRS = 50


@pytest.fixture
def engine(open_database, crm):
    engine = Engine(open_database("sqlite", Base.metadata), crm)
    engine.clock = utc_now() + timedelta(hours=1)  # later than the command's own clock, whatever the day
    return engine


class Pairs:
    """Mirrored tickets, each with two replies and an internal note."""

    def __init__(self, engine, count):
        self.engine, self.crm = engine, engine.crm
        self.tickets, self.replies = [], {}
        for number in range(1001, 1001 + count):
            ticket = new_ticket(number=number, reply_count=3)
            entries = [new_reply(ticket, 1), new_internal_note(ticket, 2), new_reply(ticket, 3, "Still burning")]
            engine.receive(ticket, *entries)
            self.tickets.append(ticket)
            self.replies[number] = entries
        engine.settle()

    def case(self, ticket):
        return self.crm.cases[case_id_of(ticket.ticket_id)]

    def reconcile(self, *numbers, mending=False, direction="auto"):
        said = []
        work = Reconciliation(
            checker=DriftChecker(self.engine.database, self.crm, self.crm.mapping()),
            runner=self.engine.runner,
            mending=mending,
            direction=direction,
            say=said.append,
        )
        reconcile(work, numbers)
        return work, said


@pytest.fixture
def pairs(engine):
    return Pairs(engine, 6)


def test_pairs_that_agree_have_no_difference(pairs):
    work, said = pairs.reconcile()
    assert (said, work.all_equal, work.tally.tickets, work.tally.notes) == ([], True, 6, 18)
    assert list(work.summary()) == ["Compared 6 tickets, 6 Cases, 18 Notes.", "No difference."]


def set_field(name, value):
    return lambda pairs, ticket: pairs.case(ticket).fields.update({name: value})


def damage_block(pairs, ticket):
    fields = pairs.case(ticket).fields
    fields["description"] = fields["description"].replace("Browser", "Broken")


def drop_block(pairs, ticket):
    pairs.case(ticket).fields["description"] = "It burns.\n\nSince 9:00 — 火事 🔥"


def delete_note(pairs, ticket):
    entry = pairs.replies[ticket.number][1]
    del pairs.crm.notes[note_id_of(entry.note_id)]


def delete_all_notes(pairs, ticket):
    for note_id in [note.id for note in pairs.crm.notes.values() if note.case_id == case_id_of(ticket.ticket_id)]:
        del pairs.crm.notes[note_id]


def forget_link(pairs, ticket):
    """The Case is there, but the sync service no longer knows it, and a field differs."""
    pairs.case(ticket).fields["subject"] = "Lost"
    with pairs.engine.database.write() as session:
        session.execute(delete(Link).where(Link.ticket_id == ticket.ticket_id))


REPAIRABLE = {
    "field: subject": [set_field("subject", "Printer")],
    "field: status": [set_field("status", "closed"), set_field("status", "assigned")],
    "field: priority": [set_field("priority", "critical")],
    "field: account": [set_field("account", None), set_field("account", "globex")],
    "field: product": [set_field("product", "sync")],
    "field: assignee": [set_field("assignee", None)],
    "contact missing": [set_field("contact", None)],
    "field: contact": [set_field("contact", "dave")],
    "block damaged": [damage_block, drop_block],
    "Note missing": [delete_note],
}


def test_fifty_damaged_pairs_are_all_found_all_repaired_and_none_invented(engine):
    pairs = Pairs(engine, PAIRS + 10)
    ways = [(kind, way) for kind, ways in REPAIRABLE.items() for way in ways]
    expected = {}
    for place, ticket in enumerate(pairs.tickets[:PAIRS]):
        kind, way = ways[place % len(ways)]
        way(pairs, ticket)
        expected[kind] = expected.get(kind, 0) + 1
    writes = len(pairs.crm.writes)

    found, said = pairs.reconcile()
    assert found.tally.counts == expected
    assert found.left.differences == PAIRS
    assert len(pairs.crm.writes) == writes, "a dry run writes nothing"
    assert {line.split()[0] for line in said} == {f"#{ticket.number}" for ticket in pairs.tickets[:PAIRS]}

    mended, _ = pairs.reconcile(mending=True, direction="to-crm")
    assert (mended.tally.repairs, mended.left.differences, mended.all_equal) == (PAIRS, 0, True)
    assert len(pairs.crm.writes) == writes + PAIRS, "one write for each, and none for the others"
    assert engine.conflicts() == []
    assert engine.sent(CaseChanged) == []
    again, said = pairs.reconcile()
    assert (said, again.all_equal) == ([], True)


def test_a_repair_towards_the_portal_asks_it_for_the_cases_value(pairs):
    ticket = pairs.tickets[2]
    set_field("status", "closed")(pairs, ticket)
    work, said = pairs.reconcile(mending=True, direction="to-portal")
    assert said[0].splitlines() == [
        '#1003 status: ticket has "new", Case has "closed"',
        "    repair: asks the portal to take status as the Case has it",
    ]
    [change] = pairs.engine.sent(CaseChanged)
    assert [(item.field, item.before, item.after) for item in change.changes] == [("status", "new", "closed")]
    assert (work.waits, work.all_equal) == (1, False)
    pairs.engine.answer(ticket, change)
    pairs.engine.settle()
    assert pairs.reconcile()[0].all_equal


def test_auto_takes_the_value_of_the_side_that_changed(pairs):
    """A value that only the CRM changed is the news, even if no feed told of it."""
    set_field("priority", "low")(pairs, pairs.tickets[0])
    work, said = pairs.reconcile(mending=True)
    assert "asks the portal to take priority" in said[0]
    assert work.waits == 1
    assert pairs.engine.sent(CaseChanged)[0].changes[0].after == "low"


def test_what_never_comes_from_the_crm_goes_to_it_whatever_the_direction(pairs):
    set_field("subject", "Mine")(pairs, pairs.tickets[0])
    work, said = pairs.reconcile(mending=True, direction="to-portal")
    assert "writes subject to the Case" in said[0]
    assert work.all_equal
    assert pairs.case(pairs.tickets[0]).fields["subject"] == "Printer <on> fire"


def test_several_kinds_of_damage_to_one_pair_are_mended_together(pairs):
    ticket = pairs.tickets[0]
    for way in (delete_all_notes, drop_block, set_field("account", None)):
        way(pairs, ticket)
    work, _ = pairs.reconcile(mending=True, direction="to-crm")
    assert work.tally.counts == {"Note missing": 3, "block damaged": 1, "field: account": 1}
    assert work.all_equal


def test_a_case_whose_link_was_lost_is_found_again_and_not_doubled(pairs):
    forget_link(pairs, pairs.tickets[0])
    work, _ = pairs.reconcile(mending=True)
    assert work.tally.counts["field: subject"] == 1
    assert work.left.differences == 0
    assert len(pairs.crm.cases) == 6
    assert pairs.engine.link(pairs.tickets[0]).state == "linked"


def test_a_ticket_that_never_got_its_case_gets_it(pairs):
    ticket = new_ticket(number=1050)
    pairs.engine.receive(ticket)
    with pairs.engine.database.write() as session:
        session.execute(delete(Lane).where(Lane.ticket_id == ticket.ticket_id))
    work, _ = pairs.reconcile(mending=True)
    assert (dict(work.tally.counts), work.all_equal) == ({"Case missing": 1}, True)
    assert len(pairs.crm.cases) == 7


def test_a_deleted_case_is_found_and_never_made_again(pairs):
    pairs.case(pairs.tickets[0]).deleted = True
    work, said = pairs.reconcile(mending=True)
    assert "no Case is made again by itself" in said[0]
    assert dict(work.tally.counts) == {"Case deleted": 1}
    assert pairs.engine.link(pairs.tickets[0]).state == "case_deleted"
    assert dict(pairs.reconcile()[0].tally.counts) == {"tombstone": 1}


def test_what_must_not_be_mended_is_only_reported(pairs):
    ticket, other = pairs.tickets[:2]
    first = pairs.crm.notes[note_id_of(pairs.replies[1001][0].reply_id)]
    pairs.crm.notes["twin"] = replace(first, id="twin")
    changed = pairs.crm.notes[note_id_of(pairs.replies[1002][0].reply_id)]
    pairs.crm.notes[changed.id] = replace(changed, body="Edited")
    for number in ("1003", "7777"):
        pairs.crm.create_case(NewCase(id=f"s{number}", key=number, fields={"subject": "?", "ticket_number": number}))
    writes = len(pairs.crm.writes)
    work, said = pairs.reconcile(mending=True, direction="to-crm")
    assert dict(work.tally.counts) == {"extra Note": 1, "Note altered": 1, "stranger Case": 1, "dangling Case": 1}
    assert (work.left.differences, work.tally.repairs) == (4, 0)
    assert all("repair: nothing" in line for line in said)
    assert len(pairs.crm.writes) == writes
    assert (ticket.number, other.number) == (1001, 1002)


def test_the_note_of_a_removed_ticket_is_written_again(pairs):
    ticket = replace(pairs.tickets[0], version=2, deleted_at=pairs.engine.clock, deleted_by="Sam Peters")
    pairs.engine.receive(ticket)
    pairs.engine.settle()
    assert pairs.reconcile()[0].all_equal
    del pairs.crm.notes[note_id_of(f"removal:{ticket.ticket_id}")]
    work, _ = pairs.reconcile(mending=True)
    assert (dict(work.tally.counts), work.all_equal) == ({"removal Note missing": 1}, True)


def test_what_is_being_worked_on_is_neither_judged_nor_touched(pairs):
    set_field("status", "closed")(pairs, pairs.tickets[0])
    with pairs.engine.database.write() as session:
        session.execute(update(Lane).where(Lane.ticket_id == pairs.tickets[0].ticket_id).values(state="running"))
    work, said = pairs.reconcile(mending=True, direction="to-crm")
    assert (said, work.tally.skipped, work.tally.repairs) == ([], 1, 0)


def test_only_the_tickets_asked_for_are_compared(pairs):
    for ticket in pairs.tickets:
        set_field("subject", "?")(pairs, ticket)
    work, _ = pairs.reconcile(1002, 1005, mending=True, direction="to-crm")
    assert (work.tally.tickets, work.tally.repairs, work.all_equal) == (2, 2, True)
    assert pairs.reconcile()[0].tally.differences == 4


def test_a_run_is_kept_with_its_counts_and_words(pairs):
    set_field("subject", "?")(pairs, pairs.tickets[0])
    pairs.reconcile(mending=True, direction="to-crm")
    with pairs.engine.database.read() as session:
        [run] = session.scalars(select(DriftRun))
    assert (run.kind, run.tickets, run.repairs, run.counts) == ("command", 6, 1, {"field: subject": 1})
    assert run.finished_at is not None
    assert run.examples == ['#1001 subject: ticket has "Printer <on> fire", Case has "?"']


def test_a_repair_is_in_the_tickets_timeline(pairs):
    set_field("subject", "?")(pairs, pairs.tickets[0])
    pairs.reconcile(mending=True, direction="to-crm")
    with pairs.engine.database.read() as session:
        newest = session.scalars(select(Activity).order_by(Activity.id.desc())).first()
        assert session.scalar(select(func.count()).select_from(Conflict)) == 0
    assert newest.detail == "subject: ? → Printer <on> fire"


def test_whole_values_are_not_printed_for_programs():
    difference = Difference(ticket=1, field="x", ticket_has="a", case_has="b", values=("a" * 9999, None))
    assert len(json.dumps(difference.as_json())) < 200


class TestCommand:
    """The command as people and programs call it."""

    @pytest.fixture
    def run(self, pairs, monkeypatch):
        settings = SimpleNamespace(database_url="", threads=2)
        monkeypatch.setattr(module, "read_settings", lambda: settings)
        monkeypatch.setattr(module, "open_crm", lambda _: (pairs.crm, pairs.crm.mapping()))
        monkeypatch.setattr(module, "open_database", lambda *_, **__: pairs.engine.database)
        monkeypatch.setattr(Database, "check", lambda _: None)  # made without migrations

        def run_(*arguments):
            result = CliRunner().invoke(reconcile_command, list(arguments))
            return result.exit_code, result.output

        return run_

    def test_no_difference_is_status_0(self, run):
        assert run() == (0, "Compared 6 tickets, 6 Cases, 18 Notes.\nNo difference.\n")

    def test_a_difference_is_status_1_and_says_what_a_repair_would_do(self, pairs, run):
        set_field("subject", "?")(pairs, pairs.tickets[0])
        status, printed = run()
        assert status == 1
        assert printed.splitlines() == [
            '#1001 subject: ticket has "Printer <on> fire", Case has "?"',
            "    repair: writes subject to the Case, as the ticket has it",
            "Compared 6 tickets, 6 Cases, 18 Notes.",
            "  1 × field: subject",
            "1 difference; nothing was written. Mend with --repair.",
        ]

    def test_when_all_is_repaired_it_is_status_0(self, pairs, run):
        set_field("subject", "?")(pairs, pairs.tickets[0])
        status, printed = run("--repair", "--direction", "to-crm", "--ticket", "1001")
        assert (status, printed.splitlines()[-1]) == (0, "1 ticket repaired; 0 differences left.")
        assert run()[0] == 0

    def test_a_crm_that_is_down_is_status_2(self, pairs, run):
        pairs.crm.fail("get_case", UnreachableError("no answer from the CRM"), times=100)
        status, printed = run()
        assert status == 2
        assert "no answer from the CRM" in printed

    def test_a_difference_that_a_person_decides_is_status_0_and_said(self, pairs, run):
        pairs.case(pairs.tickets[0]).deleted = True
        assert run("--repair")[0] == 0, "the ticket is listed for a decision now"
        status, printed = run()
        assert status == 0
        assert "waits for a person: see the console" in printed
