"""People without a log-in: file a ticket, open it by its key, have the key mailed again."""

import random
from typing import Any

from flask import Response
from marshmallow import Schema, fields
from marshmallow.validate import Range

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.fields import Id, Number, Out, choice, pattern, text
from portal_service.api.operations import Answer, Who, operation
from portal_service.api.people_shapes import NewTokenOut
from portal_service.api.ticket_shapes import MOMENT
from portal_service.api.tokens import issued
from portal_service.guests import filing, keys
from portal_service.guests.filing_web import missing, new_ticket
from portal_service.guests.visiting import MOST_GUESSES, WRONG_KEY
from portal_service.people import throttle, tokens
from portal_service.people.entry import visitor_address
from portal_service.people.policy import NOT_ALLOWED
from portal_service.tickets.errors import Invalid
from portal_service.tickets.text import MAX_BODY, clean_line
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered
from portal_service.web.visits import this_portal
from shared.ids import new_id

_NAMES = {"request_type_id": "type", "favourite": "representative_id", "timezone": "call_zone"}


class GuestTicketIn(Schema):
    """A request of somebody without a log-in: everything is needed (S05), but one of product and category is enough."""

    name = text(1000, required=True)
    email = text(1000, required=True)
    company = text(255, required=True)
    phone = text(100, required=True)
    type = text(64, least=1, required=True)
    nature = choice("incident", "service", "question", required=True)
    subject = text(1000, required=True)
    description = text(MAX_BODY, required=True)
    product_id = Id()
    category_id = Id()
    representative_id = Id(metadata={"description": "Without it whoever is free first."})
    call_time = pattern(MOMENT, 16, required=True)
    call_zone = text(64, required=True)
    needed_by = text(20)


class KeyIn(Schema):
    number = Number(required=True, validate=Range(min=1, max=10**15))
    key = text(100, required=True)


class LinkIn(Schema):
    number = Number(required=True, validate=Range(min=1, max=10**15))
    email = text(320, required=True)


class GuestTicketOut(Out):
    number = fields.Integer()
    key = fields.String(metadata={"description": "Shown once; it is also in the mail."})
    url = fields.String()


@operation(
    "POST",
    "/guest/tickets",
    who=Who.ANYONE,
    tag="guests",
    body=GuestTicketIn,
    answer=GuestTicketOut,
    status=201,
    refusals=(403, 429),
    pages=("guest.describe", "guest.submit"),
)
def file_as_guest(call: Call) -> Any:
    """File a ticket without a log-in. The answer holds the access key; files can follow with a comment."""
    if not this_portal().settings.guests_may_file:
        raise problems.ApiProblem(403, "not_allowed", NOT_ALLOWED)
    form = _form(call)
    errors = missing(form)
    if errors:
        raise problems.invalid(_named(errors))
    guest = filing.Guest(name=form["name"], email=form["email"], language=language())
    try:
        found = filing.file_as_guest(
            call.session,
            guest,
            new_ticket(call.session, form, (), f"{keys.GUEST_REF}{new_id()}"),
            address=visitor_address(),
            now=call.now,
            rng=random.SystemRandom(),
        )
    except Invalid as invalid:
        raise problems.invalid(_named(invalid.errors)) from invalid
    key = keys.issue_key(call.session, found, mailed=False, now=call.now)
    told = {"number": found.number, "key": key, "url": keys.direct_link(found.number, key)}
    return Answer(told, headers={"Cache-Control": "no-store"})


@operation(
    "POST",
    "/guest/tokens",
    who=Who.ANYONE,
    tag="guests",
    body=KeyIn,
    answer=NewTokenOut,
    status=201,
    refusals=(401, 429),
    pages=("guest.look_up", "guest.open_by_key", "guest.open_by_link"),
)
def open_by_key(call: Call) -> Any:
    """A token for one ticket, by its number and access key. It opens nothing else."""
    limits = [throttle.per_address("guest-key", visitor_address(), MOST_GUESSES)]
    if throttle.is_exceeded(call.session, limits, now=call.now):
        return _later()
    found = keys.find_key(call.session, call.body["number"], call.body["key"])
    if found is None:
        throttle.count(call.session, limits, now=call.now)
        wrong = problems.ApiProblem(401, "wrong_key", WRONG_KEY, headers={"WWW-Authenticate": "Bearer"})
        return problems.answer(wrong)
    return issued(*tokens.issue_for_guest(call.session, found, now=call.now))


@operation(
    "POST",
    "/guest/links",
    who=Who.ANYONE,
    tag="guests",
    body=LinkIn,
    status=202,
    refusals=(429,),
    pages=("guest.mail_link",),
)
def mail_link(call: Call) -> None:
    """Have a new key mailed to the ticket's own address; nothing tells whether number and address belong together."""
    email = clean_line(call.body["email"])
    filing.mail_link(call.session, call.body["number"], email, address=visitor_address(), now=call.now)


@operation("POST", "/tickets/<int:number>/confirm-address", who=Who.HOLDER, tag="guests", pages=("guest.confirm",))
def confirm_address(call: Call, number: int) -> None:
    """Say that the ticket is one's own. Only a key that came by mail proves that."""
    found = call.ticket(number, "reply")
    if call.guest_key is None or not call.guest_key.mailed:
        raise problems.not_found()
    filing.confirm_address(call.session, found, now=call.now)


@operation(
    "POST",
    "/tickets/<int:number>/new-key",
    who=Who.HOLDER,
    tag="guests",
    answer=GuestTicketOut,
    status=201,
    repeatable=False,
    pages=("guest.new_key",),
)
def replace_key(call: Call, number: int) -> Any:
    """A new key for a ticket whose key others may have seen. All earlier keys end, and the tokens they gave."""
    found = call.ticket(number, "reply")
    if call.guest_key is None:
        raise problems.not_found()
    mailed = call.guest_key.mailed
    keys.revoke_keys(call.session, found, now=call.now)
    key = keys.issue_key(call.session, found, mailed=mailed, now=call.now)
    told = {"number": found.number, "key": key, "url": keys.direct_link(found.number, key)}
    return Answer(told, headers={"Cache-Control": "no-store"})


def _form(call: Call) -> Entered:
    """The call in the names of the form, which says the same."""
    body = call.body
    names = ("name", "email", "company", "phone", "type", "nature", "subject", "description", "call_time", "needed_by")
    values = {name: body.get(name, "") for name in names} | {"timezone": body["call_zone"]}
    values |= {name: str(body.get(name) or "") for name in ("product_id", "category_id")}
    return Entered({**values, "favourite": str(body.get("representative_id") or "anybody")})


def _named(errors: dict[str, str]) -> dict[str, str]:
    return {_NAMES.get(name, name): told for name, told in errors.items()}


def _later() -> Response:
    return problems.answer(problems.ApiProblem(429, "too_many_attempts", throttle.THROTTLED))
