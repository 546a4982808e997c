"""What relay and consumer rely on, held to by the embedded broker and by RabbitMQ alike."""

import signal
import time

import pytest

from shared.broker import Broker
from shared.clock import utc_now
from shared.envelope import to_message
from shared.events import CRM_EVENTS, PORTAL_EVENTS
from shared.topology import DELIVERY_LIMIT


def ids_of(raw_messages):
    return [raw.properties["message_id"] for raw in raw_messages]


@pytest.fixture
def queue(broker: Broker):
    return broker.topology.queue(PORTAL_EVENTS)


@pytest.fixture
def publish(broker: Broker):
    """Publishes messages, which must all be confirmed, and closes the connection."""

    def publish_(messages):
        publisher = broker.publisher()
        assert publisher.publish(messages) == {message.id for message in messages}
        publisher.close()

    return publish_


def delete_queue(broker: Broker, name: str) -> None:
    with broker.connected() as connection:
        connection.channel.queue_delete(name)


def test_confirmed_messages_outlive_the_connection(broker, publish, new_messages, eventually):
    publish(new_messages(1200))

    eventually(lambda: broker.depths() == {PORTAL_EVENTS: 1200, CRM_EVENTS: 0})


def test_a_message_arrives_as_it_was_sent_in_order(publish, new_messages, open_reader):
    sent = new_messages(20)
    publish(sent)

    got = open_reader().read(20)

    assert [to_message(r.headers, r.body, destination=PORTAL_EVENTS, received=utc_now()) for r in got] == sent


def test_a_body_of_the_largest_size_arrives_whole(publish, new_event, new_messages, open_reader):
    body = '{"text":"' + "ä😀" * 43_000 + '"}'
    (message,) = new_messages(1)
    publish([type(message)(**{**message.__dict__, "body": body})])

    (raw,) = open_reader().read(1)

    assert (raw.body if isinstance(raw.body, str) else raw.body.decode()) == body


def test_a_message_without_a_queue_is_not_confirmed(broker, queue, new_messages, eventually):
    publisher = broker.publisher()
    before, lost, after = new_messages(1), new_messages(3), new_messages(2)
    publisher.publish(before)
    delete_queue(broker, queue)
    # The connection of delete_queue declared the queue before it deleted it; the publisher's is older.
    assert publisher.publish(lost) == set()

    assert publisher.publish(after) == {message.id for message in after}
    publisher.close()
    eventually(lambda: broker.depths()[PORTAL_EVENTS] == 2)


def test_one_missing_queue_does_not_hold_up_the_other(broker, queue, new_messages):
    publisher = broker.publisher()
    publisher.publish(new_messages(1))
    mixed = [
        type(m)(**{**m.__dict__, "destination": (PORTAL_EVENTS, CRM_EVENTS)[i % 2]})
        for i, m in enumerate(new_messages(40))
    ]
    delete_queue(broker, queue)

    assert publisher.publish(mixed) == {message.id for message in mixed if message.destination == CRM_EVENTS}
    publisher.close()


def test_an_acknowledged_message_is_gone(broker, publish, new_messages, open_reader, eventually):
    publish(new_messages(3))
    reader = open_reader()

    for raw in reader.read(3):
        raw.ack()
    reader.connection.close()

    eventually(lambda: broker.depths()[PORTAL_EVENTS] == 0)
    assert open_reader().silent_for(0.3)


def test_what_a_closed_connection_held_comes_back_marked(publish, new_messages, open_reader):
    publish(new_messages(3))
    first = open_reader()
    held = first.read(3)
    assert not any(raw.delivery_info["redelivered"] for raw in held)
    first.connection.close()

    again = open_reader().read(3)

    assert sorted(ids_of(again)) == sorted(ids_of(held))
    assert all(raw.delivery_info["redelivered"] for raw in again)


def test_a_returned_message_comes_back(publish, new_messages, open_reader):
    publish(new_messages(1))
    reader = open_reader()
    (raw,) = reader.read(1)

    raw.reject(requeue=True)

    (again,) = reader.read(1)
    assert ids_of([again]) == ids_of([raw])
    assert again.delivery_info["redelivered"]


def test_a_refused_message_goes_to_the_dead_letter_queue(broker, publish, new_messages, open_reader):
    publish(new_messages(1))
    reader = open_reader()
    (raw,) = reader.read(1)

    raw.reject(requeue=False)

    (dead,) = open_reader(broker.topology.dead_letter_queue(PORTAL_EVENTS)).read(1)
    assert ids_of([dead]) == ids_of([raw])
    assert reader.silent_for(0.3)


def test_a_message_that_always_comes_back_ends_in_the_dead_letter_queue(broker, publish, new_messages, open_reader):
    publish(new_messages(1))
    reader = open_reader()

    for _ in range(DELIVERY_LIMIT + 1):
        (raw,) = reader.read(1)
        raw.reject(requeue=True)

    # One reader at a time: the embedded broker looks for exhausted messages when it is asked for more.
    assert reader.silent_for(0.3)
    (dead,) = open_reader(broker.topology.dead_letter_queue(PORTAL_EVENTS)).read(1)
    assert ids_of([dead]) == ids_of([raw])


def test_a_reader_gets_no_more_than_its_prefetch(publish, new_messages, open_reader):
    publish(new_messages(10))
    reader = open_reader(prefetch=3)
    first = reader.read(3)
    assert reader.silent_for(0.3)

    first[0].ack()

    reader.read(1)
    assert reader.silent_for(0.2)


def test_two_readers_share_a_queue(publish, new_messages, open_reader):
    sent = new_messages(30)
    publish(sent)
    readers = open_reader(prefetch=5), open_reader(prefetch=5)

    got: list[str] = []
    while len(got) < 30:
        for reader in readers:
            reader.connection.wait(0.05)
            for raw in reader.got:
                raw.ack()
            got += ids_of(reader.got)
            reader.got = []

    assert sorted(got) == sorted(str(message.id) for message in sent)


def test_processes_may_declare_at_the_same_moment(broker, start_program, eventually):
    moment = time.time() + 1.5
    processes = [start_program("declare", broker.url, broker.topology.prefix, moment) for _ in range(4)]

    assert [process.wait(20) for process in processes] == [0, 0, 0, 0]
    eventually(lambda: broker.depths()[PORTAL_EVENTS] == 4)


@pytest.mark.faults
def test_what_a_killed_reader_held_comes_back(broker, publish, new_messages, start_program, open_reader):
    sent = new_messages(30)
    publish(sent)
    process = start_program("hold", broker.url, broker.topology.prefix, 30, 1.0)
    assert process.stdout.readline() == "holding\n"

    process.send_signal(signal.SIGKILL)

    assert sorted(ids_of(open_reader().read(30))) == sorted(str(message.id) for message in sent)


@pytest.mark.faults
def test_a_killed_publisher_has_told_the_truth(broker, start_program, open_reader):
    with broker.connected():
        process = start_program("publish", broker.url, broker.topology.prefix)
    confirmed = {process.stdout.readline().strip() for _ in range(1000)}
    process.kill()
    confirmed |= {line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")}

    reader = open_reader()
    missing = set(confirmed)
    while missing:
        for raw in reader.read(1):
            missing.discard(raw.properties["message_id"])
            raw.ack()
