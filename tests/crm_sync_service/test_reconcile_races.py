"""Rare orders of events that the simulation found, each by hand."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crm_sync_service import lanes
from crm_sync_service.connectors.base import InvalidError, UnreachableError
from crm_sync_service.mapping import case_id_of
from shared.events import CaseChanged, Person
from tests.crm_sync_service.engine import Engine, new_reply, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm

LOST = UnreachableError("the answer was lost")


def mirrored(engine, **changes):
    ticket = new_ticket(**changes)
    engine.receive(ticket)
    engine.settle()
    return ticket


def removed(engine, ticket):
    return replace(ticket, version=ticket.version + 1, deleted_at=engine.clock, deleted_by="Sam Peters")


@pytest.mark.parametrize("conditional", [True, False])
def test_a_change_that_only_the_answer_to_our_write_shows_is_pulled(sync_database, conditional):
    """By an account manager where the CRM has no conditional update, or by a rule of the CRM on saving."""
    crm = FakeCrm(conditional_update=conditional)
    engine = Engine(sync_database, crm)
    ticket = mirrored(engine)
    case = crm.cases[case_id_of(ticket.ticket_id)]

    def also_set(call, moment):
        if call.method == "update_case" and moment == "before":
            case.fields["priority"] = "critical"

    crm.hooks.append(also_set)
    engine.receive(replace(ticket, version=2, status="open"))
    engine.settle()
    assert [(c.field, c.after) for c in engine.sent(CaseChanged)[-1].changes] == [("priority", "urgent")]


def test_a_create_whose_values_changed_between_attempts_loses_no_later_value(engine, crm):
    """The Case may have been made by any of the attempts: all of them send what was stored before the first."""
    ticket = new_ticket(priority="low")
    crm.fail("create_case", LOST, when="before")
    engine.receive(ticket)
    engine.settle()
    crm.fail("create_case", LOST, when="after")
    engine.receive(replace(ticket, version=2, priority="high"))
    engine.settle(seconds=70)
    engine.receive(replace(ticket, version=3, priority="urgent"))
    engine.settle_through_failures()
    assert (engine.case(ticket)["priority"], engine.sent(CaseChanged), engine.conflicts()) == ("critical", [], [])


def test_a_refused_create_takes_the_corrected_ticket(engine, crm):
    ticket = new_ticket(assignee=Person(name="Gone", crm_id="gone"))
    crm.fail("create_case", InvalidError("no such user", fields={"assignee": "no such user"}))
    engine.receive(ticket)
    engine.settle()
    engine.receive(replace(ticket, version=2, assignee=Person(name="Sam Peters", crm_id="sam")))
    with engine.database.write() as session:
        lanes.retry(session, [ticket.ticket_id], now=engine.clock)
    engine.settle()
    assert (engine.case(ticket)["assignee"], engine.conflicts()) == ("sam", [])


def test_a_value_once_pushed_in_doubt_is_the_account_managers_when_they_choose_it_again(engine, crm):
    ticket = mirrored(engine)
    case_id = case_id_of(ticket.ticket_id)
    crm.fail("update_case", LOST, when="after")
    ticket = replace(ticket, version=2, priority="high")
    engine.receive(ticket)
    engine.settle()
    crm.edit(case_id, priority="low")
    engine.settle(seconds=70)
    crm.edit(case_id, priority="high")
    ticket = engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle()
    engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle()
    assert engine.case(ticket)["priority"] == "high"
    assert [c.after for c in engine.sent(CaseChanged)[-1].changes] == ["high"]


def test_a_worker_that_lost_its_lane_no_longer_tells_how_the_ticket_is(engine, crm):
    ticket = mirrored(engine)

    def stall(call, moment):
        if call.method == "get_case" and moment == "before":
            crm.hooks.clear()
            engine.clock += lanes.LEASE + timedelta(seconds=1)
            other = Engine(engine.database, crm)
            other.clock = engine.clock
            other.runner.run_until_idle()
            raise LOST

    crm.hooks.append(stall)
    engine.receive(replace(ticket, version=2, status="open"))
    engine.settle()
    assert (engine.receipt().state, engine.receipt().version) == ("in_sync", 2)
    assert engine.link(ticket).in_sync


def test_a_reply_from_before_the_removal_that_arrives_after_it_becomes_a_note(engine, crm):
    ticket = mirrored(engine)
    engine.receive(removed(engine, ticket))
    engine.settle()
    engine.receive(new_reply(ticket, 1, "said before"))
    engine.settle()
    assert "said before" in [note.body.rsplit("\n", 1)[-1] for note in crm.notes.values()]


def test_ticket_and_case_may_both_be_removed(engine, crm):
    ticket = mirrored(engine)
    crm.delete_case(case_id_of(ticket.ticket_id))
    engine.receive(removed(engine, ticket))
    engine.settle()
    assert (engine.lane(ticket.ticket_id).state, engine.link(ticket).state) == ("idle", "ticket_deleted")


@pytest.mark.parametrize(("moment", "notes"), [("before", 0), ("after", 1)])
def test_a_case_whose_creation_was_in_doubt_is_told_that_its_ticket_was_removed(engine, crm, moment, notes):
    ticket = new_ticket()
    crm.fail("create_case", LOST, when=moment)
    engine.receive(ticket)
    engine.settle()
    engine.receive(removed(engine, ticket))
    engine.settle_through_failures(3)
    assert len([note for note in crm.notes.values() if "was removed" in note.title]) == notes
    assert engine.lane(ticket.ticket_id).state == "idle"
