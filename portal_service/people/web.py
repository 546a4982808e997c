"""Log-in, log-out, own settings, language."""

import pytz
import structlog
from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.messages import message
from portal_service.people.auth import LoginRefused, verify_login
from portal_service.people.entry import let_in, remember_language, target_or_home, visitor_address, welcome
from portal_service.people.second_factor import factors_of
from portal_service.people.second_step_web import ask_for_second_step, login_page
from portal_service.people.sessions import end_session
from portal_service.web.catalogues import change_language
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import acting, cookie_is_secure, session_cookie, this_portal, this_visit
from shared.clock import utc_now
from shared.settings import LANGUAGES

NO_SUCH_ZONE = message("Please choose a time zone from the list.")

open_pages = Blueprint("people", __name__)
own_pages = Blueprint("own", __name__)
log = structlog.get_logger(__name__)


@open_pages.get("/login")
def login() -> ResponseReturnValue:
    if this_visit().user is not None:
        return redirect(target_or_home(request.args.get("next")), 303)
    return login_page(Entered())


@open_pages.post("/login")
def log_in() -> ResponseReturnValue:
    form = entered()
    with this_portal().database.write() as writing:
        try:
            user = verify_login(writing, form["username"], form["password"], address=visitor_address(), now=utc_now())
        except LoginRefused as refused:
            # Caught in here: the failure it counted has to be committed.
            form.refuse({"": refused.message_key})
        else:
            two_steps = bool(factors_of(writing, user))
            if two_steps:
                ask_for_second_step(writing, user)
            else:
                token = let_in(writing, user, method="password")
    if form.errors:
        return login_page(form)
    if two_steps:
        return redirect(url_for("second_step.second", next=request.args.get("next")), 303)
    return welcome(user, token, request.args.get("next"))


@open_pages.post("/language")
def choose_language() -> ResponseReturnValue:
    """Remember the language in this browser, and for the person who is logged in."""
    chosen = request.form.get("language", "")
    response = make_response(redirect(target_or_home(request.form.get("next")), 303))
    if chosen in LANGUAGES:
        if this_visit().user is not None:
            with acting() as visit:
                visit.signed_in.language = chosen
        remember_language(response, chosen)
    return response


@own_pages.post("/logout")
def log_out() -> ResponseReturnValue:
    with this_portal().database.write() as writing:
        end_session(writing, request.cookies.get(session_cookie(), ""))
    session.clear()
    flash(_("You are logged out."), "ok")
    response = make_response(redirect(url_for("people.login"), 303))
    response.delete_cookie(session_cookie(), secure=cookie_is_secure(), httponly=True, samesite="Lax")
    return response


@own_pages.get("/settings")
def settings() -> ResponseReturnValue:
    user = this_visit().signed_in
    return _settings_page(Entered({"language": user.language, "timezone": user.timezone}))


@own_pages.post("/settings")
def save_settings() -> ResponseReturnValue:
    form = entered()
    if form["timezone"] not in pytz.common_timezones_set:
        form.refuse({"timezone": NO_SUCH_ZONE})
    if form.errors or form["language"] not in LANGUAGES:
        return _settings_page(form)
    with acting() as visit:
        visit.signed_in.language = form["language"]
        visit.signed_in.timezone = form["timezone"]
    change_language()
    flash(_("Your settings are saved."), "ok")
    response = make_response(redirect(url_for("own.settings"), 303))
    remember_language(response, form["language"])
    return response


def _settings_page(form: Entered) -> ResponseReturnValue:
    zones = [(name, name.replace("_", " ")) for name in pytz.common_timezones]
    return render_template("people/settings.html", form=form, zones=zones), form.status_code
