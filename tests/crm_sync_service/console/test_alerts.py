"""Telling somebody: once it lasts, once per cause, again when it is well; by mail and to a URL."""

import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import delete
from structlog.testing import capture_logs

from crm_sync_service.alarms import alarms
from crm_sync_service.console.alert_post import UNSENT, AlertPost
from crm_sync_service.console.alert_settings import AlertSettings, read_alert_settings
from crm_sync_service.console.alerts import LASTS, QUIET, due_messages, note_told, note_troubles
from crm_sync_service.console.broker_watch import BrokerView
from crm_sync_service.console.health import Sentence
from crm_sync_service.models import WorkerPulse
from shared.settings import SettingsError
from tests.stack import free_ports

START = datetime(2026, 11, 22, 3, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Night:
    """Looks at troubles and tells of them, as the console does every few seconds."""

    def __init__(self, database):
        self.database, self.now = database, START

    def look(self, *troubles, after=SECOND):
        """What is told after this time."""
        self.now += after
        with self.database.write() as session:
            note_troubles(session, troubles, now=self.now)
            messages = due_messages(session, now=self.now)
            note_told(session, messages, now=self.now)
        return [(message.cause, message.state) for message in messages]


@pytest.fixture
def night(database):
    return Night(database)


def trouble(cause="failures", size=1):
    return Sentence(level="bad", text=f"{size} tickets need a person", cause=cause, size=size)


TOLD = [("failures", "needs a person")]
WELL = [("failures", "well again")]


def test_what_passes_soon_is_not_told(night):
    assert night.look(trouble()) == []
    assert night.look(after=LASTS / 2) == []
    assert night.look(after=LASTS) == []


def test_what_lasts_is_told_once(night):
    night.look(trouble())
    assert night.look(trouble(), after=LASTS) == TOLD
    assert night.look(trouble(), after=LASTS) == []
    assert night.look(trouble(), after=timedelta(days=3)) == []


def test_it_is_told_when_it_is_well_again(night):
    night.look(trouble())
    night.look(trouble(), after=LASTS)
    night.look(after=QUIET)
    assert night.look(after=LASTS) == WELL
    assert night.look(after=QUIET) == []


def test_what_grows_is_told_again_but_not_within_a_quarter_of_an_hour(night):
    night.look(trouble())
    night.look(trouble(), after=LASTS)
    assert night.look(trouble(size=9), after=LASTS) == []
    assert night.look(trouble(size=9), after=QUIET) == TOLD
    assert night.look(trouble(size=8), after=QUIET) == []


def test_what_comes_and_goes_tells_at_most_once_in_a_quarter_of_an_hour(night):
    told = []
    for _ in range(60):
        told += night.look(trouble(), after=LASTS)
        told += night.look(trouble(), after=LASTS)
        told += night.look(after=LASTS)
        told += night.look(after=LASTS)
    assert 1 < len(told) <= 240 * LASTS / QUIET + 1


def test_causes_do_not_wait_for_each_other(night):
    night.look(trouble())
    night.look(trouble(), after=LASTS)
    night.look(trouble(), trouble("broker"))
    assert night.look(trouble(), trouble("broker"), after=LASTS) == [("broker", "needs a person")]


class Mails:
    def __init__(self):
        self.received = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 (aiosmtpd's name)
        self.received.append(envelope)
        return "250 OK"


@pytest.fixture
def mails():
    caught = Mails()
    controller = Controller(caught, hostname="127.0.0.1", port=free_ports(1)[0])
    controller.start()
    yield caught, f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


@pytest.fixture
def hook():
    """A URL that keeps what it is sent."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield received, f"http://127.0.0.1:{server.server_port}/alerts"
    server.shutdown()
    thread.join()
    server.server_close()


class Watch:
    def look(self):
        return BrokerView(queues=(), seen_at=None, failing_since=None, error=None)


@pytest.fixture
def post(database):
    """A console whose sync worker is silent."""
    with database.write() as session:
        session.add(WorkerPulse(owner="host:1", started_at=START, seen_at=START))
    post = AlertPost(
        database=database,
        watch=Watch(),
        settings=AlertSettings(),
        console_url="http://console.example",
        now=lambda: post.moment,
    )
    post.moment = START + timedelta(hours=1)
    return post


def test_a_dead_worker_is_told_by_mail_and_to_the_url(post, mails, hook):
    caught, smtp_url = mails
    called, url = hook
    post.settings = AlertSettings(mail=("ops@support.example",), url=url, smtp_url=smtp_url)
    assert post.tick() == 0
    post.moment += LASTS
    assert post.tick() == 1
    (envelope,), (body,) = caught.received, called
    text = envelope.content.decode()
    assert envelope.rcpt_tos == ["ops@support.example"]
    assert "Subject: [Casebridge] No sync worker has shown progress since" in text
    assert "Auto-Submitted: auto-generated" in text
    assert "Look here: http://console.example" in text
    assert [(alert["cause"], alert["state"]) for alert in body["alerts"]] == [("worker", "needs a person")]
    post.moment += LASTS
    assert post.tick() == 0


def test_while_they_cannot_be_sent_the_console_says_so_and_they_are_sent_later(post, mails):
    caught, smtp_url = mails
    post.settings = AlertSettings(mail=("ops@support.example",), smtp_url=f"smtp://127.0.0.1:{free_ports(1)[0]}")
    post.tick()
    post.moment += LASTS
    assert post.tick() == 0
    with post.database.read() as session:
        (alarm,) = alarms(session)
    assert (alarm.name, "Check SMTP_URL and ALERT_MAIL" in alarm.text) == (UNSENT, True)
    post.settings = AlertSettings(mail=("ops@support.example",), smtp_url=smtp_url)
    assert post.tick() == 1
    assert len(caught.received) == 1
    with post.database.read() as session:
        assert alarms(session) == []


def test_only_one_console_process_tells(post, mails):
    _, smtp_url = mails
    post.settings = AlertSettings(mail=("ops@support.example",), smtp_url=smtp_url)
    post.tick()
    post.moment += LASTS / 2
    post.tick()
    post.moment += LASTS / 2
    post.owner = "another:2"
    assert post.tick() == 0


def test_when_the_worker_is_back_it_is_told(post, hook):
    called, url = hook
    post.settings = AlertSettings(url=url)
    for _ in range(2):
        post.tick()
        post.moment += LASTS
    with post.database.write() as session:
        session.execute(delete(WorkerPulse))
        later = post.moment + timedelta(days=1)
        session.add(WorkerPulse(owner="host:2", started_at=later, seen_at=later))
    post.moment += QUIET
    post.tick()
    post.moment += LASTS
    assert post.tick() == 1
    assert called[-1]["alerts"][0]["state"] == "well again"


def test_the_key_in_the_address_is_not_logged(post, hook, monkeypatch):
    _, url = hook
    refused = httpx.Response(403, request=httpx.Request("POST", f"{url}/hush"))
    monkeypatch.setattr(httpx, "post", lambda *_, **__: refused)
    post.settings = AlertSettings(url=f"{url}/hush")
    post.tick()
    post.moment += LASTS
    with capture_logs() as logged:
        assert post.tick() == 0
    assert [event["status"] for event in logged if event["event"] == "alert_url_not_called"] == [403]
    assert "hush" not in str(logged)


def test_settings(monkeypatch, settings):
    assert not read_alert_settings(settings.common).wanted
    monkeypatch.setenv("ALERT_MAIL", "ops@support.example, Night Shift <night@support.example>")
    monkeypatch.setenv("ALERT_URL", "https://chat.example/hook?key=1")
    found = read_alert_settings(settings.common)
    assert found.mail == ("ops@support.example", "night@support.example")
    assert found.url == "https://chat.example/hook?key=1"
    monkeypatch.setenv("ALERT_MAIL", "ops")
    with pytest.raises(SettingsError, match="ALERT_MAIL='ops' is no e-mail address"):
        read_alert_settings(settings.common)
    monkeypatch.setenv("ALERT_MAIL", "")
    monkeypatch.setenv("SMTP_URL", "http://user:hush@x")
    with pytest.raises(SettingsError) as refused:
        read_alert_settings(settings.common)
    assert "hush" not in str(refused.value)
