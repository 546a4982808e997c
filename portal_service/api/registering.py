"""Registering, confirming and new passwords for those without a log-in; approving for staff."""

import uuid
from typing import Any

from flask import Response

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.operations import Answer, Who, operation
from portal_service.api.people_shapes import (
    ApplicationIn,
    ApproveIn,
    ConfirmIn,
    RefuseIn,
    RegistrationMatch,
    RegistrationOut,
    RegistrationQuery,
    Registrations,
    WhoIn,
)
from portal_service.people import registration, reset
from portal_service.people.credentials import Registration
from portal_service.people.entry import visitor_address
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.text import REQUIRED, clean_line
from portal_service.web.catalogues import language

_DECIDED_SHOWN = 50
_ONE = "/registrations/<uuid:registration_id>"


@operation(
    "POST",
    "/registrations",
    who=Who.ANYONE,
    tag="registrations",
    body=ApplicationIn,
    status=202,
    refusals=(429,),
    pages=("register.form", "register.register", "register.sent"),
)
def register(call: Call) -> Response | None:
    """Ask for a log-in. A mail says how to go on; the answer is the same for every address."""
    asked = registration.Application(language=language(), **call.body)
    try:
        registration.register(call.session, asked, now=call.now, address=visitor_address())
    except Invalid as invalid:
        # Answered, not raised: the attempt it counted has to be committed.
        return problems.answer(problems.from_invalid(invalid))
    return None


@operation(
    "POST",
    "/registrations/confirm",
    who=Who.ANYONE,
    tag="registrations",
    body=ConfirmIn,
    refusals=(409, 429),
    pages=("register.confirm_form", "register.confirm", "register.confirmed"),
)
def confirm_registration(call: Call) -> Response | None:
    """Prove the address by the token of the mailed link and the password one registered with."""
    try:
        registration.confirm(call.session, call.body["token"], call.body["password"], now=call.now)
    except Refused as refused:
        return problems.answer(problems.refused(refused))
    return None


@operation(
    "POST",
    "/password/forgot",
    who=Who.ANYONE,
    tag="registrations",
    body=WhoIn,
    status=202,
    refusals=(429,),
    pages=("password.forgot", "password.ask", "password.sent"),
)
def ask_for_reset(call: Call) -> None:
    """Have a link mailed that sets a new password; nothing tells whether there is somebody of that name."""
    who = clean_line(call.body["who"])
    if not who:
        raise problems.invalid({"who": REQUIRED})
    reset.ask_for_reset(call.session, who, address=visitor_address(), now=call.now)


@operation(
    "POST",
    "/password/reset",
    who=Who.ANYONE,
    tag="registrations",
    body=ConfirmIn,
    refusals=(409,),
    pages=("password.choose", "password.change"),
)
def reset_password(call: Call) -> None:
    """Set a new password with the token of the mailed link."""
    reset.reset(call.session, call.body["token"], call.body["password"], now=call.now)


@operation(
    "GET",
    "/registrations",
    who=Who.STAFF,
    tag="registrations",
    query=RegistrationQuery,
    answer=Registrations,
    pages=("registrations.waiting",),
)
def list_registrations(call: Call) -> dict[str, Any]:
    """Requests for a log-in: those that wait, or those decided last."""
    if call.query["state"] == "waiting":
        found = registration.awaiting(call.session)
    else:
        found = registration.decided(call.session, limit=_DECIDED_SHOWN)
    return {"items": RegistrationOut(many=True).dump(found)}


@operation("GET", _ONE, who=Who.STAFF, tag="registrations", answer=RegistrationMatch, pages=("registrations.look",))
def read_registration(call: Call, registration_id: uuid.UUID) -> dict[str, Any]:
    """One request for a log-in, with the contacts it may belong to."""
    found = _found(call, registration_id)
    matches = registration.matches(call.session, found)
    contacts = [{"id": str(one.id), "name": one.name} for one in matches]
    return {**RegistrationOut().dump(found), "contacts": contacts}


@operation(
    "POST",
    f"{_ONE}/approve",
    who=Who.STAFF,
    tag="registrations",
    body=ApproveIn,
    answer=RegistrationOut,
    refusals=(409,),
    pages=("registrations.approve",),
)
def approve_registration(call: Call, registration_id: uuid.UUID) -> Answer:
    """Let the applicant in; one mail tells him."""
    found = _found(call, registration_id)
    given = call.body
    registration.approve(
        call.session,
        found,
        by=call.staff,
        contact_id=given.get("contact_id"),
        account_id=given.get("account_id"),
        now=call.now,
    )
    return Answer(RegistrationOut().dump(found))


@operation(
    "POST",
    f"{_ONE}/refuse",
    who=Who.STAFF,
    tag="registrations",
    body=RefuseIn,
    answer=RegistrationOut,
    refusals=(409,),
    pages=("registrations.refuse",),
)
def refuse_registration(call: Call, registration_id: uuid.UUID) -> Answer:
    """Decline; the applicant reads the reason in a mail."""
    found = _found(call, registration_id)
    registration.refuse(call.session, found, reason=call.body["reason"], by=call.staff, now=call.now)
    return Answer(RegistrationOut().dump(found))


def _found(call: Call, registration_id: uuid.UUID) -> Registration:
    """One whose address is proved; others are nobody's business yet."""
    found = call.session.get(Registration, registration_id)
    if found is None or found.confirmed_at is None:
        raise problems.not_found()
    return found
