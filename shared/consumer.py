"""The consumer: hands messages to a service and acknowledges what it has stored.

A message that cannot be handled is held and tried again alone, later and later, while all others pass. Holding it
rather than returning it keeps an outage of the database from using up the queue's delivery limit. Only when others
succeeded meanwhile is the fault the message's own, and it goes to the dead-letter queue.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import kombu
import structlog
from sqlalchemy.orm import Session

from shared import metrics
from shared.broker import Broker, BrokerUnavailableError, Connection
from shared.clock import utc_now
from shared.database import Database
from shared.envelope import to_message
from shared.events import SCHEMAS, Event, EventError, Message, unpack
from shared.failpoints import failpoint
from shared.inbox import Inbox
from shared.retry import backoff_delay

PREFETCH = 50
ATTEMPTS = 6
"""After so many failures, about 15 s, a message that alone fails is dead."""
_IDLE_SECONDS = 0.5
_AT_HAND_SECONDS = 0.002
_STABLE_SECONDS = 30.0
"""A connection that lasted so long was a good one: the next failure counts as the first."""
QUIET_SECONDS = 30.0
"""After so long without a message reading starts again on a new channel: RabbitMQ 3.10 can leave a reader whose
queue was deleted and declared again with messages that it counts as delivered and that never arrive.
"""

log = structlog.get_logger(__name__)


@dataclass
class _Delivery:
    """A message between its arrival and its acknowledgement."""

    raw: Any
    message: Message
    attempts: int = 0
    failed_first_at: float = 0.0
    due_at: float = 0.0
    """Of the next attempt; both on the monotonic clock, in seconds."""


class Consumer:
    """Consumes one destination. For one thread; any number of consumers may share a destination."""

    def __init__(self, broker: Broker, destination: str, handle: Callable[[Sequence[Message]], None]) -> None:
        """`handle` gets up to PREFETCH messages and commits its own transaction; raising means none is stored."""
        self._broker = broker
        self._destination = destination
        self._handle = handle
        self._forget()

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop` is set, through failures of the broker; what is not finished goes back to it."""
        failures = 0
        while not stop.is_set():
            connected_at = time.monotonic()
            try:
                with self._broker.connected() as connection:
                    self._consume(connection, stop)
            except BrokerUnavailableError as error:
                lasted = time.monotonic() - connected_at
                failures = 1 if lasted > _STABLE_SECONDS else failures + 1
                delay = backoff_delay(failures, chance=random.random())  # noqa: S311 (no secret)
                log.warning("consumer.waiting", queue=self._destination, error=str(error), retry_in=round(delay, 2))
                stop.wait(delay)
            finally:
                self._forget()

    def _forget(self) -> None:
        """The messages of a closed channel come again; those at hand can no longer be acknowledged."""
        self._arrived: list[_Delivery] = []
        self._held: list[_Delivery] = []
        self._succeeded_at = 0.0
        self._arrived_at = time.monotonic()

    def _consume(self, connection: Connection, stop: threading.Event) -> None:
        while not stop.is_set():
            with connection.open_channel() as channel, self._reading(connection, channel):
                while not stop.is_set() and not self._is_quiet():
                    self._collect(connection)
                    self._work(connection, stop)
                    connection.beat()
            self._forget()

    def _reading(self, connection: Connection, channel: Any) -> AbstractContextManager[Any]:
        consumer: AbstractContextManager[Any] = kombu.Consumer(
            channel,
            [kombu.Queue(connection.topology.queue(self._destination))],
            on_message=self._on_message,
            accept=["json"],
            prefetch_count=PREFETCH,
            auto_declare=False,
        )
        return consumer

    def _is_quiet(self) -> bool:
        return not self._held and time.monotonic() - self._arrived_at > QUIET_SECONDS

    def _on_message(self, raw: Any) -> None:
        message = to_message(raw.headers, raw.body, destination=self._destination, received=utc_now())
        self._arrived.append(_Delivery(raw=raw, message=message))
        self._arrived_at = time.monotonic()

    def _collect(self, connection: Connection) -> None:
        """Wait for messages, then take what else is at hand."""
        next_due = min((delivery.due_at for delivery in self._held), default=float("inf"))
        patience = 0.0 if self._arrived else min(_IDLE_SECONDS, next_due - time.monotonic())
        if connection.wait(max(patience, _AT_HAND_SECONDS)):
            while len(self._arrived) < PREFETCH and connection.wait(_AT_HAND_SECONDS):
                pass

    def _work(self, connection: Connection, stop: threading.Event) -> None:
        arrived, self._arrived = self._arrived, []
        now = time.monotonic()
        fresh = [delivery for delivery in arrived if not delivery.raw.delivery_info.get("redelivered")]
        alone = [delivery for delivery in arrived if delivery not in fresh]
        alone += [delivery for delivery in self._held if delivery.due_at <= now]
        self._held = [delivery for delivery in self._held if delivery.due_at > now]
        if fresh and not self._try_together(fresh):
            alone += fresh
        # If one of them kills this process, chance decides which of the others are done before, so that none
        # shares its every death up to the delivery limit.
        random.shuffle(alone)
        for delivery in alone:
            if stop.is_set():
                return
            self._try_alone(delivery)
            connection.wait(_AT_HAND_SECONDS)
            connection.beat()

    def _try_together(self, deliveries: Sequence[_Delivery]) -> bool:
        try:
            self._do(deliveries)
        except Exception:
            log.warning("consumer.batch_failed", queue=self._destination, count=len(deliveries), exc_info=True)
            return False
        self._acknowledge(deliveries)
        return True

    def _try_alone(self, delivery: _Delivery) -> None:
        try:
            self._do([delivery])
        except Exception as error:  # noqa: BLE001 (whatever the fault is, the message is kept)
            self._hold(delivery, error)
        else:
            self._acknowledge([delivery])

    def _do(self, deliveries: Sequence[_Delivery]) -> None:
        failpoint("consumer.before_handle")
        self._handle([delivery.message for delivery in deliveries])

    def _acknowledge(self, deliveries: Sequence[_Delivery]) -> None:
        self._succeeded_at = time.monotonic()
        failpoint("consumer.before_ack")
        for delivery in deliveries:
            delivery.raw.ack()

    def _hold(self, delivery: _Delivery, error: Exception) -> None:
        now = time.monotonic()
        delivery.attempts += 1
        delivery.failed_first_at = delivery.failed_first_at or now
        words = {"event": str(delivery.message.id), "type": delivery.message.type, "attempts": delivery.attempts}
        if delivery.attempts >= ATTEMPTS and self._succeeded_at > delivery.failed_first_at:
            log.error("consumer.dead_letter", queue=self._destination, message=words, exc_info=error)
            delivery.raw.reject(requeue=False)
            return
        _count(delivery.message, "retry")
        delivery.due_at = now + backoff_delay(delivery.attempts, chance=random.random())  # noqa: S311 (no secret)
        log.warning("consumer.held", queue=self._destination, message=words, error=repr(error))
        self._held.append(delivery)


