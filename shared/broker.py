"""The message broker, RabbitMQ or the embedded one, through kombu. Nothing here outlives a lost connection.

A connection that misbehaves is closed, never reused: on a channel that lives on after a confirm timeout a late
confirm is taken for the next message's (FAILURES T1).
"""

import socket
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

import amqp.exceptions
import kombu
import kombu.exceptions
import structlog

from shared import embedded_transport, metrics
from shared.envelope import CONTENT_TYPE, to_headers
from shared.events import Message
from shared.settings import CommonSettings
from shared.topology import DESTINATIONS, Topology

HEARTBEAT_SECONDS = 30
IN_FLIGHT = 500
"""Messages published before the first of them must be confirmed."""
_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 30
"""The longest wait for the broker to read from, or write to, the socket in the middle of something."""
_PERSISTENT = 2
_ERRORS = (OSError, sqlite3.Error, amqp.exceptions.AMQPError, kombu.exceptions.KombuError)

log = structlog.get_logger(__name__)


class BrokerUnavailableError(Exception):
    """The broker cannot be reached or used; the text says what to do and never shows the password."""


class Connection:
    """An open connection with all queues declared. For one thread; any error means: abandon it."""

    def __init__(self, link: Any, topology: Topology) -> None:
        self._link = link
        # kombu's own `connection` property reconnects in silence, without the consumers.
        self._raw = link.connection
        self.topology = topology
        self.channel = link.channel()
        for queue, arguments in topology.queues():
            self.channel.queue_declare(queue=queue, durable=True, auto_delete=False, arguments=dict(arguments))

    def open_channel(self) -> Any:
        """Another channel, to be closed as a context manager."""
        return self._link.channel()

    def wait(self, timeout: float) -> bool:
        """Let one thing happen; False if nothing did for `timeout` seconds."""
        try:
            self._link.transport.drain_events(self._raw, timeout=timeout)
        except TimeoutError:
            return False
        return True

    def beat(self) -> None:
        """Keep the heartbeats going; to be called about every second."""
        self._link.transport.heartbeat_check(self._raw)

    def close(self) -> None:
        with suppress(*_ERRORS):
            self._link.release()

    def abandon(self) -> None:
        """Close without a word to the broker, which may never answer."""
        with suppress(*_ERRORS):
            self._link.collect(socket_timeout=1)


