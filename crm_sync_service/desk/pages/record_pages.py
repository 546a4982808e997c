"""The pages of a Case, a contact and an account, and editing one field in place."""

import uuid
from dataclasses import dataclass
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from crm_sync_service.desk import notes, queries, records, stamps
from crm_sync_service.desk.context import desk
from crm_sync_service.desk.errors import DeletedError, DeskError, InvalidError, NotFoundError
from crm_sync_service.desk.models import Case, Change, Contact, Record
from crm_sync_service.desk.pages.fields import EDITABLE, FIELD_LABELS, Field, choices_for
from crm_sync_service.desk.pages.visit import actor, pages, typed_text
from shared import error_pages
from shared.clock import utc_now
from shared.error_pages import Problem
from shared.ids import new_id


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A form that was sent and not accepted: shown again, open, with what was typed."""

    form: str
    typed: str
    error: str
    title: str = ""
    """Of a Note."""
    for_customer: bool = False
    """Of a Note."""


class FieldConflictError(DeskError):
    """Somebody else changed the same field after the form was shown."""

    def __init__(self, change: Change) -> None:
        self.who, self.at, self.after = change.who, change.at, change.after
        super().__init__(f"{change.who} changed this field")


@pages.get("/<any(cases, contacts, accounts):kind>/<uuid:record_id>")
def show_record(kind: str, record_id: uuid.UUID, *, refused: Refused | None = None) -> ResponseReturnValue:
    with desk().database.read() as session:
        record = records.find(session, EDITABLE[kind].model, record_id)
        if record.deleted:
            return _gone(session, kind, record)
        page = render_template(
            f"{kind}_page.html",
            kind=kind,
            record=record,
            fields=EDITABLE[kind].fields,
            choices=choices_for(session, kind),
            refused=refused,
            changes=records.changes_of(session, record),
            field_labels=FIELD_LABELS,
            **_panels(session, record),
        )
    return page, 422 if refused else 200


def _panels(session: Session, record: Record) -> dict[str, Any]:
    """What belongs to a record beside its own fields."""
    if isinstance(record, Case):
        colleagues = queries.contacts_of(session, record.account).rows if record.account else []
        return {"notes": notes.notes_of(session, record.id), "new_note_id": new_id(), "colleagues": colleagues}
    if isinstance(record, Contact):
        return {"cases": queries.cases_of(session, "contact_id", record)}
    return {
        "cases": queries.cases_of(session, "account_id", record),
        "contacts": queries.contacts_of(session, record),
    }


def _gone(session: Session, kind: str, record: Record) -> ResponseReturnValue:
    kept = session.get(type(record), record.merged_into) if record.merged_into else None
    last = records.changes_of(session, record)[0]
    return render_template("gone.html", kind=kind, record=record, kept=kept, last=last, typed=typed_text()), 410


@pages.post("/<any(cases, contacts, accounts):kind>/<uuid:record_id>/fields/<name>")
def save_field(kind: str, record_id: uuid.UUID, name: str) -> ResponseReturnValue:
    field = EDITABLE[kind].fields.get(name) or abort(404)
    typed = request.form.get("value", "")
    try:
        _save(kind, record_id, field, typed, version=_shown_version())
    except InvalidError as error:
        return show_record(kind, record_id, refused=Refused(form=name, typed=typed, error=error.words))
    except FieldConflictError as error:
        return _show_conflict(kind, record_id, field, typed, error)
    flash(f"{field.label} is saved.", "ok")
    return redirect(url_for("pages.show_record", kind=kind, record_id=record_id, _anchor=f"field-{name}"), 303)


def _save(kind: str, record_id: uuid.UUID, field: Field, typed: str, *, version: int) -> None:
    """Set a field, unless it is no longer what the form showed.

    The lock is on the field: that the sync service or a colleague has changed another field is no conflict.
    """
    with desk().write() as session:
        stamps.lock(session, now=utc_now())
        record = records.find_live(session, EDITABLE[kind].model, record_id)
        value = field.read(session, typed)
        newer = records.changed_since(session, record, field.name, version=version)
        if newer is not None and typed.replace("\r\n", "\n") != field.as_typed(record):
            raise FieldConflictError(newer)
        EDITABLE[kind].change(session, record_id, {field.name: value}, actor=actor(), now=utc_now())


def _shown_version() -> int:
    """The version of the record that the form was made for."""
    version = request.form.get("version", "")
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        abort(400)
    return int(version)


def _show_conflict(
    kind: str, record_id: uuid.UUID, field: Field, typed: str, conflict: FieldConflictError
) -> ResponseReturnValue:
    with desk().database.read() as session:
        record = records.find_live(session, EDITABLE[kind].model, record_id)
        page = render_template(
            "conflict.html",
            kind=kind,
            record=record,
            field=field,
            typed=typed,
            change=conflict,
            choices=choices_for(session, kind),
        )
    return page, 409


@pages.errorhandler(NotFoundError)
def not_found(error: NotFoundError) -> ResponseReturnValue:
    return error_pages.answer(Problem(status=404, detail=str(error)))


@pages.errorhandler(DeletedError)
def deleted(_error: DeletedError) -> ResponseReturnValue:
    """Say when and by whom it was deleted, and give back what somebody typed meanwhile."""
    assert request.view_args is not None
    kind = request.view_args.get("kind", "cases")
    with desk().database.read() as session:
        return _gone(session, kind, records.find(session, EDITABLE[kind].model, request.view_args["record_id"]))
