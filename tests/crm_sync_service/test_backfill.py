"""Old tickets get their Cases: slowly, behind live work, once, and through every interruption (SPEC O13)."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from crm_sync_service import backfill, backfill_command
from crm_sync_service.backfill import Backfiller, BackfillError, hand_over, pause, waiting
from crm_sync_service.backfill_command import run_backfill, status_lines
from crm_sync_service.lanes import Priority
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Base
from crm_sync_service.operation_models import Backfill
from crm_sync_service.operations import backfill_figures
from shared.database import Database
from tests.crm_sync_service.engine import START, Engine, new_reply, new_ticket

OLD = 24


class Portal:
    """A ticket source with old tickets, each with a reply."""

    def __init__(self, count):
        self.kept = [new_ticket(number=1001 + place, version=3, reply_count=1) for place in range(count)]
        self.said = {ticket.ticket_id: [new_reply(ticket, 1)] for ticket in self.kept}

    def count(self):
        return len(self.kept)

    def tickets(self, after=0):
        return iter([ticket for ticket in self.kept if ticket.number > after])

    def entries(self, ticket_id):
        return self.said[ticket_id]

    def unsent(self):
        return 0


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", Base.metadata), crm)


@pytest.fixture
def portal():
    return Portal(OLD)


def backfiller(engine, portal, owner="a"):
    return Backfiller(database=engine.database, source=portal, owner=owner, now=lambda: engine.clock)


def steps(engine, work, *, seconds=1.0, most=1000):
    """Step once a second until it ends or `most` steps; returns how many tickets each looked at."""
    looked = []
    for _ in range(most):
        engine.clock += timedelta(seconds=seconds)
        step = work.step()
        if step is None:
            break
        looked.append(step)
    return looked


def row(engine):
    with engine.database.read() as session:
        return session.get_one(Backfill, 1)


def test_every_old_ticket_gets_its_case_and_its_notes_once(engine, portal, crm):
    work = backfiller(engine, portal)
    work.start(rate=240)
    assert sum(steps(engine, work)) == OLD
    engine.runner.run_until_idle()
    assert (len(crm.cases), len(crm.notes)) == (OLD, OLD)
    done = row(engine)
    assert (done.state, done.looked_at, done.handed_over, done.total) == ("finished", OLD, OLD, OLD)
    work.start(rate=240)
    steps(engine, work)
    assert engine.runner.run_until_idle() == 0
    assert (len(crm.cases), len(crm.notes), row(engine).handed_over) == (OLD, OLD, 0)


def test_the_rate_is_kept(engine, portal):
    work = backfiller(engine, portal)
    work.start(rate=120)
    assert steps(engine, work, most=10) == [2] * 10
    work.start(rate=1)
    assert sum(steps(engine, work, most=59)) == 0
    assert steps(engine, work, most=1) == [1]


def test_killed_half_way_it_goes_on_and_doubles_nothing(engine, portal, crm, monkeypatch):
    work = backfiller(engine, portal)
    work.start(rate=240)
    steps(engine, work, most=4)
    engine.runner.run_until_idle()
    looked_at = row(engine).looked_at
    handed = iter(range(100))

    def die_at_the_third(*arguments, **named):
        if next(handed) == 2:
            raise RuntimeError("killed")
        return hand_over(*arguments, **named)

    monkeypatch.setattr(backfill, "hand_over", die_at_the_third)
    with pytest.raises(RuntimeError, match="killed"):
        steps(engine, work)
    monkeypatch.undo()
    assert row(engine).looked_at == looked_at, "what the killed batch had handed over was not stored"
    engine.clock += timedelta(minutes=1)
    second = backfiller(engine, portal, "b")
    second.start(rate=240)
    assert sum(steps(engine, second)) == OLD - looked_at
    engine.runner.run_until_idle()
    assert (len(crm.cases), len(crm.notes)) == (OLD, OLD)
    assert crm.called("create_case") == OLD


def test_live_changes_go_first_and_are_not_overwritten(engine, portal, crm):
    work = backfiller(engine, portal)
    work.start(rate=6000)
    edited = replace(portal.kept[0], version=4, subject="Edited while it ran")
    engine.clock += timedelta(seconds=1)
    work.step()
    live = new_ticket(number=5000)
    engine.receive(edited, live)
    claims = engine.runner._claim(2)
    assert {claim.ticket_id for claim in claims} == {edited.ticket_id, live.ticket_id}
    for claim in claims:
        engine.runner._work_and_forget(claim)
    steps(engine, work)
    work.start(rate=6000, again=True)
    steps(engine, work)
    engine.runner.run_until_idle()
    assert crm.fields_of(case_id_of(edited.ticket_id))["subject"] == "Edited while it ran"
    assert len(crm.cases) == OLD + 1


def test_it_can_be_paused_and_goes_on_later(engine, portal):
    work = backfiller(engine, portal)
    work.start(rate=240)
    steps(engine, work, most=3)
    with engine.database.write() as session:
        assert pause(session, now=engine.clock)
    assert steps(engine, work) == []
    assert row(engine).state == "paused"
    with engine.database.write() as session:
        assert not pause(session, now=engine.clock)
    other = backfiller(engine, portal, "b")
    other.start(rate=240)
    assert sum(steps(engine, other)) == OLD - 12


def test_two_processes_do_not_backfill_at_once(engine, portal):
    first, second = backfiller(engine, portal), backfiller(engine, portal, "b")
    first.start(rate=60)
    with pytest.raises(BackfillError, match="another process"):
        second.start(rate=60)
    engine.clock += timedelta(minutes=1)
    second.start(rate=60)
    with pytest.raises(BackfillError, match="taken the backfill over"):
        first.step()


def test_it_waits_while_many_lanes_wait(engine, portal, monkeypatch):
    monkeypatch.setattr(backfill, "MOST_WAITING", 8)
    work = backfiller(engine, portal)
    work.start(rate=240)
    assert sum(steps(engine, work, most=20)) == 8
    engine.runner.run_until_idle()
    assert sum(steps(engine, work, most=2)) > 0


def test_only_what_lacks_something_is_handed_over(engine, portal):
    whole, without_reply, removed, unknown = portal.kept[:4]
    portal.kept = [*portal.kept[:3], replace(unknown, deleted_at=START, deleted_by="Sam")]
    engine.receive(whole, *portal.entries(whole.ticket_id), without_reply, removed, *portal.entries(removed.ticket_id))
    engine.settle()
    portal.kept[2] = replace(removed, deleted_at=START, deleted_by="Sam")
    engine.receive(replace(portal.kept[2], version=4))
    engine.settle()
    work = backfiller(engine, portal)
    work.start(rate=240)
    steps(engine, work)
    assert row(engine).handed_over == 1
    assert engine.lane(without_reply.ticket_id).state == "due"
    assert engine.lane(without_reply.ticket_id).priority == Priority.BACKGROUND


def test_progress_and_end_are_told(engine, portal):
    work = backfiller(engine, portal)
    with engine.database.read() as session:
        assert list(status_lines(backfill_figures(session, now=START))) == ["No backfill was ever started."]
    work.start(rate=60)
    steps(engine, work, most=10)
    with engine.database.read() as session:
        assert waiting(session) == 10
        lines = list(status_lines(backfill_figures(session, now=engine.clock)))
    assert lines == [
        "The backfill is running: 10 of 24 tickets looked at, 10 given to their lanes, 10 still waiting there.",
        "At 60 a minute it has looked at all of them by 2026-11-22 12:00 UTC.",
    ]


def test_the_command_runs_to_the_end(engine, portal, crm):
    ticks = iter(range(10_000))
    work = Backfiller(
        database=engine.database, source=portal, owner="a", now=lambda: START + timedelta(seconds=next(ticks))
    )
    work.start(rate=60_000)
    assert run_backfill(work, threading.Event(), tick=0)
    engine.clock += timedelta(hours=3)
    engine.runner.run_until_idle()
    assert len(crm.cases) == OLD
    stopped = threading.Event()
    stopped.set()
    assert not run_backfill(work, stopped)


def test_pause_and_status_from_the_command_line(engine, portal, monkeypatch):
    monkeypatch.setattr(backfill_command, "read_settings", lambda: type("Settings", (), {"database_url": ""}))
    monkeypatch.setattr(backfill_command, "open_database", lambda _: engine.database)
    monkeypatch.setattr(Database, "check", lambda _: None)

    def run(*arguments):
        return CliRunner().invoke(backfill_command.backfill_command, list(arguments)).output.strip()

    assert run("--status") == "No backfill was ever started."
    assert run("--pause") == "No backfill is running."
    backfiller(engine, portal).start(rate=60)
    assert run("--pause") == "It stops within seconds."
    assert run("--status").startswith("The backfill is paused: 0 of 24")
