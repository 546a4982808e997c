"""Lanes are claimed in few transactions, and what waits for a thread is let go when there is a reason."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from crm_sync_service import gate
from crm_sync_service.connectors.base import RateLimitedError
from crm_sync_service.models import Lane
from shared.clock import utc_now
from tests.crm_sync_service.engine import Engine, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm

THREADS = 2


@pytest.fixture
def crm():
    return FakeCrm()


@pytest.fixture
def engine(sync_database, crm):
    engine = Engine(sync_database, crm)
    engine.runner.threads, engine.runner.now = THREADS, utc_now
    engine.clock = utc_now() - timedelta(minutes=1)
    with sync_database.write() as session:
        gate.announce_if_due(session, crm.name, now=utc_now())  # as the worker's pulse does when it starts
    return engine


@pytest.fixture
def hold_up(crm):
    """Every creation waits until the event is set; the semaphore counts those that do."""
    arrived, go = threading.Semaphore(0), threading.Event()

    def hook(call, when):
        if (call.method, when) == ("create_case", "before"):
            arrived.release()
            assert go.wait(20)

    crm.hooks.append(hook)
    return arrived, go


def states(engine):
    with engine.database.read() as session:
        return sorted(session.scalars(select(Lane.state)))


def run_in_thread(runner):
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    return thread, stop


def stop_it(runner, thread, stop):
    stop.set()
    runner.doorbell.set()
    thread.join(20)
    assert not thread.is_alive()


def test_lanes_that_wait_for_a_thread_are_given_back_at_the_end(engine, crm, hold_up):
    arrived, go = hold_up
    engine.receive(*(new_ticket(number=1001 + index, contact=None) for index in range(10)))
    thread, stop = run_in_thread(engine.runner)
    for _ in range(THREADS):
        assert arrived.acquire(timeout=20)
    assert states(engine) == ["due"] * 2 + ["running"] * 8

    stop.set()
    engine.runner.doorbell.set()
    while states(engine) != ["due"] * 8 + ["running"] * 2:
        threading.Event().wait(0.01)
    go.set()
    stop_it(engine.runner, thread, stop)

    assert states(engine) == ["due"] * 8 + ["idle"] * 2
    assert crm.called("create_case") == 2


def test_a_crm_that_asks_for_a_pause_is_not_called_for_lanes_claimed_before(engine, crm, hold_up):
    arrived, go = hold_up
    crm.fail("create_case", RateLimitedError("429", retry_after=timedelta(minutes=5)), when="after", times=2)
    engine.receive(*(new_ticket(number=1001 + index, contact=None) for index in range(4)))
    thread, stop = run_in_thread(engine.runner)
    for _ in range(THREADS):
        assert arrived.acquire(timeout=20)
    go.set()
    while states(engine) != ["due"] * 4:
        threading.Event().wait(0.01)
    stop_it(engine.runner, thread, stop)

    assert crm.called("create_case") == 2
