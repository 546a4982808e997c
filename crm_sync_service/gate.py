"""Whether the CRM may be called now: one row that all sync workers obey.

A CRM that does not answer, refuses our credentials or asks for a pause stops all calls, not just one lane; the
lanes stay due, one probe is made when the pause ends, and the portal is told.
"""

from datetime import datetime, timedelta

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from crm_sync_service.connectors.base import CrmError, RateLimitedError, UnauthorisedError
from crm_sync_service.installation import is_read_only
from crm_sync_service.models import CrmState, outbox
from shared.events import CrmStatusChanged

_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=15)
_ANNOUNCE_EVERY = timedelta(seconds=15)
FAILURES_TO_OPEN = 3
"""Unanswered calls in a row before the CRM counts as unreachable: a single one is only this ticket's."""


def state_of(session: Session, crm: str, *, now: datetime) -> CrmState:
    state = session.get(CrmState, crm)
    if state is None:
        _make(session, crm, now=now)
        state = session.get(CrmState, crm)
    assert state is not None
    return state


def _make(session: Session, crm: str, *, now: datetime) -> None:
    """Unless another worker does so at this moment; then its row counts."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = {"crm": crm, "state": "reachable", "since": now, "failures": 0}
    session.execute(dialect.insert(CrmState).values(row).on_conflict_do_nothing())


def may_call(session: Session, crm: str) -> bool:
    """Whether lanes may be worked on. A read: it changes nothing."""
    state = session.get(CrmState, crm)
    return (state is None or state.state == "reachable") and not is_read_only(session, crm)


def probe_is_due(session: Session, crm: str, *, now: datetime) -> bool:
    state = session.get(CrmState, crm)
    if state is None or state.state == "reachable" or state.stopped_by is not None:
        return False
    return state.until is None or state.until <= now


def stop(session: Session, crm: str, *, by: str, why: str, now: datetime) -> None:
    """A person pauses all calls: lanes stay due, the portal is told, and nothing but `go_on` ends it."""
    state = state_of(session, crm, now=now)
    if state.state != "paused" or state.stopped_by is None:
        state.since = now
    state.state, state.until, state.stopped_by, state.reason = "paused", None, by, f"{by}: {why}"
    announce(session, state, now=now)


def go_on(session: Session, crm: str, *, now: datetime) -> None:
    """End a person's pause: a worker's probe, due at once, says how the CRM is."""
    state = state_of(session, crm, now=now)
    if state.stopped_by is not None:
        state.stopped_by, state.until, state.reason = None, now, None


def note_success(session: Session, crm: str, *, now: datetime) -> None:
    """The CRM answered."""
    state = state_of(session, crm, now=now)
    state.failures = 0
    if state.stopped_by is not None:
        return
    if state.state != "reachable":
        state.state, state.since, state.until, state.reason = "reachable", now, None, None
        announce(session, state, now=now)


def note_failure(session: Session, crm: str, error: CrmError, *, now: datetime) -> None:
    """A call failed in a way that concerns the whole CRM."""
    state = state_of(session, crm, now=now)
    state.failures += 1
    if state.stopped_by is not None:
        return
    concerns_all = isinstance(error, RateLimitedError | UnauthorisedError)
    if not concerns_all and state.failures < FAILURES_TO_OPEN:
        return
    if isinstance(error, RateLimitedError):
        new, pause = "paused", error.retry_after
    else:
        new, pause = "unreachable", _pause(state.failures)
    changed = state.state != new
    if changed:
        state.state, state.since = new, now
    state.until, state.reason = now + pause, str(error)
    if changed:
        announce(session, state, now=now)


def _pause(failures: int) -> timedelta:
    doubled: timedelta = _FIRST_PAUSE * 2 ** min(max(failures - FAILURES_TO_OPEN, 0), 6)
    return min(doubled, _LONGEST_PAUSE)


def announce(session: Session, state: CrmState, *, now: datetime) -> None:
    """Tell the portal how the CRM is."""
    state.announced_at = now
    outbox.add(
        session,
        CrmStatusChanged(
            crm=state.crm,
            state=state.state,  # type: ignore[arg-type] # the column holds just these words
            since=state.since,
            checked_at=now,
            reason=state.reason,
        ),
        now=now,
    )


def announce_if_due(session: Session, crm: str, *, now: datetime) -> None:
    state = state_of(session, crm, now=now)
    if state.announced_at is None or now - state.announced_at >= _ANNOUNCE_EVERY:
        announce(session, state, now=now)
