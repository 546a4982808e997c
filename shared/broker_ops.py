"""What an administrator does at the broker: see the queues, read dead letters and put them back.

On RabbitMQ through pika, a client independent of the one that carries the traffic; on the embedded broker through
its tables. Looking changes nothing: messages in working queues are counted but never fetched, because each fetch
would count towards their delivery limit.
"""

import json
import sqlite3
import uuid
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pika
import pika.exceptions

from shared.broker import Broker, BrokerUnavailableError
from shared.clock import utc_now
from shared.embedded_transport import path_of
from shared.envelope import to_message
from shared.events import Message
from shared.lease_table import DeadMessage, LeaseTable
from shared.topology import DESTINATIONS, Topology

_HEARTBEAT_SECONDS = 30
_WAIT_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """One destination's queue, counted."""

    destination: str
    queue: str
    waiting: int
    """Ready for a reader."""
    held: int | None
    """With a reader, not acknowledged yet; None where the broker does not tell."""
    dead_letters: int
    consumers: int | None
    oldest: datetime | None
    """Since when the oldest message waits; None if there is none or the broker does not tell."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message that was given up, in its envelope."""

    message: Message
    reason: str
    """`rejected`: a reader refused it; `delivery_limit`: its readers died on it."""
    since: datetime | None


class BrokerOperations(Protocol):
    """Every method raises BrokerUnavailableError."""

    def queues(self) -> list[QueueState]: ...

    def dead_letters(self, destination: str, *, limit: int = 100) -> list[DeadLetter]:
        """The oldest dead letters of a destination; they stay where they are."""

    def discard(self, destination: str, *, subject: str) -> int:
        """Delete the dead letters about one ticket or record for good; returns how many."""

    def replay(self, destination: str, *, ids: Collection[uuid.UUID] | None = None) -> int:
        """Put dead letters back into their queue, all or those with these event ids; returns how many.

        Each is deleted only after the broker confirmed the copy, so a crash may repeat one but loses none.
        """


def open_operations(broker: Broker) -> BrokerOperations:
    return _Embedded(broker) if broker.is_embedded else _Rabbit(broker)


class _Embedded:
    def __init__(self, broker: Broker) -> None:
        self._place = broker.place
        self._topology = broker.topology

    def queues(self) -> list[QueueState]:
        with self._table() as table:
            return [self._state(table, destination) for destination in DESTINATIONS]

    def dead_letters(self, destination: str, *, limit: int = 100) -> list[DeadLetter]:
        with self._table() as table:
            found = table.dead(self._topology.dead_letter_queue(destination), limit=limit)
        return [
            DeadLetter(
                message=_embedded_message(dead, destination),
                reason=dead.died_from,
                since=datetime.fromtimestamp(dead.died_at, UTC),
            )
            for dead in found
        ]

    def discard(self, destination: str, *, subject: str) -> int:
        queue = self._topology.dead_letter_queue(destination)
        with self._table() as table:
            found = table.dead(queue, limit=-1)
            return table.drop([dead.id for dead in found if _embedded_message(dead, destination).subject == subject])

    def replay(self, destination: str, *, ids: Collection[uuid.UUID] | None = None) -> int:
        dead_letter_queue = self._topology.dead_letter_queue(destination)
        with self._table() as table:
            found = table.dead(dead_letter_queue, limit=-1)
            chosen = [dead.id for dead in found if ids is None or _embedded_message(dead, destination).id in ids]
            return table.revive(chosen, dead_letter_queue=dead_letter_queue, queue=self._topology.queue(destination))

    @contextmanager
    def _table(self) -> Iterator[LeaseTable]:
        try:
            with closing(LeaseTable(path_of(self._place))) as table:
                yield table
        except sqlite3.Error as error:
            raise BrokerUnavailableError(f"the broker at {self._place} cannot be used: {error}") from error

    def _state(self, table: LeaseTable, destination: str) -> QueueState:
        queue = self._topology.queue(destination)
        oldest = table.oldest(queue)
        return QueueState(
            destination=destination,
            queue=queue,
            waiting=table.size(queue),
            held=table.held(queue),
            dead_letters=table.size(self._topology.dead_letter_queue(destination)),
            consumers=None,
            oldest=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
        )


def _embedded_message(dead: DeadMessage, destination: str) -> Message:
    payload = json.loads(dead.payload)
    return to_message(
        payload["headers"],
        payload["body"],
        destination=destination,
        received=datetime.fromtimestamp(dead.died_at, UTC),
    )


