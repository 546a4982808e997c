"""Merging two Cases, contacts or accounts, after a confirmation that says what will happen."""

import uuid
from collections.abc import Callable

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from crm_sync_service.desk import cases, directory, queries, records
from crm_sync_service.desk.context import desk
from crm_sync_service.desk.errors import InvalidError
from crm_sync_service.desk.models import Record
from crm_sync_service.desk.pages.fields import EDITABLE
from crm_sync_service.desk.pages.visit import actor, pages
from shared.clock import utc_now

_MERGES: dict[str, Callable[..., Record]] = {
    "cases": cases.merge_case,
    "contacts": directory.merge_contacts,
    "accounts": directory.merge_accounts,
}


@pages.get("/<any(cases, contacts, accounts):kind>/<uuid:record_id>/merge")
def choose_merge(kind: str, record_id: uuid.UUID) -> ResponseReturnValue:
    """Search for the record to keep; each result can be chosen with one button."""
    words = request.args.get("q", "").replace("\0", "")[:200]
    return _show(kind, record_id, words=words)


@pages.post("/<any(cases, contacts, accounts):kind>/<uuid:record_id>/merge")
def merge(kind: str, record_id: uuid.UUID) -> ResponseReturnValue:
    try:
        into = uuid.UUID(request.form.get("into", ""))
    except ValueError:
        return _show(kind, record_id, error="Choose which one is kept.")
    try:
        with desk().write() as session:
            kept = _MERGES[kind](session, record_id, into=into, actor=actor(), now=utc_now())
    except InvalidError as error:
        return _show(kind, record_id, error=error.words)
    flash(f"Merged into {kept.name}.", "ok")
    return redirect(url_for("pages.show_record", kind=kind, record_id=kept.id), 303)


def _show(kind: str, record_id: uuid.UUID, *, words: str = "", error: str = "") -> ResponseReturnValue:
    model = EDITABLE[kind].model
    with desk().database.read() as session:
        record = records.find_live(session, model, record_id)
        query = queries.ListQuery(words=words or record.name, sort="name")
        found = [row for row in queries.list_records(session, model, query).rows if row.id != record_id][:20]
        page = render_template("merge.html", kind=kind, record=record, words=words, found=found, error=error)
    return page, 422 if error else 200
