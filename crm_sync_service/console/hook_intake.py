"""Collects the Cases that hooks name, bounded and coalesced, and marks their lanes due."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from crm_sync_service.connectors.base import Connector
from crm_sync_service.crm import open_crm
from crm_sync_service.hints import apply_hint
from crm_sync_service.settings import SyncSettings
from shared.clock import utc_now
from shared.database import Database

FLUSH_SECONDS = 0.05
SAME_CASE_SECONDS = 1.0
"""A Case that is named again within this time waits until it is over, so that repeated hooks cost one look."""
_PER_STATEMENT = 500
_MOST_WAITING = 20_000

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Bucket:
    """Lets `burst` through at once and `per_second` in the long run."""

    burst: float
    per_second: float
    clock: Callable[[], float] = time.monotonic
    _level: float = 0.0
    _at: float | None = None

    def take(self) -> bool:
        """Whether one more may pass."""
        if not self.has_room():
            return False
        self._level += 1
        return True

    def has_room(self) -> bool:
        """Whether one more could pass, without taking the place."""
        self._leak()
        return self._level + 1 <= self.burst

    def _leak(self) -> None:
        now = self.clock()
        self._level = max(0.0, self._level - (now - (self._at if self._at is not None else now)) * self.per_second)
        self._at = now


@dataclass(kw_only=True)
class HookIntake:
    """Collects the Cases that hooks name and marks their lanes due, in a thread of its own."""

    settings: SyncSettings
    database: Database
    open: Callable[[SyncSettings], Connector] = field(default=lambda settings: open_crm(settings)[0])
    clock: Callable[[], float] = time.monotonic
    accepted: Bucket = field(default_factory=lambda: Bucket(burst=2_000, per_second=200))
    refused: Bucket = field(default_factory=lambda: Bucket(burst=20, per_second=0.5))
    """Wrong signatures; while it is full nothing is verified."""
    stored: threading.Event = field(default_factory=threading.Event)
    """Set once the thread has marked something."""
    _waiting: dict[str, float] = field(default_factory=dict)
    """When to mark a Case's lane, by the Case's id."""
    _marked: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _bell: threading.Event = field(default_factory=threading.Event)
    _connector: Connector | None = None
    _thread: threading.Thread | None = None

    def is_flooded(self) -> bool:
        """Whether a hook must not even be looked at, as there are too many, or too many wrong ones."""
        return not self.refused.has_room() or not self.accepted.take()

    def connector(self) -> Connector:
        """Opened with the first hook, after the server has forked. Raises SettingsError."""
        with self._lock:
            if self._connector is None:
                self._connector = self.open(self.settings)
            return self._connector

    def add(self, case_ids: Sequence[str]) -> None:
        """Take note of Cases; returns at once. What is too much is left to the change feed."""
        now = self.clock()
        with self._lock:
            for case_id in case_ids:
                if len(self._waiting) >= _MOST_WAITING:
                    log.warning("hooks_dropped", reason="too many at once; the change feed finds them")
                    break
                self._waiting.setdefault(case_id, max(now, self._marked.get(case_id, 0.0) + SAME_CASE_SECONDS))
        if case_ids:
            self._start()
            self._bell.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hooks", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._bell.wait()
            time.sleep(FLUSH_SECONDS)  # what comes within this moment shares a transaction
            try:
                if self.flush():
                    self.stored.set()
            except SQLAlchemyError as error:
                log.warning("hooks_not_stored", reason=str(error))

    def flush(self) -> int:
        """Mark what is due; returns how many lanes that were."""
        now = self.clock()
        with self._lock:
            due = [case_id for case_id, at in self._waiting.items() if at <= now]
            for case_id in due:
                del self._waiting[case_id]
            self._marked = {i: at for i, at in self._marked.items() if now - at < SAME_CASE_SECONDS}
            self._marked |= dict.fromkeys(due, now)
            if not self._waiting:
                self._bell.clear()
        return sum(self._mark(due[start : start + _PER_STATEMENT]) for start in range(0, len(due), _PER_STATEMENT))

    def _mark(self, case_ids: Sequence[str]) -> int:
        with self.database.write() as session:
            return apply_hint(session, case_ids, now=utc_now())
