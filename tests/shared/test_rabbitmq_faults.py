"""Publishing while the network and the broker misbehave, with pika as the witness of what RabbitMQ really holds."""

import socket
import threading
import time

import pytest

from shared import metrics
from shared.broker import Broker, BrokerUnavailableError
from shared.events import PORTAL_EVENTS
from shared.topology import Topology

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
def ids_in_queue(rabbit, witness):
    """The message ids RabbitMQ holds, as another client sees them."""

    def read():
        ids = []
        while True:
            method, properties, _ = witness.basic_get(rabbit.topology.queue(PORTAL_EVENTS))
            if method is None:
                return ids
            ids.append(properties.message_id)

    return read


def text_ids(messages):
    return [str(message.id) for message in messages]


def test_rabbitmq_holds_what_was_confirmed_persistently(rabbit, witness, new_messages):
    (message,) = new_messages(1)
    publisher = rabbit.publisher()
    assert publisher.publish([message]) == {message.id}
    publisher.close()

    method, properties, body = witness.basic_get(rabbit.topology.queue(PORTAL_EVENTS))

    assert method is not None
    assert (properties.message_id, properties.type, properties.delivery_mode) == (str(message.id), message.type, 2)
    assert (properties.content_type, properties.headers["cloudEvents_id"]) == ("application/json", str(message.id))
    assert body.decode() == message.body


def test_a_late_confirm_is_not_taken_for_the_next_message(proxied, proxy, ids_in_queue, new_messages):
    """FAILURES T1: the late ack of the first message arrives while the second never leaves the old connection."""
    warm_up, first, second = ([message] for message in new_messages(3))
    publisher = proxied.publisher()
    publisher.publish(warm_up)
    old = proxy.pipes[0]
    old.towards_client.clear()
    assert publisher.publish(first, timeout=0.3) == set()
    old.towards_server.clear()
    old.towards_client.set()

    confirmed = publisher.publish(second, timeout=5)

    assert confirmed == {second[0].id}
    assert len(proxy.pipes) == 2
    assert text_ids(second)[0] in ids_in_queue()
    publisher.close()


def test_a_broker_that_falls_silent_costs_the_timeout_and_confirms_nothing(proxied, proxy, new_messages):
    publisher = proxied.publisher()
    publisher.publish(new_messages(1))
    proxy.pipes[0].towards_server.clear()
    started = time.monotonic()

    assert publisher.publish(new_messages(700), timeout=0.5) == set()

    assert time.monotonic() - started < 5


def test_a_connection_cut_in_between_confirms_only_what_is_stored(proxied, proxy, ids_in_queue, new_messages):
    publisher = proxied.publisher()
    publisher.publish(new_messages(1))
    cutter = threading.Timer(0.05, proxy.cut)
    cutter.start()

    confirmed = publisher.publish(new_messages(20_000), timeout=5)

    cutter.join()
    assert len(confirmed) < 20_000
    assert {str(id_) for id_ in confirmed} <= set(ids_in_queue())
    assert len(publisher.publish(new_messages(5))) == 5
    publisher.close()


def test_a_message_the_queue_refuses_is_not_confirmed(rabbit, witness, new_messages, ids_in_queue):
    class Small(Topology):
        def queues(self):
            for queue, arguments in super().queues():
                yield queue, {**arguments, "x-max-length": 10} if "x-overflow" in arguments else arguments

    publisher = Broker(rabbit.url, topology=Small(rabbit.topology.prefix)).publisher()
    messages = new_messages(400)

    confirmed = publisher.publish(messages)

    assert 0 < len(confirmed) < 400
    assert {str(id_) for id_ in confirmed} <= set(ids_in_queue())


def test_heartbeats_are_asked_for(rabbit, new_messages):
    with rabbit.connected() as connection:
        assert connection._raw.heartbeat == 30


def test_a_broker_that_blocks_publishers_is_told_of_and_counted(rabbit, caplog, capsys):
    """FAILURES 63: by the method that RabbitMQ sends when its memory or disk alarm goes off."""
    before = metrics.REGISTRY.get_sample_value("casebridge_broker_blocked_total")
    with rabbit.connected() as connection:
        connection._raw._on_blocked()
    assert metrics.REGISTRY.get_sample_value("casebridge_broker_blocked_total") == before + 1
    assert "look at its memory and disk alarms" in capsys.readouterr().out + caplog.text


def test_an_idle_publisher_whose_connection_died_recovers(proxied, proxy, new_messages):
    publisher = proxied.publisher()
    publisher.publish(new_messages(1))
    proxy.cut()
    messages = new_messages(2)

    confirmed = publisher.publish(messages) or publisher.publish(messages)

    assert confirmed == {message.id for message in messages}
    publisher.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqp://guest:sekret@127.0.0.1:5672", "ACCESS_REFUSED.*Check the user, the password"),
        ("amqp://guest:sekret@127.0.0.1:1", "Connection refused.*Check that it runs"),
        ("amqp://guest:sekret@broker.invalid", "Check the host name"),
        ("amqp://guest:sek/ret@127.0.0.1:5672", "cannot be read.*percent-encoded"),
        ("amqp://guest:sek#ret@127.0.0.1:5672", "cannot be read.*percent-encoded"),
        ("amqp:nonsense", "cannot be read"),
    ],
)
def test_a_wrong_address_is_explained_without_the_password(url, words):
    with pytest.raises(BrokerUnavailableError, match=words) as caught:
        Broker(url).check()

    assert "sek" not in str(caught.value)


def test_a_missing_virtual_host_is_named(rabbit):
    url = rabbit.url.replace("%2F", "no-such-place")

    with pytest.raises(
        BrokerUnavailableError, match=r"vhost no-such-place not found.*Check that the virtual host exists"
    ):
        Broker(url).check()


def test_a_queue_with_other_arguments_is_named(rabbit, witness):
    queue = rabbit.topology.queue(PORTAL_EVENTS)
    witness.queue_declare(queue, durable=True)

    with pytest.raises(BrokerUnavailableError, match=f"{queue}.*A queue exists with other arguments"):
        rabbit.check()


def test_a_broker_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr("shared.broker._CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(BrokerUnavailableError, match="timed out"):
        Broker(f"amqp://guest:guest@127.0.0.1:{silent.getsockname()[1]}").check()
