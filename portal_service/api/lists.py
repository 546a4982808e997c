"""Lists of staff besides the tickets, and everybody's drafts."""

import uuid
from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Length, Range

from portal_service.api import problems
from portal_service.api.calls import Call, etag
from portal_service.api.fields import Id, Number, Out, nullable, text
from portal_service.api.guests import GuestTicketOut
from portal_service.api.operations import Answer, Who, operation
from portal_service.api.ticket_shapes import StaffTicket, TicketLine, ticket_of
from portal_service.guests import keys
from portal_service.people.models import Contact
from portal_service.tickets import choices, drafts, queries
from portal_service.tickets.calls import mark_called
from portal_service.tickets.filing_form import KEPT

_MOST = 200
_ONE = "/tickets/<int:number>"


class CallLine(TicketLine):
    call_at = nullable(fields.DateTime())


class CallList(Out):
    items = fields.List(fields.Nested(CallLine))


class DeletedLine(TicketLine):
    deleted_at = nullable(fields.DateTime())
    deleted_by = nullable(fields.String())


class DeletedList(Out):
    items = fields.List(fields.Nested(DeletedLine))


class DraftOut(Out):
    """A request that was begun, field by field as in the form."""

    id = fields.UUID()
    type = fields.String(attribute="type_key")
    contact_id = nullable(fields.UUID())
    values = fields.Dict(keys=fields.String(), values=fields.String())
    files = fields.List(fields.String())
    revision = fields.Integer()
    saved_at = fields.DateTime()
    expires_at = fields.DateTime()


class Drafts(Out):
    items = fields.List(fields.Nested(DraftOut))


class DraftValues(Schema):
    """The fields of the form that a draft keeps."""

    locals().update({name: text(60_000) for name in KEPT})


class DraftIn(Schema):
    type = text(64, least=1, required=True, metadata={"description": "A key of GET /request-types."})
    values = fields.Nested(DraftValues, required=True)
    files = fields.List(Id(), validate=Length(max=20), load_default=list)
    contact_id = Id(metadata={"description": "For whom; agents only."})
    revision = Number(
        validate=Range(min=0, max=10**6), metadata={"description": "The one you know; without it whatever there is."}
    )


@operation("GET", "/staff/calls", who=Who.STAFF, tag="tickets", answer=CallList, pages=("staff_lists.calls_to_make",))
def list_calls(call: Call) -> dict[str, Any]:
    """Tickets whose requester wants to be phoned, by the time he asked for."""
    return {"items": CallLine(many=True).dump(queries.tickets_to_call(call.session, limit=_MOST))}


@operation(
    "POST", f"{_ONE}/called", who=Who.STAFF, tag="tickets", answer=StaffTicket, refusals=(409,), pages=("calls.done",)
)
def mark_ticket_called(call: Call, number: int) -> Answer:
    """Say that the call is made."""
    found = call.ticket(number, "note")
    mark_called(call.session, found, actor=call.actor(), now=call.now)
    return Answer(ticket_of(call, found), headers={"ETag": etag(found)})


@operation(
    "GET", "/staff/deleted-tickets", who=Who.STAFF, tag="tickets", answer=DeletedList, pages=("staff_lists.deleted",)
)
def list_deleted_tickets(call: Call) -> dict[str, Any]:
    """The tickets deleted last, which can be restored."""
    return {"items": DeletedLine(many=True).dump(queries.deleted_tickets(call.session, limit=_MOST))}


@operation(
    "POST",
    f"{_ONE}/keys",
    who=Who.CUSTOMER,
    tag="tickets",
    answer=GuestTicketOut,
    status=201,
    repeatable=False,
    pages=("requests.make_key",),
)
def make_ticket_key(call: Call, number: int) -> Answer:
    """A key that opens this one ticket where its owner is not logged in."""
    found = call.ticket(number)
    key = keys.issue_key(call.session, found, mailed=False, now=call.now)
    told = {"number": found.number, "key": key, "url": keys.direct_link(found.number, key)}
    return Answer(told, headers={"Cache-Control": "no-store"})


@operation("GET", "/drafts", who=Who.PERSON, tag="drafts", answer=Drafts, pages=("home.home", "requests.describe"))
def list_drafts(call: Call) -> dict[str, Any]:
    """One's own drafts, newest first. They are the same as on the pages."""
    found = drafts.drafts_of(call.session, call.signed_in.id, now=call.now)
    return {"items": DraftOut(many=True).dump(found)}


@operation(
    "PUT",
    "/drafts",
    who=Who.PERSON,
    tag="drafts",
    body=DraftIn,
    answer=Drafts,
    refusals=(409,),
    pages=("drafts.save",),
)
def save_draft(call: Call) -> dict[str, Any]:
    """Keep what was typed into a request of a type. A draft without words is deleted."""
    given = call.body
    place = _place(call)
    typed = drafts.Typed(values=given["values"], files=given["files"])
    owner = str(call.signed_in.id)
    try:
        saved = drafts.save(call.session, place, typed, revision=given.get("revision"), owner=owner, now=call.now)
    except drafts.ChangedElsewhereError as changed:
        raise problems.ApiProblem(409, "changed", drafts.CHANGED_ELSEWHERE) from changed
    return {"items": [DraftOut().dump(saved)] if saved else []}


@operation("DELETE", "/drafts/<uuid:draft_id>", who=Who.PERSON, tag="drafts", pages=("drafts.discard",))
def discard_draft(call: Call, draft_id: uuid.UUID) -> None:
    """Delete one of one's own drafts."""
    if not drafts.discard(call.session, call.signed_in.id, draft_id):
        raise problems.not_found()


def _place(call: Call) -> drafts.Place:
    """Whose draft: a customer's own, or one an agent writes for a contact."""
    type_key, contact_id = call.body["type"], call.body.get("contact_id")
    contact = call.session.get(Contact, contact_id) if contact_id else None
    known = choices.request_type(call.session, type_key) is not None
    if not known or call.is_staff != (contact_id is not None) or (contact_id and (not contact or not contact.active)):
        raise problems.not_found()
    return drafts.Place(user_id=call.signed_in.id, type_key=type_key, contact_id=contact_id)
