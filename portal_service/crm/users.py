"""Users of the CRM and the agents they are: an agent may be added before or after the CRM told of the user (O10)."""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal_service.crm.models import CrmUser
from portal_service.people.models import Staff
from portal_service.tickets import fields, snapshots
from portal_service.tickets.actor import Actor
from portal_service.tickets.models import Ticket
from shared.emails import email_key
from shared.events import DirectoryChanged

CRM = Actor(kind="crm", name="CRM")


def remember(session: Session, event: DirectoryChanged) -> None:
    """Keep what the CRM says of a user, for agents who are added later. An older revision says nothing."""
    known = session.get(CrmUser, event.crm_id) or CrmUser(crm_id=event.crm_id, revision=0)
    if event.revision < known.revision:
        return
    known.revision, known.name = event.revision, event.name[:255]
    known.active = event.active and event.merged_into in {None, event.crm_id}
    known.emails = [email_key(address) for address in event.emails]
    session.add(known)
    session.flush()


def find_for(session: Session, staff: Staff) -> CrmUser | None:
    """The one active user with the agent's address, if no other agent is that user; of several, none is guessed."""
    key = email_key(staff.email)
    users = session.scalars(select(CrmUser).where(CrmUser.active)).all()
    found = [user for user in users if key in user.emails]
    if len(found) != 1 or session.scalar(select(Staff.id).where(Staff.crm_id == found[0].crm_id)) is not None:
        return None
    return found[0]


def link(session: Session, staff: Staff, crm_id: str, *, now: datetime) -> None:
    """From now on an agent is this user: his tickets are told again with it, and those the CRM gave him become his."""
    staff.crm_id = crm_id
    session.flush()
    his = Ticket.assignee_id == staff.id
    given = Ticket.foreign_assignee["crm_id"].as_string() == crm_id
    query = select(Ticket).where(Ticket.deleted_at.is_(None), or_(his, given)).order_by(Ticket.number)
    for ticket in session.scalars(query.with_for_update(of=Ticket)):
        fields.set_assignee(session, ticket, staff, actor=CRM, now=now)
        snapshots.publish(session, ticket, actor=CRM, now=now)
