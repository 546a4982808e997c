"""Who writes next on SQLite, and connections of a server that went away meanwhile."""

import threading

import pytest
from sqlalchemy import text

from shared import database as module
from shared.database import Database, FairLock
from tests.conftest import POSTGRES_URL


def test_threads_get_the_lock_in_the_order_in_which_they_came():
    lock, order, threads = FairLock(), [], []

    def take(number):
        with lock:
            order.append(number)

    with lock:
        for number in range(5):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(lock._queue) <= number:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4]


def test_a_thread_that_writes_in_a_loop_lets_another_in_between():
    lock, log, waiting = FairLock(), [], threading.Event()

    def other():
        waiting.set()
        with lock:
            log.append("other")

    thread = threading.Thread(target=other)
    with lock:
        thread.start()
        waiting.wait()
        while not lock._queue:
            threading.Event().wait(0.001)
    with lock:
        log.append("loop")
    thread.join()

    assert log == ["other", "loop"]


def test_the_lock_may_be_taken_again_by_who_has_it():
    lock = FairLock()
    with lock, lock:
        assert lock._depth == 2
    assert lock._owner is None


@pytest.mark.postgres
def test_a_rested_connection_is_tried_before_it_is_used(monkeypatch, tmp_path):
    database = Database(POSTGRES_URL, schema="public", migrations=tmp_path)
    monkeypatch.setattr(module, "_RESTED_SECONDS", 0.0)
    witness = Database(POSTGRES_URL, schema="public", migrations=tmp_path)
    with database.read() as session:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
    with witness.read() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    witness.dispose()
    with database.read() as session:
        assert session.scalar(text("SELECT pg_backend_pid()")) != pid
    database.dispose()


@pytest.mark.postgres
def test_looking_holds_no_transaction_open(tmp_path):
    database = Database(POSTGRES_URL, schema="public", migrations=tmp_path)
    with database.read() as session, database.read() as witness:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        state = witness.scalar(text("SELECT state FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid})
    database.dispose()
    assert state == "idle"
