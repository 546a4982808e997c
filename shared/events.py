"""The events that travel between the services: frozen, versioned, validated, without any framework of the web.

Envelope: CloudEvents 1.0 attributes (id, source, type, subject = ticket id or directory key, time). Body: JSON.
Evolution is additive: unknown fields are ignored, an unknown type or version is kept by the reader and shown.
"State, not deltas": `TicketChanged` carries everything that is synced, with the ticket's version.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate

from shared.clock import to_text
from shared.ids import new_id

MAX_BODY_BYTES = 256 * 1024

PORTAL_EVENTS = "portal-events"
"""Destination read by the sync service."""
CRM_EVENTS = "crm-events"
"""Destination read by the portal."""


class EventError(Exception):
    """An event that cannot be sent or understood; the text says why."""


class EventTooLargeError(EventError):
    """The body exceeds MAX_BODY_BYTES; long texts travel by reference."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody as the other side needs to know them."""

    name: str
    email: str | None = None
    crm_id: str | None = None
    """The CRM's id of the contact or user, where known."""


@dataclass(frozen=True, kw_only=True)
class AttachmentLink:
    """An attachment travels as a signed link, never as bytes."""

    id: uuid.UUID
    name: str
    size: int
    """Bytes."""
    url: str


@dataclass(frozen=True, kw_only=True)
class TicketChanged:
    """The whole synced state of a ticket at `version`."""

    type: ClassVar[str] = "casebridge.ticket.changed.v1"
    destination: ClassVar[str] = PORTAL_EVENTS

    ticket_id: uuid.UUID
    version: int
    number: int
    ticket_url: str
    subject: str
    description: str
    """The customer's words only."""
    link_url: str | None
    """The URL the customer gave (S29)."""
    details: Mapping[str, str]
    """Recommended information and call time, by label, in the order shown."""
    status: Literal["new", "open", "pending", "solved", "closed"]
    priority: Literal["low", "normal", "high", "urgent"]
    request_type: str
    origin: str
    account_crm_id: str | None
    account_name: str | None
    product_crm_id: str | None
    product_name: str | None
    category: str | None
    contact: Person | None
    assignee: Person | None
    """A support agent, or somebody known to the CRM only."""
    attachments: tuple[AttachmentLink, ...]
    """Of the ticket and of every public reply."""
    reply_count: int
    """Replies and internal notes so far; each becomes one Note."""
    changed_by: str
    created_at: datetime
    changed_at: datetime
    pull_number: int = 0
    """The newest CaseChanged of this ticket that the portal has handled, applied or refused."""
    deleted_at: datetime | None = None
    deleted_by: str | None = None
    redacted_at: datetime | None = None
    """Since when the words of the ticket, and of all that was said about it, are gone for good."""

    @property
    def subject_key(self) -> str:
        return str(self.ticket_id)


@dataclass(frozen=True, kw_only=True)
class ReplyAdded:
    """A public reply. `position` orders all replies and notes of a ticket, from 1."""

    type: ClassVar[str] = "casebridge.reply.added.v1"
    destination: ClassVar[str] = PORTAL_EVENTS

    ticket_id: uuid.UUID
    reply_id: uuid.UUID
    position: int
    side: Literal["customer", "staff", "system"]
    author: Person
    channel: str
    body: str
    attachments: tuple[AttachmentLink, ...]
    created_at: datetime
    crm_note_id: str | None = None
    """The Note of the CRM that this reply came from: it has its Note already (S91)."""

    @property
    def subject_key(self) -> str:
        return str(self.ticket_id)


