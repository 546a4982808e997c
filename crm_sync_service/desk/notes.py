"""Notes of a Case: one for each reply of the portal, and those that account managers write here."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.desk import records, stamps, text
from crm_sync_service.desk.errors import InvalidError
from crm_sync_service.desk.models import NOTE_SIDES, Case, Note
from shared.ids import new_id

_RULES: records.Rules = {
    "title": partial(text.one_line, required=False),
    "body": text.long_text,
    "author": text.one_line,
    "side": partial(text.one_of, NOTE_SIDES),
}


def create_note(
    session: Session, values: Mapping[str, Any], *, actor: str, now: datetime, origin: Literal["api", "desk"]
) -> Note:
    """A new Note. Without a `position` it comes after all Notes so far. Raises ExistsError, InvalidError."""
    stamps.lock(session, now=now)
    note_id = values.get("id") or new_id()
    records.refuse_taken(session, Note, note_id)
    case = session.get(Case, values["case_id"])
    if case is None or case.deleted:
        raise InvalidError({"case_id": "This Case was deleted." if case else "There is no Case with this id."})
    cleaned = {"title": "", "created_at": now, **records.clean(values, _RULES), "id": note_id, "origin": origin}
    if cleaned.get("position") is None:
        cleaned["position"] = _last_position(session, case.id)
    note = Note(**cleaned)
    records.save(session, note, [records.change(note, "created", "", note.title)], actor=actor, now=now)
    return note


def write_note(session: Session, values: Mapping[str, Any], *, author: str, now: datetime) -> Note:
    """A Note written in the desk; it stays there unless `for_customer` says otherwise (S91).

    Raises ExistsError, InvalidError, also when it is empty.
    """
    if not values["body"].strip():
        raise InvalidError({"body": "Write something: the Note is empty."})
    return create_note(session, {**values, "author": author, "side": "internal"}, actor=author, now=now, origin="desk")


def change_note(
    session: Session,
    note_id: uuid.UUID,
    values: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    expected_version: int | None = None,
) -> Note:
    """Set title or body. Raises NotFoundError, StaleError, InvalidError."""
    stamps.lock(session, now=now)
    note = records.find(session, Note, note_id)
    records.expect_version(note, expected_version)
    changes = records.change_fields(session, note, records.clean(values, _RULES))
    records.save(session, note, changes, actor=actor, now=now)
    return note


def delete_note(session: Session, note_id: uuid.UUID) -> None:
    """Remove a Note for good. Raises NotFoundError."""
    session.delete(records.find(session, Note, note_id))


def notes_of(session: Session, case_id: uuid.UUID) -> list[Note]:
    """By position, then by when they were written."""
    statement = select(Note).where(Note.case_id == case_id).order_by(Note.position, Note.created_at, Note.id)
    return list(session.scalars(statement))


def _last_position(session: Session, case_id: uuid.UUID) -> int:
    """That of the newest Note, so that `created_at` puts one written here behind it and before the next reply."""
    return session.scalar(select(func.max(Note.position)).where(Note.case_id == case_id)) or 0
