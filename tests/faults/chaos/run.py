"""One run from an empty folder to a verdict."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy.exc import DBAPIError

from tests.faults.chaos import checker, load
from tests.faults.chaos.checker import Findings
from tests.faults.chaos.history import read
from tests.faults.chaos.installation import PROCESSES, Installation
from tests.faults.chaos.tables import Tables
from tests.faults.chaos.trouble import FAULT_PLAN, Plan, Trouble

GROUPS = ("agents", "customers", "managers")
_ANSWER_SECONDS = 300.0
_LONGEST_WAIT = 600.0
_CONVERGE_SECONDS = 15.0
_PATIENCE = 120.0
"""So much longer it is watched, to tell what comes late from what never comes."""
_BYTES_PER_EVENT = 120
"""Of the diaries."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done and how much goes wrong."""

    events: int
    tickets: int
    kills: int
    """Of each process."""
    broker_kills: int = 0
    database_kills: int = 0
    seconds: float
    """In which people work and things go wrong."""
    quiet_seconds: float
    """For which nobody may write to the CRM at the end."""
    outage: float = 4.0
    seed: int = 1
    servers: bool = True
    """RabbitMQ and PostgreSQL; False: the embedded default."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What happened and what was found; `verdict` counts what must be zero."""

    size: Size
    events: int
    deeds: Mapping[str, int]
    kills: Mapping[str, int]
    faults: Mapping[str, int]
    not_done: Mapping[str, int]
    struck: Mapping[str, int]
    backlog: int
    """Lanes that were not at rest when the faults ended."""
    converged: float
    """Seconds from the end of all faults until both sides were equal."""
    allowed: float
    """Seconds it may take: 15, or more where more was waiting than that time is enough for at the run's own rate."""
    conflicts: int
    late_writes: int
    findings: Findings
    took: float

    @property
    def verdict(self) -> dict[str, int]:
        found = {kind: len(words) for kind, words in self.findings.by_kind().items()}
        return {**found, "late writes": self.late_writes, "converged late": int(self.converged > self.allowed)}

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "findings": self.findings.by_kind(), "verdict": self.verdict}


def run(size: Size, home: Path, *, say: Say = lambda _: None) -> Report:
    """A whole run with its servers; the last of them are gone when it returns."""
    skew = Random(size.seed).choice((-300.0, 300.0))
    with Installation(home, servers=size.servers, skew=skew) as installation:
        return run_on(installation, size, say=say)


def run_on(installation: Installation, size: Size, *, say: Say = lambda _: None) -> Report:
    """A whole run; the installation stays up, for whoever wants to look at it or to damage it."""
    started = time.monotonic()
    begin(installation)
    say("people begin their work")
    plan = Plan(
        kills=size.kills,
        broker_kills=size.broker_kills,
        database_kills=size.database_kills,
        seconds=size.seconds,
        outage=size.outage,
        seed=size.seed,
    )
    trouble = Trouble(installation, plan, partial(_progress, installation, size))
    installation.set_faults(FAULT_PLAN)
    _employ(installation, size)
    began = time.monotonic()
    trouble.run()
    say("all that goes wrong has gone wrong")
    struck = installation.crm("GET", "/faults").json()["struck"] if installation.is_ready("crm") else {}
    _wait_until(lambda: not any(map(installation.is_running, GROUPS)), trouble)
    say("people ended their work")
    for name in PROCESSES:
        installation.wait_ready(name)
    installation.crm("DELETE", "/faults")
    backlog, done = _lanes_at_work(installation)
    rate = done / (time.monotonic() - began)
    say(f"everybody is done, {backlog} tickets wait")
    allowed = max(_CONVERGE_SECONDS, backlog / (0.7 * rate) + 10)
    converged = converge(installation, allowed + _PATIENCE)
    say(f"both sides are equal after {converged:.1f} s")
    late_writes = count_late_writes(installation, size.quiet_seconds)
    deeds = list(read(*(installation.diary(name) for name in GROUPS)))
    findings = checker.check(installation, deeds)
    with Tables(installation) as tables:
        conflicts = len(tables.conflicts())
    return Report(
        size=size,
        events=sum(deed.events for deed in deeds),
        deeds=dict(Counter(f"{deed.side} {deed.kind}" for deed in deeds)),
        kills=dict(installation.kills),
        faults=dict(trouble.done),
        not_done=dict(trouble.skipped),
        struck=struck,
        backlog=backlog,
        converged=round(converged, 1),
        allowed=round(allowed, 1),
        conflicts=conflicts,
        late_writes=late_writes,
        findings=findings,
        took=round(time.monotonic() - started, 1),
    )


