"""The administrator's view of the broker, the same on both kinds."""

import uuid

import pytest

from shared.broker import Broker, BrokerUnavailableError
from shared.broker_ops import open_operations
from shared.events import CRM_EVENTS, PORTAL_EVENTS


@pytest.fixture
def operations(broker):
    broker.check()
    return open_operations(broker)


@pytest.fixture
def publish(broker):
    publisher = broker.publisher()
    yield publisher.publish
    publisher.close()


@pytest.fixture
def bury(publish, open_reader, operations, eventually):
    """Publishes messages and has a reader refuse them."""

    def bury_(messages):
        publish(messages)
        reader = open_reader()
        for raw in reader.read(len(messages)):
            raw.reject(requeue=False)
        eventually(lambda: operations.queues()[0].dead_letters == len(messages))
        reader.connection.close()

    return bury_


def test_queues_are_counted(broker, operations, publish, new_messages, eventually):
    messages = new_messages(7)
    publish(messages)
    eventually(lambda: operations.queues()[0].waiting == 7)

    portal, crm = operations.queues()

    assert (portal.destination, portal.queue) == (PORTAL_EVENTS, broker.topology.queue(PORTAL_EVENTS))
    assert (portal.dead_letters, crm.destination, crm.waiting, crm.oldest) == (0, CRM_EVENTS, 0, None)
    if broker.is_embedded:
        assert abs((portal.oldest - messages[0].time).total_seconds()) < 5


def test_looking_at_the_queues_does_not_touch_the_messages(operations, publish, new_messages, open_reader):
    publish(new_messages(2))
    for _ in range(3):
        operations.queues()

    assert not any(raw.delivery_info["redelivered"] for raw in open_reader().read(2))


def test_dead_letters_can_be_read_again_and_again(operations, bury, new_messages):
    messages = new_messages(3)
    bury(messages)

    for _ in range(3):
        found = operations.dead_letters(PORTAL_EVENTS)
        assert [letter.message for letter in found] == messages
        assert {letter.reason for letter in found} == {"rejected"}
        assert all(abs((letter.since - messages[0].time).total_seconds()) < 60 for letter in found)


def test_the_dead_letters_about_one_ticket_can_be_deleted(operations, bury, new_messages):
    first, second, third = new_messages(3)
    bury([first, second, third])

    assert operations.discard(PORTAL_EVENTS, subject=second.subject) == 1
    assert operations.discard(CRM_EVENTS, subject=second.subject) == 0

    assert [letter.message for letter in operations.dead_letters(PORTAL_EVENTS)] == [first, third]


def test_dead_letters_are_read_up_to_a_limit(operations, bury, new_messages):
    bury(new_messages(3))

    assert len(operations.dead_letters(PORTAL_EVENTS, limit=2)) == 2


def test_all_dead_letters_can_be_put_back(operations, bury, new_messages, open_reader):
    messages = new_messages(3)
    bury(messages)

    assert operations.replay(PORTAL_EVENTS) == 3

    assert operations.dead_letters(PORTAL_EVENTS) == []
    again = open_reader().read(3)
    assert sorted(raw.properties["message_id"] for raw in again) == sorted(str(message.id) for message in messages)
    assert not any(name.startswith("x-") for raw in again for name in raw.headers if name != "x-delivery-count")


def test_chosen_dead_letters_can_be_put_back(operations, bury, new_messages, eventually):
    first, second, third = new_messages(3)
    bury([first, second, third])

    assert operations.replay(PORTAL_EVENTS, ids=[second.id, uuid.uuid4()]) == 1

    def left():
        return {letter.message.id for letter in operations.dead_letters(PORTAL_EVENTS)} == {first.id, third.id}

    eventually(left)
    eventually(lambda: operations.queues()[0].waiting == 1)


def test_a_replayed_message_that_fails_again_dies_again(operations, bury, new_messages, open_reader, eventually):
    bury(new_messages(1))
    operations.replay(PORTAL_EVENTS)
    (raw,) = open_reader().read(1)

    raw.reject(requeue=False)

    eventually(lambda: operations.queues()[0].dead_letters == 1)


@pytest.mark.parametrize(
    "url", ["amqp://guest:sekret@127.0.0.1:1", "amqp://guest:sekret@127.0.0.1:5672", "embedded:////missing/b.db"]
)
def test_an_unusable_broker_is_explained_without_the_password(url):
    with pytest.raises(BrokerUnavailableError, match=r"cannot be used: .+") as caught:
        open_operations(Broker(url)).queues()

    assert "sekret" not in str(caught.value)
