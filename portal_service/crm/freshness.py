"""How well the Case mirrors the ticket, in honest words (O11): from the newest comparison, never from "the job ran"."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.crm.models import CrmStatus, Mirror
from portal_service.messages import message
from portal_service.tickets.models import Ticket

State = Literal["in_sync", "waiting", "unreachable", "paused", "silent", "decision", "failed"]
SILENCE = timedelta(minutes=2)
"""The sync service tells of itself every 15 s; silent for longer, it is down."""

IN_SYNC = message("in sync, %(age)s ago")
ONE_WAITING = message("1 change waiting")
WAITING = message("%(count)s changes waiting")
UNREACHABLE = message("CRM unreachable since %(since)s, your ticket is safe")
PAUSED = message("mirroring is paused since %(since)s, your ticket is safe")
SILENT = message("the connection to the CRM has been silent since %(since)s, your ticket is safe")
ONE_DECISION = message("one field waits for a decision")
DECISIONS = message("%(count)s fields wait for a decision")
FAILED = message("could not be mirrored: %(reason)s")


@dataclass(frozen=True, kw_only=True)
class Freshness:
    state: State
    text_key: str
    args: dict[str, str] = field(default_factory=dict)
    """For the text; `since` and `age` read well as they are."""
    since: datetime | None = None
    """For a page that shows the time in the reader's zone instead."""

    @property
    def text(self) -> str:
        """In English."""
        return self.text_key % self.args


def freshness(session: Session, ticket: Ticket, now: datetime) -> Freshness:
    """What a reader of the ticket may believe about its Case."""
    return freshness_of(ticket, session.get(Mirror, ticket.id), session.scalars(select(CrmStatus)).all(), now)


def freshness_of(ticket: Ticket, mirror: Mirror | None, statuses: Sequence[CrmStatus], now: datetime) -> Freshness:
    """The same for a page that has read what it depends on: the ticket's mirror and how each CRM is."""
    current = mirror is not None and mirror.version == ticket.version
    if mirror is not None and current and mirror.decisions:
        return _counted("decision", mirror.decisions, one=ONE_DECISION, many=DECISIONS)
    if mirror is not None and current and mirror.state == "failed":
        return Freshness(state="failed", text_key=FAILED, args={"reason": mirror.reason or "?"})
    if (down := _crm_down(statuses)) is not None:
        unreachable = down.state == "unreachable"
        key = UNREACHABLE if unreachable else PAUSED
        return _since("unreachable" if unreachable else "paused", key, down.since)
    if mirror is not None and current and mirror.state == "in_sync" and mirror.notes >= ticket.entry_count:
        return Freshness(state="in_sync", text_key=IN_SYNC, args={"age": age(now - mirror.compared_at)})
    if (heard := max((status.checked_at for status in statuses), default=None)) is not None and now - heard > SILENCE:
        return _since("silent", SILENT, heard)
    return _counted("waiting", _waiting(ticket, mirror), one=ONE_WAITING, many=WAITING)


def _waiting(ticket: Ticket, mirror: Mirror | None) -> int:
    """Changes that no comparison has seen; at least one, as something is under way."""
    if mirror is not None and mirror.version == ticket.version:
        return max(ticket.entry_count - mirror.notes, 1)
    return max(ticket.version - (mirror.version if mirror else 0), 1)


def _counted(state: State, count: int, *, one: str, many: str) -> Freshness:
    return Freshness(state=state, text_key=one if count == 1 else many, args={"count": str(count)})


def _since(state: State, key: str, since: datetime) -> Freshness:
    shown = since.astimezone(UTC).strftime("%H:%M UTC")
    return Freshness(state=state, text_key=key, args={"since": shown}, since=since)


def age(span: timedelta) -> str:
    """A span in its largest whole unit: "4 s", "3 min", "2 h", "5 d"."""
    seconds = max(int(span.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _crm_down(statuses: Sequence[CrmStatus]) -> CrmStatus | None:
    """The CRM that does not answer or is paused, if there is one; the one that has been so for longest."""
    down = [status for status in statuses if status.state != "reachable"]
    return min(down, key=lambda status: status.since, default=None)
