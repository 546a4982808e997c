"""Cases that were there first are found, not doubled, and nobody's value is lost (FAILURES 66)."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from crm_sync_service import adopt_command as module
from crm_sync_service import decisions
from crm_sync_service.adopt_command import adopt, adopt_command
from crm_sync_service.adoption import Adopter
from crm_sync_service.connectors.base import NewCase
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Base
from shared.database import Database
from shared.events import CaseChanged, Person, Receipt
from tests.crm_sync_service.engine import Engine, new_reply, new_ticket
from tests.crm_sync_service.test_backfill import Portal


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", Base.metadata), crm)


@pytest.fixture
def portal():
    """Three old tickets with a reply each."""
    portal = Portal(3)
    portal.kept = [replace(ticket, subject=f"Old one {ticket.number}") for ticket in portal.kept]
    return portal


def case(crm, name, **fields):
    """A Case that somebody made in the CRM, long ago."""
    return crm.create_case(NewCase(id=name, key=name, fields={"subject": "?", "description": "By hand", **fields}))


def adopter(engine, portal, by="ticket-number"):
    return Adopter(
        database=engine.database,
        source=portal,
        crm=engine.crm,
        mapping=engine.crm.mapping(),
        by=by,
        now=lambda: engine.clock,
    )


def test_a_case_that_names_a_ticket_is_adopted_and_gets_what_it_lacks(engine, portal, crm):
    first = portal.kept[0]
    case(crm, "old", subject=first.subject, ticket_number="1001", status="new", priority="medium", contact="carol")
    found = adopt(adopter(engine, portal), applying=True)
    assert (found.matched, found.ambiguous, found.unmatched, found.conflicts) == (1, 0, 2, 0)
    engine.runner.run_until_idle()
    link = engine.link(first)
    assert (link.case_id, link.state, link.in_sync) == ("old", "linked", True)
    fields = crm.fields_of("old")
    assert (fields["account"], fields["assignee"], fields["ticket_url"]) == ("acme", "sam", first.ticket_url)
    assert fields["description"].startswith("By hand")
    assert "managed block" in fields["description"]
    assert len(crm.notes) == 1
    assert len(crm.cases) == 1


def test_differing_fields_rest_until_a_person_has_chosen_and_nobody_gets_a_change(engine, portal, crm):
    first = portal.kept[0]
    case(crm, "old", subject="Another title", ticket_number="1001", status="closed", priority="medium", account="acme")
    found = adopt(adopter(engine, portal), applying=True)
    assert found.conflicts == 2
    engine.runner.run_until_idle()
    assert engine.sent(CaseChanged) == [], "no customer hears of it"
    fields = crm.fields_of("old")
    assert (fields["subject"], fields["status"]) == ("Another title", "closed")
    waiting = {conflict.field: conflict for conflict in engine.conflicts()}
    assert {name: (each.ours, each.theirs, each.state) for name, each in waiting.items()} == {
        "subject": (first.subject, "Another title", "waiting"),
        "status": ("new", "closed", "waiting"),
    }
    assert engine.sent(Receipt)[-1].decisions == 2
    with engine.database.write() as session:
        decisions.decide(session, waiting["subject"].id, winner="portal", by="Anna", now=engine.clock)
        decisions.decide(session, waiting["status"].id, winner="crm", by="Anna", now=engine.clock)
    engine.runner.run_until_idle()
    assert crm.fields_of("old")["subject"] == first.subject
    [change] = engine.sent(CaseChanged)
    assert [(item.field, item.after) for item in change.changes] == [("status", "closed")]


def test_a_dry_run_writes_nothing(engine, portal, crm, capsys):
    case(crm, "old", subject="Another title", ticket_number="1002")
    writes = len(crm.writes)
    found = adopt(adopter(engine, portal), applying=False)
    assert found.matched == 1
    assert engine.runner.run_until_idle() == 0
    assert len(crm.writes) == writes
    printed = capsys.readouterr().out
    assert printed.startswith("#1002 is Case C-00001: Another title\n")
    assert 'subject: the ticket has "Old one 1002", the Case has "Another title"' in printed


def test_adopting_twice_changes_nothing(engine, portal, crm):
    case(crm, "old", subject="x", ticket_number="1001")
    adopt(adopter(engine, portal), applying=True)
    assert adopt(adopter(engine, portal), applying=True).matched == 0, "it is asked for already"
    engine.runner.run_until_idle()
    writes = len(crm.writes)
    assert adopt(adopter(engine, portal), applying=True).matched == 0
    engine.runner.run_until_idle()
    assert len(crm.writes) == writes


def test_two_cases_of_one_ticket_are_ambiguous_and_left_alone(engine, portal, crm, capsys):
    case(crm, "one", ticket_number="1001")
    case(crm, "two", ticket_number="1001")
    found = adopt(adopter(engine, portal), applying=True)
    assert (found.matched, found.ambiguous) == (0, 1)
    assert "#1001 is ambiguous: 2 Cases fit (one, two)" in capsys.readouterr().out


class TestBySubjectAndContact:
    def test_the_only_pair_that_fits_is_matched_whatever_the_case_of_the_letters(self, engine, portal, crm):
        case(crm, "old", subject="OLD  one 1003", contact="carol")
        case(crm, "other", subject="Old one 1003", contact="dave")
        found = adopt(adopter(engine, portal, "subject+contact"), applying=True)
        assert (found.matched, found.unmatched) == (1, 2)
        engine.runner.run_until_idle()
        assert engine.link(portal.kept[2]).case_id == "old"

    def test_two_tickets_with_the_same_sign_are_ambiguous(self, engine, portal, crm, capsys):
        portal.kept = [replace(ticket, subject="Help!") for ticket in portal.kept]
        case(crm, "old", subject="Help!", contact="carol")
        found = adopt(adopter(engine, portal, "subject+contact"), applying=True)
        assert (found.matched, found.ambiguous) == (0, 3)
        assert "2 more tickets look the same" in capsys.readouterr().out

    def test_a_requester_known_by_address_only_is_looked_up(self, engine, portal, crm):
        crm.keep("contact", "carol", "Carol", emails=("carol@acme.example",))
        portal.kept = [
            replace(ticket, contact=Person(name="Carol", email="CAROL@acme.example")) for ticket in portal.kept
        ]
        case(crm, "old", subject="Old one 1001", contact="carol")
        assert adopt(adopter(engine, portal, "subject+contact"), applying=False).matched == 1

    def test_without_a_contact_nothing_is_guessed(self, engine, portal, crm):
        case(crm, "old", subject="Old one 1001")
        assert adopt(adopter(engine, portal, "subject+contact"), applying=False).matched == 0


def test_by_external_key_an_earlier_installations_cases_are_found(engine, portal, crm):
    first = portal.kept[0]
    case(crm, case_id_of(first.ticket_id), subject=first.subject)
    found = adopt(adopter(engine, portal, "external-key"), applying=True)
    assert (found.matched, found.unmatched) == (1, 2)
    engine.runner.run_until_idle()
    assert engine.link(first).case_id == case_id_of(first.ticket_id)
    assert len(crm.cases) == 1


def test_linked_cases_and_tickets_are_not_looked_at(engine, portal, crm):
    ticket = new_ticket(number=1001)
    engine.receive(ticket, new_reply(ticket, 1))
    engine.settle()
    portal.kept = [ticket]
    found = adopt(adopter(engine, portal), applying=True)
    assert (found.matched, found.ambiguous, found.unmatched) == (0, 0, 0)


def test_the_command_says_what_it_found(engine, portal, crm, monkeypatch):
    case(crm, "old", ticket_number="1001")
    case(crm, "one", ticket_number="1002")
    case(crm, "two", ticket_number="1002")

    monkeypatch.setattr(module, "read_settings", lambda: SimpleNamespace(database_url=""))
    monkeypatch.setattr(module, "open_crm", lambda _: (crm, crm.mapping()))
    monkeypatch.setattr(module, "open_database", lambda _: engine.database)
    monkeypatch.setattr(module, "open_source", lambda: nullcontext(portal))
    monkeypatch.setattr(Database, "check", lambda _: None)
    result = CliRunner().invoke(adopt_command, ["--dry-run"])
    assert result.exit_code == 1
    assert result.output.splitlines()[-2:] == [
        "1 matched, with 1 fields to choose; 1 ambiguous; 1 without a Case.",
        "Nothing was written: link them with --apply.",
    ]
