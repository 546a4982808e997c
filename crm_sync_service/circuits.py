"""What a CRM forbids us (403) is not asked again and again: that capability rests, all others go on (FAILURES 50)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from crm_sync_service.alarms import clear_alarm, raise_alarm
from crm_sync_service.operation_models import Circuit
from crm_sync_service.retries import HoldError
from shared.database import Database

_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(minutes=15)
_READ_EVERY = timedelta(seconds=5)


class CapabilityClosedError(HoldError):
    """The CRM forbade this lately, to this worker or to another."""


@dataclass(kw_only=True)
class Circuits:
    """Which calls rest; shared by all workers, read every few seconds."""

    database: Database
    crm: str
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _closed: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    _read_at: datetime | None = None

    def check(self, capability: str) -> None:
        """Raises CapabilityClosedError. When a pause ends, one call goes through and the others wait for its answer."""
        now = self.now()
        with self._lock:
            if self._read_at is None or now - self._read_at >= _READ_EVERY:
                self._read(now)
            closed = self._closed.get(capability)
            if closed is None:
                return
            until, reason = closed
            if until <= now:
                self._closed[capability] = now + _FIRST_PAUSE, reason
                return
        raise CapabilityClosedError(f"the CRM does not allow it: {reason}", until=until)

    def forbidden(self, capability: str, reason: str) -> CapabilityClosedError:
        """The CRM forbade it: let it rest, twice as long each time; returns the error to raise."""
        now = self.now()
        with self.database.write() as session:
            row = session.get(Circuit, (self.crm, capability), with_for_update=True)
            if row is None:
                row = Circuit(crm=self.crm, capability=capability, since=now, until=now, failures=0, reason=reason)
                session.add(row)
            row.failures += 1
            pause: timedelta = _FIRST_PAUSE * 2 ** min(row.failures - 1, 6)
            row.until, row.reason = now + min(pause, _LONGEST_PAUSE), reason
            until = row.until
            words = (
                f"The CRM does not allow {capability.replace('_', ' ')}: {reason}. Everything else goes on; give the "
                "API user that right, then it continues by itself within minutes"
            )
            raise_alarm(session, f"forbidden:{capability}", words, now=now)
        with self._lock:
            self._closed[capability] = until, reason
        return CapabilityClosedError(f"the CRM does not allow it: {reason}", until=until)

    def allowed(self, capability: str) -> None:
        """The CRM did it; costs nothing if it always did."""
        with self._lock:
            if self._closed.pop(capability, None) is None:
                return
        with self.database.write() as session:
            row = session.get(Circuit, (self.crm, capability))
            if row is not None:
                session.delete(row)
            clear_alarm(session, f"forbidden:{capability}")

    def _read(self, now: datetime) -> None:
        with self.database.read() as session:
            rows = session.scalars(select(Circuit).where(Circuit.crm == self.crm)).all()
        known = {row.capability: (row.until, row.reason) for row in rows}
        # A probe under way in this process keeps its turn.
        probing = {name: closed for name, closed in self._closed.items() if name in known and closed[0] > now}
        self._closed, self._read_at = {**known, **probing}, now