def begin(installation: Installation) -> None:
    """Schemas, demo data and choices, and every process ready. Raises FileExistsError for a folder used before."""
    if any(installation.diary(name).exists() for name in GROUPS):
        raise FileExistsError(f"{installation.home} has diaries of an earlier run: give an empty folder")
    installation.prepare()
    load.add_choices(installation.database_url("crm"))
    for name in PROCESSES:
        installation.start(name, wait=False)
    for name in PROCESSES:
        installation.wait_ready(name)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not _choices_arrived(installation):
        assert time.monotonic() < deadline, "the portal did not get the CRM's products and accounts"
        time.sleep(0.2)


def _choices_arrived(installation: Installation) -> bool:
    with Tables(installation) as tables:
        products, accounts = tables.choices()
    return products >= load.PRODUCTS and accounts >= load.ACCOUNTS


def _employ(installation: Installation, size: Size) -> None:
    """Share the events out: a tenth by customers over HTTP, a quarter by account managers."""
    by_hand = max(1, size.tickets // 50)
    changes = size.events - size.tickets
    managers = changes // 4
    # A reply makes two events, and they are three tenths of what agents do besides new tickets.
    agents = round((changes - managers - 2 * by_hand) / 1.3)
    shares = {
        "agents": (size.tickets - by_hand, agents),
        "customers": (by_hand, by_hand),
        "managers": (0, managers),
    }
    for number, (name, (tickets, changes_of)) in enumerate(shares.items()):
        service = "crm" if name == "managers" else "portal"
        installation.employ(
            name,
            seconds=size.seconds * 0.95,
            tickets=tickets,
            changes=changes_of,
            seed=size.seed * 10 + number,
            database_url=installation.database_url(service),
            **({"skew": installation.skew, "cases": size.tickets // 10} if name == "managers" else {}),
        )


def _progress(installation: Installation, size: Size) -> float:
    """Which part of what they have to do people have done, as far as their diaries tell."""
    if not any(map(installation.is_running, GROUPS)):
        return 1.0
    done = sum(installation.diary(name).stat().st_size for name in GROUPS if installation.diary(name).exists())
    return done / (size.events * _BYTES_PER_EVENT)


def _wait_until(done: Callable[[], bool], trouble: Trouble) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT
    while not done():
        assert time.monotonic() < deadline, "people did not end their work"
        trouble.mend_due()
        time.sleep(0.05)


def _lanes_at_work(installation: Installation) -> tuple[int, int]:
    """How many lanes are not at rest, and how many comparisons were finished so far."""
    with Tables(installation) as tables:
        return tables.lanes_at_work(), tables.receipts()


def converge(installation: Installation, within: float) -> float:
    """Seconds until nothing waited any more and no field differed, or `within`."""
    started = time.monotonic()
    while (waited := time.monotonic() - started) < within:
        try:
            with Tables(installation) as tables:
                if not tables.unfinished() and not _differ(tables):
                    return time.monotonic() - started
        except DBAPIError:
            pass
        time.sleep(0.3)
    return max(waited, within)


def _differ(tables: Tables) -> bool:
    cases, names = tables.case_rows(), tables.crm_names()
    tickets = tables.tickets()
    return any(
        number not in cases or checker.differences(ticket, cases[number], names) for number, ticket in tickets.items()
    )


def count_late_writes(
    installation: Installation, seconds: float, *, sleep: Callable[[float], None] = time.sleep
) -> int:
    """How often the CRM was written to although both sides were equal."""
    with Tables(installation) as tables:
        before = tables.crm_writes()
        sleep(seconds)
        return tables.crm_writes() - before
