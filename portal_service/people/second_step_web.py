"""The second step of a log-in, and the log-in with a passkey alone."""

from datetime import timedelta

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal_service.people import one_time, passkeys, throttle
from portal_service.people.entry import let_in, visitor_address, welcome
from portal_service.people.models import User
from portal_service.people.second_factor import check_code, factors_of
from portal_service.people.sessions import may_log_in
from portal_service.tickets.errors import Refused
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import this_portal, this_visit
from shared.clock import utc_now

second_step_pages = Blueprint("second_step", __name__, url_prefix="/login")

_SECOND_STEP = "second-step"
_WITHIN = timedelta(minutes=10)
_KEPT = "second_step"
_MOST_CHALLENGES = 60


def ask_for_second_step(writing: Session, user: User) -> None:
    """Remember in this browser that the password was right; nobody is logged in yet."""
    session[_KEPT] = one_time.issue(writing, _SECOND_STEP, user=user, lifetime=_WITHIN, now=utc_now())


@second_step_pages.get("/second")
def second() -> ResponseReturnValue:
    return _page(Entered())


@second_step_pages.post("/second")
def check() -> ResponseReturnValue:
    form = entered()
    with this_portal().database.write() as writing:
        user = _half_way(writing)
        if user is None:
            return _start_again()
        try:
            check_code(writing, user, form["code"], now=utc_now())
        except Refused as refused:
            # Caught in here: the failure it counted has to be committed.
            form.refuse({"code": refused.message_key})
        else:
            one_time.spend(writing, _SECOND_STEP, session.pop(_KEPT), now=utc_now())
            token = let_in(writing, user, method="two_factor")
    if form.errors:
        return _page(form)
    return welcome(user, token, request.args.get("next"))


@second_step_pages.post("/passkey/options")
def options() -> ResponseReturnValue:
    """What the browser needs to ask for a passkey; of whoever has given the password already, or of anybody."""
    limits = [throttle.per_address("passkey", visitor_address(), _MOST_CHALLENGES)]
    with this_portal().database.write() as writing:
        if throttle.is_exceeded(writing, limits, now=utc_now()):
            return Response("{}", 429, mimetype="application/json")
        throttle.count(writing, limits, now=utc_now())
        asked = passkeys.options_to_log_in(writing, _half_way(writing), now=utc_now())
    return Response(asked, mimetype="application/json")


@second_step_pages.post("/passkey")
def passkey() -> ResponseReturnValue:
    form = entered()
    half_way = False
    with this_portal().database.write() as writing:
        before = _half_way(writing)
        half_way = before is not None
        try:
            user = passkeys.verify(writing, form["credential"], before, now=utc_now())
        except Refused as refused:
            # Caught in here: the challenge stays used.
            form.refuse({"": refused.message_key})
        else:
            if half_way:
                one_time.spend(writing, _SECOND_STEP, session.pop(_KEPT), now=utc_now())
            token = let_in(writing, user, method="two_factor" if half_way else "passkey")
    if form.errors:
        return _page(form) if half_way else login_page(form)
    return welcome(user, token, request.args.get("next"))


def login_page(form: Entered) -> ResponseReturnValue:
    page = render_template(
        "people/login.html", form=form, passkeys_possible=passkeys.are_possible(), next=request.args.get("next")
    )
    return page, form.status_code


def _half_way(reading: Session) -> User | None:
    """Who gave the right password in this browser a moment ago."""
    found = one_time.look_up(reading, _SECOND_STEP, session.get(_KEPT, ""), now=utc_now())
    user = reading.get(User, found.user_id) if found else None
    return user if user is not None and may_log_in(user) else None


def _start_again() -> ResponseReturnValue:
    session.pop(_KEPT, None)
    return redirect(url_for("people.login", next=request.args.get("next")), 303)


def _page(form: Entered) -> ResponseReturnValue:
    visit = this_visit()
    user = _half_way(visit.session)
    if user is None:
        return _start_again()
    factors = factors_of(visit.session, user)
    page = render_template(
        "people/second_step.html",
        form=form,
        factors=factors,
        passkeys_possible=passkeys.are_possible(),
        next=request.args.get("next"),
    )
    return page, form.status_code
