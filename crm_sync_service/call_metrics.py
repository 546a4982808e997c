"""Calls to the CRM as Prometheus counts them, in each worker process."""

import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

crm_requests = Counter("casebridge_crm_requests", "Calls to the CRM.", ["op", "code"])
crm_seconds = Histogram("casebridge_crm_request_duration_seconds", "Time the CRM took.", ["op"])
reconcile_seconds = Histogram(
    "casebridge_reconcile_duration_seconds", "Time to compare a ticket with its Case and to mend it.", ["result"]
)
sweep_repairs = Counter(
    "casebridge_sweep_repairs", "Differences the sweep repaired, by kind; each is a mistake somewhere.", ["kind"]
)
sweep_repairs.labels("any")  # shown as 0 before the first one
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def result_of(done: Collection[str]) -> str:
    """What a run of a lane did, as one of five words."""
    if "conflict" in done:
        return "conflict"
    names = [name for side, name in (("to_crm", "push"), ("to_portal", "pull")) if side in done]
    return "both" if len(names) == 2 else names[0] if names else "noop"


@contextmanager
def measured(op: str) -> Iterator[None]:
    """Count a call by how it ended: ok, or the kind of error, such as rate_limited or unreachable."""
    started = time.monotonic()
    code = "ok"
    try:
        yield
    except Exception as error:
        code = _WORD_START.sub("_", type(error).__name__.removesuffix("Error")).lower()
        raise
    finally:
        crm_requests.labels(op=op, code=code).inc()
        crm_seconds.labels(op=op).observe(time.monotonic() - started)
