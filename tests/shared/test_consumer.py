"""From the broker into a service's database: each event once, whatever else is in the queue."""

import json
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

import shared.consumer
from shared.clock import utc_now
from shared.consumer import PREFETCH, Consumer, handle_batch
from shared.events import PORTAL_EVENTS, Message


@pytest.fixture
def publish(broker):
    publisher = broker.publisher()
    yield publisher.publish
    publisher.close()


class Handler:
    """Remembers the batches it stored; refuses messages whose body is marked poison, or all while `broken`."""

    def __init__(self):
        self.batches = []
        self.calls = 0
        self.broken = False

    def __call__(self, messages):
        self.calls += 1
        if self.broken or any("poison" in message.body for message in messages):
            raise RuntimeError("cannot store this")
        self.batches.append([message.id for message in messages])

    @property
    def ids(self):
        return [id_ for batch in self.batches for id_ in batch]


@pytest.fixture
def handler():
    return Handler()


def as_poison(message):
    return Message(**{**message.__dict__, "body": '{"poison": true}'})


def dead_letters(broker):
    with broker.connected() as connection:
        name = broker.topology.dead_letter_queue(PORTAL_EVENTS)
        return connection.channel.queue_declare(queue=name, passive=True).message_count


def test_messages_are_handled_in_batches_and_then_gone(
    broker, publish, new_messages, handler, run_in_thread, eventually
):
    sent = new_messages(120)
    publish(sent)
    running = run_in_thread(Consumer(broker, PORTAL_EVENTS, handler).run)
    eventually(lambda: len(handler.ids) == 120)
    running.stop()

    assert handler.ids == [message.id for message in sent]
    assert max(map(len, handler.batches)) <= PREFETCH
    assert len(handler.batches) < 60
    eventually(lambda: broker.depths()[PORTAL_EVENTS] == 0)


def test_a_message_is_handled_within_milliseconds(broker, publish, new_messages, handler, run_in_thread, eventually):
    run_in_thread(Consumer(broker, PORTAL_EVENTS, handler).run)
    publish(new_messages(1))
    eventually(lambda: len(handler.ids) == 1)
    started = time.monotonic()

    publish(new_messages(1))

    eventually(lambda: len(handler.ids) == 2)
    assert time.monotonic() - started < 0.5


def test_a_poison_message_harms_nobody_else(broker, publish, new_messages, handler, run_in_thread, eventually):
    messages = new_messages(60)
    messages[7] = as_poison(messages[7])
    publish(messages)
    run_in_thread(Consumer(broker, PORTAL_EVENTS, handler).run)

    eventually(lambda: len(handler.ids) == 59, within=3)

    publish(new_messages(40))
    eventually(lambda: len(handler.ids) == 99, within=3)
    assert len(set(handler.ids)) == 99


def test_a_poison_message_ends_among_the_dead_letters(
    broker, publish, new_messages, handler, run_in_thread, eventually, monkeypatch
):
    monkeypatch.setattr(shared.consumer, "ATTEMPTS", 2)
    poison, *healthy = new_messages(3)
    publish([as_poison(poison), *healthy])
    run_in_thread(Consumer(broker, PORTAL_EVENTS, handler).run)
    eventually(lambda: len(handler.ids) == 2)
    publish(new_messages(1))

    eventually(lambda: dead_letters(broker) == 1)
    assert len(handler.ids) == 3


def test_an_outage_of_the_database_makes_no_dead_letters(
    broker, publish, new_messages, handler, run_in_thread, eventually, monkeypatch
):
    monkeypatch.setattr(shared.consumer, "ATTEMPTS", 2)
    monkeypatch.setattr(shared.consumer, "backoff_delay", lambda *_, **__: 0.02)
    handler.broken = True
    publish(new_messages(80))
    run_in_thread(Consumer(broker, PORTAL_EVENTS, handler).run)
    eventually(lambda: handler.calls > 500)

    handler.broken = False

    eventually(lambda: len(handler.ids) == 80)
    assert dead_letters(broker) == 0


def test_a_database_that_cannot_be_written_confirms_nothing(
    embedded, sqlite_service, new_messages, run_in_thread, eventually, monkeypatch
):
    """FAILURES 64: a full or read-only disk; what was not stored is not acknowledged, and comes again."""
    monkeypatch.setattr(shared.consumer, "ATTEMPTS", 2)
    monkeypatch.setattr(shared.consumer, "backoff_delay", lambda *_, **__: 0.02)
    handed, read_only = [], threading.Event()
    read_only.set()
    pool = sqlite_service.database.engine.pool
    event.listen(pool, "checkout", lambda dbapi, *_: dbapi.execute(f"PRAGMA query_only = {int(read_only.is_set())}"))

    def handle(messages):
        handed.append(len(messages))
        sqlite_service.handle(messages)

    publisher = embedded.publisher()
    publisher.publish(new_messages(5))
    publisher.close()
    run_in_thread(Consumer(embedded, PORTAL_EVENTS, handle).run)
    eventually(lambda: len(handed) > 12)
    assert (sqlite_service.count(sqlite_service.applied), dead_letters(embedded)) == (0, 0)

    read_only.clear()

    eventually(lambda: sqlite_service.count(sqlite_service.applied) == 5)
    assert dead_letters(embedded) == 0


def test_a_stopped_consumer_gives_back_what_it_holds(broker, publish, new_messages, run_in_thread, eventually, handler):
    handler.broken = True
    publish(new_messages(5))
    running = run_in_thread(Consumer(broker, PORTAL_EVENTS, handler).run)
    eventually(lambda: handler.calls >= 6)

    running.stop()

    eventually(lambda: broker.depths()[PORTAL_EVENTS] == 5)


