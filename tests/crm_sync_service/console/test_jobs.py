"""Long work started in the console: compared, adopted and backfilled by a worker, with progress and a way to stop."""

import threading
from contextlib import nullcontext

import pytest
from sqlalchemy import select

from crm_sync_service import gate
from crm_sync_service.connectors.base import UnreachableError
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.drift import DriftChecker
from crm_sync_service.jobs import JobRunner
from crm_sync_service.mapping import case_id_of
from crm_sync_service.operation_models import Backfill, DriftRun, Job
from shared.clock import utc_now
from shared.settings import SettingsError
from tests.crm_sync_service.console.conftest import Browser
from tests.crm_sync_service.engine import new_ticket
from tests.crm_sync_service.test_backfill import Portal


@pytest.fixture
def admin(app):
    browser = Browser(app)
    assert browser.log_in("admin").status_code == 302
    return browser


@pytest.fixture
def portal():
    return Portal(3)


@pytest.fixture
def worker(engine, portal):
    """The jobs' loop of a worker, run by hand."""
    with engine.database.write() as session:
        gate.state_of(session, "fake", now=utc_now())
    checker = DriftChecker(engine.database, engine.crm, engine.runner.mapping)
    return JobRunner(checker=checker, owner="a", now=utc_now, source=lambda: nullcontext(portal), tick=0.01)


@pytest.fixture
def damaged(engine):
    """Three tickets, one of whose Cases was changed past every feed."""
    tickets = [new_ticket(number=number) for number in (1234, 1235, 1236)]
    engine.receive(*tickets)
    engine.settle()
    engine.crm.cases[case_id_of(tickets[0].ticket_id)].fields["priority"] = "high"
    return tickets


def start(browser, kind, *, on="/drift", **options):
    answer = browser.post("/jobs", on=on, kind=kind, **options)
    assert answer.status_code == 302, answer.text
    return answer.location


def job(engine):
    with engine.database.read() as session:
        return session.scalars(select(Job).order_by(Job.id.desc())).first()


def test_comparing_everything_shows_what_differs_and_writes_nothing(operator, worker, engine, damaged):
    page = start(operator, "compare")
    assert "Waits for a worker" in operator.text(page)
    writes = list(engine.crm.writes)
    assert worker.run_next().state == "done"
    words = operator.text(page)
    assert "3 of 3 tickets looked at, 1 differ" in words
    assert "#1234 priority" in words
    assert "repair: asks the portal to take priority as the Case has it" in words
    assert engine.crm.cases[case_id_of(damaged[0].ticket_id)].fields["priority"] == "high"
    assert engine.crm.writes == writes
    with engine.database.read() as session:
        run = session.scalars(select(DriftRun)).one()
    assert (run.kind, run.tickets, run.differences, run.repairs) == ("console", 3, 1, 0)
    assert run.finished_at is not None
    assert "Compare all tickets" in operator.text("/drift")


def test_a_look_leads_to_the_repair_it_showed(operator, worker, engine, damaged):
    page = start(operator, "compare")
    worker.run_next()
    assert "Repair 1 ticket" in operator.text(page)
    again = start(operator, "repair", on=page, direction="to-crm")
    assert worker.run_next().state == "done"
    assert "1 ticket given to the lanes" in operator.text(again)
    engine.clock = utc_now()
    engine.settle()
    assert engine.crm.cases[case_id_of(damaged[0].ticket_id)].fields["priority"] != "high"
    with engine.database.read() as session:
        logged = [row.detail for row in session.scalars(select(ConsoleAction)) if row.action == "start"]
    assert logged == ["Compare all tickets", "Compare all tickets and repair direction to-crm"]


def test_one_job_at_a_time(operator, worker):
    start(operator, "compare")
    assert operator.post("/jobs", on="/", kind="compare").location == "/drift"
    assert "which Operator asked for, is still under way" in operator.text("/drift")
    worker.run_next()
    start(operator, "compare")


def test_a_job_is_stopped_before_and_while_it_runs(operator, worker, engine, damaged):
    page = start(operator, "compare")
    operator.post(f"{page}/stop", on=page)
    assert "stopped before it began" in operator.text(page)
    page = start(operator, "compare")
    with engine.database.write() as session:
        session.scalars(select(Job).order_by(Job.id.desc())).first().stop_asked = True
    worker._over.set()
    worker._over.clear = lambda: None
    assert worker.run_next().state == "stopped"
    assert "what was done until then stays done" in operator.text(page)
    assert "This job has ended" in operator.text(operator.post(f"{page}/stop", on="/").location)


