"""The pages. All work without JavaScript; each act asks once whether it is meant."""

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service.connectors.base import NoteRecord
from crm_sync_service.console import ticket_page, tickets
from crm_sync_service.console.actions import forget_unreadable, log_action, retry_tickets
from crm_sync_service.console.broker_watch import BrokerView
from crm_sync_service.console.context import console, now, require, who
from crm_sync_service.console.evidence import read_evidence
from crm_sync_service.console.failures import FailureGroup, group_failures, read_failures
from crm_sync_service.console.held import read_held
from crm_sync_service.console.history import read_messages
from crm_sync_service.console.live import NoAnswerError
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.console.overview import read_overview
from crm_sync_service.console.words import counted
from crm_sync_service.models import Replica, inbox
from shared.broker import BrokerUnavailableError
from shared.broker_ops import DeadLetter
from shared.topology import DESTINATIONS

pages = Blueprint("pages", __name__)
_PAGE = 50
_SHOWN_OF_GROUP = 10
_GROUP_PAGE = 100
"""Less than a form may have parts."""


@pages.get("/")
def overview() -> ResponseReturnValue:
    broker = console().watch.look()
    with console().database.read() as db:
        found = read_overview(db, broker, now=now())
    return render_template("console/overview.html", overview=found, limits=console().limits)


@pages.get("/failures")
def failures() -> ResponseReturnValue:
    with console().database.read() as db:
        groups = group_failures(read_failures(db))
    return render_template("console/failures.html", groups=groups, shown=_SHOWN_OF_GROUP)


@pages.get("/failures/<key>")
def failure_group(key: str) -> ResponseReturnValue:
    start = max(request.args.get("from", default=0, type=int), 0)
    with console().database.read() as db:
        group = _group(db, key)
    if group is None:
        flash("No ticket fails for this cause any more.", "ok")
        return redirect(url_for("pages.failures"))
    more = start + _GROUP_PAGE if start + _GROUP_PAGE < len(group.failures) else None
    return render_template(
        "console/failures.html", groups=[group], start=start, shown=_GROUP_PAGE, only=True, more=more
    )


@pages.post("/retry")
def retry() -> ResponseReturnValue:
    """Ask first; with the answer "yes", do it. What was chosen: tickets one by one, or all of a cause."""
    require("act")
    key = request.form.get("cause")
    with console().database.read() as db:
        chosen, reason = _of_cause(db, key) if key else _picked(db)
    if not chosen:
        flash("Choose at least one ticket to try again.", "warn")
        return redirect(url_for("pages.failures"))
    if request.form.get("sure") != "yes":
        return render_template("console/confirm.html", chosen=chosen, reason=reason, cause=key)
    rate = request.form.get("rate", default=0, type=int)
    with console().database.write() as db:
        done = retry_tickets(db, chosen, reason=reason, who=who(), now=now(), per_minute=max(rate, 0))
    when = f"tried again, {rate:,} per minute" if rate > 0 else "tried again at once"
    flash(f"{counted(len(done.ticket_ids), 'ticket')} will be {when}. Here is how it goes.", "ok")
    return redirect(url_for("pages.action", action_id=done.id))


def _of_cause(db: Session, key: str) -> tuple[list[uuid.UUID], str]:
    group = _group(db, key)
    if group is None:
        return [], ""
    chosen = [failure.ticket_id for failure in group.failures if failure.may_retry]
    return chosen, f"{_number_words(len(chosen))} of the cause: {group.cause}"


def _picked(db: Session) -> tuple[list[uuid.UUID], str]:
    ids = [_uuid(text) for text in request.form.getlist("ticket")]
    numbers = db.scalars(select(Replica.number).where(Replica.ticket_id.in_(ids)).order_by(Replica.number)).all()
    return ids, f"{_number_words(len(numbers))}: {', '.join(f'#{number}' for number in numbers)}"


def _number_words(count: int) -> str:
    return counted(count, "ticket")


def _group(db: Session, key: str) -> FailureGroup | None:
    return next((group for group in group_failures(read_failures(db)) if group.key == key), None)


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        abort(400, "That is not the id of a ticket.")


@pages.get("/tickets")
def ticket_list() -> ResponseReturnValue:
    wanted = request.args.get("q", "").strip()
    if wanted:
        return _search(wanted)
    state = request.args.get("state", "all")
    if state not in tickets.STATES:
        abort(400, f"There is no such list: choose one of {', '.join(tickets.STATES)}.")
    before = request.args.get("before", type=int)
    with console().database.read() as db:
        lines = tickets.list_tickets(db, state, before=before, now=now())
    return _ticket_list(lines, state=state, before=before)


def _search(wanted: str) -> ResponseReturnValue:
    with console().database.read() as db:
        ids = tickets.find_tickets(db, wanted)
        lines = tickets.list_chosen(db, ids, now=now()) if len(ids) > 1 else []
    if len(ids) == 1:
        return redirect(url_for("pages.ticket", ticket_id=ids[0]))
    return _ticket_list(lines, state="", before=None, wanted=wanted)


