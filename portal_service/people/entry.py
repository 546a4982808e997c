"""The last step of every log-in: the cookie, and the page one wanted to see."""

from datetime import datetime, timedelta

from flask import Response, make_response, redirect, request, session, url_for
from sqlalchemy.orm import Session

from portal_service.people.models import LoginSession, User
from portal_service.people.one_time import token_hash
from portal_service.people.sessions import longest, start_session
from portal_service.web.catalogues import LANGUAGE_COOKIE
from portal_service.web.targets import local_target
from portal_service.web.visits import cookie_is_secure, session_cookie
from shared.clock import from_text, to_text, utc_now

_SURE = "sure"
_SURE_FOR = timedelta(minutes=10)
_YEAR = 365 * 24 * 3600


def visitor_address() -> str:
    """Where the request comes from, as far as the proxies before us are believed."""
    return request.remote_addr or ""


def let_in(writing: Session, user: User, *, method: str) -> str:
    """Start a session for this browser; its token is for `welcome`, after the transaction."""
    agent = request.user_agent.string
    return start_session(writing, user, now=utc_now(), user_agent=agent, address=visitor_address(), method=method)


def welcome(user: User, token: str, target: str | None) -> Response:
    """Send a browser that was let in to where it wanted to be."""
    # What this browser was before the log-in must not be worth anything after it.
    session.clear()
    session[_SURE] = sure_mark(token_hash(token), utc_now())
    response = make_response(redirect(target_or_home(target), 303))
    keep_cookie(response, session_cookie(), token, max_age=int(longest(user).total_seconds()))
    keep_cookie(response, LANGUAGE_COOKIE, user.language, max_age=_YEAR)
    return response


def sure_mark(login_hash: str, now: datetime) -> list[str]:
    """Says that the owner of this very log-in sat before the browser just now; worth nothing beside another log-in."""
    return [to_text(now), login_hash]


def note_owner(login: LoginSession) -> None:
    """The password was given again in this browser."""
    session[_SURE] = sure_mark(login.token_hash, utc_now())


def owner_was_here(login: LoginSession | None) -> bool:
    """Whether the owner of this log-in proved within the last ten minutes to sit before this browser."""
    try:
        at, login_hash = session.get(_SURE, ())
        recent = utc_now() - from_text(at) < _SURE_FOR
    except (ValueError, TypeError):
        return False
    return recent and login is not None and login_hash == login.token_hash


def remember_language(response: Response, language: str) -> None:
    keep_cookie(response, LANGUAGE_COOKIE, language, max_age=_YEAR)


def target_or_home(wanted: str | None) -> str:
    """A page of this portal somebody asked for; home when it is none."""
    return local_target(wanted, url_for("home.home"))


def keep_cookie(response: Response, name: str, value: str, *, max_age: int) -> None:
    response.set_cookie(name, value, httponly=True, samesite="Lax", secure=cookie_is_secure(), max_age=max_age)
