"""A kombu transport without a server: `embedded:///file` (`embedded:////file` from the root), as SQLite's URLs are.

kombu's own file transports lose what a killed reader held (FAILURES T5, T6). Here publishing returns after the
commit and reading takes a lease, see `lease_table`. Importing this module makes the scheme known to kombu.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from amqp.exceptions import NotFound
from amqp.protocol import queue_declare_ok_t
from kombu.transport import TRANSPORT_ALIASES, virtual

from shared.lease_table import LEASE_SECONDS, Leased, LeaseTable, Ticket

SCHEME = "embedded"
_WITHOUT_PREFETCH = 100

TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def path_of(url: str) -> str:
    """The file an `embedded:///` address names, taken literally."""
    return url.removeprefix(f"{SCHEME}://").removeprefix("/")


class Channel(virtual.Channel):  # type: ignore[misc] # kombu ships no types
    """Acknowledgements are written with the next poll, many in one commit: losing one merely repeats a delivery."""

    do_restore = False

    def __init__(self, connection: Any, **options: Any) -> None:
        super().__init__(connection, **options)
        self.table = LeaseTable(path_of(connection.client.hostname))
        self._together: list[tuple[str, dict[str, Any]]] | None = None
        self._acknowledged: list[Ticket] = []
        self._renewed_at = time.monotonic()

    @contextmanager
    def one_transaction(self) -> Iterator[list[str]]:
        """What is published in the block is stored in one commit at its end.

        Yields a list that then holds the message ids of those whose queue does not exist.
        """
        unroutable: list[str] = []
        self._together = rows = list[tuple[str, dict[str, Any]]]()
        try:
            yield unroutable
        finally:
            self._together = None
        stored = self.table.put([(queue, json.dumps(message)) for queue, message in rows])
        unroutable += [rows[i][1]["properties"]["message_id"] for i, done in enumerate(stored) if not done]

    def encode_body(self, body: str | bytes, encoding: str | None = None) -> tuple[str, str | None]:
        return (body.decode() if isinstance(body, bytes) else body), encoding

    def decode_body(self, body: str, encoding: str | None = None) -> str:  # noqa: ARG002 (signature of the base class)
        return body

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        if self._together is not None:
            self._together.append((queue, message))
        elif self.table.put([(queue, json.dumps(message))]) == [False]:
            raise NotFound(f"NO_ROUTE - no queue {queue!r}")

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002 (as above)
        leased = self.table.take(queue, limit=1)
        if not leased:
            raise Empty
        return _payload(leased[0])

    def drain_events(self, timeout: float | None = None, callback: Any = None) -> None:  # noqa: ARG002 (as above)
        self._write_acknowledgements()
        self._renew_leases()
        room = self.qos.can_consume_max_estimate()
        limit = _WITHOUT_PREFETCH if room is None else room
        taken = [leased for queue in set(self._active_queues) for leased in self.table.take(queue, limit=limit)]
        if not taken:
            raise Empty
        for leased in taken:
            callback(_payload(leased), leased.queue)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        if multiple:
            raise NotImplementedError("the embedded broker acknowledges one by one")
        super().basic_ack(delivery_tag)
        self._acknowledged.append(_ticket(delivery_tag))
        if not self._consumers:
            self._write_acknowledgements()

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        self.qos.ack(delivery_tag)
        if requeue:
            self.table.release([_ticket(delivery_tag)])
        else:
            self.table.bury(_ticket(delivery_tag))

    def close(self) -> None:
        """What is neither acknowledged nor refused goes back to its queue at once."""
        if not self.closed:
            self._write_acknowledgements()
            if held := self._held():
                self.table.release(held)
            self.table.close()
        super().close()

    def _held(self) -> list[Ticket]:
        self.qos._flush()  # noqa: SLF001 (the base class keeps acknowledged tags until told)
        return [_ticket(tag) for tag in self.qos._delivered]  # noqa: SLF001

    def _write_acknowledgements(self) -> None:
        if self._acknowledged:
            self.table.acknowledge(self._acknowledged)
            self._acknowledged = []

    def _renew_leases(self) -> None:
        if time.monotonic() - self._renewed_at < LEASE_SECONDS / 3:
            return
        self._renewed_at = time.monotonic()
        if held := self._held():
            self.table.renew(held)

    def _new_queue(self, queue: str, arguments: dict[str, Any] | None = None, **_: Any) -> None:
        wanted = arguments or {}
        self.table.declare(
            queue,
            dead_letter_queue=wanted.get("x-dead-letter-routing-key"),
            delivery_limit=wanted.get("x-delivery-limit"),
        )

    def queue_declare(self, queue: str = "", passive: bool = False, **options: Any) -> Any:
        if passive and not self.table.exists(queue):
            raise NotFound(f"NOT_FOUND - no queue {queue!r}")
        if passive:
            return queue_declare_ok_t(queue, self._size(queue), 0)
        return super().queue_declare(queue, **options)

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **_: Any) -> None:  # noqa: ARG002 (as above)
        if not (if_empty and self._size(queue)):
            self.table.delete(queue)

    def _size(self, queue: str) -> int:
        return self.table.size(queue)

    def _purge(self, queue: str) -> int:
        return self.table.purge(queue)


class Transport(virtual.Transport):  # type: ignore[misc] # kombu ships no types
    Channel = Channel
    can_parse_url = True
    driver_type = SCHEME
    driver_name = "sqlite3"
    polling_interval = 0.01
    """Seconds; a poll that finds nothing is one indexed read."""
    connection_errors = (*virtual.Transport.connection_errors, sqlite3.Error)
    channel_errors = (*virtual.Transport.channel_errors, NotFound)

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:  # noqa: ARG002 (as above)
        return uri


def _ticket(delivery_tag: str) -> Ticket:
    id_, lease = delivery_tag.split(".")
    return int(id_), lease


def _payload(leased: Leased) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(leased.payload)
    payload["properties"]["delivery_tag"] = f"{leased.id}.{leased.lease}"
    payload["properties"]["delivery_info"]["redelivered"] = leased.deliveries > 1
    return payload
