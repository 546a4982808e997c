"""Logging in and out."""

from flask import Blueprint, Flask, Response, abort, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from crm_sync_service.console import auth
from crm_sync_service.console.actions import log_action
from crm_sync_service.console.context import TOKEN, console, now, visitor, who

entry = Blueprint("entry", __name__)
_OPEN = frozenset(
    {
        "entry.log_in",
        "entry.try_log_in",
        "hooks.take",
        "static",
        "shared.static",
        "inside.healthz",
        "inside.readyz",
        "inside.metrics",
    }
)
_REFUSED = "User name or password is wrong, or there were too many attempts. After a few, wait 15 minutes."
_LONGEST_PASSWORD = 1000


def guard(app: Flask) -> None:
    """Nothing but `_OPEN` is answered without a log-in: a page added later is closed by default."""

    @app.before_request
    def require_log_in() -> ResponseReturnValue | None:
        if request.endpoint is None or request.endpoint in _OPEN or visitor() is not None:
            return None
        if request.path.startswith("/api/"):
            abort(401, "Log in to the console first; the API uses its cookie.")
        here = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("entry.log_in", next=here))


@entry.get("/log-in")
def log_in() -> ResponseReturnValue:
    if visitor() is not None:
        return redirect(url_for("pages.overview"))
    return render_template("console/log_in.html", error=None, username="")


@entry.post("/log-in")
def try_log_in() -> ResponseReturnValue:
    username, password = request.form.get("username", ""), request.form.get("password", "")
    address = request.remote_addr or "unknown"
    token = _token_for(username, password, address=address)
    if token is None:
        return render_template("console/log_in.html", error=_REFUSED, username=username[:150]), 401
    session.clear()
    session[TOKEN] = token
    return redirect(_safe(request.args.get("next")))


def _token_for(username: str, password: str, *, address: str) -> str | None:
    """A new session's token, or None. The slow comparison of the password holds no transaction."""
    database = console().database
    with database.write() as db:
        allowed = auth.count_attempt(db, username, address=address, now=now())
        user = auth.find_user(db, username)
    fits = len(password) <= _LONGEST_PASSWORD and auth.password_fits(user if allowed else None, password)
    with database.write() as db:
        if not fits or user is None:
            # Beyond the limit nothing is kept, or anybody could fill the log of actions without end.
            if allowed:
                log_action(db, "refused log-in", f"{username[:150]!r} from {address}", who="nobody", now=now())
            return None
        log_action(db, "logged in", f"from {address}", who=user.name, now=now())
        return auth.start_session(db, user, address=address, now=now())


def _safe(target: str | None) -> str:
    """Only pages of the console itself may follow a log-in."""
    # Browsers and Werkzeug drop tabs and line breaks, so "/<tab>/evil.example" would become "//evil.example".
    plain = target is not None and "\\" not in target and all(ord(letter) > 32 for letter in target)
    if target and plain and target.startswith("/") and not target.startswith("//"):
        return target
    return url_for("pages.overview")


@entry.post("/log-out")
def log_out() -> Response:
    with console().database.write() as db:
        auth.end_session(db, session[TOKEN], now=now())
        log_action(db, "logged out", "", who=who(), now=now())
    session.clear()
    return redirect(url_for("entry.log_in"))  # type: ignore[return-value] # flask's is werkzeug's