@dataclass(frozen=True, kw_only=True)
class InternalNoteAdded:
    """A note among staff. A type of its own, so that no customer-facing code can take it for a reply."""

    type: ClassVar[str] = "casebridge.internal_note.added.v1"
    destination: ClassVar[str] = PORTAL_EVENTS

    ticket_id: uuid.UUID
    note_id: uuid.UUID
    position: int
    author: Person
    body: str
    attachments: tuple[AttachmentLink, ...]
    created_at: datetime

    @property
    def subject_key(self) -> str:
        return str(self.ticket_id)


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One field as an account manager left it. Values are the portal's: statuses by key, records by CRM id."""

    field: Literal["assignee", "account", "product", "priority", "status"]
    before: str | None
    """What the portal was last seen to have; it sets the field only if it still has this."""
    after: str | None
    after_label: str | None
    """The name of the record `after` identifies, for people."""


@dataclass(frozen=True, kw_only=True)
class CaseChanged:
    """Changes made in the CRM, for the portal to apply field by field, by compare and set."""

    type: ClassVar[str] = "casebridge.case.changed.v1"
    destination: ClassVar[str] = CRM_EVENTS

    ticket_id: uuid.UUID
    pull_number: int
    """1, 2, 3 ... per ticket; one is outstanding at a time."""
    changes: tuple[FieldChange, ...]
    changed_by: str
    """The CRM user's name, or the CRM's name where it does not tell."""
    changed_at: datetime

    @property
    def subject_key(self) -> str:
        return str(self.ticket_id)


@dataclass(frozen=True, kw_only=True)
class NoteForCustomer:
    """A Note of the Case that somebody marked in the CRM to be sent to the customer (S91)."""

    type: ClassVar[str] = "casebridge.note.for_customer.v1"
    destination: ClassVar[str] = CRM_EVENTS

    ticket_id: uuid.UUID
    crm_note_id: str
    """The portal makes one reply of it, however often it is told."""
    body: str
    author: str
    """The CRM user's name, or the CRM's name where it does not tell."""
    created_at: datetime

    @property
    def subject_key(self) -> str:
        return str(self.ticket_id)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """How a comparison of ticket and Case ended. `in_sync` is said only when nothing differs or waits."""

    type: ClassVar[str] = "casebridge.receipt.v1"
    destination: ClassVar[str] = CRM_EVENTS

    ticket_id: uuid.UUID
    number: int
    """1, 2, 3 ... per ticket; an older one than already seen says nothing."""
    state: Literal["in_sync", "waiting", "failed"]
    version: int
    """The ticket version that was compared."""
    case_id: str | None
    case_number: str | None
    case_url: str | None
    notes: int
    """Replies and internal notes that are Notes of the Case."""
    reason: str | None
    """For waiting and failed: what waits and why, in a sentence."""
    compared_at: datetime
    decisions: int = 0
    """Fields that both sides changed and that wait for a person's choice."""

    @property
    def subject_key(self) -> str:
        return str(self.ticket_id)


@dataclass(frozen=True, kw_only=True)
class CrmStatusChanged:
    """Whether the CRM answers. Sent on change and repeated; the newest `checked_at` counts."""

    type: ClassVar[str] = "casebridge.crm.status.v1"
    destination: ClassVar[str] = CRM_EVENTS

    crm: str
    state: Literal["reachable", "unreachable", "paused"]
    since: datetime
    checked_at: datetime
    reason: str | None

    @property
    def subject_key(self) -> str:
        return self.crm


@dataclass(frozen=True, kw_only=True)
class DirectoryChanged:
    """One account, contact, user or product as the CRM has it now."""

    type: ClassVar[str] = "casebridge.directory.changed.v1"
    destination: ClassVar[str] = CRM_EVENTS

    kind: Literal["account", "contact", "user", "product"]
    crm_id: str
    revision: int
    """Grows with each change of this record; an older one says nothing."""
    name: str
    active: bool
    emails: tuple[str, ...] = ()
    account_crm_id: str | None = None
    """Of a contact."""
    merged_into: str | None = None
    """The CRM id of the record that took this one's place."""

    @property
    def subject_key(self) -> str:
        return f"{self.kind}:{self.crm_id}"


