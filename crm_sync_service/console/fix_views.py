"""Mending one field, one Note or the link itself of a ticket. Each page says what will happen before it does."""

import uuid

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service.console import decided
from crm_sync_service.console.attempts import attempt
from crm_sync_service.console.conflict_views import why_given
from crm_sync_service.console.context import console, now, require, who
from crm_sync_service.console.fixes import case_id_in, read_choices
from crm_sync_service.console.history import find_step, read_moment
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.console.ticket_page import TicketPage, read_ticket, with_case
from crm_sync_service.models import Link

fix = Blueprint("fix", __name__, url_prefix="/tickets/<uuid:ticket_id>")
_CASE_ACTS = ("recreate", "relink", "unlink")


@fix.get("/fields/<name>")
def field(ticket_id: uuid.UUID, name: str) -> ResponseReturnValue:
    """Both sides and base of a field, read now, and what can be done about it."""
    live, problem = console().live.case_of(console().database, ticket_id)
    with console().database.read() as db:
        page = _page(db, ticket_id)
        if live:
            page = with_case(page, db, live.fields)
        line = next((line for line in page.fields if line.name == name), None)
        if line is None:
            abort(404, "There is no such field.")
        find = request.args.get("find", "").strip()
        choices = read_choices(db, name, mapping=console().live.mapping, find=find)
    return render_template(
        "console/fix_field.html", page=page, line=line, choices=choices, find=find, live=live, problem=problem
    )


@fix.post("/fields/<name>/<act>")
def change_field(ticket_id: uuid.UUID, name: str, act: str) -> ResponseReturnValue:
    """Set a value, skip the field, sync it again, or try a frozen or refused one again."""
    require("act")
    why = why_given(request.form.get("why"))
    value = request.form.get("value", "").strip() or None
    acts = decided.field_acts(ticket_id, name, value=value, why=why, who=who(), now=now())
    if act not in acts:
        abort(404)
    if not _done(attempt(acts[act])):
        return redirect(url_for("fix.field", ticket_id=ticket_id, name=name))
    return redirect(url_for("pages.ticket", ticket_id=ticket_id))


@fix.get("/notes/<uuid:reply_id>")
def note(ticket_id: uuid.UUID, reply_id: uuid.UUID) -> ResponseReturnValue:
    with console().database.read() as db:
        page = _page(db, ticket_id)
    reply = next((reply for reply in page.replies if reply.id == reply_id), None)
    if reply is None:
        abort(404, "This ticket has no such reply.")
    return render_template("console/fix_note.html", page=page, reply=reply)


@fix.post("/notes/<uuid:reply_id>/<act>")
def change_note(ticket_id: uuid.UUID, reply_id: uuid.UUID, act: str) -> ResponseReturnValue:
    """Skip a Note, or write it after all."""
    require("act")
    why = why_given(request.form.get("why"))
    acts = decided.note_acts(ticket_id, reply_id, why=why, who=who(), now=now())
    if act not in acts:
        abort(404)
    if not _done(attempt(acts[act])):
        return redirect(url_for("fix.note", ticket_id=ticket_id, reply_id=reply_id))
    return redirect(url_for("pages.ticket", ticket_id=ticket_id))


@fix.get("/case")
def case(ticket_id: uuid.UUID) -> ResponseReturnValue:
    """What to do about a Case that was deleted, merged, or is the wrong one (SPEC O10)."""
    with console().database.read() as db:
        page = _page(db, ticket_id)
    return render_template("console/fix_case.html", page=page, given=request.args.get("case", ""))


@fix.post("/case/<act>")
def change_case(ticket_id: uuid.UUID, act: str) -> ResponseReturnValue:
    """Ask first; with the answer "yes", do it."""
    require("act")
    if act not in _CASE_ACTS:
        abort(404)
    why = why_given(request.form.get("why"))
    case_id = case_id_in(request.form.get("case", "")) if act == "relink" else ""
    if act == "relink":
        case_id = _by_number(case_id)
    if not why or (act == "relink" and not case_id):
        flash("Say why in a few words, so that others understand it later." if not why else "Give a Case.", "warn")
        return redirect(url_for("fix.case", ticket_id=ticket_id, case=case_id or None))
    if request.form.get("sure") != "yes":
        return _ask(ticket_id, act, case_id, why)
    acts = decided.case_acts(ticket_id, case_id=case_id, why=why, who=who(), now=now())
    if not _done(attempt(acts[act])):
        return redirect(url_for("fix.case", ticket_id=ticket_id))
    return redirect(url_for("pages.ticket", ticket_id=ticket_id))


@fix.post("/undo")
def undo(ticket_id: uuid.UUID) -> ResponseReturnValue:
    """Give both sides the value again that a change took away, as a new change (SPEC O8)."""
    require("act")
    entry, _, name = request.form.get("step", "").partition(":")
    with console().database.read() as db:
        found = find_step(db, ticket_id, int(entry), name) if entry.isdecimal() else None
    if found is None or not found[1].can_undo:
        abort(404, "There is no such change.")
    row, step = found
    why = f"undo of the change of {row.at:%Y-%m-%d %H:%M:%S} UTC"
    _done(attempt(lambda db: decided.set_value(db, ticket_id, name, step.before, why=why, who=who(), now=now())))
    return redirect(url_for("pages.ticket", ticket_id=ticket_id))


@fix.get("/at/<int:entry_id>")
def moment(ticket_id: uuid.UUID, entry_id: int) -> ResponseReturnValue:
    """Ticket and Case as they were after a change."""
    with console().database.read() as db:
        page = _page(db, ticket_id)
        found = read_moment(db, page.ticket, entry_id)
    if found is None:
        abort(404, "There is no such change.")
    return render_template("console/moment.html", page=page, found=found)


def _ask(ticket_id: uuid.UUID, act: str, case_id: str, why: str) -> ResponseReturnValue:
    found, problem = console().live.look(console().database, case_id) if act == "relink" else (None, "")
    with console().database.read() as db:
        page = _page(db, ticket_id)
        theirs = db.scalar(select(Link.ticket_id).where(Link.case_id == case_id)) if case_id else None
    if problem:
        flash(f"Case {case_id} could not be read: {problem}. Give its id or its address.", "warn")
        return redirect(url_for("fix.case", ticket_id=ticket_id, case=case_id))
    return render_template(
        "console/confirm_case.html", page=page, act=act, case_id=case_id, why=why, found=found, linked=theirs
    )


def _by_number(given: str) -> str:
    """The id of a Case whose number we know; otherwise what was given."""
    with console().database.read() as db:
        found = db.scalar(select(Link.case_id).where(Link.case_number == given.upper())) if given else None
    return found or given


def _done(action: ConsoleAction | None) -> bool:
    if action is None:
        return False
    flash(f"{action.action[:1].upper()}{action.action[1:]}: {action.detail}. It is carried out at once.", "ok")
    return True


def _page(db: Session, ticket_id: uuid.UUID) -> TicketPage:
    page = read_ticket(db, ticket_id, now=now())
    if page is None:
        abort(404, "No ticket with this id has come from the portal.")
    return page
