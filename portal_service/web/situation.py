"""What every page of an agent tells: how the CRMs are, and what waits for administrators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import g
from sqlalchemy import literal, select, true
from sqlalchemy.orm import Session

from portal_service.channels.sending import given_up_since
from portal_service.channels.web import RECENT
from portal_service.crm.models import CrmStatus
from portal_service.people.registration import awaiting_count
from portal_service.web.visits import Visit


@dataclass(frozen=True, kw_only=True)
class Situation:
    crms: Sequence[CrmStatus]
    registrations_waiting: int
    mails_given_up: int
    """Of the last days; 0 for those who can do nothing about them."""

    @property
    def troubles(self) -> Sequence[CrmStatus]:
        """The CRMs that cannot be written to, the one that has been so for longest first."""
        return sorted((crm for crm in self.crms if crm.state != "reachable"), key=lambda crm: crm.since)


def situation_for(visit: Visit) -> Situation:
    """Read once for each transaction of a request, in one statement."""
    held: tuple[Session, Situation] | None = g.get("situation")
    if held is None or held[0] is not visit.session:
        g.situation = held = (visit.session, _read(visit.session, is_admin=visit.staff.is_admin, now=visit.now))
    return held[1]


def _read(session: Session, *, is_admin: bool, now: datetime) -> Situation:
    given_up = given_up_since(now - RECENT).scalar_subquery() if is_admin else literal(0)
    counted = select(awaiting_count().scalar_subquery().label("waiting"), given_up.label("given_up")).subquery()
    query = select(counted.c.waiting, counted.c.given_up, CrmStatus).outerjoin(CrmStatus, true())
    rows = session.execute(query).all()
    return Situation(
        crms=[row[2] for row in rows if row[2] is not None],
        registrations_waiting=rows[0].waiting,
        mails_given_up=rows[0].given_up,
    )
