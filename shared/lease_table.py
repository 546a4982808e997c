"""The embedded broker's store: queues of messages in one SQLite file, read under leases by several processes.

A message is gone only when its reader acknowledged it. Until then it belongs to a lease; when the lease ends
because its holder died, the message comes back by itself.
"""
# ruff: noqa: S608 (only constants of this module are put into statements)

import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

LEASE_SECONDS = 10.0
_WAIT_SECONDS = 20.0
_OPEN_PAUSE_SECONDS = 0.02

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS queues (
        name TEXT PRIMARY KEY, dead_letter_queue TEXT, delivery_limit INTEGER) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL REFERENCES queues (name) ON DELETE CASCADE,
        payload TEXT NOT NULL,
        put_at REAL NOT NULL,
        lease TEXT,
        leased_until REAL NOT NULL DEFAULT 0,
        deliveries INTEGER NOT NULL DEFAULT 0,
        died_from TEXT,
        died_at REAL)""",
    "CREATE INDEX IF NOT EXISTS ix_messages_queue ON messages (queue, id)",
)
# A lease that ends later than any lease can was written before the clock was set back.
_FREE = "(leased_until <= :now OR leased_until > :now + :lease_seconds)"


@dataclass(frozen=True, kw_only=True)
class Leased:
    """A message held by the caller; (id, lease) says who may acknowledge it."""

    id: int
    lease: str
    queue: str
    payload: str
    deliveries: int
    """How often it was handed out, this time included."""


@dataclass(frozen=True, kw_only=True)
class DeadMessage:
    """A message in a dead-letter queue."""

    id: int
    payload: str
    died_from: str
    died_at: float
    """Seconds since 1970."""


Ticket = tuple[int, str]
"""(id, lease) of a leased message."""


class LeaseTable:
    """One process's access to the file. Not for several threads at once. Raises sqlite3.Error."""

    def __init__(self, path: str) -> None:
        self._connection = _open(path)

    def close(self) -> None:
        self._connection.close()

    def declare(self, queue: str, *, dead_letter_queue: str | None, delivery_limit: int | None) -> None:
        """Create a queue or renew its arguments; processes may do so at the same time."""
        row = (queue, dead_letter_queue, delivery_limit)
        known = self._connection.execute("SELECT * FROM queues WHERE name = ?", (queue,)).fetchone()
        if known != row:
            with self._transaction():
                self._connection.execute(
                    "INSERT INTO queues VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                    "dead_letter_queue = excluded.dead_letter_queue, delivery_limit = excluded.delivery_limit",
                    row,
                )

    def exists(self, queue: str) -> bool:
        return bool(self._connection.execute("SELECT 1 FROM queues WHERE name = ?", (queue,)).fetchone())

    def delete(self, queue: str) -> None:
        """Delete a queue and all it holds."""
        with self._transaction():
            self._connection.execute("DELETE FROM queues WHERE name = ?", (queue,))

    def purge(self, queue: str) -> int:
        """Delete the messages nobody holds; returns how many."""
        with self._transaction():
            return self._connection.execute(
                f"DELETE FROM messages WHERE queue = :queue AND {_FREE}", _at(time.time(), queue=queue)
            ).rowcount

    def put(self, rows: Sequence[tuple[str, str]]) -> list[bool]:
        """Store (queue, payload) pairs in one transaction, on disk when this returns.

        Returns for each whether its queue exists; those without a queue are not stored.
        """
        now = time.time()
        with self._transaction():
            return [
                self._connection.execute(
                    "INSERT INTO messages (queue, payload, put_at) SELECT name, ?, ? FROM queues WHERE name = ?",
                    (payload, now, queue),
                ).rowcount
                == 1
                for queue, payload in rows
            ]

    def take(self, queue: str, *, limit: int) -> list[Leased]:
        """Lease up to `limit` messages, oldest first, for LEASE_SECONDS."""
        now = time.time()
        if limit < 1 or not self._has_free(queue, now):
            return []
        lease = uuid.uuid4().hex
        with self._transaction():
            self._bury_exhausted(queue, now)
            rows = self._connection.execute(
                f"""UPDATE messages SET lease = :new_lease, leased_until = :now + :lease_seconds,
                        deliveries = deliveries + 1
                    WHERE id IN (SELECT id FROM messages WHERE queue = :queue AND {_FREE} ORDER BY id LIMIT :limit)
                    RETURNING id, payload, deliveries""",
                _at(now, queue=queue, new_lease=lease, limit=limit),
            ).fetchall()
        return [
            Leased(id=id_, lease=lease, queue=queue, payload=payload, deliveries=deliveries)
            for id_, payload, deliveries in sorted(rows)
        ]

    def acknowledge(self, tickets: Iterable[Ticket]) -> None:
        """Delete handled messages, except those whose lease passed to somebody else."""
        with self._transaction():
            self._connection.executemany("DELETE FROM messages WHERE id = ? AND lease = ?", list(tickets))

    def release(self, tickets: Iterable[Ticket]) -> None:
        """Give messages back at once instead of when their lease ends."""
        with self._transaction():
            self._connection.executemany(
                "UPDATE messages SET lease = NULL, leased_until = 0 WHERE id = ? AND lease = ?", list(tickets)
            )

    def renew(self, tickets: Iterable[Ticket]) -> None:
        """Hold messages for another LEASE_SECONDS from now."""
        until = time.time() + LEASE_SECONDS
        with self._transaction():
            self._connection.executemany(
                "UPDATE messages SET leased_until = ? WHERE id = ? AND lease = ?",
                [(until, *ticket) for ticket in tickets],
            )

    def bury(self, ticket: Ticket) -> None:
        """Move a refused message to its dead-letter queue; without one it is deleted."""
        with self._transaction():
            self._connection.execute(
                f"{_BURY} WHERE id = :id AND lease = :ticket_lease AND {_HAS_GRAVE}",
                _at(time.time(), cause="rejected", id=ticket[0], ticket_lease=ticket[1]),
            )
            self._connection.execute(f"DELETE FROM messages WHERE id = ? AND lease = ? AND {_GRAVE} IS NULL", ticket)

    def size(self, queue: str) -> int:
        """How many messages are ready, those under a lease not counted."""
        return int(
            self._connection.execute(
                f"SELECT count(*) FROM messages WHERE queue = :queue AND {_FREE}", _at(time.time(), queue=queue)
            ).fetchone()[0]
        )

    def held(self, queue: str) -> int:
        """How many messages are under a lease."""
        total = self._connection.execute("SELECT count(*) FROM messages WHERE queue = ?", (queue,)).fetchone()[0]
        return int(total) - self.size(queue)

    def oldest(self, queue: str) -> float | None:
        """When the oldest message was put, in seconds since 1970."""
        row = self._connection.execute(
            "SELECT put_at FROM messages WHERE queue = ? ORDER BY id LIMIT 1", (queue,)
        ).fetchone()
        return None if row is None else float(row[0])

    def dead(self, dead_letter_queue: str, *, limit: int) -> list[DeadMessage]:
        """What a dead-letter queue holds, oldest first; nothing is taken."""
        rows = self._connection.execute(
            "SELECT id, payload, coalesce(died_from, ''), coalesce(died_at, put_at) FROM messages "
            "WHERE queue = ? ORDER BY id LIMIT ?",
            (dead_letter_queue, limit),
        )
        return [DeadMessage(id=row[0], payload=row[1], died_from=row[2], died_at=row[3]) for row in rows]

    def drop(self, ids: Sequence[int]) -> int:
        """Delete messages for good; returns how many."""
        with self._transaction():
            dropped = self._connection.executemany("DELETE FROM messages WHERE id = ?", [(id_,) for id_ in ids])
            return max(dropped.rowcount, 0)

    def revive(self, ids: Iterable[int], *, dead_letter_queue: str, queue: str) -> int:
        """Put dead messages back into their queue as if new; returns how many."""
        with self._transaction():
            return self._connection.executemany(
                "UPDATE messages SET queue = ?, deliveries = 0, lease = NULL, leased_until = 0, "
                "died_from = NULL, died_at = NULL WHERE queue = ? AND id = ?",
                [(queue, dead_letter_queue, id_) for id_ in ids],
            ).rowcount

    def _has_free(self, queue: str, now: float) -> bool:
        found = self._connection.execute(
            f"SELECT 1 FROM messages WHERE queue = :queue AND {_FREE} LIMIT 1", _at(now, queue=queue)
        )
        return found.fetchone() is not None

    def _bury_exhausted(self, queue: str, now: float) -> None:
        """Move what came back more often than its queue allows: its readers die on it."""
        self._connection.execute(
            f"""{_BURY} WHERE queue = :queue AND {_FREE} AND {_HAS_GRAVE}
                AND deliveries > (SELECT delivery_limit FROM queues WHERE name = messages.queue)""",
            _at(now, cause="delivery_limit", queue=queue),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk may have ended the transaction already.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise


_GRAVE = "(SELECT dead_letter_queue FROM queues WHERE name = messages.queue)"
_HAS_GRAVE = f"{_GRAVE} IN (SELECT name FROM queues)"
_BURY = f"""UPDATE messages SET queue = {_GRAVE}, died_from = :cause, died_at = :now,
            deliveries = 0, lease = NULL, leased_until = 0"""


def _at(now: float, **values: str | float) -> dict[str, str | float]:
    return {"now": now, "lease_seconds": LEASE_SECONDS, **values}


def _open(path: str) -> sqlite3.Connection:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection)
        except sqlite3.Error as error:
            connection.close()
            # Switching to WAL does not wait for others that open the new file at the same moment.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_OPEN_PAUSE_SECONDS)
        else:
            return connection


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    present = connection.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('queues', 'messages')").fetchone()
    if present[0] < 2:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("COMMIT")
