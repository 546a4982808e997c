"""The sweep: all tickets within its span, by one worker, surviving restarts; what no feed tells is found."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from crm_sync_service import gate, loop_lease
from crm_sync_service.alarms import alarms
from crm_sync_service.connectors.base import UnreachableError
from crm_sync_service.drift import KEEP_RUNS, DriftChecker, start_run
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Base, Link
from crm_sync_service.operation_models import DriftRun
from crm_sync_service.sweep import LEASE, Sweeper
from shared.events import CaseChanged
from tests.crm_sync_service.engine import START, Engine, new_reply, new_ticket


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", Base.metadata), crm)


@pytest.fixture
def tickets(engine):
    """Ten mirrored tickets with a reply each."""
    filed = [new_ticket(number=1001 + place, reply_count=1) for place in range(10)]
    for ticket in filed:
        engine.receive(ticket, new_reply(ticket, 1))
    engine.settle()
    return filed


def sweeper(engine, owner="a"):
    checker = DriftChecker(engine.database, engine.crm, engine.crm.mapping())
    return Sweeper(checker=checker, owner=owner, span=timedelta(hours=10), now=lambda: engine.clock)


def pass_time(engine, sweep, *, minutes, ticks=3):
    """Let time pass; returns how many tickets were compared."""
    engine.clock += timedelta(minutes=minutes)
    return sum(sweep.tick(threading.Event()) for _ in range(ticks))


def runs(engine):
    with engine.database.read() as session:
        return session.scalars(select(DriftRun).order_by(DriftRun.id)).all()


def sweep_all(engine, sweep):
    pass_time(engine, sweep, minutes=601, ticks=1)
    pass_time(engine, sweep, minutes=599, ticks=8)


def test_the_pace_spreads_the_tickets_over_the_span(engine, tickets):
    sweep = sweeper(engine)
    assert [pass_time(engine, sweep, minutes=0), *(pass_time(engine, sweep, minutes=60) for _ in range(9))] == [1] * 10
    pass_time(engine, sweep, minutes=0)
    [run] = runs(engine)
    assert (run.tickets, run.cases, run.notes, run.differences) == (10, 10, 10, 0)
    assert run.finished_at is not None
    pass_time(engine, sweep, minutes=59)
    assert len(runs(engine)) == 1
    pass_time(engine, sweep, minutes=2)
    assert len(runs(engine)) == 2


def test_what_changed_behind_every_feed_is_found_counted_and_repaired(engine, tickets):
    crm, first, second = engine.crm, *tickets[:2]
    crm.cases[case_id_of(first.ticket_id)].fields["subject"] = "Back-dated"
    del crm.notes[next(iter(n.id for n in crm.notes.values() if n.case_id == case_id_of(second.ticket_id)))]
    sweep = sweeper(engine)
    sweep_all(engine, sweep)
    [run] = runs(engine)
    assert (run.differences, run.repairs) == (2, 2)
    assert run.counts == {"field: subject": 1, "Note missing": 1}
    with engine.database.read() as session:
        [alarm] = alarms(session)
        assert "2 differences that nothing had told of" in alarm.text
    engine.runner.run_until_idle()
    assert crm.fields_of(case_id_of(first.ticket_id))["subject"] == "Printer <on> fire"
    assert len(crm.notes) == 10
    sweep_all(engine, sweep)
    with engine.database.read() as session:
        assert alarms(session) == []


def test_a_deleted_case_is_found_by_the_sweep(engine, tickets):
    engine.crm.cases[case_id_of(tickets[0].ticket_id)].deleted = True
    sweep_all(engine, sweeper(engine))
    engine.runner.run_until_idle()
    assert engine.link(tickets[0]).state == "case_deleted"


def test_a_field_held_back_on_purpose_is_no_drift_and_not_repaired(engine, tickets):
    with engine.database.write() as session:
        session.get_one(Link, tickets[0].ticket_id).parked = {"subject": "the CRM refuses it"}
    engine.crm.cases[case_id_of(tickets[0].ticket_id)].fields["subject"] = "?"
    sweep_all(engine, sweeper(engine))
    [run] = runs(engine)
    assert (run.differences, run.repairs, run.counts) == (0, 0, {"held back": 1})


def test_one_worker_sweeps_and_another_goes_on_where_it_stopped(engine, tickets):
    first, second = sweeper(engine, "a"), sweeper(engine, "b")
    assert pass_time(engine, first, minutes=0) == 1
    assert pass_time(engine, second, minutes=0) == 0
    engine.clock += LEASE
    assert second.tick(threading.Event()) == 0
    assert pass_time(engine, second, minutes=120) == 2
    assert pass_time(engine, first, minutes=0) == 0
    [run] = runs(engine)
    assert (run.tickets, run.position) == (3, 1003)


def test_a_worker_that_stops_gives_the_lease_up_at_once(engine, tickets):
    stop = threading.Event()
    stop.set()
    first = sweeper(engine, "a")
    first.tick(threading.Event())
    first.run(stop)
    with engine.database.write() as session:
        assert loop_lease.take(session, "sweep", owner="b", now=engine.clock, span=LEASE)


def test_nothing_is_asked_of_a_crm_that_is_down(engine, tickets):
    with engine.database.write() as session:
        for _ in range(gate.FAILURES_TO_OPEN):
            gate.note_failure(session, engine.crm.name, UnreachableError("down"), now=engine.clock)
    calls = len(engine.crm.calls)
    assert pass_time(engine, sweeper(engine), minutes=60) == 0
    assert len(engine.crm.calls) == calls


def test_a_crm_that_fails_while_it_is_swept_stops_nothing(engine, tickets):
    engine.crm.fail("get_case", UnreachableError("reset"))
    sweep = sweeper(engine)
    with pytest.raises(UnreachableError):
        sweep.tick(threading.Event())
    sweep_all(engine, sweep)
    assert [(run.tickets, run.differences) for run in runs(engine)[:1]] == [(10, 0)]


def test_only_the_last_runs_are_kept(engine):
    for _ in range(KEEP_RUNS + 5):
        with engine.database.write() as session:
            start_run(session, "sweep", now=START)
    assert len(runs(engine)) == KEEP_RUNS


class TestQuickLook:
    """Where the feed does not tell of deletions, the Cases of active tickets are read."""

    @pytest.fixture(autouse=True)
    def _blind(self, crm):
        crm.capabilities = replace(crm.capabilities, feed_shows_deletions=False)

    def test_a_deleted_case_is_found_within_minutes(self, engine, tickets):
        sweep = sweeper(engine)
        pass_time(engine, sweep, minutes=0)
        engine.crm.delete_case(case_id_of(tickets[7].ticket_id))
        engine.crm.hidden.add(case_id_of(tickets[7].ticket_id))
        assert engine.settle() == 0, "the feed does not show it"
        pass_time(engine, sweep, minutes=11)
        engine.runner.run_until_idle()
        assert engine.link(tickets[7]).state == "case_deleted"

    def test_a_change_that_no_feed_shows_is_found_within_minutes(self, engine, tickets):
        sweep = sweeper(engine)
        pass_time(engine, sweep, minutes=0)
        engine.crm.edit(case_id_of(tickets[7].ticket_id), account="globex")
        engine.crm.hidden.add(case_id_of(tickets[7].ticket_id))
        assert engine.settle() == 0, "the feed does not show it"
        pass_time(engine, sweep, minutes=11)
        engine.runner.run_until_idle()
        (change,) = engine.sent(CaseChanged)
        assert [item.after for item in change.changes] == ["globex"]

    def test_each_case_is_read_once_per_round(self, engine, tickets):
        sweep = sweeper(engine)
        before = engine.crm.called("get_case")
        sweep.tick(threading.Event())
        pass_time(engine, sweep, minutes=0, ticks=5)
        looks = engine.crm.called("get_case") - before
        assert looks == 10 + 1, "ten for the look, one for the sweep's first ticket"
