"""The sync as a whole: pause, figures, alarms, budget, circuits, backfill."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from crm_sync_service import alarms, gate
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.console.speed import percentile
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import WorkerPulse
from crm_sync_service.operation_models import Backfill, CallCount, Circuit
from crm_sync_service.operations import MINUTE
from shared.clock import utc_now
from shared.events import CrmStatusChanged
from tests.crm_sync_service.console.conftest import Browser
from tests.crm_sync_service.engine import new_ticket


@pytest.fixture
def admin(app):
    browser = Browser(app)
    assert browser.log_in("admin").status_code == 302
    return browser


@pytest.fixture
def running(engine, database):
    """A worker is alive and the CRM answers."""
    with database.write() as session:
        session.merge(WorkerPulse(owner="host:1", started_at=utc_now(), seen_at=utc_now()))
        gate.state_of(session, "fake", now=utc_now())
    return engine


def test_an_administrator_pauses_everything_and_lets_it_go_on(running, admin, database):
    assert "Pause" in admin.text("/")
    admin.post("/crms/fake/pause", on="/", why="the CRM is upgraded")
    running.receive(new_ticket(number=1234))
    assert running.runner.run_until_idle() == 0
    page = admin.text("/")
    assert "Admin paused the synchronisation at" in page
    assert "(the CRM is upgraded); 1 ticket waits, nothing is lost" in page
    assert running.sent(CrmStatusChanged)[-1].state == "paused"
    admin.post("/crms/fake/go-on", on="/")
    running.settle(seconds=20)
    assert running.sent(CrmStatusChanged)[-1].state == "reachable"
    with database.read() as session:
        logged = session.execute(select(ConsoleAction.action, ConsoleAction.who).order_by(ConsoleAction.id)).all()
    assert [tuple(row) for row in logged][1:] == [("pause sync", "Admin"), ("let sync go on", "Admin")]


def test_a_pause_needs_a_reason_and_a_crm(running, admin):
    assert "Say why" in admin.text(admin.post("/crms/fake/pause", on="/", why=" ").location)
    assert "No worker has spoken of a CRM" in admin.text(admin.post("/crms/other/pause", on="/", why="x").location)
    with running.database.read() as session:
        assert gate.may_call(session, "fake")


def test_the_api_pauses_too(running, admin):
    headers = {"X-CSRFToken": admin.get("/api/v1/session").json["csrf_token"]}
    assert admin.client.post("/api/v1/crms/fake/pause", json={}, headers=headers).status_code == 400
    assert admin.client.post("/api/v1/crms/fake/pause", json={"why": "x"}, headers=headers).status_code == 200
    (crm,) = admin.get("/api/v1/overview").json["figures"]["crms"]
    assert (crm["state"], crm["stopped_by"]) == ("paused", "Admin")
    assert admin.client.post("/api/v1/crms/fake/go-on", json={}, headers=headers).status_code == 200


def test_alarms_are_the_first_thing_to_read(running, viewer, database):
    with database.write() as session:
        alarms.raise_alarm(session, "feed_silent:cases", "The feed says nothing. Look at it.", now=utc_now())
    assert viewer.text("/").startswith("The feed says nothing. Look at it")


def test_how_fast_tickets_reach_the_crm(running, viewer):
    running.receive(*(new_ticket(number=n, created_at=running.clock - timedelta(seconds=n)) for n in range(1, 21)))
    running.receive(new_ticket(number=99, created_at=running.clock - timedelta(days=9)))
    running.settle()
    speed = viewer.get("/api/v1/overview").json["speed"]
    assert (speed["cases"], speed["p50"], speed["p95"], speed["writes"]) == (20, 10.0, 19.0, 21)
    page = viewer.text("/")
    assert "From filing to the Case, half within 10 s 95 % within 19 s New Cases, last hour 20" in page


def test_percentiles():
    spans = [timedelta(seconds=n) for n in (1, 2, 3, 4)]
    assert percentile(spans, 50) == timedelta(seconds=2)
    assert percentile(spans, 95) == timedelta(seconds=4)
    assert percentile([], 50) is None


def test_budget_and_circuits(running, viewer, database):
    now = utc_now()
    with database.write() as session:
        session.add(CallCount(crm="fake", period=(now - timedelta(minutes=1)).strftime(MINUTE), calls=1234))
        session.add(Circuit(crm="fake", capability="create_note", since=now, until=now, reason="403: no Notes"))
    page = viewer.text("/")
    assert "Calls to the CRM" in page
    assert "create note 403: no Notes" in page


def test_what_prometheus_reads(running, app, database):
    ticket = new_ticket(number=1234, created_at=running.clock - timedelta(seconds=3))
    running.receive(ticket)
    running.settle()
    running.receive(replace(ticket, version=2, priority="low"))
    running.crm.edit(case_id_of(ticket.ticket_id), priority="high")
    running.settle(seconds=1)
    with database.write() as session:
        alarms.raise_alarm(session, "drift", "Look.", now=utc_now(), level="warn")
    text = app.test_client().get("/metrics").text
    for line in (
        'casebridge_conflicts_total{field="priority",winner="crm"} 1.0',
        'casebridge_ticket_to_case_seconds{quantile="0.95"} 3.0',
        "casebridge_echo_suppressed_total",
        'casebridge_needs_person{what="conflict"} 0.0',
        'casebridge_alarm{level="warn",name="drift"} 1.0',
        'casebridge_links{state="frozen"} 0.0',
        "casebridge_scrape_failed 0.0",
    ):
        assert line in text, line


def test_no_backfill(viewer):
    assert "No backfill has been started" in viewer.text("/backfill")


def test_a_backfill_with_progress_and_when_it_is_done(viewer, database):
    now = utc_now()
    with database.write() as session:
        session.add(
            Backfill(id=1, state="running", rate=120, total=12_000, looked_at=3_000, started_at=now, changed_at=now)
        )
    page = viewer.text("/backfill")
    assert "The backfill is under way" in page
    assert "3,000 of 12,000 tickets looked at" in page
    assert "120 tickets per minute" in page
    assert "Done about" in page
    assert viewer.get("/api/v1/backfill").json["backfill"]["total"] == 12_000
    assert "Pause the backfill" not in page


def test_an_administrator_changes_the_rate_and_pauses(admin, database):
    now = utc_now()
    with database.write() as session:
        session.add(Backfill(id=1, state="running", rate=120, total=12_000, started_at=now, changed_at=now))
    assert "Give a rate between 1 and 60,000" in admin.text(admin.post("/backfill/rate", on="/backfill").location)
    assert "300 tickets per minute" in admin.text(admin.post("/backfill/rate", on="/backfill", rate="300").location)
    page = admin.text(admin.post("/backfill/pause", on="/backfill").location)
    assert "The backfill is paused" in page
    assert "at a rate that leaves room for live work. Tickets per minute Go on" in page
    assert "No backfill is running." in admin.text(admin.post("/backfill/pause", on="/backfill").location)
    with database.read() as session:
        row = session.get(Backfill, 1)
        assert (row.state, row.rate) == ("paused", 300)
