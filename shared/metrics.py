"""Prometheus metrics. Names start with `casebridge_`, units are base units, labels never carry ids.

What can be counted in a database is read when somebody asks, so it is right in every process and after a restart.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.database import Database
from shared.outbox import Outbox

CONTENT_TYPE = CONTENT_TYPE_LATEST
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"

log = structlog.get_logger(__name__)

http_requests = Counter("casebridge_http_requests", "Requests answered.", ["service", "method", "route", "status"])
http_seconds = Histogram(
    "casebridge_http_request_duration_seconds", "Time from request to answer.", ["service", "route"]
)
publishes = Counter("casebridge_publish", "Messages given to the broker, by how it answered.", ["outcome"])
broker_blocked = Counter("casebridge_broker_blocked", "Times the broker took nothing for lack of memory or disk.")
publish_seconds = Histogram(
    "casebridge_publish_confirm_duration_seconds", "Time until the broker had answered a window of messages."
)
events_processed = Counter(
    "casebridge_events_processed", "Events received, by what became of them.", ["type", "outcome"]
)
event_lag = Histogram(
    "casebridge_event_lag_seconds",
    "From the commit of a change until both sides were seen to be equal.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 86400),
)
for _outcome in ("confirmed", "nacked", "returned", "timeout"):
    publishes.labels(_outcome)  # shown as 0 before the first one: an alert can compare with it
loop_restarts = Counter("casebridge_loop_restarts", "Times a loop of a worker failed and was started again.", ["loop"])


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """One value read at scrape time; readings of the same name are one metric with several label sets."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


GaugeReader = Callable[[], Iterable[Gauge]]


class _ReadAtScrape(Collector):
    def __init__(self, read: GaugeReader) -> None:
        self._read = read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        failed = 0
        try:
            for gauge in self._read():
                family = families.setdefault(
                    gauge.name, GaugeMetricFamily(gauge.name, gauge.help, labels=list(gauge.labels))
                )
                family.add_metric(list(gauge.labels.values()), gauge.value)
        except Exception:  # the other metrics must stay readable while the database is down
            log.exception("metrics_unreadable")
            failed = 1
        yield from families.values()
        yield GaugeMetricFamily("casebridge_scrape_failed", "1 while some metrics could not be read.", value=failed)


def exposition(read: GaugeReader) -> bytes:
    """Everything this process counts together with what `read` finds, in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_ReadAtScrape(lambda: [_build_info(), *read()]))
    if _MULTIPROCESS not in os.environ:
        return generate_latest(REGISTRY) + generate_latest(registry)
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _build_info() -> Gauge:
    return Gauge(
        name="casebridge_build_info",
        help="The running version, and the revision it was built from.",
        value=1,
        labels={"version": version("casebridge"), "revision": os.environ.get("CASEBRIDGE_REVISION", "unknown")},
    )


def outbox_gauges(database: Database, outbox: Outbox) -> Iterable[Gauge]:
    """How many events wait to be published, and since when (a moment, so that its age is `time() - x`)."""
    with database.read() as session:
        count, oldest = outbox.waiting(session)
    yield Gauge(name="casebridge_outbox_unsent", help="Events stored but not yet confirmed by the broker.", value=count)
    if oldest is not None:
        yield timestamp_gauge(
            "casebridge_outbox_oldest_unsent_timestamp_seconds", "When the oldest unsent event was stored.", oldest
        )


def timestamp_gauge(name: str, help_: str, moment: datetime) -> Gauge:
    return Gauge(name=name, help=help_, value=moment.timestamp())


def prepare_multiprocess() -> bool:
    """Empty the folder in which several processes of one server count together; False when none is set."""
    folder = os.environ.get(_MULTIPROCESS)
    if folder is None:
        return False
    Path(folder).mkdir(parents=True, exist_ok=True)
    for left_over in Path(folder).glob("*.db"):
        left_over.unlink()
    return True


def forget_process(pid: int) -> None:
    """Drop the live gauges of a server process that ended."""
    if _MULTIPROCESS in os.environ:
        with suppress(FileNotFoundError):
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