class Broker:
    """Where the broker is. Threads may share it: each of its connections belongs to whoever asked for it."""

    def __init__(self, url: str, *, topology: Topology | None = None) -> None:
        """Raises BrokerUnavailableError when the address cannot be read."""
        self.url = url
        self.topology = topology or Topology()
        self.place = _place(url)

    @property
    def is_embedded(self) -> bool:
        return self.url.startswith(f"{embedded_transport.SCHEME}:")

    def connect(self) -> Connection:
        """A new connection, the topology declared. Raises BrokerUnavailableError."""
        link = kombu.Connection(
            self.url,
            heartbeat=HEARTBEAT_SECONDS,
            connect_timeout=_CONNECT_SECONDS,
            transport_options={} if self.is_embedded else _amqp_options(self.place),
        )
        try:
            # One attempt: who asked decides when to try again.
            link.ensure_connection(max_retries=0, timeout=_CONNECT_SECONDS, reraise_as_library_errors=False)
            return Connection(link, self.topology)
        except _ERRORS as error:
            with suppress(*_ERRORS):
                link.collect(socket_timeout=1)
            raise self._explain(error) from error

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection for the block. Raises BrokerUnavailableError, also when it is lost in between."""
        connection = self.connect()
        try:
            yield connection
        except _ERRORS as error:
            connection.abandon()
            raise self._explain(error) from error
        except BaseException:
            connection.close()
            raise
        else:
            connection.close()

    def publisher(self) -> "Publisher":
        return Publisher(self)

    def check(self) -> None:
        """Raises BrokerUnavailableError unless the broker can be used now."""
        self.depths()

    def depths(self) -> dict[str, int]:
        """How many messages wait in the queue of each destination. Raises BrokerUnavailableError."""
        with self.connected() as connection:
            return {
                destination: connection.channel.queue_declare(
                    queue=self.topology.queue(destination), passive=True
                ).message_count
                for destination in DESTINATIONS
            }

    def _explain(self, error: Exception) -> BrokerUnavailableError:
        return BrokerUnavailableError(f"the broker at {self.place} cannot be used: {_words(error)}")


class _Sending(Protocol):
    """How one kind of broker is told a window of messages and says which it has."""

    connection: Connection

    def send(self, window: Sequence[Message], *, timeout: float, confirmed: set[uuid.UUID]) -> None: ...


class Publisher:
    """Publishes with confirms. For one thread; connects by itself and again after any failure."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sending: _Sending | None = None

    def publish(self, messages: Sequence[Message], *, timeout: float = 30) -> set[uuid.UUID]:
        """Publish and return the ids the broker confirmed to have stored.

        Left out are messages that were returned (no such queue), refused, or not confirmed within `timeout` seconds
        of silence, and all after them: publish those again. The connection is closed in each of these cases.
        Raises BrokerUnavailableError if there is no connection to begin with.
        """
        confirmed: set[uuid.UUID] = set()
        for start in range(0, len(messages), IN_FLIGHT):
            window = messages[start : start + IN_FLIGHT]
            self._publish_window(window, timeout=timeout, confirmed=confirmed)
            if not all(message.id in confirmed for message in window):
                self._abandon()
                break
        return confirmed

    def close(self) -> None:
        if self._sending is not None:
            self._sending.connection.close()
            self._sending = None

    def _publish_window(self, window: Sequence[Message], *, timeout: float, confirmed: set[uuid.UUID]) -> None:
        if self._sending is None:
            connection = self._broker.connect()
            self._sending = _EmbeddedSending(connection) if self._broker.is_embedded else _AmqpSending(connection)
        before = len(confirmed)
        try:
            with metrics.publish_seconds.time():
                self._sending.send(window, timeout=timeout, confirmed=confirmed)
        except _ERRORS as error:
            if isinstance(error, TimeoutError):
                metrics.publishes.labels("timeout").inc()
            log.warning("broker.publish_failed", broker=self._broker.place, error=_words(error))

        finally:
            metrics.publishes.labels("confirmed").inc(len(confirmed) - before)

    def _abandon(self) -> None:
        if self._sending is not None:
            self._sending.connection.abandon()
            self._sending = None


