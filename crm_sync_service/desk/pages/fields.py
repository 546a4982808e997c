"""The fields that account managers edit in place: how each is typed, read and shown."""

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from crm_sync_service.desk import cases, directory, queries, records
from crm_sync_service.desk.errors import InvalidError
from crm_sync_service.desk.models import CASE_PRIORITIES, CASE_STATUSES, Account, Case, Contact, Record
from crm_sync_service.desk.pages.lists import CHOICES_MOST
from crm_sync_service.desk.pages.visit import pages


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field in place. `option` and `record` are chosen, the others typed on one line or several."""

    name: str
    label: str
    widget: Literal["option", "record", "line", "text", "lines"]
    options: Mapping[str, str] | None = None

    def as_typed(self, record: Record) -> str:
        """The value as its form shows it."""
        if self.widget == "lines":
            return "\n".join(getattr(record, "addresses"))  # noqa: B009 (contacts only)
        value = getattr(record, self.name)
        return "" if value is None else str(value)

    def read(self, session: Session, typed: str) -> Any:
        """The value that was typed. Raises InvalidError."""
        if self.widget == "record":
            return chosen(session, self.name, typed)
        if self.widget == "lines":
            return [line for line in typed.splitlines() if line.strip()]
        return typed


def _fields(*fields: Field) -> Mapping[str, Field]:
    return {field.name: field for field in fields}


@dataclass(frozen=True, kw_only=True)
class Editable:
    """A kind of record with the fields that can be edited in place."""

    model: type[Record]
    change: Callable[..., Record]
    fields: Mapping[str, Field]


EDITABLE = {
    "cases": Editable(
        model=Case,
        change=cases.change_case,
        fields=_fields(
            Field(name="name", label="Subject", widget="line"),
            Field(name="status", label="Status", widget="option", options=CASE_STATUSES),
            Field(name="priority", label="Priority", widget="option", options=CASE_PRIORITIES),
            Field(name="assigned_user_id", label="Assigned to", widget="record"),
            Field(name="account_id", label="Account", widget="record"),
            Field(name="product_id", label="Product", widget="record"),
            Field(name="description", label="Description", widget="text"),
        ),
    ),
    "contacts": Editable(
        model=Contact,
        change=directory.change_contact,
        fields=_fields(
            Field(name="name", label="Name", widget="line"),
            Field(name="account_id", label="Account", widget="record"),
            Field(name="emails", label="E-mail addresses", widget="lines"),
        ),
    ),
    "accounts": Editable(
        model=Account,
        change=directory.change_account,
        fields=_fields(Field(name="name", label="Name", widget="line")),
    ),
}
FIELD_LABELS = {
    "created": "Created",
    "deleted": "Deleted",
    "merged": "Merged",
    "contact_id": "Contact",
    "contact_ids": "Contacts",
    "ticket_number": "Ticket number",
    "ticket_url": "Ticket address",
    **{
        field.name: field.label
        for kind in ("contacts", "accounts", "cases")
        for field in EDITABLE[kind].fields.values()
    },
}
"""For the change history."""


@pages.app_template_global()
def related(record: Record, field: str) -> Record | None:
    """The record that a record field refers to."""
    other: Record | None = getattr(record, field.removesuffix("_id"))
    return other


def choices_for(session: Session, kind: str) -> dict[str, list[Record]]:
    """What each record field of a form offers; a field with too many to offer is left out."""
    fields = [field for field in EDITABLE[kind].fields.values() if field.widget == "record"]
    found = {f.name: queries.choices(session, records.REFERENCES[f.name], most=CHOICES_MOST + 1) for f in fields}
    return {name: rows for name, rows in found.items() if len(rows) <= CHOICES_MOST}


def chosen(session: Session, field: str, typed: str) -> uuid.UUID | None:
    """The record that an id, a name or an address means; None for nothing. Raises InvalidError."""
    typed = typed.replace("\0", "").strip()
    return meant(session, field, typed) if typed else None


def meant(session: Session, field: str, typed: str) -> uuid.UUID:
    """Like `chosen`, for something that must not be empty."""
    with suppress(ValueError):
        return uuid.UUID(typed)
    found = queries.named(session, records.REFERENCES[field], typed[:320])
    if len(found) == 1:
        return found[0].id
    kind = records.kind_of(records.REFERENCES[field])
    if not found:
        raise InvalidError({field: f"There is no {kind} called “{typed[:80]}”."})
    several = "; ".join(_described(record) for record in found[:5])
    raise InvalidError({field: f"Several fit: {several}. Type more of it, or an e-mail address."})


def _described(record: Record) -> str:
    return f"{record.name} ({', '.join(record.addresses)})" if isinstance(record, Contact) else record.name
