"""The embedded broker's file to processes that may die: the product's own lease table, and what a kill leaves."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from shared.lease_table import Leased, LeaseTable


class Bus(Protocol):
    """What happens around the file."""

    life: "Life"
    seen: Counter[str]

    def point(self, place: str) -> None: ...

    def may_die(self, place: str) -> None: ...

    def may_be_full(self, words: str) -> None: ...


class _Dead:
    """The connection of a process that is no more: nothing it does reaches the file."""

    rowcount = 0

    def execute(self, *_: Any) -> "_Dead":
        return self

    executemany = execute

    def fetchall(self) -> list[Any]:
        return []

    def fetchone(self) -> None:
        return None

    def close(self) -> None:
        pass


class Life:
    """A process, as far as the broker's file knows it."""

    def __init__(self) -> None:
        self.tables: list[Table] = []

    def end(self) -> None:
        """As by kill -9: a transaction under way is gone, leases stay."""
        for table in self.tables:
            table.end()


class Table(LeaseTable):
    """The product's lease table with a place to die, or to meet a full disk, around and inside each transaction."""

    def __init__(self, path: str, bus: Bus) -> None:
        super().__init__(path)
        self.bus = bus
        bus.life.tables.append(self)

    def end(self) -> None:
        self._connection.close()
        self._connection: Any = _Dead()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if isinstance(self._connection, _Dead):
            yield
            return
        self.bus.point("before a transaction of the broker")
        self.bus.may_be_full("nothing was written")
        with super()._transaction():
            yield
            self.bus.may_die("inside a transaction of the broker")
        self.bus.point("after a transaction of the broker")
        self.bus.may_be_full("all was written")

    def take(self, queue: str, *, limit: int) -> list[Leased]:
        leased = super().take(queue, limit=limit)
        self.bus.seen["redelivered"] += sum(each.deliveries > 1 for each in leased)
        return leased
