"""Tickets in calls and answers. What customers get has shapes of its own: nothing internal has a field there."""

import uuid
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Length, Range

from portal_service.api.calls import Call
from portal_service.api.fields import Flag, Id, Number, Out, QueryFlag, choice, nullable, pattern, text
from portal_service.api.shapes import File, InternalFile, Named, Paged, Person
from portal_service.tickets.attachments import MAX_FILES
from portal_service.tickets.fields import assignee_name
from portal_service.tickets.lifecycle import DONE, PRIORITIES, STATUSES, UNFINISHED, targets
from portal_service.tickets.models import InternalNote, Ticket
from portal_service.tickets.queries import SORTS, STATUS_FILTERS
from portal_service.tickets.text import MAX_BODY

DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$"


class Type(Out):
    key = fields.String()
    name = fields.String(attribute="name_en")


def _may(ticket: Ticket) -> list[str]:
    """What the requester can do with a ticket in its present status."""
    allowed: Mapping[str, bool] = {
        "reply": True,
        "solve": ticket.status in UNFINISHED,
        "reopen": ticket.status in DONE,
        "rate": ticket.status in DONE,
    }
    return [name for name, may in allowed.items() if may]


def _category(ticket: Ticket) -> dict[str, str] | None:
    found = ticket.category
    return {"id": str(found.id), "name": found.name_en} if found else None


class Rated(Out):
    score = fields.Integer()
    words = fields.String()
    rated_at = fields.DateTime()


class TicketLine(Out):
    """A ticket in a list."""

    number = fields.Integer()
    subject = fields.String()
    status = choice(*STATUSES)
    priority = choice(*PRIORITIES)
    account = nullable(fields.Nested(Named))
    product = nullable(fields.Nested(Named))
    requester = nullable(fields.Nested(Person, attribute="contact"))
    assignee = nullable(fields.Function(assignee_name, metadata={"type": "string"}))
    created_at = fields.DateTime()
    last_activity_at = fields.DateTime()


class TicketPage(Out):
    items = fields.List(fields.Nested(TicketLine))
    next = nullable(fields.String())


class TicketOut(TicketLine):
    """A ticket as its requester may read it."""

    version = fields.Integer(metadata={"description": "What the ETag begins with."})
    description = fields.String()
    link_url = nullable(fields.String())
    details = fields.Dict(keys=fields.String(), values=fields.String())
    type = fields.Nested(Type, attribute="request_type")
    category = nullable(fields.Function(_category, metadata={"type": "object"}))
    origin = fields.String()
    filed_by = nullable(fields.String())
    parent_number = nullable(fields.Integer())
    pending_since = nullable(fields.DateTime())
    resolved_at = nullable(fields.DateTime())
    closed_at = nullable(fields.DateTime())
    rating = nullable(fields.Nested(Rated))
    may = fields.Function(_may, metadata={"type": "array", "items": {"type": "string"}})


class StaffTicket(TicketOut):
    """A ticket as staff see it."""

    assignee_id = nullable(fields.UUID())
    contact_id = nullable(fields.UUID())
    reviewed_at = nullable(fields.DateTime())
    changed_at = fields.DateTime()
    assignment = fields.Dict(metadata={"description": "Why it was assigned as it is."})
    statuses = fields.Function(
        lambda one: list(targets(one.status)), metadata={"type": "array", "items": {"type": "string"}}
    )


class CommentOut(Out):
    """A reply, which customers read."""

    id = fields.UUID()
    position = fields.Integer()
    side = choice("customer", "staff", "system")
    author = fields.String(attribute="author_name")
    channel = fields.String()
    body = fields.String()
    created_at = fields.DateTime()
    files = fields.List(fields.Nested(File), attribute="attachments")


class StaffComment(CommentOut):
    """A reply or an internal note, as staff see it."""

    internal = fields.Function(lambda one: isinstance(one, InternalNote), metadata={"type": "boolean"})
    files = fields.List(fields.Nested(InternalFile), attribute="attachments")


class CommentPage(Out):
    items = fields.List(fields.Nested(CommentOut))
    next = nullable(fields.String())


class StaffCommentPage(Out):
    items = fields.List(fields.Nested(StaffComment))
    next = nullable(fields.String())


