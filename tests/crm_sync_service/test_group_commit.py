"""Lanes of one process commit together; what becomes of one is no matter of the others."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from crm_sync_service import lanes, steps
from crm_sync_service.group_commit import GroupCommit
from crm_sync_service.lanes import LEASE, LaneLostError
from crm_sync_service.links import Did, LinkState, Outcome
from crm_sync_service.models import Activity, Lane, Link, outbox
from crm_sync_service.steps import End, Step
from crm_sync_service.stored import load_each
from shared.ids import new_id

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
UPDATED = Did(direction="to_crm", action="updated", detail="priority")
THREADS = 8


class Gate:
    """A commit that can be held up, and says what it was given."""

    def __init__(self, commit=lambda items: [None] * len(items)):
        self.commit, self.groups = commit, []
        self.entered, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, items):
        self.groups.append(list(items))
        self.entered.release()
        assert self.go.acquire(timeout=20)
        return self.commit(items)


def waiting(group, count):
    while len(group._queue) < count:
        threading.Event().wait(0.001)


def result(future):
    error = future.exception(timeout=20)
    return type(error).__name__ if error else "stored"


def all_at_once(gate, items):
    """The first is being committed when all the others come; what became of each."""
    group = GroupCommit(gate)
    with ThreadPoolExecutor(len(items)) as pool:
        first = pool.submit(group.do, items[0])
        assert gate.entered.acquire(timeout=20)
        rest = []
        for number, item in enumerate(items[1:], 1):
            rest.append(pool.submit(group.do, item))
            waiting(group, number)
        for _ in range(len(items) + 1):
            gate.go.release()
        results = [result(future) for future in (first, *rest)]
    group.do("the next one")
    return results


def test_what_comes_during_a_commit_shares_the_next_one():
    gate = Gate()
    assert all_at_once(gate, [1, 2, 3, 4]) == ["stored"] * 4
    assert gate.groups == [[1], [2, 3, 4], ["the next one"]]


def test_who_comes_alone_commits_alone_and_at_once():
    groups = []
    group = GroupCommit(lambda items: groups.append(items) or [None])
    group.do("a")
    group.do("b")
    assert groups == [["a"], ["b"]]


def test_each_meets_its_own_error():
    gate = Gate(lambda items: [ValueError(item) if item in {3, 5} else None for item in items])
    assert all_at_once(gate, [2, 3, 4, 5]) == ["stored", "ValueError", "stored", "ValueError"]


def test_when_the_thread_that_commits_dies_the_others_hear_that_nobody_knows_and_the_next_ones_go_on():
    deaths = iter([None, KeyboardInterrupt(), None, None])

    def commit(items):
        if (death := next(deaths)) is not None:
            raise death
        return [None] * len(items)

    gate = Gate(commit)
    assert sorted(all_at_once(gate, [1, 2, 3])) == ["KeyboardInterrupt", "OutcomeUnknownError", "stored"]


def test_many_threads_and_many_items_each_once():
    stored, group_sizes = [], []

    def commit(items):
        group_sizes.append(len(items))
        stored.extend(items)
        return [None] * len(items)

    group = GroupCommit(commit)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(group.do, range(500)))
    assert sorted(stored) == list(range(500))
    assert sum(group_sizes) == 500
    assert not group._led


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


def test_a_group_with_a_lost_lane_raises_for_its_thread_only(sync_database, held):
    take_over(sync_database, held[5])
    group = steps.group_commit(sync_database, lambda: NOW)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(group.do, saved(each)) for each in held]
    assert [result(future) for future in futures] == ["stored"] * 5 + ["LaneLostError"] + ["stored"] * (THREADS - 6)
    assert isinstance(futures[5].exception(), LaneLostError)


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
        group = steps.group_commit(sync_database, lambda: NOW)
        for _ in range(4):
            with sync_database.write() as session:
                lanes.mark_due(session, reversed(tickets), now=NOW)
            with sync_database.write() as session:
                claims = lanes.claim(session, owner=owner, now=NOW, limit=16)
            with sync_database.write() as session:
                lanes.renew(session, list(reversed(claims)), now=NOW)
            with ThreadPoolExecutor(4) as pool:
                futures = [pool.submit(group.do, step) for each in claims for step in [saved(each)]]
                futures += [pool.submit(group.do, ended(each)) for each in claims]
            errors.extend(filter(None, (future.exception() for future in futures)))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ("first", "second")))
    assert [error for error in errors if not isinstance(error, LaneLostError)] == []
    with sync_database.write() as session:
        rest = lanes.claim(session, owner="last", now=NOW + timedelta(seconds=1), limit=100)
    assert {held.ticket_id for held in rest} <= set(tickets)
