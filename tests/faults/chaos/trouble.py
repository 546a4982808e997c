"""What goes wrong, when: a timetable drawn from a seed, and one thread that carries it out."""

import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from shared.clock import to_text, utc_now
from tests.faults.chaos.installation import PROCESSES, Installation
from tests.proxy import Pipe

FAULT_PLAN = {"before_500": 0.03, "lost_answer": 0.02, "rate_limited": 0.01, "retry_after": 1}
"""Of the bundled CRM, per request."""
_EARLY, _LATE = 0.06, 0.97
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much goes wrong."""

    kills: int
    """Of each process."""
    broker_kills: int
    database_kills: int
    seconds: float
    outage: float
    """Seconds for which the CRM answers nothing but 503."""
    seed: int


@dataclass(frozen=True, order=True)
class Item:
    """One line of the timetable."""

    at: float
    """Seconds since the beginning."""
    name: str
    about: str = ""


def timetable(plan: Plan, *, servers: bool) -> list[Item]:
    """Every kind of trouble spread over the time there is, in order."""
    rng = random.Random(plan.seed)
    items = [Item(at, "kill", name) for name in PROCESSES for at in _spread(rng, plan.kills, plan.seconds)]
    long = max(1, round(plan.seconds / 60))
    items += [Item(at, "reset the CRM's connections") for at in _spread(rng, 4 * long, plan.seconds)]
    items += [Item(at, "black hole to the CRM") for at in _spread(rng, long, 0.8 * plan.seconds)]
    items += [Item(at, "stall") for at in _spread(rng, 3 * long, plan.seconds)]
    items += [Item(rng.uniform(0.2, 0.4) * plan.seconds, "401"), Item(rng.uniform(0.5, 0.6) * plan.seconds, "outage")]
    items += [Item(0.75 * plan.seconds, "disk full")]
    if servers:
        items += [Item(at, "kill the broker") for at in _spread(rng, plan.broker_kills, 0.85 * plan.seconds)]
        items += [Item(at, "kill the database") for at in _spread(rng, plan.database_kills, plan.seconds)]
        items += [Item(at, "reset the broker's connections") for at in _spread(rng, 3 * long, plan.seconds)]
        items += [Item(at, "black hole to the broker") for at in _spread(rng, long, 0.6 * plan.seconds)]
    return sorted(items)


def _spread(rng: random.Random, count: int, seconds: float) -> Iterator[float]:
    """Moments in equal parts of the time, each anywhere in its part."""
    for index in range(count):
        share = (index + rng.random()) / count
        yield (_EARLY + share * (_LATE - _EARLY)) * seconds


class Trouble:
    """Carries a timetable out; what it broke it mends, some seconds later."""

    def __init__(self, installation: Installation, plan: Plan, progress: Callable[[], float]) -> None:
        """`progress`: which part of their work people have done, 0 to 1; trouble keeps step with it."""
        self.installation, self.plan, self.progress = installation, plan, progress
        self.done: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._rng = random.Random(plan.seed + 1)
        self._mending: list[tuple[float, Callable[[], None]]] = []
        self._starting: set[str] = set()
        self._crm_told = False
        self._extra: dict[str, object] = {}

    def run(self) -> None:
        """To the end of the timetable, with everything mended."""
        started = time.monotonic()
        for item in timetable(self.plan, servers=self.installation.postgres is not None):
            while time.monotonic() < started + item.at or self.progress() < item.at / self.plan.seconds:
                self.mend_due()
                time.sleep(_LOOK_SECONDS)
            self._do(item)
        while self._mending:
            self.mend_due()
            time.sleep(_LOOK_SECONDS)

    def _do(self, item: Item) -> None:
        action = {
            "kill": lambda: self._kill(item.about),
            "kill the broker": self._kill_broker,
            "kill the database": self._kill_database,
            "stall": self._stall,
            "401": lambda: self._crm_refuses("unauthorised_until", 2.0),
            "outage": lambda: self._crm_refuses("outage_until", self.plan.outage),
            "disk full": self._fill_disk,
            "reset the CRM's connections": lambda: self._reset("crm"),
            "reset the broker's connections": lambda: self._reset("broker"),
            "black hole to the CRM": lambda: self._swallow("crm", 12.0),
            "black hole to the broker": lambda: self._swallow("broker", 5.0),
        }[item.name]
        name = f"kill {item.about}" if item.about else item.name
        (self.skipped if action() is False else self.done)[name] += 1

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._mending.append((time.monotonic() + seconds, action))

    def mend_due(self) -> None:
        """Do what is due: start again what was killed, give back what was taken."""
        now = time.monotonic()
        due = [entry for entry in self._mending if entry[0] <= now]
        self._mending = [entry for entry in self._mending if entry[0] > now]
        for _, action in due:
            action()
        for name in PROCESSES:
            if name not in self._starting and not self.installation.is_running(name):
                self._start_later(name)  # it could not begin, as its database was away: a supervisor tries again
        if not self._crm_told:
            self._crm_told = self.installation.set_faults({**FAULT_PLAN, **self._extra})

    def _kill(self, name: str) -> None:
        if name in self._starting:
            self._later(1.0, lambda: self._kill(name))
            return
        self.installation.kill(name)
        self._start_later(name)

    def _start_later(self, name: str) -> None:
        self._starting.add(name)
        self._later(self._rng.uniform(0, 0.5), lambda: self._start(name))

    def _start(self, name: str) -> None:
        self._starting.discard(name)
        self.installation.start(name, wait=False)
        if name == "crm":
            self._crm_told = False  # its plan is in its memory

    def _kill_broker(self) -> None:
        broker = self.installation.rabbitmq
        assert broker is not None
        broker.kill()
        self._later(self._rng.uniform(0, 1), lambda: broker.start(wait=False))

    def _kill_database(self) -> None:
        database = self.installation.postgres
        assert database is not None
        database.kill()
        self._later(self._rng.uniform(0, 1), lambda: database.start(wait=False))

    def _stall(self) -> None:
        """One process is stopped for some seconds, as by a host that is out of memory."""
        name = self._rng.choice(PROCESSES)
        self.installation.signal(name, signal.SIGSTOP)
        pid = self.installation.pid(name)
        self._later(self._rng.uniform(1, 4), lambda: self._continue(name, pid))

    def _continue(self, name: str, pid: int) -> None:
        if self.installation.pid(name) == pid:
            self.installation.signal(name, signal.SIGCONT)

    def _crm_refuses(self, setting: str, seconds: float) -> None:
        until = utc_now() + timedelta(seconds=seconds + self.installation.skew)
        self._extra = {setting: to_text(until)}
        self._crm_told = False
        self._later(seconds, self._extra.clear)

    def _fill_disk(self) -> bool:
        disk = self.installation.disk
        if disk is not None:
            if disk.mounted:
                disk.fill()
                self._later(3.0, self._empty_disk)
            return disk.mounted
        self._limit_files("sync-worker", 3.0)
        return True

    def _empty_disk(self) -> None:
        disk, database = self.installation.disk, self.installation.postgres
        assert disk is not None
        assert database is not None
        disk.empty()
        if not database.is_running():  # it gives up when it cannot even recover
            database.start(wait=False)

    def _limit_files(self, name: str, seconds: float) -> None:
        """No file of the process may grow: to it, that is a disk without room."""
        pid = self.installation.pid(name)
        largest = max(file.stat().st_size for file in Path(self.installation.home).glob("sync.db*"))
        try:
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + 4096, most))
        except ProcessLookupError:  # it was killed just now
            self._later(0.5, lambda: self._limit_files(name, seconds))
            return
        self._later(seconds, lambda: self._unlimit_files(name, pid, most))

    def _unlimit_files(self, name: str, pid: int, most: int) -> None:
        if self.installation.pid(name) == pid:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

    def _reset(self, to: str) -> None:
        _reset_all(self._pipes(to))

    def _swallow(self, to: str, seconds: float) -> None:
        """Some connections go silent without being closed."""
        chosen = [pipe for pipe in self._pipes(to) if self._rng.random() < 0.5]
        for pipe in chosen:
            pipe.swallow()
        self._later(seconds, lambda: _reset_all(chosen))

    def _pipes(self, to: str) -> Sequence[Pipe]:
        proxy = self.installation.crm_proxy if to == "crm" else self.installation.broker_proxy
        return proxy.live() if proxy else []


def _reset_all(pipes: Sequence[Pipe]) -> None:
    for pipe in pipes:
        pipe.reset()
