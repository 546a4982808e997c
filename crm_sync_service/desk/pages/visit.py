"""Who is looking, and how values are shown to them."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from crm_sync_service.desk import auth, text
from crm_sync_service.desk.context import desk
from crm_sync_service.desk.models import CASE_PRIORITIES, CASE_STATUSES, NOTE_SIDES, User
from shared.clock import to_text, utc_now

STATUS_BADGES = {
    "new": "badge-new",
    "assigned": "badge-open",
    "pending_input": "badge-pending",
    "resolved": "badge-solved",
    "closed": "badge-closed",
}
PRIORITY_BADGES = {"low": "plain", "medium": "plain", "high": "badge-warn", "critical": "badge-bad"}
_OPEN_TO_ALL = frozenset({"pages.login", "pages.log_in"})
_TOKEN = "token"  # noqa: S105 (the name of a cookie's field)

pages = Blueprint("pages", __name__)


@pages.before_request
def require_login() -> ResponseReturnValue | None:
    g.language = "en"
    g.user = _visitor()
    if g.user is not None or request.endpoint in _OPEN_TO_ALL:
        return None
    if request.method == "POST":
        return render_template("logged_out.html", typed=typed_text()), 401
    wanted = request.full_path.rstrip("?")
    return redirect(url_for("pages.login", next=wanted if wanted != "/" else None))


def _visitor() -> User | None:
    token = session.get(_TOKEN)
    if not token:
        return None
    now = utc_now()
    with desk().database.read() as transaction:
        found = auth.find_session(transaction, token, now=now)
    if found is None:
        return None
    if auth.is_due(found, now=now):
        with desk().database.write() as transaction:
            auth.note_seen(transaction, token, now=now)
    return found.user


def remember(token: str) -> None:
    """Log in this browser. The session starts anew, so nobody can have planted it."""
    session.clear()
    session[_TOKEN] = token


def forget() -> str | None:
    """Log out this browser; returns the token it had."""
    token: str | None = session.get(_TOKEN)
    session.clear()
    return token


def actor() -> str:
    """The name under which this visitor's changes are kept."""
    name: str = g.user.name
    return name


def typed_text() -> str:
    """What somebody wrote into a form that cannot be accepted now, to be given back."""
    texts = (request.form.get(name, "") for name in ("title", "body", "value"))
    return "\n".join(text for text in texts if text.strip())


def own_path(target: str | None) -> str:
    """A place within these pages to go to; anything else becomes the start page."""
    start: str = url_for("pages.start")
    if not target or not target.startswith("/") or "\\" in target or any(ord(letter) < 32 for letter in target):
        return start
    parts = urlsplit(target)
    return start if parts.netloc or parts.scheme or target.startswith("//") else target


@pages.app_template_filter("moment")
def moment(value: datetime) -> Markup:
    """A moment in the visitor's time zone, which is named."""
    local = value.astimezone(ZoneInfo(g.user.timezone))
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        to_text(value), f"{local:%A %-d %B %Y, %H:%M:%S %Z}", f"{local:%-d %b %Y, %H:%M %Z}"
    )


@pages.app_template_filter("linked")
def linked(value: str) -> Markup:
    return text.linked(value)


@pages.app_context_processor
def vocabulary() -> dict[str, Any]:
    return {
        "user": g.get("user"),
        "statuses": CASE_STATUSES,
        "priorities": CASE_PRIORITIES,
        "sides": NOTE_SIDES,
        "status_badges": STATUS_BADGES,
        "priority_badges": PRIORITY_BADGES,
    }
