"""The pages of the mail catcher."""

from datetime import datetime
from itertools import islice
from urllib.parse import quote

from flask import Blueprint, Flask, Response, abort, current_app, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy.local.mails.store import Mail, MailStore
from shared.settings import CommonSettings
from shared.web import create_web_app

_SHOWN = 200
_MAIL_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
_STORE = "mails"

pages = Blueprint("mails", __name__)


def create_app(settings: CommonSettings, store: MailStore, *, smtp_address: str, page_url: str) -> Flask:
    app = create_web_app(__name__, service="mails", settings=settings, public_url=page_url, database=None)
    app.extensions[_STORE] = store
    app.jinja_env.globals["smtp_address"] = smtp_address
    app.jinja_env.filters["moment"] = _moment
    app.register_blueprint(pages)
    return app


def _store() -> MailStore:
    store: MailStore = current_app.extensions[_STORE]
    return store


def _mail_or_404(name: str) -> Mail:
    mail = _store().get(name)
    if mail is None:
        abort(404, "This mail is not here; perhaps all mails were deleted in the meantime.")
    return mail


@pages.get("/")
def index() -> str:
    """Newest mails, or those that contain the words of the search."""
    words = request.args.get("q", "").strip()
    mails = list(islice(_store().find(words), _SHOWN))
    return render_template("index.html", mails=mails, words=words, count=len(_store().names()), shown=_SHOWN)


@pages.get("/mails/<name>")
def show(name: str) -> str:
    mail = _mail_or_404(name)
    views = [view for view in ("html", "text", "source") if view == "source" or getattr(mail, view)]
    view = request.args.get("view", views[0])
    if view not in views:
        abort(404)
    source = (_store().source(name) or b"").decode("utf-8", errors="replace") if view == "source" else ""
    return render_template("mail.html", mail=mail, view=view, views=views, source=source)


@pages.get("/mails/<name>/html")
def html(name: str) -> Response:
    """The formatted mail for the frame: it may run nothing, load nothing and knows nothing of this page."""
    response = Response(f'<base target="_blank">{_mail_or_404(name).html}', mimetype="text/html")
    response.headers["Content-Security-Policy"] = _MAIL_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@pages.get("/mails/<name>/attachments/<int:position>")
def attachment(name: str, position: int) -> Response:
    attachments = _mail_or_404(name).attachments
    if position >= len(attachments):
        abort(404)
    file = attachments[position]
    response = Response(file.content, mimetype=file.content_type)
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


@pages.post("/clear")
def clear() -> ResponseReturnValue:
    _store().clear()
    return redirect(url_for("mails.index"), 303)


@pages.get("/api/mails")
def api_mails() -> Response:
    """The mails as JSON for scripts, newest first, `q` as in the page."""
    return jsonify(mails=[_as_json(mail) for mail in islice(_store().find(request.args.get("q", "")), _SHOWN)])


@pages.get("/api/newest")
def api_newest() -> Response:
    """The newest mail's name, which tells an open page when to look again."""
    return jsonify(newest=next(iter(_store().names()), None))


def _as_json(mail: Mail) -> dict[str, object]:
    return {
        "name": mail.name,
        "caught_at": mail.caught_at.isoformat(),
        "from": mail.sender,
        "to": mail.recipients,
        "subject": mail.subject,
        "headers": [list(header) for header in mail.headers],
        "text": mail.text,
        "html": mail.html,
        "attachments": [{"name": file.name, "type": file.content_type} for file in mail.attachments],
        "url": url_for("mails.show", name=mail.name, _external=True),
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone().strftime("%d %b %Y, %H:%M:%S")
