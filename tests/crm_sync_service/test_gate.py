"""The gate: who may call the CRM now, and a pause that only a person ends."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from crm_sync_service import gate
from crm_sync_service.connectors.base import UnreachableError
from shared.events import CrmStatusChanged
from tests.crm_sync_service.engine import new_ticket


def pause(engine):
    with engine.database.write() as session:
        gate.stop(session, "fake", by="Alex", why="the CRM is being upgraded", now=engine.clock)


def test_while_a_person_paused_it_nothing_calls_the_crm_and_the_portal_knows(engine):
    pause(engine)
    ticket = new_ticket()
    engine.receive(ticket)
    engine.crm.calls.clear()
    assert engine.runner.run_until_idle() == 0
    assert engine.crm.calls == []
    assert engine.lane(ticket.ticket_id).state == "due"
    told = engine.sent(CrmStatusChanged)[-1]
    assert (told.state, told.reason) == ("paused", "Alex: the CRM is being upgraded")


def test_neither_time_nor_a_call_that_was_under_way_ends_a_persons_pause(engine):
    pause(engine)
    with engine.database.write() as session:
        gate.note_success(session, "fake", now=engine.clock)
        for _ in range(gate.FAILURES_TO_OPEN):
            gate.note_failure(session, "fake", UnreachableError("no answer"), now=engine.clock)
    with engine.database.read() as session:
        assert not gate.may_call(session, "fake")
        assert not gate.probe_is_due(session, "fake", now=engine.clock + timedelta(days=1))
        assert gate.state_of(session, "fake", now=engine.clock).state == "paused"


def test_after_it_the_next_probe_says_how_the_crm_is(engine):
    pause(engine)
    ticket = new_ticket()
    engine.receive(ticket)
    with engine.database.write() as session:
        gate.go_on(session, "fake", now=engine.clock)
    assert engine.runner.run_until_idle() > 0
    assert engine.link(ticket).in_sync
    assert engine.sent(CrmStatusChanged)[-1].state == "reachable"


def test_going_on_does_not_end_a_pause_that_no_person_asked_for(engine):
    with engine.database.write() as session:
        for _ in range(gate.FAILURES_TO_OPEN):
            gate.note_failure(session, "fake", UnreachableError("no answer"), now=engine.clock)
        gate.go_on(session, "fake", now=engine.clock)
        state = gate.state_of(session, "fake", now=engine.clock)
        assert (state.state, state.reason) == ("unreachable", "no answer")
        assert state.until > engine.clock


def test_two_workers_that_begin_at_once_share_the_first_row(engine):
    """The second one looks before the first has committed."""
    database = engine.database

    def look():
        with database.write() as session:
            return gate.state_of(session, "fake", now=engine.clock).state

    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            gate.state_of(session, "fake", now=engine.clock)
            other = pool.submit(look)
            time.sleep(0.2)
        assert other.result(timeout=20) == "reachable"
