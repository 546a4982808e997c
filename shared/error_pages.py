"""What a person or a program reads when a request cannot be answered: the cause and what to do, never a traceback."""

import errno
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from jinja2 import Environment, FileSystemLoader
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError
from werkzeug.exceptions import HTTPException, default_exceptions

from shared.database import DatabaseUnavailableError, is_out_of_space
from shared.ids import new_id
from shared.settings import LANGUAGES

_DRAIN_BYTES = 64 * 1024 * 1024
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_RETRY_AFTER_SECONDS = {429: 60, 503: 10, 507: 60}

log = structlog.get_logger(__name__)
_FOLDER = Path(__file__).parent / "templates"
_TEXTS: dict[str, dict[str, Any]] = tomllib.loads((_FOLDER / "error_texts.toml").read_text(encoding="utf-8"))
# Its own environment: a broken template or context of the service must not break the page that says so.
_pages = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An answer other than success; `detail` overrides the general advice for its status."""

    status: int
    detail: str = ""
    form_expired: bool = False


def register(app: Flask) -> None:
    """Answer every HTTP error and every exception that reaches the application."""
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_failure)


def _answer_http(error: HTTPException) -> ResponseReturnValue:
    status = error.code
    if status is None or status < 400:  # a redirect, or a response somebody made for abort()
        return error.get_response(request.environ)
    if status == 413:
        _drain()
    if isinstance(error, CSRFError):
        return answer(Problem(status=400, form_expired=True))
    standard = default_exceptions.get(status)
    own_words = standard is not None and error.description != standard.description
    response = answer(Problem(status=status, detail=(error.description or "") if own_words else ""))
    for name, value in error.get_headers(request.environ):
        if name not in {"Content-Type", "Content-Length"}:
            response.headers[name] = value
    return response


def _answer_failure(error: Exception) -> Response:
    status = _status_of(error)
    if status == 500:
        log.error("request_failed", method=request.method, exc_info=error)
    else:
        log.error("storage_failed", method=request.method, status=status, reason=str(error))
    return answer(Problem(status=status))


def _status_of(error: Exception) -> int:
    """503 when the database is away, 507 when there is no room, 500 for what should not happen."""
    if isinstance(error, OperationalError):
        return 507 if is_out_of_space(error) else 503
    if isinstance(error, DatabaseUnavailableError | InterfaceError | NoConnectionFreeError):
        return 503
    return 507 if isinstance(error, OSError) and error.errno in _NO_ROOM else 500


def answer(problem: Problem) -> Response:
    """A page, or RFC 9457 problem details where a program asks."""
    texts = _TEXTS[_language()]
    words = texts["statuses"].get(str(problem.status), texts["other"])
    if problem.form_expired:
        words = texts["form_expired"]
    title, detail = words["title"], problem.detail or words["advice"]
    request_id = g.get("request_id") or new_id().hex
    if wants_json():
        response = jsonify(type="about:blank", title=title, status=problem.status, detail=detail, request_id=request_id)
        response.mimetype = "application/problem+json"
    else:
        response = Response(_page(texts, problem.status, title, detail, request_id), mimetype="text/html")
    response.status_code = problem.status
    if problem.status in _RETRY_AFTER_SECONDS:
        response.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS[problem.status])
    return response


def _page(texts: dict[str, Any], status: int, title: str, detail: str, request_id: str) -> str:
    return _pages.get_template("error.html").render(
        language=_language(),
        texts=texts,
        status=status,
        title=title,
        detail=detail,
        request_id=request_id,
        may_retry=status in _RETRY_AFTER_SECONDS and request.method == "GET",
    )


def wants_json() -> bool:
    """Whether a program asks: below /api, or one that prefers JSON to HTML."""
    if request.path.startswith("/api/"):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json", "application/problem+json"])
    return best is not None and best != "text/html"


def _language() -> str:
    language = g.get("language") or request.accept_languages.best_match(LANGUAGES)
    return language if language in _TEXTS else LANGUAGES[0]


def _drain() -> None:
    """Read what the browser still sends: with bytes left unread it shows "connection reset", not our page."""
    stream = request.environ["wsgi.input"]
    left = min(request.content_length or 0, _DRAIN_BYTES)
    while left > 0 and (chunk := stream.read(min(left, 65536))):
        left -= len(chunk)
