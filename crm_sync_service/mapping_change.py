"""Notice that the mapping file was changed, so that nobody is surprised when Cases are written anew."""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from crm_sync_service.alarms import alarms, clear_alarm, raise_alarm
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.models import Cursor

ALARM = "mapping_changed"
LAST = "mapping"
"""The cursor that keeps which mapping was in force last."""
SHOWN_FOR = timedelta(days=1)
"""By then every pair was looked at with the changed file."""
_WORDS = (
    "The mapping file was changed. Each Case is written anew where the file now says something else, when it is looked "
    "at next: at the ticket's next change, or within a day. `casebridge mapping preview` shows which Cases and fields; "
    "to call it off, put the former file back and start the sync worker again."
)


def notice_mapping(session: Session, mapping: CaseMapping, *, now: datetime) -> bool:
    """Compare the mapping in force with the one before; returns whether it is another."""
    given = (mapping.attributes, mapping.policies, mapping.values, mapping.templates)
    fingerprint = hashlib.sha256(repr(given).encode()).hexdigest()
    last = session.get(Cursor, LAST)
    if last is None:
        session.add(Cursor(feed=LAST, stamp=fingerprint, polled_at=now))
        return False
    if last.stamp == fingerprint:
        return False
    last.stamp, last.polled_at = fingerprint, now
    raise_alarm(session, ALARM, _WORDS, now=now, level="warn")
    return True


def forget_old_notice(session: Session, *, now: datetime) -> None:
    """Take the notice down once it has been up long enough."""
    if any(alarm.name == ALARM and now - alarm.seen_at >= SHOWN_FOR for alarm in alarms(session)):
        clear_alarm(session, ALARM)