class HistoryLine(Out):
    at = fields.DateTime()
    actor = fields.String(attribute="actor_name")
    side = fields.String(attribute="actor_kind")
    action = fields.String()
    field = nullable(fields.String())
    before = nullable(fields.String())
    after = nullable(fields.String())


class HistoryOut(Out):
    items = fields.List(fields.Nested(HistoryLine))


class SyncOut(Out):
    """How well the Case mirrors the ticket, from the newest comparison."""

    state = fields.String()
    text = fields.String()
    since = nullable(fields.DateTime())


class Counts(Out):
    new = fields.Integer()
    open = fields.Integer(metadata={"description": "All that are not finished."})
    only_open = fields.Integer()
    pending = fields.Integer()
    solved = fields.Integer()
    closed = fields.Integer()
    all = fields.Integer()


class TicketQuery(Paged):
    """Filters of the list of tickets."""

    status = choice(*STATUS_FILTERS, load_default="open")
    q = text(200, metadata={"description": "A number or words."})
    mine = QueryFlag(metadata={"description": "Asked for by me; of agents: assigned to me."})
    unassigned = QueryFlag()
    account = Id()
    product = Id()
    assignee = Id()
    requester = Id()
    sort = choice(*SORTS, load_default="last_activity_at")
    order = choice("asc", "desc", load_default="desc")


class Information(Schema):
    """What helps support; all of it is optional (S25)."""

    browser = text(300)
    person = text(300)
    customer_number = text(300)
    document = text(300)
    module = text(300)
    error_text = text(2000)


def _file_ids() -> fields.List[uuid.UUID]:
    return fields.List(Id(), validate=Length(max=MAX_FILES), metadata={"description": "Ids of POST /uploads."})


class NewTicketIn(Schema):
    """A request for support."""

    type = text(64, least=1, required=True, metadata={"description": "A key of GET /request-types."})
    subject = text(1000, required=True)
    description = text(MAX_BODY, required=True)
    account_id = Id()
    product_id = Id()
    category_id = Id()
    contact_id = Id(metadata={"description": "For whom; agents only."})
    representative_id = Id(metadata={"description": "The favourite representative."})
    nature = choice("incident", "service", "question")
    needed_by = pattern(DAY, 10)
    call_time = pattern(MOMENT, 16, metadata={"description": "When to phone, in `call_zone`."})
    call_zone = text(64, load_default="UTC")
    link_url = text(4000)
    parent_number = Number(
        validate=Range(min=1, max=10**15), metadata={"description": "A ticket one may read, which this one refers to."}
    )
    information = fields.Nested(Information)
    files = _file_ids()


class NewComment(Schema):
    body = text(MAX_BODY, required=True)
    files = _file_ids()


class CommentIn(NewComment):
    """A reply. `internal` and `ask` are for agents, `solve` for customers."""

    internal = Flag(load_default=False)
    ask = Flag(load_default=False, metadata={"description": "A question: the ticket waits for its answer."})
    solve = Flag(load_default=False, metadata={"description": "Mark the ticket as solved, too."})


class TicketChanges(Schema):
    """Only what is given is changed."""

    status = choice(*STATUSES)
    priority = choice(*PRIORITIES)
    assignee_id = Id(allow_none=True)
    account_id = Id()
    product_id = Id(allow_none=True)
    category_id = Id(allow_none=True)
    parent_number = Number(allow_none=True, validate=Range(min=1, max=10**15))
    subject = text(1000, metadata={"description": "Never: what was said stays. The attempt is refused and remembered."})
    description = text(MAX_BODY, metadata={"description": "Never, as the subject."})


class TransferIn(Schema):
    """What the ticket shall have afterwards; what is left out stays."""

    assignee_id = Id(allow_none=True)
    account_id = Id()
    product_id = Id(allow_none=True)
    note = text(MAX_BODY, load_default="")


class RatingIn(Schema):
    score = Number(required=True, validate=Range(min=1, max=5))
    words = text(2000, load_default="")


def ticket_of(call: Call, ticket: Ticket) -> dict[str, Any]:
    """The ticket as this caller may read it."""
    shown: dict[str, Any] = (StaffTicket() if call.is_staff else TicketOut()).dump(ticket)
    if ticket.parent_number is not None and call.sees(ticket.parent_number) is None:
        shown["parent_number"] = None
    return shown
