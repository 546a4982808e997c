"""Contacts and what they may see, for staff; the staff themselves."""

import uuid
from typing import Any

from sqlalchemy import select

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.operations import Who, operation
from portal_service.api.people_shapes import (
    AccessOut,
    AgentOut,
    Agents,
    AvailabilityIn,
    ContactOut,
    ContactQuery,
    Contacts,
    LevelIn,
)
from portal_service.api.shapes import Named
from portal_service.people import access, audit, second_factor, sessions
from portal_service.people.models import Account, Contact, Staff, User
from portal_service.tickets import choices

_ONE = "/contacts/<uuid:contact_id>"
_ACCOUNT = f"{_ONE}/accounts/<uuid:account_id>"


@operation(
    "GET",
    "/contacts",
    who=Who.STAFF,
    tag="contacts",
    query=ContactQuery,
    answer=Contacts,
    pages=("staff.choose_contact",),
)
def find_contacts(call: Call) -> dict[str, Any]:
    """Find active contacts by name, address or account."""
    found = choices.contacts(call.session, call.query["q"], limit=call.query["limit"])
    return {"items": [_line(one) for one in found]}


@operation("GET", _ONE, who=Who.STAFF, tag="contacts", answer=ContactOut, pages=("access.show",))
def read_contact(call: Call, contact_id: uuid.UUID) -> dict[str, Any]:
    """One contact, the accounts he files for and those he reads as a whole."""
    return _shown(call, _contact(call, contact_id))


@operation("PUT", _ACCOUNT, who=Who.ADMIN, tag="contacts", body=LevelIn, answer=ContactOut, pages=("access.grant",))
def grant_account(call: Call, contact_id: uuid.UUID, account_id: uuid.UUID) -> dict[str, Any]:
    """Let a contact file for an account, or read all its tickets."""
    contact = _contact(call, contact_id)
    if call.session.get(Account, account_id) is None:
        raise problems.not_found()
    account = access.grant(call.session, contact, account_id, call.body["level"])
    _log(call, "access_granted", contact, f"{account.name}: {call.body['level']}")
    return _shown(call, contact)


@operation("DELETE", _ACCOUNT, who=Who.ADMIN, tag="contacts", pages=("access.withdraw",))
def withdraw_account(call: Call, contact_id: uuid.UUID, account_id: uuid.UUID) -> None:
    """Take back what was granted."""
    contact = _contact(call, contact_id)
    if account_id not in {grant.account_id for grant in contact.grants}:
        raise problems.not_found()
    access.withdraw(call.session, contact, account_id)
    _log(call, "access_withdrawn", contact, str(account_id))


@operation("POST", f"{_ONE}/log-out", who=Who.ADMIN, tag="contacts", pages=("access.log_out",))
def log_contact_out(call: Call, contact_id: uuid.UUID) -> None:
    """End all sessions and tokens of a contact."""
    contact = _contact(call, contact_id)
    sessions.end_all_sessions(call.session, _login(call, contact))
    _log(call, "logged_out", contact)


@operation("POST", f"{_ONE}/remove-second-step", who=Who.ADMIN, tag="contacts", pages=("access.remove_second_step",))
def remove_second_step(call: Call, contact_id: uuid.UUID) -> None:
    """For a contact who lost phone and codes; he is logged out everywhere and a mail tells him."""
    contact = _contact(call, contact_id)
    user = _login(call, contact)
    second_factor.remove_all(call.session, user, now=call.now)
    sessions.end_all_sessions(call.session, user)
    _log(call, "second_step_removed", contact)


@operation("GET", "/staff", who=Who.STAFF, tag="staff", answer=Agents, pages=("staff.transfer_form",))
def list_staff(call: Call) -> dict[str, Any]:
    """The agents a ticket can be given to."""
    ids = [staff_id for staff_id, _name in choices.agents(call.session)]
    found = call.session.scalars(select(Staff).where(Staff.id.in_(ids)).order_by(Staff.name))
    return {"items": AgentOut(many=True).dump(found.all())}


@operation(
    "PUT",
    "/me/availability",
    who=Who.STAFF,
    tag="staff",
    body=AvailabilityIn,
    answer=AgentOut,
    pages=("staff.availability",),
)
def set_availability(call: Call) -> Any:
    """Whether new tickets are assigned to the agent who calls."""
    call.staff.available = call.body["available"]
    return AgentOut().dump(call.staff)


def _contact(call: Call, contact_id: uuid.UUID) -> Contact:
    found = call.session.get(Contact, contact_id)
    if found is None:
        raise problems.not_found()
    return found


def _login(call: Call, contact: Contact) -> User:
    found = access.login_of(call.session, contact)
    if found is None:
        raise problems.not_found()
    return found


def _log(call: Call, action: str, contact: Contact, detail: str = "") -> None:
    audit.record(call.session, action, by=call.staff, about=contact.name, now=call.now, detail=detail)


def _line(contact: Contact) -> dict[str, Any]:
    account = Named().dump(contact.account) if contact.account else None
    addresses = [one.address for one in contact.emails]
    return {"id": str(contact.id), "name": contact.name, "emails": addresses, "account": account}


def _shown(call: Call, contact: Contact) -> dict[str, Any]:
    login = access.login_of(call.session, contact)
    return {
        "id": str(contact.id),
        "name": contact.name,
        "emails": [one.address for one in contact.emails],
        "accounts": AccessOut(many=True).dump(access.accesses(contact)),
        "username": login.username if login else None,
        "second_step": bool(login and second_factor.factors_of(call.session, login)),
    }
