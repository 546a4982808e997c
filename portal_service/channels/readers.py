"""The people who read mails about a ticket, with the address, language and time zone of each."""

from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal_service.channels.mail_out import Recipient
from portal_service.channels.matrix import Reader
from portal_service.guests.keys import is_guest_ticket
from portal_service.guests.models import GuestTicket
from portal_service.people.models import Staff, User
from portal_service.tickets.models import Ticket


def readers(session: Session, ticket: Ticket, who: Reader) -> Iterable[Recipient]:
    """Nobody where there is no such person, or nobody active with an address."""
    return _READERS[who](session, ticket)


def _requester(session: Session, ticket: Ticket) -> Iterable[Recipient]:
    """The contact; for a guest's ticket the address it was filed with, as long as he has no log-in (S31)."""
    contact = ticket.contact
    if contact is None or contact.email is None or not contact.active:
        return []
    if contact.user is not None:
        return [_with_login(contact.name, contact.email, contact.user)]
    about = session.get(GuestTicket, ticket.id) if is_guest_ticket(ticket) else None
    if about is not None:
        return [Recipient(name=contact.name, address=about.email, language=about.language, guest=True)]
    return [Recipient(name=contact.name, address=contact.email, language="en")]


def _assignee(_session: Session, ticket: Ticket) -> Iterable[Recipient]:
    staff = ticket.assignee
    return [_agent(staff)] if staff is not None and staff.active else []


def _managers(session: Session, _ticket: Ticket) -> Iterable[Recipient]:
    query = select(Staff).where(Staff.active).order_by(Staff.name).options(joinedload(Staff.user))
    agents = session.scalars(query).all()
    admins = [agent for agent in agents if agent.is_admin]
    return [_agent(agent) for agent in admins or agents]


_READERS: Mapping[Reader, Callable[[Session, Ticket], Iterable[Recipient]]] = {
    "requester": _requester,
    "assignee": _assignee,
    "managers": _managers,
}


def _agent(staff: Staff) -> Recipient:
    if staff.user is None:
        return Recipient(name=staff.name, address=staff.email, language="en", staff=True)
    return _with_login(staff.name, staff.email, staff.user)


def _with_login(name: str, address: str, user: User) -> Recipient:
    is_staff = user.staff_id is not None
    return Recipient(name=name, address=address, language=user.language, timezone=user.timezone, staff=is_staff)
