"""The guard before a connector: budget, forbidden capabilities, the right CRM; and what lanes make of them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from crm_sync_service import gate
from crm_sync_service.alarms import alarms
from crm_sync_service.budget import Budget, BudgetSpentError, forget_old, share_of, urgency
from crm_sync_service.circuits import CapabilityClosedError, Circuits
from crm_sync_service.connectors.base import Connector, CrmInfo, ForbiddenError, UnauthorisedError
from crm_sync_service.guard import GuardedConnector
from crm_sync_service.installation import Instance, OtherCrmError, accept_crm, end_read_only, suspect_restore
from crm_sync_service.lanes import Priority
from crm_sync_service.models import Base
from crm_sync_service.operation_models import CallCount, Circuit
from crm_sync_service.operations import budgets, operation_gauges
from shared.events import Receipt
from tests.crm_sync_service.engine import START, Engine, new_reply, new_ticket

DAY = timedelta(days=1)


class Guarded(Engine):
    """An engine whose CRM is behind the guard."""

    def __init__(self, database, crm, *, per_minute=0, per_day=0):
        super().__init__(database, crm)
        self.budget = Budget(
            database=database, crm=crm.name, per_minute=per_minute, per_day=per_day, now=lambda: self.clock
        )
        self.guard = GuardedConnector(
            crm,
            budget=self.budget,
            circuits=Circuits(database=database, crm=crm.name, now=lambda: self.clock),
            instance=Instance(database=database, crm=crm.name, now=lambda: self.clock),
        )
        self.runner.crm = self.guard
        self.runner.scarce = self.budget.limited

    def alarms(self):
        with self.database.read() as session:
            return [alarm.name for alarm in alarms(session)]


@pytest.fixture
def database(open_database):
    return open_database("sqlite", Base.metadata)


@pytest.fixture
def guarded(database, crm):
    return Guarded(database, crm)


@pytest.fixture(autouse=True)
def _ordinary_work():
    token = urgency.set(Priority.CHANGE)
    yield
    urgency.reset(token)


def budget(database, *, per_minute=0, per_day=0, now=START):
    return Budget(database=database, crm="fake", per_minute=per_minute, per_day=per_day, now=lambda: now)


def spend(allowance, most=1000):
    """How many calls go through before one is refused."""
    for done in range(most):
        try:
            allowance.spend()
        except BudgetSpentError:
            return done
    return most


class TestBudget:
    def test_a_minutes_calls_are_kept_below_the_limit_by_all_workers_together(self, sync_database):
        workers = [budget(sync_database, per_minute=100) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(spend, workers))
        assert 70 <= sum(done) <= share_of(100, Priority.CHANGE)

    def test_what_matters_more_may_spend_more(self, database):
        allowance = budget(database, per_minute=100)
        done = []
        for priority in reversed(Priority):
            urgency.set(priority)
            done.append(spend(allowance))
        assert sum(done[:1]) == 50
        assert [sum(done[: place + 1]) for place in range(5)] == [50, 80, 90, 95, 100]

    def test_the_words_name_the_setting_and_the_moment(self, database):
        allowance = budget(database, per_minute=10)
        spend(allowance)
        with pytest.raises(BudgetSpentError, match="CRM_REQUESTS_PER_MINUTE") as refused:
            allowance.spend()
        assert refused.value.until == START.replace(second=0) + timedelta(minutes=1)

    def test_the_next_minute_has_its_own_calls_and_the_day_does_not(self, database):
        now = [START]
        allowance = Budget(database=database, crm="fake", per_minute=10, per_day=15, now=lambda: now[0])
        assert spend(allowance) == 9
        now[0] = START + timedelta(minutes=1)
        assert spend(allowance) == 3, "13 of 15, less 9 and one that was set aside and not made"
        with pytest.raises(BudgetSpentError, match="CRM_REQUESTS_PER_DAY") as refused:
            allowance.spend()
        assert refused.value.until == START.replace(hour=0) + DAY

    def test_without_a_limit_calls_are_counted_now_and_then(self, database):
        allowance = budget(database)
        spend(allowance, 30)
        allowance.flush()
        with database.read() as session:
            [figures] = budgets(session, now=START)
        assert (figures.this_minute, figures.today) == (30, 30)

    def test_old_counts_are_forgotten(self, database):
        with database.write() as session:
            for period in ("2026-11-22T09:59", "2026-11-22T10:01", "2026-09-22", "2026-11-21"):
                session.add(CallCount(crm="fake", period=period, calls=1))
        with database.write() as session:
            forget_old(session, now=START)
            assert set(session.scalars(select(CallCount.period))) == {"2026-11-22T10:01", "2026-11-21"}


def test_a_ticket_whose_calls_are_spent_waits_for_the_next_minute_and_loses_nothing(database, crm):
    engine = Guarded(database, crm, per_minute=4)
    ticket = new_ticket(reply_count=6)
    engine.receive(ticket, *(new_reply(ticket, position) for position in range(1, 7)))
    engine.settle()
    lane = engine.lane(ticket.ticket_id)
    assert (lane.state, lane.attempts, lane.due_at) == ("due", 0, START + timedelta(minutes=1))
    assert "is spent" in lane.cause
    assert "is spent" in engine.receipt().reason
    assert len(crm.calls) <= 4 + 2, "the look at the feed and the first question are outside of it"
    for _ in range(6):
        engine.settle(seconds=60)
    assert len(crm.notes) == 6
    assert engine.lane(ticket.ticket_id).state == "idle"


def test_new_cases_go_before_replies_and_those_before_changes(database, crm):
    engine = Guarded(database, crm, per_minute=1000)
    old = [new_ticket(number=1000 + place) for place in range(2)]
    engine.receive(*old)
    engine.settle()
    fresh = new_ticket(number=1009)
    crm.edit(next(iter(crm.cases)), priority="high")
    engine.receive(replace(old[1], version=2, subject="Changed"))
    engine.receive(replace(old[0], version=2, reply_count=1), new_reply(old[0], 1))
    engine.receive(fresh)
    crm.writes.clear()
    engine.runner.run_until_idle()
    assert [call.method for call in crm.writes] == ["create_case", "create_note", "update_case"]


class TestForbidden:
    def test_what_the_crm_forbids_rests_and_all_else_goes_on(self, guarded, crm):
        crm.fail("create_note", ForbiddenError("403: no Notes for you"), times=2)
        ticket, other = new_ticket(number=1001, reply_count=1), new_ticket(number=1002)
        guarded.receive(ticket, new_reply(ticket, 1), other)
        guarded.settle()
        assert len(crm.cases) == 2
        assert guarded.lane(other.ticket_id).state == "idle"
        lane = guarded.lane(ticket.ticket_id)
        assert (lane.state, lane.attempts) == ("due", 0)
        assert "no Notes for you" in lane.cause
        assert guarded.alarms() == ["forbidden:create_note"]
        assert guarded.sent(Receipt)[-1].state in {"waiting", "in_sync"}
        calls = crm.called("create_note")
        guarded.receive(replace(ticket, version=2))
        guarded.settle(seconds=10)
        assert crm.called("create_note") == calls, "not asked again before the probe"
        guarded.settle(seconds=60)
        assert crm.called("create_note") == calls + 1
        with guarded.database.read() as session:
            [circuit] = session.scalars(select(Circuit))
        assert (circuit.failures, circuit.until - guarded.clock) == (2, timedelta(minutes=2))
        guarded.settle(seconds=130)
        assert len(crm.notes) == 1
        assert guarded.alarms() == []
        with guarded.database.read() as session:
            assert gate.may_call(session, crm.name)
            assert session.scalars(select(Circuit)).all() == []

    def test_a_case_that_is_hidden_from_us_is_not_taken_for_deleted(self, guarded, crm):
        """FAILURES 48: neither a list without it nor a 403 is a deletion."""
        ticket = new_ticket()
        guarded.receive(ticket)
        guarded.settle()
        crm.hidden.update(crm.cases)
        guarded.settle(seconds=300)
        assert guarded.link(ticket).state == "linked"
        crm.fail("get_case", ForbiddenError("403: not for you"), times=3)
        guarded.receive(replace(ticket, version=2, status="open"))
        for _ in range(3):
            guarded.settle(seconds=70)
        assert guarded.link(ticket).state == "linked"
        for _ in range(6):
            guarded.settle(seconds=130)
        assert (guarded.case(ticket)["status"], guarded.link(ticket).in_sync) == ("assigned", True)

    def test_other_workers_know_of_it_within_seconds(self, database, crm):
        first, second = Guarded(database, crm), Guarded(database, crm)
        crm.fail("get_case", ForbiddenError("403"))
        second.guard.info()
        with pytest.raises(CapabilityClosedError):
            first.guard.get_case("x")
        with pytest.raises(CapabilityClosedError):
            second.guard.get_case("x")

    def test_only_one_probe_is_made_when_the_pause_ends(self, database, crm):
        now = [START]
        circuits = Circuits(database=database, crm="fake", now=lambda: now[0])
        circuits.forbidden("create_note", "403")
        now[0] += timedelta(seconds=61)
        circuits.check("create_note")
        with pytest.raises(CapabilityClosedError):
            circuits.check("create_note")

    def test_it_is_a_metric(self, guarded, crm):
        crm.fail("get_case", ForbiddenError("403"))
        with pytest.raises(CapabilityClosedError):
            guarded.guard.get_case("x")
        with guarded.database.read() as session:
            gauges = {gauge.name: gauge for gauge in operation_gauges(session, now=START)}
        assert gauges["casebridge_capability_closed"].labels["capability"] == "get_case"
        assert gauges["casebridge_alarms"].value == 1


def test_a_refused_log_in_parks_no_ticket(guarded, crm):
    """FAILURES 51: 10,000 events must not end parked because a password was changed."""
    crm.fail("*", UnauthorisedError("401: log in again"), times=30)
    tickets = [new_ticket(number=1000 + place) for place in range(5)]
    with guarded.database.write() as session:
        gate.state_of(session, crm.name, now=START)
    guarded.receive(*tickets)
    for _ in range(40):
        guarded.clock += timedelta(seconds=15)
        guarded.runner.run_until_idle()
    assert {guarded.lane(ticket.ticket_id).state for ticket in tickets} == {"idle"}
    assert len(crm.cases) == 5


class TestInstance:
    """FAILURES 67, 69."""

    def other(self, crm, monkeypatch, instance="staging"):
        monkeypatch.setattr(crm, "info", lambda: CrmInfo(name="Fake CRM", version="1", instance=instance))

    def test_the_first_crm_is_remembered_and_another_one_is_never_called(self, database, crm, monkeypatch):
        engine = Guarded(database, crm)
        engine.receive(new_ticket())
        engine.settle()
        self.other(crm, monkeypatch)
        restarted = Guarded(database, crm)
        with pytest.raises(OtherCrmError, match=r"calls itself 'staging', but this database belongs to 'fake'.*accept"):
            restarted.guard.info()
        restarted.receive(new_ticket(number=1002))
        restarted.settle(seconds=1)
        assert len(crm.cases) == 1
        assert restarted.alarms() == ["other_crm"]
        with database.read() as session:
            assert not gate.may_call(session, crm.name)

    def test_a_person_may_say_that_it_is_the_same(self, database, crm, monkeypatch):
        engine = Guarded(database, crm)
        engine.guard.info()
        self.other(crm, monkeypatch, "renamed")
        with database.write() as session:
            accept_crm(session, crm.name, crm.info(), now=START)
        Guarded(database, crm).guard.info()

    def test_who_it_is_is_asked_once(self, guarded, crm):
        guarded.receive(*(new_ticket(number=number) for number in range(1, 6)))
        guarded.settle()
        assert crm.called("info") == 1


def test_while_a_restore_is_suspected_nothing_is_written(guarded, crm):
    with guarded.database.write() as session:
        suspect_restore(session, crm.name, "the portal answers with older versions", now=START)
    guarded.receive(new_ticket())
    guarded.settle()
    assert crm.writes == []
    assert guarded.alarms() == ["portal_restored"]
    with guarded.database.write() as session:
        end_read_only(session, crm.name)
    guarded.settle()
    assert len(crm.cases) == 1
    assert guarded.alarms() == []


def test_the_guard_keeps_the_whole_contract():
    """Whatever a connector offers goes through the guard; nothing is forgotten when the contract grows."""
    offered = {name for name, value in vars(Connector).items() if callable(value) and not name.startswith("_")}
    assert {"create_case", "changed_notes", "close"} <= offered
    assert offered <= set(vars(GuardedConnector))
