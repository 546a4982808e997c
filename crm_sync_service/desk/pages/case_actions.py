"""What account managers do on a Case beside editing fields: contacts, Notes, deleting."""

import uuid

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug import Response

from crm_sync_service.desk import cases, notes, records
from crm_sync_service.desk.context import desk
from crm_sync_service.desk.errors import ExistsError, InvalidError
from crm_sync_service.desk.models import Case
from crm_sync_service.desk.pages.fields import meant
from crm_sync_service.desk.pages.record_pages import Refused, show_record
from crm_sync_service.desk.pages.visit import actor, pages
from shared.clock import utc_now


@pages.post("/cases/<uuid:record_id>/contacts")
def add_contact(record_id: uuid.UUID) -> ResponseReturnValue:
    typed = request.form.get("value", "")
    try:
        with desk().write() as session:
            contact_id = meant(session, "contact_id", typed.replace("\0", "").strip())
            case = cases.lock_case(session, record_id, now=utc_now())
            wanted = [*(contact.id for contact in case.contacts), contact_id]
            cases.change_case(session, record_id, {"contact_ids": wanted}, actor=actor(), now=utc_now())
    except InvalidError as error:
        return show_record("cases", record_id, refused=Refused(form="contacts", typed=typed, error=error.words))
    flash("The contact is added.", "ok")
    return _to_case(record_id, "contacts")


@pages.post("/cases/<uuid:record_id>/contacts/<uuid:contact_id>/remove")
def remove_contact(record_id: uuid.UUID, contact_id: uuid.UUID) -> ResponseReturnValue:
    with desk().write() as session:
        case = cases.lock_case(session, record_id, now=utc_now())
        if case.contact_id == contact_id:
            abort(422, "The primary contact of a Case cannot be removed from it.")
        wanted = [contact.id for contact in case.contacts if contact.id != contact_id]
        cases.change_case(session, record_id, {"contact_ids": wanted}, actor=actor(), now=utc_now())
    flash("The contact is removed from this Case.", "ok")
    return _to_case(record_id, "contacts")


@pages.post("/cases/<uuid:record_id>/notes")
def add_note(record_id: uuid.UUID) -> ResponseReturnValue:
    title, body = request.form.get("title", ""), request.form.get("body", "")
    for_customer = request.form.get("for_customer") == "yes"
    try:
        with desk().write() as session:
            cases.lock_case(session, record_id, now=utc_now())
            values = {
                "id": _note_id(),
                "case_id": record_id,
                "title": title,
                "body": body,
                "for_customer": for_customer,
            }
            notes.write_note(session, values, author=actor(), now=utc_now())
    except ExistsError:
        pass  # the button was pressed twice
    except InvalidError as error:
        refused = Refused(form="note", typed=body, title=title, for_customer=for_customer, error=error.words)
        return show_record("cases", record_id, refused=refused)
    flash(f"The Note is added. {'The customer gets it as a reply' if for_customer else 'Only CRM users see it'}.", "ok")
    return _to_case(record_id, "notes")


def _note_id() -> uuid.UUID:
    """The id that came with the form, so that sending it twice makes one Note."""
    try:
        return uuid.UUID(request.form.get("id", ""))
    except ValueError:
        abort(400)


@pages.get("/cases/<uuid:record_id>/delete")
def confirm_delete(record_id: uuid.UUID) -> ResponseReturnValue:
    with desk().database.read() as session:
        case = records.find_live(session, Case, record_id)
        return render_template("delete.html", record=case, notes=notes.notes_of(session, record_id))


@pages.post("/cases/<uuid:record_id>/delete")
def delete_case(record_id: uuid.UUID) -> ResponseReturnValue:
    with desk().write() as session:
        case = cases.lock_case(session, record_id, now=utc_now())
        cases.delete_case(session, record_id, actor=actor(), now=utc_now())
    flash(f"{case.number} is deleted.", "ok")
    return redirect(url_for("pages.show_list", kind="cases"), 303)


def _to_case(record_id: uuid.UUID, anchor: str) -> Response:
    return redirect(url_for("pages.show_record", kind="cases", record_id=record_id, _anchor=anchor), 303)
