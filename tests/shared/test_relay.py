"""From the outbox to the broker: nothing marked that is not stored there, nothing stuck, nothing lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.broker import Broker, BrokerUnavailableError
from shared.clock import utc_now
from shared.events import CRM_EVENTS, PORTAL_EVENTS
from shared.relay import CLAIM_LEASE, Relay, RelayStalledError


@pytest.fixture
def new_relay():
    relays = []

    def new(service, broker):
        relays.append(Relay(service.database, service.outbox, broker))
        return relays[-1]

    yield new
    for relay in relays:
        relay.close()


def received_ids(reader, count):
    return sorted(raw.properties["message_id"] for raw in reader.read(count))


def test_events_reach_the_broker_and_are_marked_sent(new_relay, service, broker, open_reader):
    ids = service.add(3)

    assert new_relay(service, broker).run_once(utc_now()) == 3

    assert service.waiting() == 0
    assert received_ids(open_reader(), 3) == sorted(map(str, ids))


def test_nothing_to_send_is_no_work(new_relay, sqlite_service, tmp_path):
    relay = new_relay(sqlite_service, Broker(f"embedded:///{tmp_path}/missing/broker.db"))

    assert relay.run_once(utc_now()) == 0


def test_events_stay_while_the_broker_is_unreachable(new_relay, service, rabbit_gone):
    service.add(3)
    relay = new_relay(service, rabbit_gone)

    with pytest.raises(BrokerUnavailableError):
        relay.run_once(utc_now())

    assert service.waiting() == 3
    with service.database.write() as session:
        claimable = service.outbox.claim(session, now=utc_now(), lease=CLAIM_LEASE, limit=10)
    assert len(claimable) == 3


@pytest.fixture
def rabbit_gone():
    return Broker("amqp://guest:guest@127.0.0.1:1")


def test_events_the_broker_cannot_route_stay(new_relay, sqlite_service, broker, eventually):
    relay = new_relay(sqlite_service, broker)
    sqlite_service.add(1)
    relay.run_once(utc_now())
    sqlite_service.add(5)
    with broker.connected() as connection:
        connection.channel.queue_delete(broker.topology.queue(PORTAL_EVENTS))

    with pytest.raises(RelayStalledError, match="5 of 5 events were not confirmed"):
        relay.run_once(utc_now())

    assert sqlite_service.waiting() == 5
    assert relay.run_once(utc_now()) == 5
    eventually(lambda: broker.depths() == {PORTAL_EVENTS: 5, CRM_EVENTS: 0})


def test_what_a_dead_relay_claimed_is_relayed_after_its_lease(new_relay, service, embedded):
    service.add(2)
    now = utc_now()
    with service.database.write() as session:
        service.outbox.claim(session, now=now, lease=CLAIM_LEASE, limit=10)
    relay = new_relay(service, embedded)

    assert relay.run_once(now + timedelta(seconds=9)) == 0
    assert relay.run_once(now + timedelta(seconds=11)) == 2


def test_a_running_relay_sends_within_milliseconds_of_the_commit(
    new_relay, service, broker, run_in_thread, open_reader
):
    reader = open_reader()
    run_in_thread(new_relay(service, broker).run)
    service.add(1)
    reader.read(1)

    ids = service.add(1)

    assert received_ids(reader, 1) == [str(ids[0])]


def test_a_broker_that_takes_nothing_keeps_no_lock_in_the_database(new_relay, sqlite_service, embedded, monkeypatch):
    """FAILURES 63: a broker with a full disk or memory lets a publisher wait; people go on."""
    sqlite_service.add(1)
    relay = new_relay(sqlite_service, embedded)
    reached, released, in_time = threading.Event(), threading.Event(), []

    def wait(messages):
        reached.set()
        in_time.append(released.wait(3))
        return set()

    monkeypatch.setattr(relay._publisher, "publish", wait)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(relay.run_once, utc_now())
        assert reached.wait(10)
        sqlite_service.add(1)
        released.set()
        with pytest.raises(RelayStalledError):
            sent.result(10)
    assert (in_time, sqlite_service.waiting()) == ([True], 2)


def test_several_relays_share_a_backlog(new_relay, service, broker, run_in_thread, eventually):
    service.add(1700)
    for _ in range(3):
        run_in_thread(new_relay(service, broker).run)

    eventually(lambda: service.waiting() == 0)
    # Twice is allowed, missing is not; without faults nothing is sent twice.
    eventually(lambda: broker.depths()[PORTAL_EVENTS] == 1700)


@pytest.mark.rabbitmq
def test_a_relay_outlives_the_broker_going_away_and_coming_back(
    new_relay, service, proxied, rabbit, proxy, run_in_thread, eventually
):
    run_in_thread(new_relay(service, proxied).run)
    service.add(10)
    eventually(lambda: service.waiting() == 0)

    proxy.go_down()
    service.add(10)
    eventually(lambda: service.waiting() == 10)
    proxy.come_back()

    eventually(lambda: service.waiting() == 0)
    eventually(lambda: rabbit.depths()[PORTAL_EVENTS] >= 20)


def test_the_password_is_not_logged(new_relay, service, capsys, run_in_thread, eventually, caplog):
    service.add(1)
    run_in_thread(new_relay(service, Broker("amqp://guest:sekret@127.0.0.1:1")).run)

    eventually(lambda: "relay.waiting" in (text := capsys.readouterr().out + caplog.text) and "sekret" not in text)
