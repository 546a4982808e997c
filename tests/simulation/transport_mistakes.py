"""Mistakes of brokers in a file, each planted into the product's embedded one; kombu's own made the first two."""

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from shared import broker, broker_ops, consumer, lease_table
from shared.broker import BrokerUnavailableError, _EmbeddedSending
from shared.events import Message
from shared.lease_table import Leased, LeaseTable, Ticket
from tests.simulation.broker_file import Table

Patch = tuple[Any, str, Any]
_FOR_EVER = 1e12

_take = Table.take


def _taken_is_gone(self: LeaseTable, queue: str, *, limit: int) -> list[Leased]:
    """A message leaves the file when it is handed out (FAILURES T5)."""
    leased = _take(self, queue, limit=limit)  # type: ignore[arg-type]
    self.acknowledge([(each.id, each.lease) for each in leased])
    return leased


def _lease_without_end(self: LeaseTable, queue: str, *, limit: int) -> list[Leased]:
    """What a reader held when it died is its own for ever (FAILURES T6)."""
    leased = _take(self, queue, limit=limit)  # type: ignore[arg-type]
    with self._transaction():
        self._connection.executemany(
            "UPDATE messages SET leased_until = ? WHERE id = ? AND lease = ?",
            [(_FOR_EVER, each.id, each.lease) for each in leased],
        )
    return leased


def _closing_forgets(self: LeaseTable, tickets: Iterable[Ticket]) -> None:
    """What a closed connection held counts as done."""
    self.acknowledge(tickets)


def _send_blindly(
    self: _EmbeddedSending,
    window: Sequence[Message],
    *,
    timeout: float,
    confirmed: set[uuid.UUID],
) -> None:
    """Whatever was handed over counts as stored."""
    confirmed |= {message.id for message in window}
    with suppress(*broker._ERRORS):
        _send(self, window, timeout=timeout, confirmed=confirmed)


_send = _EmbeddedSending.send


def _bury_nowhere(self: LeaseTable, ticket: Ticket) -> None:
    """A refused message is deleted, though its queue has a dead-letter queue."""
    with self._transaction():
        self._connection.execute("DELETE FROM messages WHERE id = ? AND lease = ?", ticket)


def _revived_as_they_died(self: LeaseTable, ids: Iterable[int], *, dead_letter_queue: str, queue: str) -> int:
    """A dead letter that was put back has used up its deliveries already."""
    with self._transaction():
        return self._connection.executemany(
            "UPDATE messages SET queue = ?, deliveries = 99, lease = NULL, leased_until = 0 WHERE queue = ? AND id = ?",
            [(queue, dead_letter_queue, id_) for id_ in ids],
        ).rowcount


def _replay_deletes(self: Any, destination: str, *, ids: Collection[uuid.UUID] | None = None) -> int:
    """Dead letters are taken out first and put back afterwards, the newest only."""
    dead = self._topology.dead_letter_queue(destination)
    with self._table() as table:
        found = table.dead(dead, limit=-1)
        if not found:
            return 0
        payload = json.loads(found[-1].payload)
        table.purge(dead)
        table.put([(self._topology.queue(destination), json.dumps(payload))])
    return len(found)


def _acknowledged_before(self: consumer.Consumer, deliveries: Sequence[Any]) -> bool:
    """A batch is acknowledged, and written so, before it is handled."""
    self._acknowledge(deliveries)
    for delivery in deliveries:
        delivery.raw.channel._write_acknowledgements()
    with suppress(BrokerUnavailableError):
        self._do(deliveries)
    return True


TRANSPORT_MISTAKES: Mapping[str, Sequence[Patch]] = {
    "taken_is_gone": [(Table, "take", _taken_is_gone)],
    "lease_without_end": [(Table, "take", _lease_without_end)],
    "clock_set_back": [(lease_table, "_FREE", "(leased_until <= :now AND :lease_seconds > 0)")],
    "closing_forgets": [(LeaseTable, "release", _closing_forgets)],
    "confirmed_unwritten": [(_EmbeddedSending, "send", _send_blindly)],
    "refused_is_gone": [(LeaseTable, "bury", _bury_nowhere)],
    "revived_as_it_died": [(LeaseTable, "revive", _revived_as_they_died)],
    "replay_loses": [(broker_ops._Embedded, "replay", _replay_deletes)],
    "acknowledged_unhandled": [(consumer.Consumer, "_try_together", _acknowledged_before)],
}