def handle_batch(
    database: Database,
    inbox: Inbox,
    messages: Sequence[Message],
    apply: Callable[[Session, Event], None],
    now: datetime,
) -> None:
    """Store a batch in one transaction: each event not seen before is applied once, in order.

    An event this version cannot read is kept whole, with the reason, for a person.
    """

    def apply_each(session: Session, events: Sequence[Event]) -> None:
        for event in events:
            apply(session, event)

    handle_together(database, inbox, messages, apply_each, now)


def handle_together(
    database: Database,
    inbox: Inbox,
    messages: Sequence[Message],
    apply_all: Callable[[Session, Sequence[Event]], None],
    now: datetime,
) -> None:
    """The same where all events of a batch are better applied in one go."""
    outcomes = {message.id: "duplicate" for message in messages}
    with database.write() as session:
        readable = []
        for message in inbox.new_among(session, messages, now=now):
            try:
                readable.append(unpack(message))
                outcomes[message.id] = "ok"
            except EventError as error:
                inbox.keep_unreadable(session, message, str(error), now=now)
                outcomes[message.id] = "parked"
        apply_all(session, readable)
    for message in messages:
        _count(message, outcomes[message.id])


def _count(message: Message, outcome: str) -> None:
    """By its type if that is one of ours: a stranger's could be any text, and as many as he likes."""
    kind = message.type if message.type in SCHEMAS else "unknown"
    metrics.events_processed.labels(kind, outcome).inc()
