"""Lanes of one process commit together; what becomes of one is no matter of the others."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from crm_sync_service import lanes, steps
from crm_sync_service.budget import urgency
from crm_sync_service.fibres import Fibres
from crm_sync_service.lanes import LEASE, LaneLostError
from crm_sync_service.links import Did, LinkState, Outcome
from crm_sync_service.models import Activity, Lane, Link, outbox
from crm_sync_service.steps import End, Step
from crm_sync_service.stored import load_each
from shared.ids import new_id

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
UPDATED = Did(direction="to_crm", action="updated", detail="priority")
THREADS = 8


def run_all(commit, *runs, calls=2):
    """Each of the runs, begun in this order; the fibres are theirs."""
    fibres = Fibres(commit)
    with fibres.open(calls):
        for run in runs:
            fibres.start(lambda run=run: run(fibres))
    return fibres


class Commits:
    """Keeps what it was given; `fail` says what becomes of an item."""

    def __init__(self, fail=lambda _: None):
        self.groups, self.fail = [], fail

    def __call__(self, items):
        self.groups.append(list(items))
        return [self.fail(item) for item in items]


def storing(item, results):
    """A run that wants one item stored and says what became of it."""

    def run(fibres):
        try:
            fibres.do(item)
            results[item] = "stored"
        except Exception as error:  # noqa: BLE001 (of any kind)
            results[item] = type(error).__name__

    return run


def test_what_runs_have_to_store_when_all_wait_shares_a_commit():
    commits, results = Commits(), {}

    def twice(fibres):
        storing("a", results)(fibres)
        storing("b", results)(fibres)

    run_all(commits, twice, storing("c", results), storing("d", results))

    assert commits.groups == [["a", "c", "d"], ["b"]]
    assert set(results.values()) == {"stored"}


def test_each_meets_its_own_error():
    commits, results = Commits(lambda item: ValueError(item) if item in {3, 5} else None), {}

    fibres = run_all(commits, *(storing(item, results) for item in (2, 3, 4, 5)))

    assert results == {2: "stored", 3: "ValueError", 4: "stored", 5: "ValueError"}
    assert (fibres.running, fibres.asked) == (0, 0)


def test_outside_of_a_run_things_are_stored_alone_and_called_at_once():
    commits = Commits(lambda item: ValueError(item) if item == "b" else None)
    fibres = Fibres(commits)

    fibres.do("a")
    with pytest.raises(ValueError, match="b"):
        fibres.do("b")

    assert commits.groups == [["a"], ["b"]]
    assert fibres.call(threading.get_ident) == threading.get_ident()


def test_runs_go_on_and_commit_while_others_wait_for_an_answer_and_calls_are_made_by_as_many_threads():
    commits, asked, go, order = Commits(), threading.Semaphore(0), threading.Event(), []

    def slow(name):
        asked.release()
        assert go.wait(20)
        return name

    def asking(name):
        def run(fibres):
            order.append(fibres.call(slow, name))

        return run

    def other(fibres):
        for _ in range(2):
            assert asked.acquire(timeout=20)
        assert not asked.acquire(timeout=0.05)  # the third has no thread
        fibres.do("meanwhile")
        order.append("stored")
        go.set()

    run_all(commits, asking("x"), asking("y"), asking("z"), other)

    assert order[0] == "stored"
    assert sorted(order[1:]) == ["x", "y", "z"]


def test_an_answer_that_is_an_error_is_raised_where_it_was_asked_for_with_its_urgency():
    seen = []

    def failing():
        seen.append(urgency.get())
        raise ValueError("no")

    def run(fibres, level):
        urgency.set(level)
        with pytest.raises(ValueError, match="no"):
            fibres.call(failing)
        seen.append(urgency.get())

    run_all(Commits(), lambda fibres: run(fibres, 1), lambda fibres: run(fibres, 9))

    assert sorted(seen) == [1, 1, 9, 9]


def test_when_the_commit_dies_of_what_ends_the_process_the_runs_hear_that_nobody_knows():
    results = {}

    def commit(items):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(commit, *(storing(item, results) for item in (1, 2)))

    assert results == {1: "OutcomeUnknownError", 2: "OutcomeUnknownError"}


# Over the tables.


@pytest.fixture
def held(sync_database):
    """Claims of as many lanes as there are threads."""
    with sync_database.write() as session:
        lanes.mark_due(session, [new_id() for _ in range(THREADS)], now=NOW)
        return lanes.claim(session, owner="first", now=NOW, limit=THREADS)


def commit(database, todo, now=NOW):
    return steps._commit(database, todo, lambda: now)


def saved(held, **changes):
    return Step(held=held, link=replace(LinkState(ticket_id=held.ticket_id), **changes), did=[UPDATED])


def ended(held, **changes):
    link = replace(LinkState(ticket_id=held.ticket_id), **changes)
    end = End(outcome=Outcome(state="in_sync", link=link, notes=0), version=3, receipt=1)
    return Step(held=held, link=link, end=end)


def count(database, model):
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(model))


def names(errors):
    return [type(error).__name__ if error else "stored" for error in errors]


def take_over(database, held):
    with database.write() as session:
        [lane] = session.scalars(select(Lane).where(Lane.ticket_id == held.ticket_id))
        lane.lease_until = NOW - LEASE
    with database.write() as session:
        [taken] = lanes.claim(session, owner="second", now=NOW, limit=1)
    assert taken.ticket_id == held.ticket_id
    return taken


def test_a_lost_lane_fails_alone(sync_database, held):
    taken = take_over(sync_database, held[2])
    errors = commit(sync_database, [saved(each, state="linked", case_id=f"c{i}") for i, each in enumerate(held)])
    assert names(errors) == ["stored"] * 2 + ["LaneLostError"] + ["stored"] * (THREADS - 3)
    with sync_database.read() as session:
        assert session.get(Link, held[2].ticket_id) is None
        assert session.get_one(Link, held[3].ticket_id).case_id == "c3"
    assert count(sync_database, Activity) == THREADS - 1
    assert names(commit(sync_database, [saved(taken), saved(held[2])])) == ["stored", "LaneLostError"]


def test_a_lost_lane_cannot_end_either_and_tells_the_portal_nothing(sync_database, held):
    take_over(sync_database, held[0])
    assert names(commit(sync_database, [ended(each) for each in held])) == ["LaneLostError"] + ["stored"] * (
        THREADS - 1
    )
    assert count(sync_database, outbox.table) == THREADS - 1
    with sync_database.read() as session:
        assert lanes.depth(session) == {"running": 1, "idle": THREADS - 1}


def test_ends_and_steps_of_lanes_that_go_on_share_a_transaction(sync_database, held):
    late = NOW + LEASE / 2
    with sync_database.write() as session:
        lanes.mark_due(session, [held[0].ticket_id], now=NOW)
    todo = [ended(held[0]), ended(held[1]), *(saved(each) for each in held[2:])]
    assert names(commit(sync_database, todo, now=late)) == ["stored"] * THREADS
    with sync_database.read() as session:
        rows = {row.ticket_id: row for row in session.scalars(select(Lane))}
        assert [rows[each.ticket_id].state for each in held] == ["due", "idle"] + ["running"] * (THREADS - 2)
        assert {rows[each.ticket_id].lease_until for each in held[2:]} == {late + LEASE}
        assert [work.receipts for work in load_each(session, [held[1].ticket_id]).values()] == [1]


def test_a_ticket_that_cannot_be_stored_is_the_only_one_to_fail(sync_database, held):
    """Two tickets of one Case: the database refuses the second."""
    todo = [saved(each, state="linked", case_id="same" if i in {1, 4} else f"c{i}") for i, each in enumerate(held)]
    errors = commit(sync_database, todo)
    assert names(errors) == ["stored"] * 4 + ["IntegrityError"] + ["stored"] * (THREADS - 5)
    assert count(sync_database, Link) == THREADS - 1
    assert count(sync_database, Activity) == THREADS - 1
    assert isinstance(errors[4], IntegrityError)


def test_when_the_database_is_gone_all_fail_and_nothing_is_stored(sync_database, held):
    def fail(_session):
        raise OperationalError("UPDATE", {}, Exception("the server closed the connection"))

    todo = [saved(each) for each in held]
    todo[3] = replace(todo[3], also=fail)
    assert names(commit(sync_database, todo)) == ["OperationalError"] * THREADS
    assert (count(sync_database, Link), count(sync_database, Activity)) == (0, 0)
    assert names(commit(sync_database, [saved(each) for each in held])) == ["stored"] * THREADS


def test_a_group_with_a_lost_lane_raises_for_its_run_only(sync_database, held):
    take_over(sync_database, held[5])
    results = {}
    steps_of = [saved(each) for each in held]

    def run(fibres, number):
        try:
            fibres.do(steps_of[number])
            results[number] = "stored"
        except LaneLostError:
            results[number] = "lost"

    commit_all = steps.group_commit(sync_database, lambda: NOW)
    run_all(commit_all, *(lambda fibres, n=n: run(fibres, n) for n in range(THREADS)))

    assert [results[n] for n in range(THREADS)] == ["stored"] * 5 + ["lost"] + ["stored"] * (THREADS - 6)


def test_what_people_ask_for_meanwhile_and_the_stamp_of_our_last_write_stay(sync_database, held):
    commit(sync_database, [saved(held[0], wrote="stamp 7")])
    with sync_database.write() as session:
        link = session.get_one(Link, held[0].ticket_id)
        link.orders, link.notes_told = [{"number": 1}], 4
    commit(sync_database, [saved(held[0])])
    with sync_database.read() as session:
        link = session.get_one(Link, held[0].ticket_id)
        assert (link.orders, link.notes_told, link.echo) == ([{"number": 1}], 4, "stamp 7")


def test_two_processes_that_mark_claim_and_commit_the_same_lanes_never_wait_for_each_other_for_ever(sync_database):
    """Everybody takes several lanes in one order; a deadlock would fail a step."""
    tickets = [new_id() for _ in range(24)]
    errors = []

    def work(owner):
        commit_all = steps.group_commit(sync_database, lambda: NOW)
        for _ in range(4):
            with sync_database.write() as session:
                lanes.mark_due(session, reversed(tickets), now=NOW)
            with sync_database.write() as session:
                claims = lanes.claim(session, owner=owner, now=NOW, limit=16)
            with sync_database.write() as session:
                lanes.renew(session, list(reversed(claims)), now=NOW)
            for todo in ([saved(each) for each in claims], [ended(each) for each in reversed(claims)]):
                errors.extend(filter(None, commit_all(todo)))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ("first", "second")))
    assert [error for error in errors if not isinstance(error, LaneLostError)] == []
    with sync_database.write() as session:
        rest = lanes.claim(session, owner="last", now=NOW + timedelta(seconds=1), limit=100)
    assert {held.ticket_id for held in rest} <= set(tickets)
