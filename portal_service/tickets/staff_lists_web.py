"""Lists of staff besides the queue: several tickets at once, calls to make, deleted tickets, a file (S24, S67)."""

from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from portal_service.tickets import actions, queries
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.export_web import csv_file, staff_columns
from portal_service.tickets.models import Ticket
from portal_service.web.forms import Entered, entered
from portal_service.web.listing import PAGE_LENGTH, read_listing
from portal_service.web.targets import local_target
from portal_service.web.visits import Visit, acting, this_visit

MOST_CALLS = 200
MOST_DELETED = 200

staff_list_pages = Blueprint("staff_lists", __name__, url_prefix="/staff/tickets")


@staff_list_pages.get("/export.csv")
def export() -> Response:
    visit = this_visit()
    wanted = read_listing().filter(me=visit.staff.id, now=visit.now)
    return csv_file(staff_columns(), wanted, queries.tickets_for_staff)


@staff_list_pages.get("/calls")
def calls_to_make() -> ResponseReturnValue:
    """Who wants to be phoned, by the moment he asked for; what is overdue is marked."""
    visit = this_visit()
    found = queries.tickets_to_call(visit.session, limit=MOST_CALLS)
    return render_template("staff/calls.html", section="queue", tickets=found, now=visit.now)


@staff_list_pages.get("/deleted")
def deleted() -> ResponseReturnValue:
    found = queries.deleted_tickets(this_visit().session, limit=MOST_DELETED)
    return render_template("staff/deleted.html", section="queue", tickets=found)


@staff_list_pages.post("/<ticket:number>/restore")
def restore(number: int) -> ResponseReturnValue:
    with acting() as visit:
        found = queries.deleted_ticket(visit.session, number) or abort(404)
        actions.restore(visit.session, found, actor=visit.actor, now=visit.now)
    flash(_("Ticket #%(number)s is back, and so is the connection to its Case.", number=number), "ok")
    return redirect(url_for("staff.ticket", number=number), 303)


@staff_list_pages.post("/bulk")
def bulk() -> ResponseReturnValue:
    """Close several tickets or give them to somebody; each is a change of its own, so one refusal stops no other."""
    form = entered()
    numbers = _chosen()
    done = [number for number in numbers if _changed(number, form)]
    if not numbers or form["bulk"] == "":
        flash(_("Please mark tickets and choose what to do with them."), "bad")
    if done:
        flash(ngettext("%(num)d ticket changed.", "%(num)d tickets changed.", len(done)), "ok")
    if len(done) < len(numbers) and form["bulk"]:
        refused = ", ".join(f"#{number}" for number in numbers if number not in done)
        flash(_("Not changed, because their status does not allow it: %(tickets)s", tickets=refused), "bad")
    return redirect(local_target(request.form.get("next"), url_for("staff.queue")), 303)


def _chosen() -> list[int]:
    """The marked tickets, lowest number first: always one order, so that no two agents wait for each other."""
    marked = {int(text) for text in request.form.getlist("number") if text.isdecimal() and len(text) <= 15}
    return sorted(marked)[:PAGE_LENGTH]


def _changed(number: int, form: Entered) -> bool:
    if form["bulk"] == "":
        return False
    try:
        with acting() as visit:
            found = queries.ticket_for_staff(visit.session, number)
            return found is not None and _change(visit, found, form)
    except (Invalid, Refused):
        return False


def _change(visit: Visit, found: Ticket, form: Entered) -> bool:
    acting_as: dict[str, Any] = {"actor": visit.actor, "now": visit.now}
    if form["bulk"] == "close":
        actions.close(visit.session, found, **acting_as)
        return True
    staff_id = visit.staff.id if form["bulk"] == "me" else form.id("bulk")
    if staff_id is None:
        return False
    actions.edit(visit.session, found, changes={"assignee_id": staff_id}, **acting_as)
    return True