def test_a_worker_that_ends_leaves_the_job_to_the_next_one(operator, worker, engine, damaged):
    start(operator, "compare")
    worker._over.set()
    worker._over.clear = lambda: None
    assert worker.run_next() is None
    assert job(engine).state == "running"
    other = JobRunner(checker=worker.checker, owner="b", now=utc_now, tick=0.01)
    assert other.run_next() is None, "the first one's lease still holds"
    stop = threading.Event()
    stop.set()
    worker.run(stop)
    assert other.run_next().state == "done"
    with engine.database.read() as session:
        assert session.scalars(select(DriftRun)).one().tickets == 3


def test_old_tickets_are_counted_then_backfilled_with_progress(admin, worker, engine):
    page = start(admin, "backfill-preview", on="/backfill")
    assert worker.run_next().found == 3
    assert "3 of 3 tickets would be given to their lanes" in admin.text(page)
    with engine.database.read() as session:
        assert session.scalars(select(Backfill)).all() == []
    page = start(admin, "backfill", on="/backfill", rate="60000")
    assert worker.run_next().state == "done"
    assert "3 tickets looked at, 3 given to their lanes" in admin.text(page)
    engine.clock = utc_now()
    engine.settle()
    assert len(engine.crm.cases) == 3
    assert "The backfill is finished" in admin.text("/backfill")


def test_cases_that_are_there_are_shown_before_they_are_linked(admin, worker, engine, portal):
    for ticket in portal.kept[:2]:
        engine.receive(ticket)
    engine.settle()
    cases = len(engine.crm.cases)
    with engine.database.write() as session:
        for table in reversed(Job.metadata.sorted_tables):
            if table.name in {"links", "lanes", "replicas", "reply_replicas"}:
                session.execute(table.delete())
    page = start(admin, "adopt-preview", on="/backfill", by="external-key")
    assert worker.run_next().found == 2
    words = admin.text(page)
    assert "2 matched" in words
    assert "Link 2 tickets" in words
    start(admin, "adopt", on=page, by="external-key")
    assert worker.run_next().state == "done"
    engine.clock = utc_now()
    engine.settle()
    assert len(engine.crm.cases) == cases


def test_what_fails_says_why(admin, worker, engine, damaged, monkeypatch):
    page = start(admin, "compare")
    monkeypatch.setattr(engine.crm, "get_case", lambda _: (_ for _ in ()).throw(UnreachableError("gone fishing")))
    assert worker.run_next().state == "failed"
    assert "gone fishing" in admin.text(page)

    def nobody():
        raise SettingsError("install portal_service next to crm_sync_service")

    worker.source = nobody
    page = start(admin, "backfill-preview", on="/backfill")
    assert worker.run_next().state == "failed"
    assert "install portal_service" in admin.text(page)


def test_while_the_crm_rests_so_do_jobs(admin, worker, engine, damaged):
    page = start(admin, "compare")
    with engine.database.write() as session:
        gate.stop(session, "fake", by="Admin", why="upgrade", now=utc_now())
    assert worker.run_next() is None
    assert "waits until the CRM may be called" in admin.text(page)


def test_only_an_administrator_adopts_and_backfills(operator, viewer):
    for kind in ("adopt", "adopt-preview", "backfill", "backfill-preview"):
        assert operator.post("/jobs", on="/", kind=kind, by="ticket-number", rate="1").status_code == 403, kind
    assert viewer.post("/jobs", on="/", kind="compare").status_code == 403


@pytest.mark.parametrize(
    "wish",
    [
        {"kind": "nonsense"},
        {"kind": "repair", "direction": "sideways"},
        {"kind": "adopt", "by": "guess"},
        {"kind": "backfill", "rate": "0"},
        {"kind": "backfill", "rate": "9" * 30},
    ],
    ids=["kind", "direction", "way", "no-rate", "huge-rate"],
)
def test_a_wish_that_makes_no_sense_is_refused(admin, wish):
    assert admin.post("/jobs", on="/", **wish).status_code == 400


def test_the_api_starts_and_stops_too(admin, worker, engine, damaged):
    headers = {"X-CSRFToken": admin.get("/api/v1/session").json["csrf_token"]}
    assert admin.client.post("/api/v1/jobs", json={"kind": "compare"}, headers=headers).status_code == 200
    assert admin.client.post("/api/v1/jobs", json={"kind": "compare"}, headers=headers).status_code == 409
    (listed,) = admin.get("/api/v1/jobs").json["jobs"]
    assert admin.client.post(f"/api/v1/jobs/{listed['id']}/stop", json={}, headers=headers).status_code == 200
    assert admin.get(f"/api/v1/jobs/{listed['id']}").json["state"] == "stopped"
    assert admin.get("/api/v1/jobs/99").status_code == 404
