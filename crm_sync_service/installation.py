"""Which CRM this database belongs to: another one is never written to (FAILURES 67, 69).

Also whether the portal was restored from a backup: then nothing is written until somebody has looked.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from crm_sync_service.alarms import clear_alarm, raise_alarm
from crm_sync_service.connectors.base import Connector, CrmInfo, UnauthorisedError
from crm_sync_service.operation_models import Installation
from shared.database import Database

OTHER_CRM = "other_crm"
PORTAL_RESTORED = "portal_restored"


class OtherCrmError(UnauthorisedError):
    """The CRM that answers is not the one whose Cases this database knows."""


@dataclass(kw_only=True)
class Instance:
    """Asks the CRM once per process who it is, before anything else is asked of it."""

    database: Database
    crm: str
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _known: bool = False

    def check(self, connector: Connector) -> None:
        """Raises OtherCrmError, and what the connector raises."""
        if self._known:
            return
        self.compare(connector.info())

    def compare(self, info: CrmInfo) -> None:
        """Remember the CRM's instance the first time. Raises OtherCrmError if it is another one since."""
        with self._lock, self.database.write() as session:
            row = session.get(Installation, self.crm) or Installation(
                crm=self.crm, instance="", first_seen_at=self.now()
            )
            row.instance = row.instance or info.instance
            session.add(row)
            self._known = row.instance == info.instance
            if self._known:
                clear_alarm(session, OTHER_CRM)
                return
            words = other_crm(info, row)
            raise_alarm(session, OTHER_CRM, words, now=self.now())
        raise OtherCrmError(words)


def other_crm(info: CrmInfo, row: Installation) -> str:
    return (
        f"The {info.name} that answers calls itself {info.instance!r}, but this database belongs to "
        f"{row.instance!r} since {row.first_seen_at:%Y-%m-%d}: its links name Cases of that one. Nothing is called. "
        "Correct CRM_API_URL; if it is another CRM indeed, give it a database of its own (SYNC_DATABASE_URL); if the "
        "same CRM only got a new name, run `casebridge accept-crm`"
    )


def accept_crm(session: Session, crm: str, info: CrmInfo, *, now: datetime) -> None:
    """A person says that this is the same CRM under a new name."""
    row = session.get(Installation, crm)
    if row is None:
        session.add(Installation(crm=crm, instance=info.instance, first_seen_at=now))
    else:
        row.instance = info.instance
    clear_alarm(session, OTHER_CRM)


def suspect_restore(session: Session, crm: str, words: str, *, now: datetime) -> None:
    """The portal seems to be restored from a backup: lanes rest until a full reconcile."""
    row = session.get(Installation, crm)
    if row is None:
        row = Installation(crm=crm, instance="", first_seen_at=now)
        session.add(row)
    if row.read_only_since is None:
        row.read_only_since, row.reason = now, words
    raise_alarm(session, PORTAL_RESTORED, words, now=now)


def end_read_only(session: Session, crm: str) -> None:
    """A full reconcile has settled whose values count."""
    row = session.get(Installation, crm)
    if row is not None:
        row.read_only_since, row.reason = None, None
    clear_alarm(session, PORTAL_RESTORED)


def is_read_only(session: Session, crm: str) -> bool:
    row = session.get(Installation, crm)
    return row is not None and row.read_only_since is not None
