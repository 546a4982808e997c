"""Drift in words: what the comparisons found, and what a repair of some tickets would do (SPEC O6)."""

import re
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from crm_sync_service.compare import Difference
from crm_sync_service.console.live import LiveCrm
from crm_sync_service.drift import Drift, DriftChecker
from crm_sync_service.merge import Policy
from crm_sync_service.models import Link
from crm_sync_service.operation_models import DriftRun
from crm_sync_service.repair import Direction, can_repair, preview, repair
from shared.database import Database

MOST = 50
"""Tickets looked at in one preview."""
_THREADS = 4
_PATIENCE_SECONDS = 60.0
_NUMBER = re.compile(r"^#(\d{1,9})\b")
DIRECTIONS: dict[Direction, str] = {
    "auto": "What changed last and the field's policy decide",
    "to-crm": "The ticket's values count",
    "to-portal": "The Case's values count, where they may travel to the portal",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference and what a repair would do about it."""

    words: str
    would: str
    can: bool


@dataclass(frozen=True, kw_only=True)
class Preview:
    """One ticket, read just now beside its Case. Nothing was written."""

    ticket_id: uuid.UUID
    number: int
    findings: Sequence[Finding]
    held: Sequence[str]
    """What differs and is known to: parked, left alone on purpose, or waiting for a decision."""
    busy: bool
    tombstone: bool

    @property
    def can_repair(self) -> bool:
        return any(finding.can for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A difference as a run kept it."""

    words: str
    number: int | None


def examples_of(run: DriftRun) -> list[Example]:
    return [Example(words=_NUMBER.sub("", words, count=1).strip(), number=_number_in(words)) for words in run.examples]


def _number_in(words: str) -> int | None:
    found = _NUMBER.match(words)
    return int(found[1]) if found else None


def numbers_in(text: str) -> list[int]:
    """Ticket numbers as somebody types them, each once, in order."""
    return list(dict.fromkeys(int(number) for number in re.findall(r"\d{1,9}", text)))


def look(database: Database, live: LiveCrm, numbers: Sequence[int], direction: Direction) -> list[Preview]:
    """Compare these tickets with their Cases now; writes nothing. Raises NoAnswerError."""
    drifts = _drifts(database, live, numbers)
    policies = live.mapping.policies
    with database.read() as session:
        return [_preview(session, drift, direction, policies) for drift in drifts]


def _drifts(database: Database, live: LiveCrm, numbers: Sequence[int]) -> list[Drift]:
    checker = DriftChecker(database, live.connector, live.mapping)
    tickets = checker.source.numbered(numbers[:MOST])

    def read() -> list[Drift]:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="drift") as pool:
            return list(checker.check_all(tickets, pool))

    return live.ask(read, patience=_PATIENCE_SECONDS)


def _preview(session: Session, drift: Drift, direction: Direction, policies: Mapping[str, Policy]) -> Preview:
    link = session.get(Link, drift.ticket_id)

    def finding(difference: Difference) -> Finding:
        would = preview(difference, link, direction=direction, policies=policies)
        return Finding(words=_words(difference), would=would, can=can_repair(difference, policies))

    return Preview(
        ticket_id=drift.ticket_id,
        number=drift.number,
        findings=[finding(difference) for difference in drift.differences],
        held=[_words(difference) for difference in drift.held],
        busy=drift.busy,
        tombstone=drift.tombstone,
    )


def _words(difference: Difference) -> str:
    return str(difference).removeprefix(f"#{difference.ticket} ")


def mend(
    database: Database, live: LiveCrm, numbers: Sequence[int], direction: Direction, *, now: datetime
) -> list[Drift]:
    """Compare once more and hand what can be repaired to the lanes; returns those. Raises NoAnswerError."""
    drifts = _drifts(database, live, numbers)
    policies = live.mapping.policies
    with database.write() as session:
        return [
            drift
            for drift in drifts
            if repair(session, drift.ticket_id, drift.differences, direction=direction, policies=policies, now=now)
        ]
