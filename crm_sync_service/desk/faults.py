"""Failures on demand, for tests and demonstrations: what real CRMs do on bad days (FAILURES 1, 50 to 56)."""

import errno
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flask import Response

from shared.clock import to_text


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """Probabilities are per request, from 0 to 1; the first that strikes wins."""

    before_500: float = 0.0
    """Answer 500 and do nothing."""
    lost_answer: float = 0.0
    """Do it, commit it, then answer 500 with a page of HTML or close the connection without a word."""
    rate_limited: float = 0.0
    """Answer 429 with Retry-After and do nothing."""
    retry_after: int = 1
    """Seconds, for Retry-After."""
    stall: float = 0.0
    """Wait `stall_seconds` before or after doing it, so that a client gives up and it is done all the same."""
    stall_seconds: float = 5.0
    unauthorised_until: datetime | None = None
    """Answer 401 until then, as if the key had been withdrawn."""
    outage_until: datetime | None = None
    """Answer 503 until then."""
    seed: int | None = None
    """The same seed strikes the same way, if requests come one after the other."""

    def as_json(self) -> dict[str, Any]:
        moments = (datetime,)
        return {name: to_text(value) if isinstance(value, moments) else value for name, value in asdict(self).items()}


class Faults:
    """The plan in force, and what has been done to clients so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.use(FaultPlan())

    def use(self, plan: FaultPlan) -> None:
        with self._lock:
            self.plan = plan
            self.struck: Counter[str] = Counter()
            self._random = random.Random(plan.seed)  # noqa: S311 (chooses failures, not secrets)

    def choose(self, *, now: datetime) -> str | None:
        """The fault that strikes this request; `stall` and `lost_answer` come in two kinds each."""
        with self._lock:
            fault = self._choose(now)
            if fault is not None:
                self.struck[fault] += 1
            return fault

    def _choose(self, now: datetime) -> str | None:
        plan = self.plan
        if plan.unauthorised_until is not None and now < plan.unauthorised_until:
            return "unauthorised"
        if plan.outage_until is not None and now < plan.outage_until:
            return "outage"
        draw = self._random.random()
        for fault in ("before_500", "lost_answer", "rate_limited", "stall"):
            probability: float = getattr(plan, fault)
            if draw < probability:
                return f"{fault}_{draw < probability / 2:d}" if fault in {"lost_answer", "stall"} else fault
            draw -= probability
        return None

    def stall(self) -> None:
        time.sleep(self.plan.stall_seconds)


def lost_answer(response: Response, *, closed: bool) -> Response:
    """What a client gets instead of the answer to a request that was carried out."""
    if closed:
        response.response = _ClosedConnection()
        response.headers.pop("Content-Length", None)
        return response
    return Response("<html><h1>500 Internal Server Error</h1></html>", 500, mimetype="text/html")


class _ClosedConnection(Iterator[bytes]):
    """gunicorn, asked to send this, has sent nothing yet, takes the client for gone and closes without a word."""

    def __next__(self) -> bytes:
        raise ConnectionResetError(errno.ECONNRESET, "the answer is lost on purpose")
