"""Who may publish articles. Every agent may write them."""

import uuid

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal_service.knowledge.models import Publisher
from portal_service.people import policy
from portal_service.people.models import Staff
from portal_service.tickets.errors import Refused


def may_publish(session: Session, staff: Staff) -> bool:
    return staff.active and (staff.is_admin or session.get(Publisher, staff.id) is not None)


def require_publisher(session: Session, staff: Staff) -> None:
    """Raises Refused."""
    if not may_publish(session, staff):
        raise Refused(policy.NOT_ALLOWED)


def publishers(session: Session) -> set[uuid.UUID]:
    return set(session.scalars(select(Publisher.staff_id)))


def set_publishers(session: Session, chosen: set[uuid.UUID]) -> None:
    """Make exactly these agents publishers; unknown ids are passed over."""
    session.execute(delete(Publisher))
    known = session.scalars(select(Staff.id).where(Staff.id.in_(chosen)))
    session.add_all(Publisher(staff_id=staff_id) for staff_id in known)
    session.flush()
