"""What the console reads and writes, on SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crm_sync_service.connectors.base import InvalidError
from crm_sync_service.console.actions import retry_tickets
from crm_sync_service.console.broker_watch import BrokerView
from crm_sync_service.console.conflicts import read_inbox
from crm_sync_service.console.contact_choices import read_questions
from crm_sync_service.console.decided import skip_field
from crm_sync_service.console.evidence import read_evidence
from crm_sync_service.console.failures import read_failures
from crm_sync_service.console.fixes import read_choices
from crm_sync_service.console.gauges import read_gauges
from crm_sync_service.console.held import read_held
from crm_sync_service.console.history import read_messages
from crm_sync_service.console.overview import read_overview
from crm_sync_service.console.ticket_page import read_ticket
from crm_sync_service.console.tickets import STATES, list_tickets
from crm_sync_service.mapping import case_id_of
from crm_sync_service.operation_settings import OperationSettings
from tests.crm_sync_service.engine import Engine, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm

BROKER = BrokerView(queues=(), seen_at=None, failing_since=None, error=None)


@pytest.fixture
def engine(sync_database):
    return Engine(sync_database, FakeCrm())


@pytest.fixture
def tickets(engine):
    """One skipped field, one conflict, and three parked tickets."""
    tickets = [new_ticket(number=1000 + n) for n in range(5)]
    engine.receive(*tickets)
    engine.settle()
    engine.receive(replace(tickets[1], version=2, priority="low"))
    engine.crm.edit(case_id_of(tickets[1].ticket_id), priority="high")
    engine.settle(seconds=1)
    engine.crm.fail("update_case", InvalidError("422: no"), times=3)
    engine.receive(*(replace(ticket, version=2, status="open") for ticket in tickets[2:]))
    engine.settle(seconds=1)
    with engine.database.write() as session:
        skip_field(session, tickets[0].ticket_id, "status", why="so", who="Alex", now=engine.clock)
    engine.crm.edit(case_id_of(tickets[0].ticket_id), status="closed")
    engine.settle(seconds=1)
    return tickets


def test_everything_is_read(tickets, engine):
    first, now = tickets[0].ticket_id, engine.clock
    with engine.database.read() as session:
        overview = read_overview(session, BROKER, now=now)
        assert (overview.figures.tickets, overview.figures.need_person, overview.figures.on_purpose) == (5, 3, 1)
        assert [failure.kind for failure in read_failures(session)].count("parked") == 3
        held, more = read_held(session, before=None)
        assert ([(line.number, line.field, line.kind) for line in held], more) == ([(1000, "status", "skipped")], None)
        assert read_inbox(session, "all", before=None).counts["decided"] == 1
        assert read_questions(session) == []
        assert read_choices(session, "assignee", mapping=engine.runner.mapping, find="s_m%").options == []
        assert read_ticket(session, first, now=now) is not None
        assert len(read_messages(session, first)) >= 2
        assert {state: len(list_tickets(session, state, before=None, now=now)) for state in STATES}["failed"] == 4
        evidence = read_evidence(session, first, live=None, notes=(), problem="", who="Alex", now=now)
        assert len(evidence["actions"]) == 1
    names = {gauge.name for gauge in read_gauges(engine.database, BROKER, OperationSettings(requests_per_day=9))}
    assert {"casebridge_links", "casebridge_conflicts_total", "casebridge_needs_person"} <= names


def test_a_retry_at_a_rate_spreads_the_lanes(tickets, engine):
    parked = [ticket.ticket_id for ticket in tickets[2:]]
    with engine.database.write() as session:
        done = retry_tickets(session, parked, reason="three", who="Alex", now=engine.clock, per_minute=2)
    assert done.detail == "three; 2 per minute"
    due = sorted(engine.lane(ticket_id).due_at - engine.clock for ticket_id in parked)
    assert due == [timedelta(), timedelta(seconds=30), timedelta(seconds=60)]
    assert engine.runner.run_until_idle() == 1
    engine.settle(seconds=60)
    assert [engine.lane(ticket_id).state for ticket_id in parked] == ["idle"] * 3
