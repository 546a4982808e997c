"""How many calls a CRM is sent: counted for all workers together and, where there is a limit, kept below it.

Workers set calls aside in small portions, so that not every call writes to the database. What matters more may spend
more of the limit: new Cases before replies, those before changes, background work last (FAILURES 53).
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from crm_sync_service.lanes import Priority
from crm_sync_service.operation_models import CallCount
from crm_sync_service.operations import DAY, MINUTE
from crm_sync_service.retries import HoldError
from shared.database import Database

urgency: ContextVar[int] = ContextVar("urgency", default=Priority.CHANGE)
"""What the calls of this thread are for."""

_SHARES = {Priority.CREATE: 1.0, Priority.REPLY: 0.95, Priority.CHANGE: 0.9, Priority.PULL: 0.8}
_BACKGROUND_SHARE = 0.5
_PORTION = 0.05
_KEEP_MINUTES = timedelta(hours=2)
_KEEP_DAYS = timedelta(days=60)


def background_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """Threads whose calls count as background work."""
    return ThreadPoolExecutor(
        threads, thread_name_prefix=name, initializer=urgency.set, initargs=(Priority.BACKGROUND,)
    )


class BudgetSpentError(HoldError):
    """No more calls of this kind before the next minute, or day."""


def share_of(limit: int, priority: int) -> int:
    """How much of a limit work of this priority may spend; always at least one call."""
    part = _BACKGROUND_SHARE if priority >= Priority.BACKGROUND else _SHARES[Priority(priority)]
    return max(1, int(limit * part))


@dataclass(kw_only=True)
class Budget:
    """The calls of one worker to one CRM."""

    database: Database
    crm: str
    per_minute: int
    """0: no limit; so is `per_day`."""
    per_day: int
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _minute: str = ""
    _granted: int = 0
    """Set aside in the table and not yet made."""
    _used: tuple[int, int] = (0, 0)
    """Of this minute and this day, with what is set aside, as last seen."""
    _uncounted: int = 0

    @property
    def limited(self) -> bool:
        return bool(self.per_minute or self.per_day)

    def spend(self) -> None:
        """Account for one call, before it is made. Raises BudgetSpentError."""
        with self._lock:
            if not self.limited:
                self._uncounted += 1
                return
            now = self.now().astimezone(UTC)
            if self._granted == 0 or self._minute != now.strftime(MINUTE):
                self._set_aside(now)
            self._refuse_if_spent(now)
            self._granted -= 1

    def flush(self) -> None:
        """Store what was counted without a limit; called every few seconds."""
        with self._lock:
            calls, self._uncounted = self._uncounted, 0
        if calls:
            now = self.now().astimezone(UTC)
            with self.database.write() as session:
                for period in (now.strftime(MINUTE), now.strftime(DAY)):
                    _add(session, self.crm, period, calls)

    def _set_aside(self, now: datetime) -> None:
        """Take a portion of what is left, as far as this thread's urgency allows."""
        minute, day = now.strftime(MINUTE), now.strftime(DAY)
        with self.database.write() as session:
            used = (_add(session, self.crm, minute, 0), _add(session, self.crm, day, 0))
            left = min(_left(limit, taken) for limit, taken in zip(self._limits, used, strict=True))
            portion = min(left, max(1, int(_PORTION * min(limit for limit in self._limits if limit))))
            if portion > 0:
                used = (_add(session, self.crm, minute, portion), _add(session, self.crm, day, portion))
        self._minute, self._granted, self._used = minute, max(portion, 0), used

    @property
    def _limits(self) -> tuple[int, int]:
        return self.per_minute, self.per_day

    def _refuse_if_spent(self, now: datetime) -> None:
        for limit, used, until, name in zip(
            self._limits, self._used, (_next_minute(now), _next_day(now)), ("minute", "day"), strict=True
        ):
            if limit and used - self._granted >= share_of(limit, urgency.get()):
                raise BudgetSpentError(
                    f"the budget of {limit:,} calls to the CRM per {name} is spent for work of this kind "
                    f"(CRM_REQUESTS_PER_{name.upper()})",
                    until=until,
                )


def forget_old(session: Session, *, now: datetime) -> None:
    """Drop minutes after two hours and days after two months."""
    minutes = CallCount.period.like("%T%")
    session.execute(delete(CallCount).where(minutes, CallCount.period < (now - _KEEP_MINUTES).strftime(MINUTE)))
    session.execute(delete(CallCount).where(~minutes, CallCount.period < (now - _KEEP_DAYS).strftime(DAY)))


def _left(limit: int, used: int) -> int:
    return limit - used if limit else 1_000_000


def _add(session: Session, crm: str, period: str, calls: int) -> int:
    """Count calls of all workers; returns how many there are now, the row locked until the commit."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(CallCount).values(crm=crm, period=period, calls=calls)
    session.execute(
        insert.on_conflict_do_update(index_elements=["crm", "period"], set_={"calls": CallCount.calls + calls})
    )
    query = select(CallCount.calls).where(CallCount.crm == crm, CallCount.period == period)
    return session.scalar(query) or 0


def _next_minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _next_day(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