def _ticket_list(
    lines: Sequence[tickets.TicketLine], *, state: str, before: int | None, wanted: str = ""
) -> ResponseReturnValue:
    more = lines[-1].number if len(lines) == tickets.PAGE and not wanted else None
    return render_template(
        "console/tickets.html", lines=lines, state=state, states=tickets.STATES, before=before, more=more, wanted=wanted
    )


@pages.get("/tickets/<uuid:ticket_id>")
def ticket(ticket_id: uuid.UUID) -> ResponseReturnValue:
    live, problem = console().live.case_of(console().database, ticket_id) if "read" in request.args else (None, "")
    with console().database.read() as db:
        page = ticket_page.read_ticket(db, ticket_id, now=now())
        if page is None:
            abort(404, "No ticket with this id has come from the portal.")
        if live:
            page = ticket_page.with_case(page, db, live.fields)
        messages = read_messages(db, ticket_id) if "messages" in request.args else None
    return render_template("console/ticket.html", page=page, live=live, problem=problem, messages=messages)


@pages.get("/unreadable")
def unreadable() -> ResponseReturnValue:
    table = inbox.unreadable
    with console().database.read() as db:
        rows = db.execute(select(table).order_by(table.c.received_at.desc()).limit(_PAGE)).all()
        total = inbox.unreadable_count(db)
    broker = console().watch.look()
    return render_template(
        "console/unreadable.html", rows=rows, total=total, broker=broker, letters=_dead_letters(broker)
    )


def _dead_letters(broker: BrokerView) -> list[DeadLetter]:
    """The oldest of each queue; none while the broker cannot be asked, which the page says."""
    letters: list[DeadLetter] = []
    with suppress(BrokerUnavailableError):
        for queue in broker.queues if broker.works else ():
            if queue.dead_letters:
                letters += console().broker.dead_letters(queue.destination, limit=_SHOWN_OF_GROUP)
    return letters


@pages.post("/dead-letters/<destination>")
def replay(destination: str) -> ResponseReturnValue:
    """Put all dead letters of a queue back into it."""
    require("act")
    if destination not in DESTINATIONS:
        abort(404)
    try:
        number = console().broker.replay(destination)
    except BrokerUnavailableError as error:
        flash(f"Not everything was put back: {error}. What was not put back is still there.", "bad")
    else:
        with console().database.write() as db:
            log_action(db, "replay", f"{counted(number, 'dead letter')} of {destination}", who=who(), now=now())
        flash(f"{counted(number, 'message')} put back into the queue.", "ok")
    return redirect(url_for("pages.unreadable"))


@pages.post("/unreadable/<uuid:event_id>/set-aside")
def set_aside(event_id: uuid.UUID) -> ResponseReturnValue:
    require("act")
    with console().database.write() as db:
        done = forget_unreadable(db, event_id, who=who(), now=now())
    flash("The event is off the list; its text is in the log of actions." if done else "It was off the list.", "ok")
    return redirect(url_for("pages.unreadable"))


@pages.get("/actions")
def action_list() -> ResponseReturnValue:
    before = request.args.get("before", type=int)
    with console().database.read() as db:
        statement = select(ConsoleAction).order_by(ConsoleAction.id.desc()).limit(_PAGE)
        rows = db.scalars(statement.where(ConsoleAction.id < before) if before else statement).all()
    return render_template("console/actions.html", rows=rows, more=rows[-1].id if len(rows) == _PAGE else None)


@pages.get("/actions/<int:action_id>")
def action(action_id: int) -> ResponseReturnValue:
    """One action and how its tickets are now."""
    with console().database.read() as db:
        found = db.get(ConsoleAction, action_id)
        if found is None:
            abort(404)
        ids = [uuid.UUID(text) for text in found.ticket_ids]
        states = tickets.count_states(db, ids)
        lines = tickets.list_chosen(db, ids, now=now())
    return render_template("console/action.html", action=found, states=states, lines=lines)


@pages.get("/held")
def held() -> ResponseReturnValue:
    before = request.args.get("before", type=int)
    with console().database.read() as db:
        lines, more = read_held(db, before=before)
    return render_template("console/held.html", lines=lines, more=more, before=before)


@pages.get("/tickets/<uuid:ticket_id>/evidence")
def evidence(ticket_id: uuid.UUID) -> ResponseReturnValue:
    """Everything about a ticket in one file, with the Case as it is now if the CRM answers."""
    live, problem = console().live.case_of(console().database, ticket_id)
    notes: Sequence[NoteRecord] = ()
    if live is not None:
        notes_of, case_id = console().live.connector.notes_of, live.record.id
        with suppress(NoAnswerError):
            notes = console().live.ask(lambda: notes_of(case_id))
    with console().database.read() as db:
        number = db.scalar(select(Replica.number).where(Replica.ticket_id == ticket_id))
        if number is None:
            abort(404, "No ticket with this id has come from the portal.")
        found = read_evidence(db, ticket_id, live=live, notes=notes, problem=problem, who=who(), now=now())
    answer = Response(json.dumps(found, ensure_ascii=False, indent=1), mimetype="application/json")
    answer.headers["Content-Disposition"] = f'attachment; filename="ticket-{number}-evidence.json"'
    return answer
