"""What every web process promises: headers, limits, error pages, health and metrics."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Blueprint, Flask, abort, request
from flask.testing import FlaskClient
from sqlalchemy.exc import IntegrityError, OperationalError

from shared.database import Database, DatabaseUnavailableError
from shared.metrics import Gauge
from shared.settings import CommonSettings
from shared.web import create_web_app, exempt_from_csrf

MakeApp = Callable[..., Flask]


@pytest.fixture
def settings(tmp_path: Path) -> CommonSettings:
    return CommonSettings(
        home=tmp_path,
        broker_url="embedded:///unused",
        secret_key="k" * 40,
        portal_url="http://127.0.0.1:8000",
        console_url="http://127.0.0.1:8001",
        crm_url="http://127.0.0.1:8002",
    )


@pytest.fixture
def make_app(settings: CommonSettings) -> MakeApp:
    def make(**changes: object) -> Flask:
        options = {"service": "portal", "settings": settings, "public_url": settings.portal_url, "database": None}
        app = create_web_app(__name__, **(options | changes))  # type: ignore[arg-type]
        app.add_url_rule("/hello", view_func=lambda: "hello", methods=["GET", "POST"], endpoint="hello")
        return app

    return make


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


def raising(make_app: MakeApp, error: Exception) -> FlaskClient:
    app = make_app()

    def fail() -> str:
        raise error

    app.add_url_rule("/fails", view_func=fail)
    return app.test_client()


def test_nothing_inline_nothing_foreign_and_no_framing(client: FlaskClient) -> None:
    headers = client.get("/hello").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_error_pages_obey_the_same_policy(client: FlaskClient) -> None:
    page = client.get("/nowhere")
    assert "Content-Security-Policy" in page.headers
    assert "<style" not in page.text
    assert "<script" not in page.text


def test_hsts_and_host_cookies_only_over_https(make_app: MakeApp) -> None:
    plain, secure = make_app(), make_app(public_url="https://support.example.com")
    assert "Strict-Transport-Security" not in plain.test_client().get("/hello").headers
    assert "max-age=" in secure.test_client().get("/hello").headers["Strict-Transport-Security"]
    assert secure.config["SESSION_COOKIE_NAME"] == "__Host-portal"
    assert secure.config["SESSION_COOKIE_SECURE"]


def test_services_on_one_host_share_neither_cookie_nor_key(make_app: MakeApp) -> None:
    portal, console = make_app(service="portal"), make_app(service="console")
    assert portal.config["SESSION_COOKIE_NAME"] != console.config["SESSION_COOKIE_NAME"]
    assert portal.config["SECRET_KEY"] != console.config["SECRET_KEY"]


@pytest.mark.parametrize("host", ["support.example.com", "127.0.0.1:8000", "localhost:9"])
def test_answers_to_its_public_name_and_to_loopback(make_app: MakeApp, host: str) -> None:
    app = make_app(public_url="https://support.example.com")
    assert app.test_client().get("/hello", headers={"Host": host}).status_code == 200


def test_refuses_foreign_host_names(client: FlaskClient) -> None:
    assert client.get("/hello", headers={"Host": "evil.example"}).status_code == 400


def test_a_request_id_from_outside_is_kept_only_if_harmless(client: FlaskClient) -> None:
    assert client.get("/hello", headers={"X-Request-ID": "abcdef-123456"}).headers["X-Request-ID"] == "abcdef-123456"
    assert client.get("/hello", headers={"X-Request-ID": "a b<script>"}).headers["X-Request-ID"] != "a b<script>"


def test_a_form_without_its_token_is_refused_with_what_to_do(client: FlaskClient) -> None:
    answer = client.post("/hello")
    assert answer.status_code == 400
    assert "reload the page" in answer.text


def test_an_api_with_keys_needs_no_form_token(make_app: MakeApp) -> None:
    app = make_app()
    api = Blueprint("api", __name__, url_prefix="/api")
    api.add_url_rule("/thing", view_func=lambda: "done", methods=["POST"], endpoint="thing")
    app.register_blueprint(api)
    exempt_from_csrf(app, api)
    assert app.test_client().post("/api/thing").text == "done"


def test_too_large_a_body_is_refused_and_read_to_its_end(make_app: MakeApp) -> None:
    app = make_app(max_body_bytes=1000)
    app.config["WTF_CSRF_ENABLED"] = False
    app.add_url_rule("/upload", view_func=lambda: str(len(request.get_data())), methods=["POST"], endpoint="upload")
    answer = app.test_client().post("/upload", data=b"x" * 5000)
    assert answer.status_code == 413
    assert "smaller files" in answer.text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OperationalError("x", {}, sqlite3.OperationalError("unable to open database file")), 503, "our database"),
        (OperationalError("x", {}, sqlite3.OperationalError("database or disk is full")), 507, "storage is full"),
        (OSError(errno.ENOSPC, "No space left on device"), 507, "storage is full"),
        (DatabaseUnavailableError("gone"), 503, "our database"),
        (IntegrityError("x", {}, sqlite3.IntegrityError("UNIQUE failed")), 500, "our side"),
        (KeyError("a mistake in the program"), 500, "our side"),
    ],
)
def test_failures_are_told_by_their_cause(make_app: MakeApp, error: Exception, status: int, words: str) -> None:
    answer = raising(make_app, error).get("/fails")
    assert answer.status_code == status
    assert words in answer.text
    assert "mistake in the program" not in answer.text
    assert ("Retry-After" in answer.headers) == (status != 500)


def test_the_person_and_the_log_have_the_same_reference(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    answer = raising(make_app, KeyError("boom")).get("/fails")
    assert answer.headers["X-Request-ID"] in answer.text


def test_programs_get_problem_details(client: FlaskClient) -> None:
    answer = client.get("/api/nowhere")
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    assert answer.json["status"] == 404
    assert client.get("/nowhere", headers={"Accept": "application/json"}).mimetype == "application/problem+json"
    assert client.get("/nowhere", headers={"Accept": "text/html,*/*;q=0.8"}).mimetype == "text/html"


def test_own_words_given_to_abort_reach_the_reader_escaped(make_app: MakeApp) -> None:
    app = make_app()
    app.add_url_rule("/no", view_func=lambda: abort(403, "Only <b>you</b> may not."))
    assert "Only &lt;b&gt;you&lt;/b&gt; may not." in app.test_client().get("/no").text


def test_error_pages_speak_dutch(client: FlaskClient) -> None:
    answer = client.get("/nowhere", headers={"Accept-Language": "nl-NL,nl;q=0.9,en;q=0.5"})
    assert "Hier is niets" in answer.text
    assert 'lang="nl"' in answer.text


def test_healthy_without_asking_anybody(make_app: MakeApp, tmp_path: Path) -> None:
    lost = Database(f"sqlite:///{tmp_path}/no/folder.db", schema="portal", migrations=tmp_path)
    client = make_app(database=lost).test_client()
    assert client.get("/healthz").status_code == 200


def test_not_ready_while_the_database_is_gone(make_app: MakeApp, tmp_path: Path) -> None:
    lost = Database(f"sqlite:///{tmp_path}/no/folder.db", schema="portal", migrations=tmp_path)
    client = make_app(database=lost).test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert "portal database" in answer.json["reason"]
    proxied = client.get("/readyz", headers={"X-Forwarded-For": "203.0.113.9"})
    assert proxied.json == {"status": "not ready", "reason": ""}


def test_metrics_for_those_inside_only(make_app: MakeApp) -> None:
    gauges = [Gauge(name="casebridge_things", help="Things.", value=3, labels={"state": "odd"})]
    client = make_app(gauges=lambda: gauges).test_client()
    client.get("/hello")
    text = client.get("/metrics").text
    assert 'casebridge_things{state="odd"} 3.0' in text
    assert 'casebridge_http_requests_total{method="GET",route="/hello",service="portal",status="200"}' in text
    assert client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 404
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "8.8.8.8"}).status_code == 404
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "10.1.2.3"}).status_code == 200


def test_metrics_stay_readable_while_some_cannot_be_read(make_app: MakeApp) -> None:
    def fail() -> list[Gauge]:
        raise OperationalError("x", {}, sqlite3.OperationalError("gone"))

    text = make_app(gauges=fail).test_client().get("/metrics").text
    assert "casebridge_scrape_failed 1.0" in text
    assert "casebridge_http_requests" in text


def test_behind_proxies_only_as_many_as_are_set_are_believed(make_app: MakeApp, settings: CommonSettings) -> None:
    def seen_address(proxies: int) -> str:
        behind = CommonSettings(**{**vars(settings), "proxies": proxies})
        app = make_app(settings=behind)
        app.add_url_rule("/who", view_func=lambda: request.remote_addr or "")
        return app.test_client().get("/who", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}).text

    assert seen_address(0) == "127.0.0.1"
    assert seen_address(1) == "203.0.113.9"
