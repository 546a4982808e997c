"""Loops that only one worker runs at a time: a row per loop, taken over when its owner has been silent."""

from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from crm_sync_service.operation_models import LoopLease


def take(session: Session, name: str, *, owner: str, now: datetime, span: timedelta) -> bool:
    """Take or keep a loop's lease for `span`; False while another worker holds it."""
    lease = session.scalar(select(LoopLease).where(LoopLease.name == name))
    if lease is not None and lease.until >= now and (lease.owner != owner or lease.until - now > span / 2):
        return lease.owner == owner
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(LoopLease).values(name=name, owner=owner, until=now + span)
    statement = insert.on_conflict_do_update(
        index_elements=["name"],
        set_={"owner": insert.excluded.owner, "until": insert.excluded.until},
        where=or_(LoopLease.owner == owner, LoopLease.until < now),
    )
    return session.scalar(statement.returning(LoopLease.name)) is not None


def give_up(session: Session, name: str, *, owner: str) -> None:
    """Let another worker have it at once."""
    session.execute(delete(LoopLease).where(LoopLease.name == name, LoopLease.owner == owner))
