"""The sync worker's loops: who looks at the CRM, what is wired up, and what stops a start."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from crm_sync_service import gate, loop_lease
from crm_sync_service.connectors.base import CaseStamp, CrmInfo, FeedPage, UnreachableError
from crm_sync_service.feed_watch import FeedWatch
from crm_sync_service.guard import GuardedConnector, guard
from crm_sync_service.installation import suspect_restore
from crm_sync_service.models import Base, WorkerPulse, inbox, outbox
from crm_sync_service.operation_settings import OperationSettings, read_operation_settings
from crm_sync_service.operations import read_operations
from crm_sync_service.worker import SyncWorker, refuse_other_crm
from shared.clock import to_text
from shared.events import DirectoryChanged, pack
from shared.settings import SettingsError
from tests.crm_sync_service.engine import START, Engine, new_ticket


class Turns(threading.Event):
    """A stop event that lets a loop go round so many times, without any waiting."""

    def __init__(self, rounds, between=lambda: None):
        super().__init__()
        self._rounds, self._between = rounds, between

    def wait(self, timeout=None):
        if self._rounds == 0:
            self.set()
            return True
        self._rounds -= 1
        self._between()
        return False


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", Base.metadata), crm)


def new_worker(engine, owner="a", crm=None):
    runner = replace(engine.runner, owner=owner)
    return SyncWorker(
        database=engine.database,
        crm=crm or engine.crm,
        runner=runner,
        broker=None,
        poll_interval=timedelta(seconds=1),
        now=lambda: engine.clock,
        watch=FeedWatch(overlap=timedelta(seconds=120)),
    )


def pass_time(engine, seconds=1):
    engine.clock += timedelta(seconds=seconds)


class TestFeed:
    def test_one_worker_looks_at_the_feed_and_another_takes_over_when_it_dies(self, engine, crm, monkeypatch):
        first, second = new_worker(engine, "a"), new_worker(engine, "b")
        monkeypatch.setattr(loop_lease, "give_up", lambda *_, **__: None)
        first.follow_crm(Turns(2, lambda: pass_time(engine)))
        calls = crm.called("changed_cases")
        second.follow_crm(Turns(3, lambda: pass_time(engine)))
        assert crm.called("changed_cases") == calls, "the lease of the dead one still runs"
        second.follow_crm(Turns(6, lambda: pass_time(engine)))
        assert crm.called("changed_cases") > calls

    def test_a_worker_that_stops_in_good_order_is_followed_at_once(self, engine, crm):
        new_worker(engine, "a").follow_crm(Turns(1))
        new_worker(engine, "b").follow_crm(Turns(1))
        assert crm.called("changed_cases") == 2

    def test_a_crm_that_is_down_is_left_alone(self, engine, crm):
        with engine.database.write() as session:
            for _ in range(gate.FAILURES_TO_OPEN):
                gate.note_failure(session, crm.name, UnreachableError("down"), now=START)
        new_worker(engine).follow_crm(Turns(5))
        assert crm.called("changed_cases") == 0

    def test_a_look_that_fails_counts_against_the_crm_and_ends_nothing(self, engine, crm):
        crm.fail("changed_cases", UnreachableError("reset"), times=2)
        new_worker(engine).follow_crm(Turns(4, lambda: pass_time(engine)))
        assert crm.called("changed_cases") == 4

    def test_a_feed_that_gives_everything_is_read_every_half_minute_only(self, engine, crm, monkeypatch):
        engine.receive(new_ticket())
        engine.settle()
        old = to_text(START - timedelta(days=400))
        looks = []

        def everything(since, *, page):
            looks.append(since)
            return FeedPage(rows=[CaseStamp(case_id="x", stamp=old)], newest=old, next=None)

        engine.settle()
        monkeypatch.setattr(crm, "changed_cases", everything)
        new_worker(engine).follow_crm(Turns(90, lambda: pass_time(engine)))
        assert 3 <= len(looks) <= 4


class TestDirectory:
    def test_it_is_refreshed_once_a_day(self, engine, crm):
        crm.keep("account", "acme", "Acme")
        each = new_worker(engine)
        each.keep_directory(Turns(3, lambda: pass_time(engine, 30)))
        assert crm.called("changed_directory") == 4, "each kind once"
        assert [event.name for event in engine.sent(DirectoryChanged)] == ["Acme"]
        pass_time(engine, 86_400)
        each.keep_directory(Turns(1, lambda: pass_time(engine, 30)))
        assert crm.called("changed_directory") == 8

    def test_a_crm_that_fails_is_asked_again(self, engine, crm):
        crm.fail("changed_directory", UnreachableError("reset"))
        new_worker(engine).keep_directory(Turns(2, lambda: pass_time(engine, 70)))
        assert crm.called("changed_directory") == 5


class TestStart:
    def guarded(self, engine, crm, **settings):
        return guard(engine.database, crm, OperationSettings(**settings))

    def test_another_crm_than_ours_stops_the_start_with_words(self, engine, crm, monkeypatch):
        refuse_other_crm(self.guarded(engine, crm))
        monkeypatch.setattr(crm, "info", lambda: CrmInfo(name="Fake CRM", version="1", instance="staging"))
        with pytest.raises(SettingsError, match="Correct CRM_API_URL"):
            refuse_other_crm(self.guarded(engine, crm))

    def test_a_crm_that_is_down_does_not(self, engine, crm):
        crm.fail("info", UnreachableError("down"))
        refuse_other_crm(self.guarded(engine, crm))

    def test_limits_make_calls_scarce(self, engine, crm):
        assert not self.guarded(engine, crm).budget.limited
        assert self.guarded(engine, crm, requests_per_day=1000).budget.limited

    def test_settings_are_read_and_checked(self, monkeypatch):
        assert read_operation_settings() == OperationSettings()
        monkeypatch.setenv("SWEEP_HOURS", "6")
        monkeypatch.setenv("CRM_REQUESTS_PER_MINUTE", "100")
        settings = read_operation_settings()
        assert (settings.sweep_span, settings.requests_per_minute) == (timedelta(hours=6), 100)
        monkeypatch.setenv("SWEEP_HOURS", "0")
        with pytest.raises(SettingsError, match="SWEEP_HOURS"):
            read_operation_settings()

    def test_the_worker_has_all_loops(self, engine, crm):
        each = new_worker(engine)
        each.sweeper = type("Sweeper", (), {"run": None})
        each.broker = type("Broker", (), {"publisher": lambda _: None})()
        assert {"feed", "directory", "sweep", "lanes", "leases", "inbox", "relay", "pulse"} <= set(each.loops())


def test_what_was_sent_and_seen_long_ago_is_forgotten(engine, crm):
    each = new_worker(engine)
    each.receive([pack(new_ticket(), source="portal", now=START)])
    engine.settle()
    with engine.database.write() as session:
        first, *others = session.scalars(select(outbox.table.c.event_id)).all()
        outbox.mark_sent(session, [first], now=START)

    def kept():
        with engine.database.read() as session:
            return [session.scalar(select(func.count()).select_from(table)) for table in (outbox.table, inbox.seen)]

    each.keep_house(Turns(1, lambda: pass_time(engine, 86_400)))
    assert kept() == [1 + len(others), 1]
    each.keep_house(Turns(1, lambda: pass_time(engine, 60 * 86_400)))
    assert kept() == [len(others), 0], "what is unsent stays however old it is"


def test_the_pulse_stores_what_was_counted(engine, crm):
    each = new_worker(engine, crm=guard(engine.database, crm, OperationSettings()))
    assert isinstance(each.crm, GuardedConnector)
    each.budget = each.crm.budget
    each.budget.now = lambda: engine.clock
    each.crm.contacts_by_email("x@example.org")
    each.pulse(Turns(1))
    with engine.database.read() as session:
        assert session.get_one(WorkerPulse, "a").seen_at == engine.clock
        found = read_operations(session, now=engine.clock)
    assert [budget.today for budget in found.budgets] == [1]


def test_everything_that_may_be_shown_can_be_read_at_once(engine, crm):
    engine.receive(new_ticket())
    engine.settle()
    with engine.database.write() as session:
        suspect_restore(session, crm.name, "why", now=START)
    with engine.database.read() as session:
        found = read_operations(session, now=engine.clock)
    assert ([alarm.name for alarm in found.alarms], found.backfill) == (["portal_restored"], None)
    assert found.installations[0].read_only_since == START
