"""Logging in and out, and the visitor's own settings."""

from zoneinfo import available_timezones

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from crm_sync_service.desk import auth
from crm_sync_service.desk.context import desk
from crm_sync_service.desk.models import User
from crm_sync_service.desk.pages.visit import forget, own_path, pages, remember
from shared.clock import utc_now

_TIMEZONES = ["UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))]
_REFUSED = "That user name and password do not belong together. Check both and try again."
_TOO_MANY = "Too many log-ins have failed. Wait 15 minutes, then try again, or ask your administrator."


@pages.get("/login")
def login() -> ResponseReturnValue:
    if g.user is not None:
        return redirect(own_path(request.args.get("next")))
    return render_template("login.html", next=request.args.get("next", ""))


@pages.post("/login")
def log_in() -> ResponseReturnValue:
    username, target = request.form.get("username", "").replace("\0", ""), request.form.get("next", "")
    with desk().database.write() as session:
        attempt = auth.count_attempt(session, username, address=request.remote_addr or "", now=utc_now())
    if attempt.too_many:
        return render_template("login.html", next=target, username=username, error=_TOO_MANY), 429
    if not auth.password_fits(attempt, request.form.get("password", "")):
        return render_template("login.html", next=target, username=username, error=_REFUSED), 401
    with desk().database.write() as session:
        token = auth.start_session(session, attempt, now=utc_now())
    remember(token)
    return redirect(own_path(target), 303)


@pages.post("/logout")
def log_out() -> ResponseReturnValue:
    token = forget()
    if token is not None:
        with desk().database.write() as session:
            auth.end_session(session, token)
    flash("You are logged out.", "ok")
    return redirect(url_for("pages.login"), 303)


@pages.get("/me")
def me() -> ResponseReturnValue:
    return render_template("me.html", timezones=_TIMEZONES)


@pages.post("/me")
def save_me() -> ResponseReturnValue:
    timezone = request.form.get("timezone", "")
    if timezone not in _TIMEZONES:
        flash("Choose a time zone from the list.", "bad")
        return render_template("me.html", timezones=_TIMEZONES), 422
    with desk().database.write() as session:
        session.get_one(User, g.user.id).timezone = timezone
    flash(f"Times are shown in {timezone} from now on.", "ok")
    return redirect(url_for("pages.me"), 303)
