"""An agent has phoned (S24). The list of calls to make is among the other lists of staff."""

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.tickets.calls import mark_called
from portal_service.tickets.staff_web import any_ticket
from portal_service.web.targets import local_target
from portal_service.web.visits import acting

call_pages = Blueprint("calls", __name__, url_prefix="/staff/tickets")


@call_pages.post("/<ticket:number>/called")
def done(number: int) -> ResponseReturnValue:
    with acting() as visit:
        mark_called(visit.session, any_ticket(visit, number), actor=visit.actor, now=visit.now)
    flash(_("The call about #%(number)s is made.", number=number), "ok")
    return redirect(local_target(request.form.get("next"), url_for("staff_lists.calls_to_make")), 303)
