"""Keeps one visitor from asking too often. Counted in this process only: it protects the process, not a secret."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

_MOST_VISITORS = 10_000


class Pace:
    """At most `most` calls of one visitor within `seconds`."""

    def __init__(self, most: int, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def allows(self, visitor: str) -> bool:
        """Whether this call is still within the pace; it counts only then."""
        now = self._clock()
        with self._lock:
            calls = self._calls.setdefault(visitor, deque())
            self._calls.move_to_end(visitor)
            if len(self._calls) > _MOST_VISITORS:
                self._calls.popitem(last=False)
            while calls and calls[0] <= now - self._seconds:
                calls.popleft()
            if len(calls) >= self._most:
                return False
            calls.append(now)
            return True
