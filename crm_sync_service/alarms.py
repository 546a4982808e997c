"""Alarms: what should never be, kept until it is no longer so, for the console and the metrics."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from crm_sync_service.operation_models import Alarm

Level = Literal["warn", "bad"]


def raise_alarm(session: Session, name: str, text: str, *, now: datetime, level: Level = "bad") -> None:
    """Say that something is wrong; said again, it keeps the moment it began."""
    alarm = session.get(Alarm, name)
    if alarm is None:
        session.add(Alarm(name=name, level=level, since=now, seen_at=now, text=text))
    else:
        alarm.level, alarm.seen_at, alarm.text = level, now, text


def clear_alarm(session: Session, name: str) -> None:
    """Say that it is well again; costs nothing if it always was."""
    if session.get(Alarm, name) is not None:
        session.execute(delete(Alarm).where(Alarm.name == name))


def alarms(session: Session) -> Sequence[Alarm]:
    """The worst first, then the oldest."""
    return session.scalars(select(Alarm).order_by(Alarm.level, Alarm.since)).all()
