"""For those who forgot their password."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.people import reset
from portal_service.people.entry import visitor_address
from portal_service.people.pace import same_time
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.text import REQUIRED, clean_line
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import this_portal, this_visit
from shared.clock import utc_now

password_pages = Blueprint("password", __name__, url_prefix="/password")


@password_pages.get("/forgot")
def forgot() -> ResponseReturnValue:
    return _forgot_page(Entered({"who": request.args.get("who", "")[:320]}))


@password_pages.post("/forgot")
def ask() -> ResponseReturnValue:
    asked = entered()
    who = clean_line(asked["who"])[:320]
    if not who:
        asked.refuse({"who": REQUIRED})
        return _forgot_page(asked)
    try:
        with same_time(), this_portal().database.write() as writing:
            reset.ask_for_reset(writing, who, address=visitor_address(), now=utc_now())
    except Refused as refused:
        asked.refuse({"": refused.message_key})
        return _forgot_page(asked)
    return redirect(url_for("password.sent"), 303)


@password_pages.get("/sent")
def sent() -> ResponseReturnValue:
    return render_template("people/password_sent.html", minutes=int(reset.RESET_WITHIN.total_seconds() // 60))


@password_pages.get("/reset/<token>")
def choose(token: str) -> ResponseReturnValue:
    """Opening the link changes nothing: mail filters open links too."""
    return _reset_page(token, Entered())


@password_pages.post("/reset/<token>")
def change(token: str) -> ResponseReturnValue:
    asked = entered()
    try:
        with this_portal().database.write() as writing:
            reset.reset(writing, token, asked["password"], now=utc_now())
    except Invalid as invalid:
        asked.refuse(invalid.errors)
    except Refused as refused:
        asked.refuse({"password": refused.message_key})
    if asked.errors:
        return _reset_page(token, asked)
    flash(_("Your new password is set, and all browsers are logged out. Log in with it."), "ok")
    return redirect(url_for("people.login"), 303)


def _forgot_page(asked: Entered) -> ResponseReturnValue:
    return render_template("people/password_forgot.html", form=asked), asked.status_code


def _reset_page(token: str, asked: Entered) -> ResponseReturnValue:
    visit = this_visit()
    user = reset.user_of_link(visit.session, token, now=visit.now)
    if user is None:
        return render_template("people/link_ended.html", again_url=url_for("password.forgot")), 410
    return render_template("people/password_reset.html", form=asked, owner=user), asked.status_code
