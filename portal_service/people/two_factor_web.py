"""Setting up and removing what the second step of a log-in needs."""

import uuid
from collections.abc import Callable
from functools import wraps

import segno
from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.people import passkeys, second_factor, sso_login
from portal_service.people.auth import LoginRefused, verify_again
from portal_service.people.browsers import browser_name
from portal_service.people.credentials import Passkey
from portal_service.people.entry import note_owner, owner_was_here, target_or_home
from portal_service.people.second_factor import Setup
from portal_service.tickets.errors import Refused
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import Visit, acting, this_visit

two_factor_pages = Blueprint("two_factor", __name__, url_prefix="/settings/two-factor")

Page = Callable[..., ResponseReturnValue]


def for_the_owner(page: Page) -> Page:
    """Ask for the password first, unless it was given within the last ten minutes: an open browser is no owner."""

    @wraps(page)
    def ask(*args: object, **kwargs: object) -> ResponseReturnValue:
        if owner_was_here(this_visit().login):
            return page(*args, **kwargs)
        target = request.full_path.rstrip("?") if request.method == "GET" else url_for("security.overview")
        return redirect(url_for("two_factor.again", next=target), 303)

    return ask


@two_factor_pages.get("/again")
def again() -> ResponseReturnValue:
    return _again_page(Entered())


@two_factor_pages.post("/again")
def check_again() -> ResponseReturnValue:
    form = entered()
    with acting() as visit:
        try:
            verify_again(visit.session, visit.signed_in, form["password"], now=visit.now)
        except LoginRefused as refused:
            # Caught in here: the failure it counted has to be committed.
            form.refuse({"password": refused.message_key})
    if form.errors:
        return _again_page(form)
    if (login := this_visit().login) is not None:
        note_owner(login)
    return redirect(target_or_home(request.args.get("next")), 303)


@two_factor_pages.get("/authenticator")
@for_the_owner
def begin() -> ResponseReturnValue:
    with acting() as visit:
        setup = second_factor.begin_setup(visit.session, visit.signed_in, now=visit.now)
    return _setup_page(setup, Entered())


@two_factor_pages.post("/authenticator")
@for_the_owner
def finish() -> ResponseReturnValue:
    form = entered()
    try:
        with acting() as visit:
            codes = second_factor.finish_setup(
                visit.session, visit.signed_in, form["token"], form["code"], now=visit.now
            )
            _now_strong(visit)
    except Refused as refused:
        form.refuse({"code": refused.message_key})
        again = this_visit()
        setup = second_factor.go_on(again.session, again.signed_in, form["token"], now=again.now)
        return _setup_page(setup, form) if setup else redirect(url_for("two_factor.begin"), 303)
    return _added(codes)


@two_factor_pages.post("/authenticator/remove")
@for_the_owner
def remove_authenticator() -> ResponseReturnValue:
    with acting() as visit:
        second_factor.remove_authenticator(visit.session, visit.signed_in, now=visit.now)
    flash(_("The authenticator app is removed."), "ok")
    return redirect(url_for("security.overview"), 303)


@two_factor_pages.post("/codes")
@for_the_owner
def new_codes() -> ResponseReturnValue:
    with acting() as visit:
        if not second_factor.factors_of(visit.session, visit.signed_in):
            abort(404)
        codes = second_factor.new_codes(visit.session, visit.signed_in)
    return render_template("people/recovery_codes.html", codes=codes)


@two_factor_pages.get("/passkey")
@for_the_owner
def passkey_form() -> ResponseReturnValue:
    return _passkey_page(Entered({"name": browser_name(request.user_agent.string)}))


@two_factor_pages.post("/passkey/options")
@for_the_owner
def passkey_options() -> ResponseReturnValue:
    with acting() as visit:
        options = passkeys.options_to_add(visit.session, visit.signed_in, now=visit.now)
    return Response(options, mimetype="application/json")


@two_factor_pages.post("/passkey")
@for_the_owner
def add_passkey() -> ResponseReturnValue:
    form = entered()
    with acting() as visit:
        try:
            codes = passkeys.add(visit.session, visit.signed_in, form["credential"], name=form["name"], now=visit.now)
            _now_strong(visit)
        except Refused as refused:
            # Caught in here: the challenge stays used.
            form.refuse({"": refused.message_key})
    if form.errors:
        return _passkey_page(form)
    return _added(codes)


@two_factor_pages.post("/passkey/<uuid:passkey_id>/remove")
@for_the_owner
def remove_passkey(passkey_id: uuid.UUID) -> ResponseReturnValue:
    with acting() as visit:
        found = visit.session.get(Passkey, passkey_id)
        if found is None or found.user_id != visit.signed_in.id:
            abort(404)
        passkeys.remove(visit.session, visit.signed_in, found, now=visit.now)
    flash(_("The passkey is removed."), "ok")
    return redirect(url_for("security.overview"), 303)


@two_factor_pages.post("/external/<uuid:link_id>/remove")
@for_the_owner
def remove_external(link_id: uuid.UUID) -> ResponseReturnValue:
    with acting() as visit:
        sso_login.unlink(visit.session, visit.signed_in, link_id, now=visit.now)
    flash(_("The company log-in no longer opens this log-in."), "ok")
    return redirect(url_for("security.overview"), 303)


@two_factor_pages.after_request
def keep_nothing(response: Response) -> Response:
    """Secrets and codes stay in no cache, also not in the one behind the back button."""
    response.headers["Cache-Control"] = "no-store"
    return response


def _now_strong(visit: Visit) -> None:
    """Whoever sets up a second step has just shown it."""
    if visit.login is not None and visit.login.method == "password":
        visit.login.method = "two_factor"


def _added(codes: list[str]) -> ResponseReturnValue:
    """Codes are shown once; whoever has some already goes back to the overview."""
    if codes:
        return render_template("people/recovery_codes.html", codes=codes)
    flash(_("Added. You can use it from the next log-in on."), "ok")
    return redirect(url_for("security.overview"), 303)


def _again_page(form: Entered) -> ResponseReturnValue:
    return render_template("people/password_again.html", form=form), form.status_code


def _setup_page(setup: Setup, form: Entered) -> ResponseReturnValue:
    picture = segno.make(setup.uri, error="m").svg_data_uri(scale=5, border=3, light="#fff")
    page = render_template("people/authenticator.html", setup=setup, picture=picture, form=form)
    return page, form.status_code


def _passkey_page(form: Entered) -> ResponseReturnValue:
    if not passkeys.are_possible():
        abort(404)
    return render_template("people/passkey.html", form=form), form.status_code