class _Rabbit:
    def __init__(self, broker: Broker) -> None:
        self._url = broker.url
        self._place = broker.place
        self._topology: Topology = broker.topology

    def queues(self) -> list[QueueState]:
        with self._channel() as channel:
            return [self._state(channel, destination) for destination in DESTINATIONS]

    def dead_letters(self, destination: str, *, limit: int = 100) -> list[DeadLetter]:
        # Nothing is acknowledged: closing the channel puts everything back in its place.
        with self._channel() as channel:
            fetched = _fetch(channel, self._topology.dead_letter_queue(destination), limit)
            return [_rabbit_letter(properties, body, destination) for _, properties, body in fetched]

    def discard(self, destination: str, *, subject: str) -> int:
        dropped = 0
        with self._channel() as channel:
            queue = self._topology.dead_letter_queue(destination)
            count = channel.queue_declare(queue, passive=True).method.message_count
            # What is not acknowledged goes back to its place when the channel closes.
            for method, properties, body in _fetch(channel, queue, count):
                if _rabbit_letter(properties, body, destination).message.subject == subject:
                    channel.basic_ack(method.delivery_tag)
                    dropped += 1
        return dropped

    def replay(self, destination: str, *, ids: Collection[uuid.UUID] | None = None) -> int:
        replayed = 0
        with self._channel() as channel:
            channel.confirm_delivery()
            dead_letter_queue = self._topology.dead_letter_queue(destination)
            count = channel.queue_declare(dead_letter_queue, passive=True).method.message_count
            for method, properties, body in _fetch(channel, dead_letter_queue, count):
                if ids is None or _rabbit_letter(properties, body, destination).message.id in ids:
                    # Raises unless the broker confirms that it is stored.
                    channel.basic_publish(
                        "", self._topology.queue(destination), body, _as_if_new(properties), mandatory=True
                    )
                    channel.basic_ack(method.delivery_tag)
                    replayed += 1
        return replayed

    def _channel(self) -> AbstractContextManager[Any]:
        return _rabbit_channel(self._url, self._place)

    def _state(self, channel: Any, destination: str) -> QueueState:
        queue = self._topology.queue(destination)
        counted = channel.queue_declare(queue, passive=True).method
        dead = channel.queue_declare(self._topology.dead_letter_queue(destination), passive=True).method
        return QueueState(
            destination=destination,
            queue=queue,
            waiting=counted.message_count,
            held=None,
            dead_letters=dead.message_count,
            consumers=counted.consumer_count,
            oldest=None,
        )


@contextmanager
def _rabbit_channel(url: str, place: str) -> Iterator[Any]:
    try:
        parameters = pika.URLParameters(url)
        # A URL that ends in // means the virtual host "/" to kombu, but one without a name to pika.
        parameters.virtual_host = parameters.virtual_host or "/"
        parameters.heartbeat = _HEARTBEAT_SECONDS
        parameters.socket_timeout = parameters.blocked_connection_timeout = _WAIT_SECONDS
        connection = pika.BlockingConnection(parameters)
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()
    except (pika.exceptions.AMQPError, OSError) as error:
        words = str(error) or type(error).__name__
        raise BrokerUnavailableError(
            f"the broker at {place} cannot be used: {words}. Check that it runs and has the queues"
        ) from error


def _fetch(channel: Any, queue: str, limit: int) -> Iterator[tuple[Any, Any, bytes]]:
    for _ in range(limit):
        method, properties, body = channel.basic_get(queue)
        if method is None:
            return
        yield method, properties, body


def _rabbit_letter(properties: Any, body: bytes, destination: str) -> DeadLetter:
    headers = properties.headers or {}
    death: dict[str, Any] = next(iter(headers.get("x-death") or []), {})
    since = death.get("time")
    return DeadLetter(
        message=to_message(headers, body, destination=destination, received=utc_now()),
        reason=str(death.get("reason", "")),
        since=since.replace(tzinfo=UTC) if isinstance(since, datetime) else None,
    )


def _as_if_new(properties: Any) -> Any:
    """The same properties without what RabbitMQ noted about deaths and deliveries."""
    properties.headers = {
        name: value for name, value in (properties.headers or {}).items() if not name.startswith("x-")
    }
    return properties