class _EmbeddedSending:
    """One commit for the whole window."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, window: Sequence[Message], *, timeout: float, confirmed: set[uuid.UUID]) -> None:  # noqa: ARG002 (a commit has no such wait)
        with self.connection.channel.one_transaction() as unroutable:
            for message in window:
                _publish(self.connection, message)
        lost = {uuid.UUID(id_) for id_ in unroutable}
        if lost:
            log.warning("broker.returned", reason="the queue does not exist", count=len(lost))
            metrics.publishes.labels("returned").inc(len(lost))
        confirmed |= {message.id for message in window} - lost


class _AmqpSending:
    """Pipelined publisher confirms: delivery tags are counted here, as the broker counts them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._last_tag = 0
        self._unanswered: dict[int, uuid.UUID] = {}
        self._acknowledged: set[uuid.UUID] = set()
        self._returned: set[uuid.UUID] = set()
        channel = connection.channel
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def send(self, window: Sequence[Message], *, timeout: float, confirmed: set[uuid.UUID]) -> None:
        self._acknowledged.clear()
        try:
            for message in window:
                self._last_tag += 1
                self._unanswered[self._last_tag] = message.id
                _publish(self.connection, message, timeout=timeout)
            self._await_answers(timeout)
        finally:
            # The broker returns an unroutable message first and acknowledges it afterwards.
            confirmed |= self._acknowledged - self._returned

    def _await_answers(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self._unanswered:
            waiting = len(self._unanswered)
            left = deadline - time.monotonic()
            if left <= 0 or not self.connection.wait(left):
                raise TimeoutError(f"{waiting} messages were not confirmed within {timeout:g} s")
            if len(self._unanswered) < waiting:
                deadline = time.monotonic() + timeout

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._acknowledged.update(self._answered(tag, multiple))

    def _on_nack(self, tag: int, multiple: bool) -> None:
        refused = len(self._answered(tag, multiple))
        metrics.publishes.labels("nacked").inc(refused)
        log.warning("broker.refused", count=refused)

    def _answered(self, tag: int, multiple: bool) -> list[uuid.UUID]:
        tags = [known for known in self._unanswered if known <= tag] if multiple else [tag]
        return [self._unanswered.pop(known) for known in tags if known in self._unanswered]

    def _on_return(self, error: Exception, _exchange: str, routing_key: str, message: Any) -> None:
        metrics.publishes.labels("returned").inc()
        log.warning("broker.returned", queue=routing_key, reason=str(error))
        self._returned.add(uuid.UUID(message.properties["message_id"]))


def _publish(connection: Connection, message: Message, **options: float) -> None:
    channel = connection.channel
    prepared = channel.prepare_message(
        message.body,
        content_type=CONTENT_TYPE,
        content_encoding="utf-8",
        headers=to_headers(message),
        properties={
            "message_id": str(message.id),
            "type": message.type,
            "delivery_mode": _PERSISTENT,
            "timestamp": int(message.time.timestamp()),
        },
    )
    queue = connection.topology.queue(message.destination)
    channel.basic_publish(prepared, exchange="", routing_key=queue, mandatory=True, **options)


def _amqp_options(place: str) -> dict[str, Any]:
    def on_blocked(reason: str) -> None:
        metrics.broker_blocked.inc()
        log.warning("broker.blocked", broker=place, reason=reason, advice="look at its memory and disk alarms")

    return {
        "read_timeout": _SILENCE_SECONDS,
        "write_timeout": _SILENCE_SECONDS,
        "on_blocked": on_blocked,
        "client_properties": {"product": "Casebridge"},
    }


def _place(url: str) -> str:
    """The address for people, without the password. Raises BrokerUnavailableError."""
    if url.startswith(f"{embedded_transport.SCHEME}:"):
        return url
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"amqp", "amqps"}:
        # The address itself stays out of the text: what is wrong with it may be its password.
        raise BrokerUnavailableError(
            "BROKER_URL cannot be read: give amqp://user:password@host:5672/vhost, with special characters in the "
            "password percent-encoded (/ as %2F, @ as %40, # as %23)"
        ) from None
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{host}{f':{port}' if port else ''}{parts.path}"


_ADVICE: Sequence[tuple[type[Exception], str]] = (
    (amqp.exceptions.AccessRefused, "Check the user, the password and its permissions"),
    (amqp.exceptions.NotAllowed, "Check that the virtual host exists and the user may use it"),
    (
        amqp.exceptions.PreconditionFailed,
        "A queue exists with other arguments: empty and delete it, or choose another prefix",
    ),
    (amqp.exceptions.ConsumerCancelled, "The queue was deleted or has moved"),
    (sqlite3.Error, "Check that the folder exists and is writable and that the disk is not full"),
    (socket.gaierror, "Check the host name"),
    (OSError, "Check that it runs and that host and port are right"),
)


def _words(error: Exception) -> str:
    """What happened, and what to do about it."""
    said = str(getattr(error, "message", "") or error).rstrip(".") or type(error).__name__
    for kind, advice in _ADVICE:
        if isinstance(error, kind):
            return f"{said}. {advice}"
    return said


def open_broker(settings: CommonSettings) -> Broker:
    """The broker of the settings. Raises BrokerUnavailableError when its address cannot be read."""
    return Broker(settings.broker_url, topology=Topology(prefix=settings.broker_prefix))
