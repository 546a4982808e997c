"""The broker's queues as the console last saw them. A broker that hangs must not make the console hang."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from shared.broker import BrokerUnavailableError
from shared.broker_ops import QueueState

_FRESH_SECONDS = 2.0
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class BrokerView:
    """What is known of the broker."""

    queues: Sequence[QueueState]
    """As last seen; empty if never."""
    seen_at: datetime | None
    failing_since: datetime | None
    """When this console first got no answer, after which it got none."""
    error: str | None

    @property
    def works(self) -> bool:
        return self.error is None


class BrokerWatch:
    """Asks at most every two seconds and waits at most two for the answer."""

    def __init__(self, ask: Callable[[], Sequence[QueueState]], *, now: Callable[[], datetime]) -> None:
        self._ask = ask
        self._now = now
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="broker-watch")
        self._lock = threading.Lock()
        self._asked: Future[None] | None = None
        self._asked_at = float("-inf")
        self._view = BrokerView(queues=(), seen_at=None, failing_since=None, error=None)

    def look(self) -> BrokerView:
        with self._lock:
            if self._is_due():
                self._asked_at = time.monotonic()
                self._asked = self._pool.submit(self._refresh)
            asked = self._asked
        if asked is not None:
            with suppress(FutureTimeoutError):
                asked.result(timeout=_PATIENCE_SECONDS)
            if not asked.done():
                self._failed(f"the broker has not answered for {_PATIENCE_SECONDS:g} s")
        return self._view

    def _is_due(self) -> bool:
        answered = self._asked is None or self._asked.done()
        return answered and time.monotonic() - self._asked_at >= _FRESH_SECONDS

    def _refresh(self) -> None:
        try:
            queues = self._ask()
        except BrokerUnavailableError as error:
            self._failed(str(error))
        else:
            self._view = BrokerView(queues=queues, seen_at=self._now(), failing_since=None, error=None)

    def _failed(self, words: str) -> None:
        view = self._view
        self._view = replace(view, error=words, failing_since=view.failing_since or self._now())
