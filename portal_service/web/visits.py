"""Who visits, and the transaction of a request.

Every blueprint of the portal is registered with its audience; everybody else is turned away before a view runs, so a
page that forgets to ask is closed, not open. A page that is not for this visitor answers exactly like one that does
not exist.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import structlog
from flask import Blueprint, Flask, abort, current_app, flash, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from portal_service.files.storage import Storage
from portal_service.people import sessions
from portal_service.people.models import Contact, LoginSession, Staff, User
from portal_service.settings import PortalSettings
from portal_service.tickets.actor import Actor, actor_for
from shared.clock import utc_now
from shared.database import Database

SESSION_COOKIE = "casebridge_session"

_TO_SET_UP = frozenset({"own", "security", "two_factor"})

log = structlog.get_logger(__name__)


class Audience(Enum):
    ANYONE = "anyone"
    SIGNED_IN = "signed in"
    CUSTOMER = "customer"
    STAFF = "staff"


@dataclass(frozen=True)
class Portal:
    """What the pages need of the process."""

    settings: PortalSettings
    database: Database
    storage: Storage


@dataclass(frozen=True)
class Visit:
    """One visitor within one transaction."""

    session: Session
    user: User | None
    now: datetime
    login: LoginSession | None = None
    """The session of the user's browser."""

    @property
    def signed_in(self) -> User:
        """Whoever visits; only for pages that ask for a log-in."""
        assert self.user is not None
        return self.user

    @property
    def contact(self) -> Contact:
        """The customer who visits; only for pages whose audience is customers."""
        assert self.signed_in.contact is not None
        return self.signed_in.contact

    @property
    def staff(self) -> Staff:
        """The agent who visits; only for pages whose audience is staff."""
        assert self.signed_in.staff is not None
        return self.signed_in.staff

    @property
    def actor(self) -> Actor:
        """The visitor as domain functions want to know them."""
        return actor_for(self.signed_in)


def set_up_visits(app: Flask, portal: Portal) -> None:
    app.extensions["portal"] = portal
    app.extensions["portal_audiences"] = {}
    app.extensions.setdefault("portal_rescue", lambda: None)
    app.before_request(admit)
    app.teardown_request(_leave)


def open_to(app: Flask, audience: Audience, *blueprints: Blueprint) -> None:
    """Register `blueprints` for `audience` and for nobody else."""
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
        app.extensions["portal_audiences"][blueprint.name] = audience


def this_portal() -> Portal:
    portal: Portal = current_app.extensions["portal"]
    return portal


def this_visit() -> Visit:
    """The visit of this request. Outside of `acting` its transaction only reads."""
    if "visit" not in g:
        _enter()
    visit: Visit = g.visit
    return visit


def release() -> None:
    """Give the connection of `this_visit` back before something slow; it is taken again when it is needed."""
    _leave()


def current_user() -> User | None:
    """Who is logged in, on the portal's own pages; nobody is on others, such as health and errors before admission."""
    return this_visit().user if g.get("is_page") else None


def cookie_is_secure() -> bool:
    return bool(current_app.config["SESSION_COOKIE_SECURE"])


def session_cookie() -> str:
    """The name of the cookie that logs a browser in; over https no other host of the domain can set it."""
    return f"__Host-{SESSION_COOKIE}" if cookie_is_secure() else SESSION_COOKIE


@contextmanager
def acting(*, as_known: bool = False) -> Iterator[Visit]:
    """A transaction in which the visitor changes something; it commits at the end of the block.

    With `as_known` the visitor is who was admitted a moment ago, and not read again: for what changes neither log-ins
    nor people. It is the same for pages shown afterwards.
    """
    before = this_visit()
    user, login = before.signed_in, before.login
    _leave()
    with this_portal().database.write() as session:
        g.visit = _known(session, user, login) if as_known else _found_again(session, user, login)
        try:
            yield g.visit
        finally:
            g.pop("visit")
    if as_known:
        g.admitted = (user, login)


def _known(session: Session, user: User, login: LoginSession | None) -> Visit:
    kept = session.merge(login, load=False) if login else None
    return Visit(session, kept.user if kept else session.merge(user, load=False), utc_now(), kept)


def _found_again(session: Session, user: User, login: LoginSession | None) -> Visit:
    kept = sessions.read_login(session, login.token_hash) if login else None
    return Visit(session, session.get_one(User, user.id), utc_now(), kept)


def admit() -> ResponseReturnValue | None:
    """None for a visitor whom the page of this request is for; for others what they get instead."""
    audience = current_app.extensions["portal_audiences"].get(request.blueprint)
    if audience is None:
        return None
    g.is_page = True
    user = this_visit().user
    if _belongs(user, audience):
        _keep_alive()
        return _second_step_first() if audience is not Audience.ANYONE else None
    if user is not None:
        abort(404)
    return _ask_to_log_in()


def _enter() -> None:
    g.reading = ExitStack()
    session = g.reading.enter_context(this_portal().database.read())
    admitted: tuple[User, LoginSession | None] | None = g.pop("admitted", None)
    if admitted is not None:
        g.visit = _known(session, *admitted)
        return
    now = utc_now()
    login = sessions.find_session(session, request.cookies.get(session_cookie(), ""), now=now)
    g.visit = Visit(session, login.user if login else None, now, login)


def _keep_alive() -> None:
    """Write down now and then that the session is used; a page is shown also while the database takes no change."""
    visit = this_visit()
    login = visit.login
    if login is None or not sessions.is_stale(login, now=visit.now):
        return
    _leave()
    try:
        with this_portal().database.write() as session:
            sessions.keep_alive(session, login, now=visit.now)
    except DBAPIError as error:
        log.warning("session_not_extended", error=str(error.orig))


def _leave(_error: BaseException | None = None) -> None:
    g.pop("visit", None)
    stack: ExitStack | None = g.pop("reading", None)
    if stack is not None:
        stack.close()


def _belongs(user: User | None, audience: Audience) -> bool:
    if audience is Audience.ANYONE:
        return True
    if user is None:
        return False
    if audience is Audience.SIGNED_IN:
        return True
    return (user.contact_id if audience is Audience.CUSTOMER else user.staff_id) is not None


def must_have_two_factors(user: User) -> bool:
    """Whether the installation asks this person for more than a password."""
    return user.staff_id is not None and this_portal().settings.two_factor_for_staff


def _second_step_first() -> ResponseReturnValue | None:
    """An agent who has to have a second step sees nothing but the pages to set it up."""
    visit = this_visit()
    login = visit.login
    if login is None or login.method != "password" or request.blueprint in _TO_SET_UP:
        return None
    if not must_have_two_factors(visit.signed_in):
        return None
    flash(_("Staff need a second step to log in. Please set one up; after that everything is open to you."), "warn")
    return redirect(url_for("security.overview", _anchor="second-step"), 303)


def _ask_to_log_in() -> ResponseReturnValue:
    if request.method == "GET":
        return redirect(url_for("people.login", next=request.full_path.rstrip("?")), 303)
    rescued: str | None = current_app.extensions["portal_rescue"]()
    if rescued:
        flash(_("You were logged out, so nothing was sent. What you typed is kept: log in to go on."), "warn")
        return redirect(url_for("people.login", next=rescued), 303)
    flash(_("You were logged out, so nothing was sent. Log in and go back: this browser kept your text."), "warn")
    return redirect(url_for("people.login"), 303)
