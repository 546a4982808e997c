"""How somebody logs in: the password, and the browsers that are logged in."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.people import passkeys, reset, second_factor, sessions
from portal_service.people.browsers import browser_name
from portal_service.people.sso_login import external_logins
from portal_service.tickets.errors import Invalid
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import acting, must_have_two_factors, this_visit

security_pages = Blueprint("security", __name__, url_prefix="/settings/security")


@security_pages.get("")
def overview() -> ResponseReturnValue:
    return overview_page(Entered())


@security_pages.post("/password")
def change_password() -> ResponseReturnValue:
    form = entered()
    with acting() as visit:
        try:
            reset.change(
                visit.session,
                visit.signed_in,
                current=form["current"],
                password=form["password"],
                login=visit.login,
                now=visit.now,
            )
        except Invalid as invalid:
            # Caught in here: the wrong password it counted has to be committed.
            form.refuse(invalid.errors)
    if form.errors:
        return overview_page(form)
    flash(_("Your password is changed. All other browsers are logged out."), "ok")
    return redirect(url_for("security.overview"), 303)


@security_pages.post("/sessions/<shown>/end")
def end_session(shown: str) -> ResponseReturnValue:
    with acting() as visit:
        sessions.end_one(visit.session, visit.signed_in, shown)
    flash(_("That browser is logged out."), "ok")
    return redirect(url_for("security.overview"), 303)


@security_pages.post("/sessions/end-others")
def end_others() -> ResponseReturnValue:
    with acting() as visit:
        sessions.end_all_sessions(visit.session, visit.signed_in, besides=visit.login)
    flash(_("All other browsers are logged out."), "ok")
    return redirect(url_for("security.overview"), 303)


def overview_page(form: Entered) -> ResponseReturnValue:
    visit = this_visit()
    page = render_template(
        "people/security.html",
        form=form,
        logins=sessions.sessions_of(visit.session, visit.signed_in, now=visit.now),
        this_login=visit.login,
        external=external_logins(visit.session, visit.signed_in),
        factors=second_factor.factors_of(visit.session, visit.signed_in),
        passkeys_possible=passkeys.are_possible(),
        must_have_two=must_have_two_factors(visit.signed_in),
        browser_name=browser_name,
        shown_id=sessions.shown_id,
    )
    return page, form.status_code
