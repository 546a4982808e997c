"""What the desk's views have at hand: database, settings, the way to answer."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import current_app, has_request_context, request
from sqlalchemy.orm import Session

from crm_sync_service.desk import stamps
from crm_sync_service.desk.faults import Faults
from crm_sync_service.desk.hints import Hints
from crm_sync_service.desk.serialise import Serialiser
from crm_sync_service.desk.settings import DeskSettings
from shared.clock import to_text, utc_now
from shared.database import Database

NO_HINT = "X-No-Hint"


class RequestCounters:
    """How often each route of the API was called and how it answered, since this process started."""

    def __init__(self) -> None:
        self._since: datetime = utc_now()
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, method: str, path: str, status: str) -> None:
        with self._lock:
            self._counts[method, path, status] += 1

    def as_json(self) -> dict[str, Any]:
        with self._lock:
            rows = sorted(self._counts.items())
        names = ("method", "path", "status", "count")
        return {
            "since": to_text(self._since),
            "requests": [dict(zip(names, (*key, n), strict=True)) for key, n in rows],
        }


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One running desk."""

    settings: DeskSettings
    database: Database
    serialise: Serialiser
    hints: Hints | None
    faults: Faults = field(default_factory=Faults)
    counters: RequestCounters = field(default_factory=RequestCounters)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at the end of the block and then hints at what has changed.

        A client that listens itself says with NO_HINT that it need not be told of its own changes.
        """
        with self.database.write() as session:
            yield session
        if self.hints is not None and not (has_request_context() and NO_HINT in request.headers):
            self.hints.send(stamps.touched(session))

    def instance_id(self) -> uuid.UUID:
        """This CRM's identity, given to it when first asked for."""
        with self.database.read() as session:
            known = stamps.instance_id(session)
        if known is None:
            with self.database.write() as session:
                known = stamps.lock(session, now=utc_now()).instance_id
        return known


def desk() -> Desk:
    """The desk that serves the current request."""
    running: Desk = current_app.extensions["desk"]
    return running
