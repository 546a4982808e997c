"""What the console's views work with, and who is looking."""

from dataclasses import dataclass
from datetime import datetime

from flask import abort, current_app, g, request, session

from crm_sync_service.console import auth, rights
from crm_sync_service.console.broker_watch import BrokerWatch
from crm_sync_service.console.hook_intake import HookIntake
from crm_sync_service.console.live import LiveCrm
from crm_sync_service.console.models import ConsoleUser
from crm_sync_service.console.rights import Right
from crm_sync_service.operation_settings import OperationSettings
from crm_sync_service.settings import SyncSettings
from shared.broker_ops import BrokerOperations
from shared.clock import utc_now
from shared.database import Database

TOKEN = "login"  # noqa: S105 (a name)


@dataclass(frozen=True, kw_only=True)
class Console:
    """One console process."""

    settings: SyncSettings
    database: Database
    broker: BrokerOperations
    watch: BrokerWatch
    live: LiveCrm
    limits: OperationSettings
    hooks: HookIntake


def console() -> Console:
    found: Console = current_app.extensions["console"]
    return found


def now() -> datetime:
    """One moment per request, so that a page agrees with itself."""
    if "now" not in g:
        g.now = utc_now()
    moment: datetime = g.now
    return moment


def visitor() -> ConsoleUser | None:
    """Who is logged in with this browser."""
    if "visitor" not in g:
        g.visitor = _read_visitor()
    user: ConsoleUser | None = g.visitor
    return user


def _read_visitor() -> ConsoleUser | None:
    token = session.get(TOKEN)
    if not isinstance(token, str):
        return None
    with console().database.read() as db:
        found = auth.read_session(db, token, now=now())
        if found is None:
            return None
        user, old = found.user, auth.should_note_use(found, now=now())
    # A page that refreshes itself is no person: a screen left alone logs itself out.
    if old and "X-Unattended" not in request.headers:
        with console().database.write() as db:
            auth.note_use(db, token, now=now())
    return user


def who() -> str:
    """The name that actions are logged under."""
    user = visitor()
    assert user is not None, "only pages behind the log-in act"
    return user.name


def may(right: Right) -> bool:
    user = visitor()
    return user is not None and rights.may(user.role, right)


def require(right: Right) -> None:
    """Answers 403 unless the visitor has the right."""
    if not may(right):
        abort(403, f"Your role does not include the right to {right}. Ask an administrator for it.")
