"""What all records of the desk share: finding them, changing fields with a version and an audit entry."""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from crm_sync_service.desk import stamps, text
from crm_sync_service.desk.errors import DeletedError, ExistsError, InvalidError, NotFoundError, StaleError
from crm_sync_service.desk.models import (
    CASE_PRIORITIES,
    CASE_STATUSES,
    Account,
    Case,
    Change,
    Contact,
    Note,
    Product,
    Record,
    Stamped,
    User,
)
from shared.redaction import REDACTED

REFERENCES: dict[str, type[Record]] = {
    "account_id": Account,
    "contact_id": Contact,
    "product_id": Product,
    "assigned_user_id": User,
}
Rules = Mapping[str, Callable[[str], str]]
"""How each text field is checked and put into the form that is stored."""

T = TypeVar("T", bound=Stamped)
R = TypeVar("R", bound=Record)

OPTIONS = {"status": CASE_STATUSES, "priority": CASE_PRIORITIES}


def kind_of(model: type[Stamped]) -> str:
    """The word for a kind of record in sentences."""
    return model.__name__ if model is Case else model.__name__.lower()


def find(session: Session, model: type[T], record_id: uuid.UUID) -> T:
    """A record as it is stored now, deleted or not. Raises NotFoundError."""
    record = session.get(model, record_id, populate_existing=True)
    if record is None:
        raise NotFoundError(kind_of(model), record_id)
    return record


def find_live(session: Session, model: type[R], record_id: uuid.UUID) -> R:
    """A record that is not deleted, as it is stored now. Raises NotFoundError, DeletedError."""
    record = find(session, model, record_id)
    if record.deleted:
        raise DeletedError(kind_of(model), record.merged_into)
    return record


def clean(values: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """The values as they are to be stored. Raises InvalidError naming every field that cannot be."""
    cleaned: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for field, value in values.items():
        try:
            cleaned[field] = rules[field](value) if field in rules and value is not None else value
        except text.TextError as error:
            wrong[field] = str(error)
    if wrong:
        raise InvalidError(wrong)
    return cleaned


def merge_target(session: Session, record: R, into: uuid.UUID) -> R:
    """The record that another one is merged into. Raises InvalidError when it cannot be."""
    try:
        kept = find_live(session, type(record), into)
    except (NotFoundError, DeletedError) as error:
        raise InvalidError({"into": str(error)}) from error
    if kept is record:
        raise InvalidError({"into": "Choose another one: nothing can be merged into itself."})
    return kept


def refuse_taken(session: Session, model: type[Stamped], record_id: uuid.UUID) -> None:
    """Raises ExistsError when a client's id is taken. Needs the lock, else two creates could both pass."""
    record = session.get(model, record_id)
    if record is not None:
        raise ExistsError(kind_of(model), deleted=isinstance(record, Record) and record.deleted)


def expect_version(record: Stamped, expected: int | None) -> None:
    """Raises StaleError when a version is expected and the record has another one."""
    if expected is not None and record.version != expected:
        raise StaleError(record)


def choosable(session: Session, field: str, record_id: uuid.UUID) -> Record:
    """The record that a reference may be set to. Raises InvalidError when it is unknown, deleted or inactive."""
    model = REFERENCES[field]
    record = session.get(model, record_id)
    if record is None:
        raise InvalidError({field: f"There is no {kind_of(model)} with the id {record_id}."})
    if record.deleted:
        merged = f" into {record.merged_into}" if record.merged_into else ""
        raise InvalidError({field: f"{record.name} was {'merged' if merged else 'deleted'}{merged}."})
    if isinstance(record, Product | User) and not record.active:
        raise InvalidError({field: f"{record.name} is no longer active."})
    return record


def change_fields(session: Session, record: Stamped, values: Mapping[str, Any]) -> list[Change]:
    """Set what differs and return the audit entries, one a field; empty when nothing differs.

    Raises InvalidError when a reference is set to something that cannot be chosen.
    """
    changes = []
    for field, after in values.items():
        before = getattr(record, field)
        if before == after:
            continue
        if field in REFERENCES and after is not None:
            choosable(session, field, after)
        changes.append(change(record, field, label(session, field, before), label(session, field, after)))
        setattr(record, field, after)
    return changes


def change(record: Stamped, field: str, before: str, after: str) -> Change:
    return Change(record_id=record.id, field=field, before=before, after=after)


def save(session: Session, record: Stamped, changes: list[Change], *, actor: str, now: datetime) -> None:
    """Stamp and store a new or changed record with its audit entries; nothing at all when there are none."""
    if not changes:
        return
    stamps.stamp(session, record, actor=actor, now=now)
    for entry in changes:
        entry.version, entry.at, entry.who = record.version, record.modified_at, actor
    session.add_all([record, *changes])
    session.flush()
    # The related records are read anew, now that the ids have changed.
    stale = [entry.field.removesuffix("_id") for entry in changes if entry.field in REFERENCES]
    if stale:
        session.expire(record, stale)


def forget_if_redacted(session: Session, record: Stamped, values: Mapping[str, Any]) -> None:
    """When words were taken out for good the history does not keep them either: what was, and when, stays."""
    redacted = [name for name, value in values.items() if isinstance(value, str) and value.startswith(REDACTED)]
    if redacted:
        told = Change.field.in_([*values, "created"])
        wiped = {"before": REDACTED, "after": REDACTED}
        session.execute(update(Change).where(Change.record_id == record.id, told).values(wiped))
        if isinstance(record, Note) and record.side == "customer":
            record.author = REDACTED
            session.flush()


def label(session: Session, field: str, value: Any) -> str:
    """A value as people read it: the name of a record, the label of an option."""
    if value is None:
        return ""
    if field in REFERENCES:
        record = session.get(REFERENCES[field], value)
        return record.name if record is not None else str(value)
    return str(OPTIONS.get(field, {}).get(value, value))


def changes_of(session: Session, record: Stamped) -> list[Change]:
    """A record's history, newest first."""
    return list(session.scalars(select(Change).where(Change.record_id == record.id).order_by(Change.id.desc())))


def changed_since(session: Session, record: Stamped, field: str, *, version: int) -> Change | None:
    """The newest change of a field after the version that somebody saw; None when the field is as it was."""
    statement = select(Change).where(Change.record_id == record.id, Change.field == field, Change.version > version)
    return session.scalars(statement.order_by(Change.id.desc()).limit(1)).first()
