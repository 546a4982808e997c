"""A field that two parties set back and forth is frozen until a person releases it (O3; FAILURES 34, 35)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import crm_sync_service.models
from crm_sync_service import decisions
from crm_sync_service.connectors.base import UnreachableError
from crm_sync_service.flaps import MOST_FLIPS, flip_count
from crm_sync_service.links import Flip
from crm_sync_service.mapping import case_id_of
from shared.events import CaseChanged
from tests.crm_sync_service.engine import START, Engine, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm


@pytest.fixture
def crm():
    return FakeCrm()


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)


def mirrored(engine):
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    return ticket


def reverting(crm, case_id, subject):
    """Another integration puts its own subject back after each write of ours."""

    def revert(call, moment):
        if call.method == "update_case" and moment == "after" and crm.fields_of(case_id)["subject"] != subject:
            crm.edit(case_id, by="Other integration", subject=subject)

    crm.hooks.append(revert)


def test_a_field_that_somebody_puts_back_is_frozen_after_three_writes(engine, crm):
    ticket = mirrored(engine)
    case_id = case_id_of(ticket.ticket_id)
    reverting(crm, case_id, "Theirs")
    writes = crm.called("update_case")
    engine.receive(replace(ticket, version=2, subject="Ours"))
    for _ in range(30):
        engine.settle(seconds=5)
    assert crm.called("update_case") - writes <= 3
    assert "subject is set back and forth" in engine.receipt().reason
    assert engine.link(ticket).holds["subject"]["kind"] == "frozen"


def test_writes_that_never_arrived_are_no_flapping(engine, crm):
    ticket = mirrored(engine)
    failures = iter(range(6))

    def fail(call, moment):
        if call.method == "update_case" and moment == "before" and next(failures, None) is not None:
            raise UnreachableError("the connection ended")

    crm.hooks.append(fail)
    crm.edit(case_id_of(ticket.ticket_id), by="Anna", subject="Theirs")
    engine.receive(ticket := replace(ticket, version=2, subject="Ours"))
    for _ in range(60):
        engine.settle(seconds=60)
    assert next(failures, None) is None
    assert engine.link(ticket).holds == {}
    assert (engine.case(ticket)["subject"], engine.receipt().state) == ("Ours", "in_sync")


def test_a_frozen_field_holds_up_nothing_else_and_goes_on_when_a_person_releases_it(engine, crm):
    ticket = mirrored(engine)
    case_id = case_id_of(ticket.ticket_id)
    reverting(crm, case_id, "Theirs")
    engine.receive(ticket := replace(ticket, version=2, subject="Ours"))
    for _ in range(30):
        engine.settle(seconds=5)
    engine.receive(ticket := replace(ticket, version=3, status="open"))
    engine.settle()
    assert (engine.case(ticket)["status"], engine.case(ticket)["subject"]) == ("assigned", "Theirs")
    crm.hooks.clear()
    with engine.database.write() as session:
        decisions.release_field(session, ticket.ticket_id, "subject", by="Ada", now=engine.clock)
    engine.settle()
    assert (engine.case(ticket)["subject"], engine.receipt().state) == ("Ours", "in_sync")


def test_a_loop_through_a_rule_of_the_crm_and_one_of_the_portal_ends(engine, crm):
    """The CRM closes what is saved, the portal opens what is closed."""
    ticket = mirrored(engine)
    case_id = case_id_of(ticket.ticket_id)

    def close(call, moment):
        if call.method == "update_case" and moment == "after" and crm.fields_of(case_id)["status"] != "closed":
            crm.edit(case_id, by="A workflow", status="closed")

    crm.hooks.append(close)
    engine.receive(ticket := replace(ticket, version=2, status="open"))
    for _ in range(60):
        engine.settle(seconds=5)
        changes = engine.sent(CaseChanged)
        if changes and changes[-1].pull_number > ticket.pull_number:
            ticket = engine.answer(ticket, changes[-1])
            engine.receive(ticket := replace(ticket, version=ticket.version + 1, status="open"))
    assert engine.link(ticket).holds["status"]["kind"] == "frozen"
    writes = len(crm.writes)
    engine.settle(seconds=600)
    assert (len(crm.writes), len(engine.sent(CaseChanged)) <= MOST_FLIPS) == (writes, True)


def test_people_may_change_a_field_as_often_as_they_like(engine, crm):
    ticket = mirrored(engine)
    for number in range(30):
        engine.receive(ticket := replace(ticket, version=ticket.version + 1, status=("open", "pending")[number % 2]))
        engine.settle(seconds=20)
    assert engine.receipt().state == "in_sync"


def test_ten_edits_on_each_side_at_once_end_equal_and_cost_a_message_each_way(engine, crm):
    ticket = mirrored(engine)
    told, writes = len(engine.sent(CaseChanged)), len(crm.writes)
    for number in range(10):
        engine.receive(ticket := replace(ticket, version=2 + number, subject=f"Edit {number}", status="open"))
        crm.edit(case_id_of(ticket.ticket_id), priority=("high", "low")[number % 2])
    for _ in range(5):
        engine.settle(seconds=2)
        changes = engine.sent(CaseChanged)
        if changes[-1].pull_number > ticket.pull_number:
            ticket = engine.answer(ticket, changes[-1])
    case = engine.case(ticket)
    assert (case["subject"], case["status"], case["priority"]) == ("Edit 9", "assigned", "low")
    assert (ticket.priority, engine.receipt().state, engine.conflicts()) == ("low", "in_sync", [])
    assert (len(engine.sent(CaseChanged)) - told, len(crm.writes) - writes) == (1, 1)


def test_flips_of_more_than_an_hour_ago_do_not_count(engine, crm):
    ticket = mirrored(engine)
    case_id = case_id_of(ticket.ticket_id)
    for number in range(30):
        crm.edit(case_id, priority="high")
        engine.settle(seconds=900)
        ticket = engine.answer(ticket, engine.sent(CaseChanged)[-1])
        engine.receive(ticket := replace(ticket, version=100 + number, priority="low"))
        engine.settle(seconds=900)
    assert engine.receipt().state == "in_sync"


FLIPS = st.lists(st.builds(Flip, at=st.just("t"), side=st.sampled_from(["portal", "crm"]), value=st.sampled_from("ab")))


@given(FLIPS)
def test_only_a_value_set_again_after_the_other_side_changed_it_is_a_flip(flips):
    mine = [flip for flip in flips if flip.side == "portal"]
    assert flip_count(mine) == 0
    assert flip_count(flips) <= max(0, len(flips) - 2)


def test_a_ping_pong_counts_each_return():
    at = [str(START + timedelta(minutes=n)) for n in range(6)]
    flips = [Flip(at=at[n], side=("portal", "crm")[n % 2], value=("a", "b")[n % 2]) for n in range(6)]
    assert flip_count(flips) == 4


def test_each_write_of_ours_that_the_feed_shows_is_counted_once_as_an_echo(engine, crm):
    ticket = mirrored(engine)
    for version in range(2, 5):
        engine.receive(replace(ticket, version=version, priority=("high", "low")[version % 2]))
        engine.settle(seconds=1)
    engine.settle(seconds=1)
    crm.edit(case_id_of(ticket.ticket_id), status="pending_input")
    for _ in range(5):
        engine.settle(seconds=1)
    assert engine.link(ticket).echoes == 4