Event = (
    TicketChanged
    | ReplyAdded
    | InternalNoteAdded
    | CaseChanged
    | NoteForCustomer
    | Receipt
    | CrmStatusChanged
    | DirectoryChanged
)


class _Record(Schema):
    """Builds `record` from validated fields; ignores fields this version does not know."""

    record: ClassVar[type]

    class Meta:
        unknown = EXCLUDE

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Any:
        return self.record(**data)


class _Moment(fields.AwareDateTime):
    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:  # noqa: ARG002 (base class)
        return None if value is None else to_text(value)


class _Tuple(fields.List[Any]):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return tuple(super()._deserialize(value, attr, data, **kwargs))


def _text(*, empty: bool = True, optional: bool = False) -> fields.String:
    if optional:
        return fields.String(allow_none=True, load_default=None)
    return fields.String(required=True, validate=None if empty else validate.Length(min=1))


def _moment() -> _Moment:
    return _Moment(required=True)


def _count() -> fields.Integer:
    return fields.Integer(required=True, strict=True, validate=validate.Range(min=0))


def _one_of(*choices: str) -> fields.String:
    return fields.String(required=True, validate=validate.OneOf(choices))


class PersonSchema(_Record):
    record = Person
    name = _text()
    email = _text(optional=True)
    crm_id = _text(optional=True)


class AttachmentLinkSchema(_Record):
    record = AttachmentLink
    id = fields.UUID(required=True)
    name = _text()
    size = _count()
    url = _text(empty=False)


class TicketChangedSchema(_Record):
    record = TicketChanged
    ticket_id = fields.UUID(required=True)
    version = _count()
    number = _count()
    ticket_url = _text(empty=False)
    subject = _text()
    description = _text()
    link_url = _text(optional=True)
    details = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    status = _one_of("new", "open", "pending", "solved", "closed")
    priority = _one_of("low", "normal", "high", "urgent")
    request_type = _text()
    origin = _text()
    account_crm_id = _text(optional=True)
    account_name = _text(optional=True)
    product_crm_id = _text(optional=True)
    product_name = _text(optional=True)
    category = _text(optional=True)
    contact = fields.Nested(PersonSchema, allow_none=True, load_default=None)
    assignee = fields.Nested(PersonSchema, allow_none=True, load_default=None)
    attachments = _Tuple(fields.Nested(AttachmentLinkSchema), required=True)
    reply_count = _count()
    changed_by = _text()
    created_at = _moment()
    changed_at = _moment()
    pull_number = fields.Integer(load_default=0, strict=True)
    deleted_at = _Moment(allow_none=True, load_default=None)
    deleted_by = _text(optional=True)
    redacted_at = _Moment(allow_none=True, load_default=None)


class ReplyAddedSchema(_Record):
    record = ReplyAdded
    ticket_id = fields.UUID(required=True)
    reply_id = fields.UUID(required=True)
    position = _count()
    side = _one_of("customer", "staff", "system")
    author = fields.Nested(PersonSchema, required=True)
    channel = _text()
    body = _text()
    attachments = _Tuple(fields.Nested(AttachmentLinkSchema), required=True)
    created_at = _moment()
    crm_note_id = _text(optional=True)


class InternalNoteAddedSchema(_Record):
    record = InternalNoteAdded
    ticket_id = fields.UUID(required=True)
    note_id = fields.UUID(required=True)
    position = _count()
    author = fields.Nested(PersonSchema, required=True)
    body = _text()
    attachments = _Tuple(fields.Nested(AttachmentLinkSchema), required=True)
    created_at = _moment()


class FieldChangeSchema(_Record):
    record = FieldChange
    field = _one_of("assignee", "account", "product", "priority", "status")
    before = _text(optional=True)
    after = _text(optional=True)
    after_label = _text(optional=True)


