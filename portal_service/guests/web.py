"""The pages of people without a log-in, beginning with the one that finds a ticket by its key (S05 - S10)."""

import re

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.guests import filing, filing_web, ticket_web  # noqa: F401 (the latter two declare their pages)
from portal_service.guests.visiting import guest_pages, let_in
from portal_service.people.entry import visitor_address
from portal_service.people.pace import same_time
from portal_service.tickets.errors import Refused
from portal_service.tickets.text import clean_line
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import this_portal
from shared.clock import utc_now

__all__ = ["guest_pages"]


@guest_pages.get("")
def look_up() -> ResponseReturnValue:
    return _look_up_page(Entered({"number": request.args.get("number", "")[:20]}))


@guest_pages.post("")
def open_by_key() -> ResponseReturnValue:
    form = entered()
    number = _number(form["number"])
    if let_in(number, form["key"], form):
        return redirect(url_for("guest.ticket", number=number), 303)
    return _look_up_page(form)


@guest_pages.get("/open/<ticket:number>/<key>")
def open_by_link(number: int, key: str) -> ResponseReturnValue:
    """The link of a mail (S08, S09). The key goes no further than this address: pages opened from here never see it."""
    form = Entered({"number": str(number)})
    if let_in(number, key, form):
        return redirect(url_for("guest.ticket", number=number), 303)
    return _look_up_page(form)


@guest_pages.post("/link")
def mail_link() -> ResponseReturnValue:
    form = entered()
    try:
        with same_time(), this_portal().database.write() as writing:
            filing.mail_link(
                writing,
                _number(form["number"]),
                clean_line(form["email"])[:320],
                address=visitor_address(),
                now=utc_now(),
            )
    except Refused as refused:
        form.refuse({"email": refused.message_key})
        return _look_up_page(form)
    flash(_("If this number and address belong together, a mail with a link is on its way."), "ok")
    return redirect(url_for("guest.look_up", number=form["number"][:20]), 303)


def _number(text: str) -> int:
    """The number somebody typed, with or without #; 0, which no ticket has, for anything else."""
    digits = text.strip().removeprefix("#")
    return int(digits) if re.fullmatch(r"[0-9]{1,15}", digits) else 0


def _look_up_page(form: Entered) -> ResponseReturnValue:
    return render_template("guests/look_up.html", form=form, section="guest"), form.status_code
