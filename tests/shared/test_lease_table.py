"""The store of the embedded broker where the transport contract does not reach: time, full disks, lost leases."""

import sqlite3

import pytest

import shared.lease_table
from shared.broker import Broker, BrokerUnavailableError
from shared.lease_table import LEASE_SECONDS, LeaseTable


class Clock:
    """Stands in for the module `time`; only what the table uses."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(shared.lease_table, "time", clock)
    return clock


@pytest.fixture
def table(tmp_path):
    table = LeaseTable(str(tmp_path / "broker.db"))
    table.declare("dead", dead_letter_queue=None, delivery_limit=None)
    table.declare("work", dead_letter_queue="dead", delivery_limit=2)
    yield table
    table.close()


def test_a_leased_message_is_nobody_elses_until_the_lease_ends(table, clock):
    table.put([("work", "a")])
    (first,) = table.take("work", limit=10)
    clock.now += LEASE_SECONDS - 1
    assert table.take("work", limit=10) == []

    clock.now += 1.1

    (second,) = table.take("work", limit=10)
    assert (second.id, second.deliveries) == (first.id, 2)


def test_a_renewed_lease_lasts_longer(table, clock):
    table.put([("work", "a")])
    (leased,) = table.take("work", limit=1)
    clock.now += LEASE_SECONDS - 1
    table.renew([(leased.id, leased.lease)])

    clock.now += LEASE_SECONDS - 1

    assert table.take("work", limit=1) == []


def test_who_lost_the_lease_can_neither_delete_nor_return_nor_bury(table, clock):
    table.put([("work", "a")])
    (lost,) = table.take("work", limit=1)
    clock.now += LEASE_SECONDS + 1
    (held,) = table.take("work", limit=1)

    table.acknowledge([(lost.id, lost.lease)])
    table.release([(lost.id, lost.lease)])
    table.bury((lost.id, lost.lease))

    assert (table.size("work"), table.held("work"), table.size("dead")) == (0, 1, 0)
    table.acknowledge([(held.id, held.lease)])
    assert table.held("work") == 0


def test_a_clock_set_back_by_a_year_keeps_no_message_from_its_readers(table, clock):
    table.put([("work", "a")])
    table.take("work", limit=1)

    clock.now -= 365 * 86400

    assert len(table.take("work", limit=1)) == 1


def test_a_message_whose_readers_die_is_buried_after_the_limit(table, clock):
    table.put([("work", "a"), ("work", "b")])
    for _ in range(3):
        assert [leased.payload for leased in table.take("work", limit=1)] == ["a"]
        clock.now += LEASE_SECONDS + 1

    assert [leased.payload for leased in table.take("work", limit=10)] == ["b"]
    (dead,) = table.dead("dead", limit=10)
    assert (dead.payload, dead.died_from) == ("a", "delivery_limit")


def test_a_message_is_not_thrown_away_when_its_grave_is_missing(table, clock):
    table.delete("dead")
    table.put([("work", "a")])
    (leased,) = table.take("work", limit=1)
    table.bury((leased.id, leased.lease))

    clock.now += LEASE_SECONDS + 1

    assert table.size("work") == 1


def test_declaring_again_changes_arguments_and_keeps_the_messages(table):
    table.put([("work", "a")])

    table.declare("work", dead_letter_queue="dead", delivery_limit=5)

    assert table.size("work") == 1


def test_every_commit_waits_for_the_disk(table):
    assert table._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert table._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_full_disk_confirms_nothing_and_keeps_what_is_there(embedded, new_messages):
    publisher = embedded.publisher()
    kept = new_messages(5)
    publisher.publish(kept)
    table = publisher._sending.connection.channel.table
    pages = table._connection.execute("PRAGMA page_count").fetchone()[0]
    table._connection.execute(f"PRAGMA max_page_count = {pages}")

    assert publisher.publish(new_messages(500)) == set()

    assert embedded.depths()["portal-events"] == 5
    assert len(publisher.publish(new_messages(3))) == 3
    publisher.close()


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_reader_that_is_alive_keeps_its_messages(broker, new_messages, open_reader, monkeypatch):
    for module in ("lease_table", "embedded_transport"):
        monkeypatch.setattr(f"shared.{module}.LEASE_SECONDS", 0.6)
    publisher = broker.publisher()
    publisher.publish(new_messages(1))
    publisher.close()
    holder, other = open_reader(), open_reader()
    holder.read(1)

    for _ in range(8):
        assert holder.silent_for(0.1)
        assert other.silent_for(0.1)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(
        BrokerUnavailableError, match=r"missing/broker\.db cannot be used: unable to open.*folder exists"
    ):
        Broker(f"embedded:///{tmp_path}/missing/broker.db").check()


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "broker.db").write_text("something else entirely, of some length" * 50)

    with pytest.raises(BrokerUnavailableError, match="not a database"):
        Broker(f"embedded:///{tmp_path}/broker.db").check()


def test_a_relative_address_is_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    Broker("embedded:///broker.db").check()

    assert sqlite3.connect(tmp_path / "broker.db").execute("SELECT count(*) FROM queues").fetchone() == (4,)
