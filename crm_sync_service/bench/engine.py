"""The engine under measurement: the sync worker's own inbox and lanes over a database and a CRM."""

import resource
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import select

from crm_sync_service import inbox
from crm_sync_service.bench.free_crm import Meter, MeteredCrm
from crm_sync_service.connectors.base import Connector
from crm_sync_service.connectors.registry import find_kind
from crm_sync_service.mapping_file import read_mapping
from crm_sync_service.models import Lane
from crm_sync_service.runner import LaneRunner
from shared.clock import utc_now
from shared.database import Database
from shared.events import Event

_BATCH = 50
_LONGEST = timedelta(minutes=30)
_LOOK_SECONDS = 0.05


class BenchFailedError(Exception):
    """What was to be measured did not work; the text says how far it came."""


@dataclass(kw_only=True)
class Engine:
    """One worker process's lanes."""

    database: Database
    crm: Connector
    threads: int
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        metered: Connector = MeteredCrm(self.crm, self.meter)  # type: ignore[assignment] # passes on the rest
        self.runner = LaneRunner(
            database=self.database,
            crm=metered,
            mapping=read_mapping(find_kind("desk").mapping).case_mapping(metered),
            owner="bench",
            threads=self.threads,
            now=utc_now,
        )

    def receive(self, events: Sequence[Event]) -> None:
        """As the inbox does, a batch in one transaction."""
        for first in range(0, len(events), _BATCH):
            with self.database.write() as session:
                inbox.apply_all(session, events[first : first + _BATCH], now=utc_now())
            self.runner.doorbell.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The lanes are worked inside."""
        stop = threading.Event()
        loops = [threading.Thread(target=loop, args=(stop,)) for loop in (self.runner.run, self.runner.renew_leases)]
        for loop in loops:
            loop.start()
        try:
            yield
        finally:
            stop.set()
            self.runner.doorbell.set()
            for loop in loops:
                loop.join()

    def work_off(self) -> float:
        """Seconds until every lane rests. Raises BenchFailedError if one is parked or it takes half an hour."""
        began = time.monotonic()
        with self.running():
            while self._at_work():
                if time.monotonic() - began > _LONGEST.total_seconds():
                    raise BenchFailedError("the lanes did not come to rest within half an hour")
                time.sleep(_LOOK_SECONDS)
        return time.monotonic() - began

    def _at_work(self) -> bool:
        with self.database.read() as session:
            parked = session.execute(_PARKED).first()
            waiting = session.execute(_WAITING).first()
        if parked is not None:
            raise BenchFailedError(f"a lane was parked: {parked.cause}")
        return waiting is not None


_STATE = Lane.__table__.c.state
_PARKED = select(Lane.__table__.c.cause).where(_STATE == "parked").limit(1)
_WAITING = select(_STATE).where(_STATE.in_(("due", "running"))).limit(1)


def memory() -> float:
    """MiB that this process has in use now."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 (a file of the kernel)
        pages = int(file.read().split()[1])
    return pages * resource.getpagesize() / 1024**2
