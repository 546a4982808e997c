"""Lanes: one worker per ticket, no work lost, nobody else delayed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from crm_sync_service import lanes
from crm_sync_service.lanes import LEASE, MAX_CRASHES, LaneLostError
from crm_sync_service.models import Lane
from shared.ids import new_id

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def due(database, count=1, now=NOW):
    tickets = [new_id() for _ in range(count)]
    with database.write() as session:
        lanes.mark_due(session, tickets, now=now)
    return tickets


def claim(database, *, now=NOW, limit=10, owner="w"):
    with database.write() as session:
        return lanes.claim(session, owner=owner, now=now, limit=limit)


def test_a_claimed_lane_is_nobody_elses(sync_database):
    due(sync_database)
    assert len(claim(sync_database)) == 1
    assert claim(sync_database, owner="other") == []


def test_parallel_workers_share_the_lanes_without_overlap(sync_database):
    tickets = due(sync_database, 60)
    with ThreadPoolExecutor(6) as pool:
        shares = list(pool.map(lambda n: claim(sync_database, limit=10, owner=f"w{n}"), range(12)))
    claimed = [held.ticket_id for share in shares for held in share]
    assert sorted(claimed, key=str) == sorted(tickets, key=str)


def test_a_dead_workers_lane_is_taken_over_when_its_lease_ends(sync_database):
    due(sync_database)
    [dead] = claim(sync_database)
    assert claim(sync_database, now=NOW + LEASE) == []
    [taken] = claim(sync_database, now=NOW + LEASE + timedelta(seconds=1))
    assert (taken.crashes, taken.fence) == (1, dead.fence + 1)


def test_a_renewed_lease_is_not_taken_over(sync_database):
    due(sync_database)
    held = claim(sync_database)
    with sync_database.write() as session:
        lanes.renew(session, held, now=NOW + LEASE / 2)
    assert claim(sync_database, now=NOW + LEASE + timedelta(seconds=1)) == []


def test_who_lost_a_lane_can_write_nothing(sync_database):
    due(sync_database)
    [old] = claim(sync_database)
    claim(sync_database, now=NOW + LEASE * 2)
    for write in (
        lambda s, h: lanes.check_fence(s, h, now=NOW),
        lambda s, h: lanes.finish(s, h, now=NOW, again_at=None),
    ):
        with pytest.raises(LaneLostError), sync_database.write() as session:
            write(session, old)


def test_what_arrives_during_a_run_is_looked_at_afterwards(sync_database):
    [ticket] = due(sync_database)
    [held] = claim(sync_database)
    with sync_database.write() as session:
        lanes.mark_due(session, [ticket], now=NOW)
    with sync_database.write() as session:
        lanes.finish(session, held, now=NOW, again_at=None)
    assert [again.ticket_id for again in claim(sync_database)] == [ticket]


def test_a_finished_lane_rests(sync_database):
    due(sync_database)
    [held] = claim(sync_database)
    with sync_database.write() as session:
        lanes.finish(session, held, now=NOW, again_at=None)
    assert claim(sync_database, now=NOW + timedelta(days=1)) == []


def test_a_failed_lane_keeps_its_pause_though_more_arrives(sync_database):
    [ticket] = due(sync_database)
    [held] = claim(sync_database)
    with sync_database.write() as session:
        lanes.fail(session, held, cause="500", retry_at=NOW + timedelta(seconds=8), now=NOW)
        lanes.mark_due(session, [ticket], now=NOW)
    assert claim(sync_database, now=NOW + timedelta(seconds=7)) == []
    [again] = claim(sync_database, now=NOW + timedelta(seconds=8))
    assert again.attempts == 1


def test_a_ticket_that_kills_workers_is_parked(sync_database):
    [ticket] = due(sync_database)
    now = NOW
    for _ in range(MAX_CRASHES):
        assert len(claim(sync_database, now=now)) == 1
        now += LEASE * 2
    assert claim(sync_database, now=now) == []
    with sync_database.read() as session:
        lane = session.get_one(Lane, ticket)
        assert (lane.state, lane.crashes) == ("parked", MAX_CRASHES)


def test_a_parked_lane_waits_for_a_person(sync_database):
    [ticket] = due(sync_database)
    [held] = claim(sync_database)
    with sync_database.write() as session:
        lanes.park(session, held, cause="the CRM refuses it", now=NOW)
        lanes.mark_due(session, [ticket], now=NOW)
    assert claim(sync_database, now=NOW + timedelta(days=1)) == []
    with sync_database.write() as session:
        assert lanes.retry(session, [ticket], now=NOW) == 1
    assert len(claim(sync_database)) == 1


def test_depth_counts_lanes_by_state(sync_database):
    due(sync_database, 3)
    claim(sync_database, limit=1)
    with sync_database.read() as session:
        assert lanes.depth(session) == {"due": 2, "running": 1}


def test_what_is_stored_for_a_lane_begins_its_lease_anew(sync_database):
    due(sync_database)
    [held] = claim(sync_database)
    late = NOW + LEASE - timedelta(seconds=1)
    with sync_database.write() as session:
        lanes.check_fence(session, held, now=late)
    assert claim(sync_database, now=late + LEASE) == []
