"""The order of all writes: one lock, and a `modified_at` that strictly grows in the order of the commits.

A feed reader that has seen a stamp has therefore seen everything before it: no row turns up behind its back.
"""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from crm_sync_service.desk.models import Ledger, Stamped

_THE_ROW = 1
_TICK = timedelta(microseconds=1)


def lock(session: Session, *, now: datetime) -> Ledger:
    """Wait until no other transaction writes, and keep the others waiting until this one ends.

    Take it before reading what is to be changed: what was read earlier may be old.
    """
    ledger = _locked(session)
    if ledger is None:
        try:
            with session.begin_nested():
                session.add(Ledger(id=_THE_ROW, stamp=now))
        except IntegrityError:
            pass  # another process was first
        ledger = _locked(session)
    assert ledger is not None
    return ledger


def _locked(session: Session) -> Ledger | None:
    statement = select(Ledger).where(Ledger.id == _THE_ROW).with_for_update()
    return session.scalar(statement, execution_options={"populate_existing": True})


def stamp(session: Session, row: Stamped, *, actor: str, now: datetime) -> None:
    """Give a new or changed row its next version and a `modified_at` after all others. Needs the lock."""
    ledger = session.get_one(Ledger, _THE_ROW)
    ledger.stamp = max(now, ledger.stamp + _TICK)
    row.version = (row.version or 0) + 1
    row.modified_at = ledger.stamp
    row.modified_by = actor
    touched(session).append(row.id)


def touched(session: Session) -> list[uuid.UUID]:
    """The rows stamped in this session, for the webhook."""
    ids: list[uuid.UUID] = session.info.setdefault("touched", [])
    return ids


def instance_id(session: Session) -> uuid.UUID | None:
    """This CRM's identity, which a copy of its database keeps and a new one does not; None before the first write."""
    return session.scalar(select(Ledger.instance_id).where(Ledger.id == _THE_ROW))
