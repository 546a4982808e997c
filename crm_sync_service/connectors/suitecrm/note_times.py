"""Dates of Notes, to the second: SuiteCRM lists Notes by them, and those of one second in no order."""

import threading
from datetime import UTC, datetime, timedelta

from crm_sync_service.connectors.base import NewNote

_SECOND = timedelta(seconds=1)
_MOST = 10_000


class NoteTimes:
    """Remembers the last Note of each Case, so that the next one is dated after it."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, datetime]] = {}
        self._lock = threading.Lock()

    def of(self, new: NewNote) -> datetime:
        """When the reply was written, or a second after the reply before it, in UTC."""
        at = new.created_at.astimezone(UTC).replace(microsecond=0)
        with self._lock:
            position, last = self._last.get(new.case_id, (new.position, at))
            if new.position > position and at <= last:
                at = last + _SECOND
            if new.position >= position:
                if len(self._last) >= _MOST:
                    self._last.clear()
                self._last[new.case_id] = (new.position, at)
        return at