@pytest.mark.rabbitmq
def test_a_deleted_queue_is_declared_again(
    rabbit, witness, new_messages, handler, run_in_thread, eventually, monkeypatch
):
    monkeypatch.setattr(shared.consumer, "QUIET_SECONDS", 1.0)
    publisher = rabbit.publisher()
    publisher.publish(new_messages(1))
    run_in_thread(Consumer(rabbit, PORTAL_EVENTS, handler).run)
    eventually(lambda: len(handler.ids) == 1)

    witness.queue_delete(rabbit.topology.queue(PORTAL_EVENTS))

    messages = new_messages(2)
    eventually(lambda: publisher.publish(messages))
    eventually(lambda: len(set(handler.ids)) == 3)
    publisher.close()


@pytest.mark.rabbitmq
def test_a_consumer_outlives_the_broker_going_away(
    rabbit, proxied, proxy, new_messages, handler, run_in_thread, eventually
):
    run_in_thread(Consumer(proxied, PORTAL_EVENTS, handler).run)
    publisher = rabbit.publisher()
    publisher.publish(new_messages(1))
    eventually(lambda: len(handler.ids) == 1)

    proxy.go_down()
    publisher.publish(new_messages(2))
    proxy.come_back()

    eventually(lambda: len(set(handler.ids)) == 3)
    publisher.close()


def test_a_quiet_consumer_still_reads(broker, publish, new_messages, handler, run_in_thread, eventually, monkeypatch):
    monkeypatch.setattr(shared.consumer, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(shared.consumer, "_IDLE_SECONDS", 0.05)
    running = run_in_thread(Consumer(broker, PORTAL_EVENTS, handler).run)
    for _ in range(4):
        publish(new_messages(3))
        time.sleep(0.3)
    running.stop()

    assert len(handler.ids) == len(set(handler.ids)) == 12
    eventually(lambda: broker.depths()[PORTAL_EVENTS] == 0)


@pytest.mark.rabbitmq
def test_slow_failures_do_not_cost_the_connection(
    rabbit, new_messages, run_in_thread, eventually, monkeypatch, capsys, caplog
):
    """FAILURES T4: each shorter than the heartbeat, together much longer, and nothing to tell the broker."""
    monkeypatch.setattr("shared.broker.HEARTBEAT_SECONDS", 2)
    calls = []

    def fail_slowly(messages):
        calls.append(len(messages))
        time.sleep(0.5)
        raise RuntimeError("not yet")

    publisher = rabbit.publisher()
    publisher.publish(new_messages(16))
    publisher.close()
    run_in_thread(Consumer(rabbit, PORTAL_EVENTS, fail_slowly).run)

    eventually(lambda: len(calls) > 18)
    assert "consumer.waiting" not in capsys.readouterr().out + caplog.text


@pytest.mark.rabbitmq
def test_a_strangers_message_is_kept_whole(rabbit, witness, sqlite_service, run_in_thread, eventually):
    rabbit.check()
    witness.basic_publish("", rabbit.topology.queue(PORTAL_EVENTS), b"\xffnot json\x00")

    run_in_thread(Consumer(rabbit, PORTAL_EVENTS, sqlite_service.handle).run)

    eventually(lambda: sqlite_service.count(sqlite_service.inbox.unreadable) == 1)
    eventually(lambda: rabbit.depths()[PORTAL_EVENTS] == 0)
    assert dead_letters(rabbit) == 0


class TestHandleBatch:
    def test_each_event_is_applied_once(self, service, new_messages):
        messages = new_messages(3)

        service.handle([*messages, messages[0]])
        service.handle(messages)

        assert service.count(service.applied) == 3

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"type": "casebridge.ticket.changed.v9"}, "unknown event type 'casebridge.ticket.changed.v9'"),
            ({"type": "someone.elses"}, "unknown event type"),
            ({"body": "{"}, "not JSON"),
            ({"body": "[]"}, "not a JSON object"),
            ({"body": json.dumps({"note_id": 1})}, "Missing data for required field"),
        ],
    )
    def test_an_event_that_cannot_be_read_is_kept_and_the_others_applied(self, service, new_messages, changed, reason):
        odd, *others = new_messages(3)
        odd = Message(**{**odd.__dict__, **changed})

        service.handle([odd, *others])
        service.handle([odd])

        assert service.count(service.applied) == 2
        with service.database.read() as session:
            (row,) = session.execute(service.inbox.unreadable.select()).all()
        assert (row.event_id, row.type, row.body) == (odd.id, odd.type, odd.body)
        assert reason in row.error

    def test_a_failure_stores_nothing_of_the_batch(self, service, new_messages):
        def fail_at_last(session, event):
            if event.body == "note 2":
                raise RuntimeError("full")
            service.apply(session, event)

        messages = new_messages(3)
        with pytest.raises(RuntimeError):
            handle_batch(service.database, service.inbox, messages, fail_at_last, now=datetime.now(UTC))

        assert (service.count(service.applied), service.count(service.inbox.seen)) == (0, 0)
        service.handle(messages)
        assert service.count(service.applied) == 3

    def test_two_consumers_given_the_same_event_at_once_apply_it_once(self, service, new_messages):
        messages = new_messages(20)
        barrier = threading.Barrier(2)
        failures = []

        def consume():
            barrier.wait()
            try:
                handle_batch(service.database, service.inbox, messages, service.apply, now=utc_now())
            except Exception as error:  # noqa: BLE001 (the loser may fail; it is then redelivered)
                failures.append(error)

        threads = [threading.Thread(target=consume) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(failures) < 2
        assert service.count(service.applied) == 20