class CaseChangedSchema(_Record):
    record = CaseChanged
    ticket_id = fields.UUID(required=True)
    pull_number = _count()
    changes = _Tuple(fields.Nested(FieldChangeSchema), required=True)
    changed_by = _text()
    changed_at = _moment()


class NoteForCustomerSchema(_Record):
    record = NoteForCustomer
    ticket_id = fields.UUID(required=True)
    crm_note_id = _text(empty=False)
    body = _text(empty=False)
    author = _text()
    created_at = _moment()


class ReceiptSchema(_Record):
    record = Receipt
    ticket_id = fields.UUID(required=True)
    number = _count()
    state = _one_of("in_sync", "waiting", "failed")
    version = _count()
    case_id = _text(optional=True)
    case_number = _text(optional=True)
    case_url = _text(optional=True)
    notes = _count()
    reason = _text(optional=True)
    compared_at = _moment()
    decisions = fields.Integer(load_default=0, strict=True, validate=validate.Range(min=0))


class CrmStatusChangedSchema(_Record):
    record = CrmStatusChanged
    crm = _text()
    state = _one_of("reachable", "unreachable", "paused")
    since = _moment()
    checked_at = _moment()
    reason = _text(optional=True)


class DirectoryChangedSchema(_Record):
    record = DirectoryChanged
    kind = _one_of("account", "contact", "user", "product")
    crm_id = _text(empty=False)
    revision = _count()
    name = _text()
    active = fields.Boolean(required=True)
    emails = _Tuple(fields.String(), load_default=())
    account_crm_id = _text(optional=True)
    merged_into = _text(optional=True)


SCHEMAS: dict[str, _Record] = {
    schema.record.type: schema
    for schema in (
        TicketChangedSchema(),
        ReplyAddedSchema(),
        InternalNoteAddedSchema(),
        CaseChangedSchema(),
        NoteForCustomerSchema(),
        ReceiptSchema(),
        CrmStatusChangedSchema(),
        DirectoryChangedSchema(),
    )
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """An event in its envelope, as the outbox stores it and the broker carries it."""

    id: uuid.UUID
    type: str
    destination: str
    """PORTAL_EVENTS or CRM_EVENTS."""
    subject: str
    source: str
    """The service that speaks: `portal` or `crm-sync`."""
    time: datetime
    body: str
    """JSON text."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further text headers, such as `traceparent`."""


def dump(event: Event) -> dict[str, Any]:
    """The JSON object of an event's body."""
    result: dict[str, Any] = SCHEMAS[event.type].dump(event)
    return result


def pack(event: Event, *, source: str, now: datetime) -> Message:
    """Put an event into a new envelope. Raises EventTooLargeError."""
    body = json.dumps(dump(event), ensure_ascii=False, separators=(",", ":"))
    size = len(body.encode())
    if size > MAX_BODY_BYTES:
        raise EventTooLargeError(f"{event.type} of {event.subject_key} has {size} bytes, the most is {MAX_BODY_BYTES}")
    return Message(
        id=new_id(),
        type=event.type,
        destination=event.destination,
        subject=event.subject_key,
        source=source,
        time=now,
        body=body,
    )


def load(type_: str, body: Mapping[str, Any]) -> Event:
    """The event in a decoded body. Raises EventError with every fault found."""
    schema = SCHEMAS.get(type_)
    if schema is None:
        raise EventError(f"unknown event type {type_!r}: this version reads {', '.join(sorted(SCHEMAS))}")
    try:
        event: Event = schema.load(body)
    except ValidationError as error:
        raise EventError(f"{type_}: {json.dumps(error.messages, ensure_ascii=False)}") from error
    return event


def unpack(message: Message) -> Event:
    """The event in an envelope. Raises EventError."""
    try:
        body = json.loads(message.body)
    except ValueError as error:
        raise EventError(f"{message.type}: the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise EventError(f"{message.type}: the body is not a JSON object")
    return load(message.type, body)
