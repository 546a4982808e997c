"""A loop's lease: one owner at a time, on both databases, also when all ask at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from crm_sync_service import loop_lease

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SPAN = timedelta(seconds=12)


def take(database, owner, now=NOW):
    with database.write() as session:
        return loop_lease.take(session, "sweep", owner=owner, now=now, span=SPAN)


def test_the_first_who_asks_has_it_and_keeps_it_while_he_asks(sync_database):
    assert take(sync_database, "a")
    assert not take(sync_database, "b")
    assert take(sync_database, "a", NOW + timedelta(seconds=8))
    assert not take(sync_database, "b", NOW + timedelta(seconds=13))


def test_it_is_taken_over_when_its_owner_was_silent(sync_database):
    take(sync_database, "a")
    assert not take(sync_database, "b", NOW + SPAN)
    assert take(sync_database, "b", NOW + SPAN + timedelta(seconds=1))
    assert not take(sync_database, "a", NOW + SPAN + timedelta(seconds=2))


def test_who_gives_it_up_lets_another_have_it_at_once(sync_database):
    take(sync_database, "a")
    with sync_database.write() as session:
        loop_lease.give_up(session, "sweep", owner="b")
    assert not take(sync_database, "b"), "only the owner gives it up"
    with sync_database.write() as session:
        loop_lease.give_up(session, "sweep", owner="a")
    assert take(sync_database, "b")


def test_of_many_who_ask_at_once_one_has_it(sync_database):
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(5):
            now = NOW + round_ * timedelta(minutes=1)
            won = list(pool.map(lambda name, now=now: take(sync_database, name, now), "abcdefgh"))
            assert won.count(True) == 1
