import threading
import time

import pytest
from sqlalchemy import text

from shared.wakeup import Wakeup


@pytest.fixture
def wakeup(service):
    wakeup = Wakeup(service.database)
    yield wakeup
    wakeup.close()


def elapsed(wait, timeout):
    started = time.monotonic()
    wait(timeout)
    return time.monotonic() - started


def test_nothing_committed_means_waiting_in_full(wakeup):
    assert 0.2 <= elapsed(wakeup.wait, 0.2) < 1


def test_a_commit_ends_the_wait_early(wakeup, service):
    timer = threading.Timer(0.1, service.add, args=(1,))
    timer.start()

    assert elapsed(wakeup.wait, 10) < 2
    timer.join()


def test_a_commit_between_two_waits_is_not_missed(wakeup, service):
    elapsed(wakeup.wait, 0.05)
    service.add(1)

    assert elapsed(wakeup.wait, 10) < 1


def test_what_was_seen_once_does_not_wake_again(wakeup, service):
    service.add(1)
    wakeup.wait(5)

    assert elapsed(wakeup.wait, 0.2) >= 0.2


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_lost_connection_is_made_again(wakeup, service):
    pid = wakeup._signal._connection.info.backend_pid
    with service.database.write() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    wakeup.wait(0.2)
    wakeup.wait(0.05)
    service.add(1)

    assert elapsed(wakeup.wait, 10) < 1
