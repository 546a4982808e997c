"""What the sync service keeps about its own running: drift runs, alarms, budget, circuits, leases, backfill."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_sync_service.models import Base
from shared.database import BigId


class DriftRun(Base):
    """One comparison of all tickets with their Cases: a sweep of the worker, or `casebridge reconcile`."""

    __tablename__ = "drift_runs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(20))
    """sweep, command or console."""
    started_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    position: Mapped[int] = mapped_column(default=0)
    """The last ticket number compared: a sweep goes on from here after a restart."""
    tickets: Mapped[int] = mapped_column(default=0)
    cases: Mapped[int] = mapped_column(default=0)
    notes: Mapped[int] = mapped_column(default=0)
    skipped: Mapped[int] = mapped_column(default=0)
    """Tickets that were being worked on, so that nothing can be said of them."""
    differences: Mapped[int] = mapped_column(default=0)
    repairs: Mapped[int] = mapped_column(default=0)
    """Tickets handed to their lanes for repair; each is a mistake to find."""
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Differences by "kind" or "field: name"."""
    examples: Mapped[list[Any]] = mapped_column(default=list)
    """The first differences in words."""


class Alarm(Base):
    """Something that should never be and that no retry mends; gone once it is no longer so."""

    __tablename__ = "alarms"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    """What it is about, such as "feed_silent:cases"."""
    level: Mapped[str] = mapped_column(String(10))
    """warn or bad."""
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)
    """In words, with what to do."""


class LoopLease(Base):
    """A loop that only one worker runs at a time."""

    __tablename__ = "loop_leases"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(120))
    until: Mapped[datetime]


class CallCount(Base):
    """Calls to a CRM in one minute or one day, of all workers together."""

    __tablename__ = "call_counts"

    crm: Mapped[str] = mapped_column(String(64), primary_key=True)
    period: Mapped[str] = mapped_column(String(20), primary_key=True)
    """A minute ("2026-11-22T12:03") or a day ("2026-11-22"), in UTC."""
    calls: Mapped[int] = mapped_column(default=0)
    """Made, or set aside by a worker that is about to make them."""


class Circuit(Base):
    """Something a CRM forbids us (403): not asked again before a probe at `until`."""

    __tablename__ = "circuits"

    crm: Mapped[str] = mapped_column(String(64), primary_key=True)
    capability: Mapped[str] = mapped_column(String(40), primary_key=True)
    """The connector's method, such as create_note."""
    since: Mapped[datetime]
    until: Mapped[datetime]
    failures: Mapped[int] = mapped_column(default=1)
    reason: Mapped[str] = mapped_column(Text)


class ForeignNote(Base):
    """A Note that is not ours, as the Notes' feed last showed it: shown again, it is no news."""

    __tablename__ = "foreign_notes"

    note_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    stamp: Mapped[str] = mapped_column(String(200))
    seen_at: Mapped[datetime] = mapped_column(index=True)


class Installation(Base):
    """Which CRM this database belongs to, and whether it may write to it."""

    __tablename__ = "installations"

    crm: Mapped[str] = mapped_column(String(64), primary_key=True)
    instance: Mapped[str] = mapped_column(String(255))
    """As the CRM names itself (CrmInfo.instance)."""
    first_seen_at: Mapped[datetime]
    read_only_since: Mapped[datetime | None]
    """Set while a restored database is suspected: lanes rest until a full reconcile."""
    reason: Mapped[str | None] = mapped_column(Text)


class Job(Base):
    """Something long that a person asked for in the console; a worker does it, one at a time."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(20))
    """compare, repair, adopt-preview, adopt, backfill-preview or backfill."""
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`direction` of a repair, `by` of an adoption, `rate` and `again` of a backfill."""
    asked_by: Mapped[str] = mapped_column(String(255))
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(20), index=True)
    """waiting, running, done, stopped or failed."""
    stop_asked: Mapped[bool] = mapped_column(default=False)
    total: Mapped[int] = mapped_column(default=0)
    """Tickets there are."""
    looked_at: Mapped[int] = mapped_column(default=0)
    found: Mapped[int] = mapped_column(default=0)
    """Tickets that differ, match or lack a Case."""
    words: Mapped[str] = mapped_column(Text, default="")
    """How it ended, or why it waits."""
    lines: Mapped[list[Any]] = mapped_column(default=list)
    """The first things found, in words."""
    run_id: Mapped[int | None] = mapped_column(BigId)
    """The DriftRun of a comparison."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Backfill(Base):
    """The one backfill: old tickets handed to the lanes at a rate."""

    __tablename__ = "backfills"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(20))
    """running, paused or finished."""
    rate: Mapped[int]
    """Tickets per minute."""
    position: Mapped[int] = mapped_column(default=0)
    """The last ticket number looked at."""
    total: Mapped[int] = mapped_column(default=0)
    looked_at: Mapped[int] = mapped_column(default=0)
    handed_over: Mapped[int] = mapped_column(default=0)
    """Tickets given to their lanes; the others had their Case already."""
    started_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
