"""What every web process has in common: security headers, request ids, limits, error pages, health and metrics."""

import hashlib
import re
import time
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Flask, Response, g, jsonify, request
from flask_wtf.csrf import CSRFProtect
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.middleware.proxy_fix import ProxyFix

from shared import error_pages, metrics
from shared.database import Database, DatabaseUnavailableError
from shared.ids import new_id
from shared.settings import CommonSettings

MEBIBYTE = 1024 * 1024
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_LOOPBACK = ("127.0.0.1", "localhost")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cache-Control": "private, no-cache",
}
_INSIDE = frozenset({"inside.healthz", "inside.readyz", "inside.metrics"})

log = structlog.get_logger(__name__)


def create_web_app(
    import_name: str,
    *,
    service: str,
    settings: CommonSettings,
    public_url: str,
    database: Database | None,
    ready: Callable[[], None] | None = None,
    gauges: metrics.GaugeReader = tuple,
    max_body_bytes: int = 2 * MEBIBYTE,
) -> Flask:
    """A Flask application with everything but its own pages.

    `import_name` (usually `__name__`) finds its templates and static files; `service` names it in logs, metrics and
    cookies. `ready` raises an exception with a sentence while the process cannot serve; the database is asked anyway.
    `gauges` are read for each `/metrics`. Blueprints with their own authentication are exempted from the check of form
    tokens by `exempt_from_csrf`. A request that knows its reader's language puts it into `g.language`.
    """
    app = Flask(import_name)
    https = urlsplit(public_url).scheme == "https"
    app.config.update(
        SECRET_KEY=_key_of_service(settings.secret_key, service),
        MAX_CONTENT_LENGTH=max_body_bytes,
        MAX_FORM_MEMORY_SIZE=MEBIBYTE,
        MAX_FORM_PARTS=200,
        TRUSTED_HOSTS=[*_LOOPBACK, urlsplit(public_url).hostname, *settings.trusted_hosts],
        # Cookies know no ports, so each service needs its own name; __Host- keeps other subdomains out.
        SESSION_COOKIE_NAME=f"__Host-{service}" if https else f"casebridge_{service}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=https,
        WTF_CSRF_TIME_LIMIT=None,  # a form left open over lunch is still good while the log-in is
    )
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies)  # type: ignore[method-assign]
    _watch_requests(app, service=service, hsts=https)
    CSRFProtect(app)
    app.register_blueprint(Blueprint("shared", __name__, static_folder="static", static_url_path="/static/shared"))
    app.register_blueprint(_inside(database, ready, gauges))
    error_pages.register(app)
    return app


def exempt_from_csrf(app: Flask, blueprint: Blueprint) -> None:
    """Leave out the form token where no cookie logs anybody in: APIs with keys, signed webhooks."""
    app.extensions["csrf"].exempt(blueprint)


def _key_of_service(secret_key: str, service: str) -> str:
    """A cookie signed by one service must mean nothing to another."""
    return hashlib.sha256(f"session:{service}:{secret_key}".encode()).hexdigest()


def _inside(database: Database | None, ready: Callable[[], None] | None, gauges: metrics.GaugeReader) -> Blueprint:
    """Health and metrics, for those inside: what came through a proxy finds no metrics and reads no reasons."""
    blueprint = Blueprint("inside", __name__)
    checks = [check for check in (database.check if database else None, ready) if check is not None]

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            for check in checks:
                check()
        except (DatabaseUnavailableError, SQLAlchemyError, OSError, RuntimeError) as error:
            log.warning("not_ready", reason=str(error))
            return jsonify(status="not ready", reason="" if _came_through_proxy() else str(error)), 503
        return jsonify(status="ready"), 200

    @blueprint.get("/metrics", endpoint="metrics")
    def show_metrics() -> Response:
        if _came_through_proxy():
            return Response("not here\n", 404, mimetype="text/plain")
        return Response(metrics.exposition(gauges), content_type=metrics.CONTENT_TYPE)

    return blueprint


def _came_through_proxy() -> bool:
    """Also what comes from the open internet without one: a server bound to all addresses tells it nothing."""
    return "X-Forwarded-For" in request.headers or "Forwarded" in request.headers or _is_far(request.remote_addr)


def _is_far(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_global
    except ValueError:
        return False


def _watch_requests(app: Flask, *, service: str, hsts: bool) -> None:
    headers = _HEADERS | ({"Strict-Transport-Security": "max-age=31536000; includeSubDomains"} if hsts else {})

    @app.before_request
    def name_request() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else new_id().hex
        g.started = time.monotonic()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        if "request_id" in g:
            response.headers["X-Request-ID"] = g.request_id
            _record(response, service)
        return response


def _record(response: Response, service: str) -> None:
    # The rule, not the path: paths carry tokens, and one label value per ticket would drown Prometheus.
    route = request.url_rule.rule if request.url_rule else "none"
    seconds = time.monotonic() - g.started
    metrics.http_requests.labels(service, request.method, route, str(response.status_code)).inc()
    metrics.http_seconds.labels(service, route).observe(seconds)
    polled = request.method == "GET" and route.startswith("/api/") and response.status_code < 400
    quiet = polled or request.endpoint in _INSIDE or route.startswith("/static/")
    (log.debug if quiet else log.info)(
        "request", method=request.method, route=route, status=response.status_code, duration_s=round(seconds, 4)
    )
