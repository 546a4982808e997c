"""One transaction for what many threads want to commit at the same moment.

Whoever comes when nobody commits does so at once, for itself. Who comes meanwhile waits; when that transaction has
ended the first of those leads the next one, for all who wait by then. So a lone lane loses no time, and the busier a
worker is the more lanes share a transaction.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")

Commit = Callable[[Sequence[Item]], Sequence[Exception | None]]
"""Stores a group; what became of each item, None if it is stored. Raising means that nobody knows."""


class OutcomeUnknownError(Exception):
    """The thread that committed for this one, too, died of something else."""


@dataclass(eq=False)
class _Waiting(Generic[Item]):
    item: Item
    error: Exception | None = None
    leads: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held until the item is stored, or its thread has to lead."""

    def __post_init__(self) -> None:
        self.turn.acquire()


class GroupCommit(Generic[Item]):
    """For any number of threads of one process."""

    def __init__(self, commit: Commit[Item]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._queue: list[_Waiting[Item]] = []
        self._led = False

    def do(self, item: Item) -> None:
        """Return when the item is stored; raises what kept it from that."""
        mine = self._line_up(item)
        if not mine.leads:
            mine.turn.acquire()
        if mine.leads:
            self._lead()
        if mine.error is not None:
            raise mine.error

    def _line_up(self, item: Item) -> _Waiting[Item]:
        mine = _Waiting(item)
        with self._lock:
            mine.leads, self._led = not self._led, True
            self._queue.append(mine)
        return mine

    def _lead(self) -> None:
        with self._lock:
            group, self._queue = self._queue, []
        errors: Sequence[Exception | None] = [
            OutcomeUnknownError("what was to be stored may be, or not") for _ in group
        ]
        try:
            errors = self._commit([each.item for each in group])
        finally:
            self._hand_over()
            for each, error in zip(group, errors, strict=True):
                each.error = error
                each.turn.release()

    def _hand_over(self) -> None:
        with self._lock:
            self._led = bool(self._queue)
            if self._led:
                self._queue[0].leads = True
                self._queue[0].turn.release()
