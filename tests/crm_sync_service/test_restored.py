"""A portal restored from a backup is recognised; nothing is written until a person says so (FAILURES 67)."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from crm_sync_service import crm_commands, gate
from crm_sync_service.alarms import alarms
from crm_sync_service.crm_commands import accept_portal_command
from crm_sync_service.feed_watch import FeedWatch
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Base, Replica
from crm_sync_service.worker import SyncWorker
from shared.database import Database
from shared.events import CaseChanged, pack
from tests.crm_sync_service.engine import START, Engine, new_ticket
from tests.crm_sync_service.test_backfill import Portal

HOUR = timedelta(hours=1)


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", Base.metadata), crm)


@pytest.fixture
def receive(engine, crm):
    """The worker receives events as it does from the broker."""
    worker = SyncWorker(
        database=engine.database,
        crm=crm,
        runner=engine.runner,
        broker=None,
        poll_interval=timedelta(seconds=1),
        now=lambda: engine.clock,
        watch=FeedWatch(overlap=timedelta(seconds=120)),
    )
    return lambda *events: worker.receive([pack(event, source="portal", now=engine.clock) for event in events])


@pytest.fixture
def ticket(engine, receive):
    """At version 5, with priority high on both sides."""
    ticket = new_ticket(number=1001, version=5, priority="high", subject="Newest", changed_at=START + HOUR)
    receive(ticket)
    engine.settle()
    return ticket


def alarm_names(engine):
    with engine.database.read() as session:
        return [alarm.name for alarm in alarms(session)]


def writes_allowed(engine, crm):
    with engine.database.read() as session:
        return gate.may_call(session, crm.name)


def test_late_repeated_and_resent_events_are_no_restore(engine, receive, ticket, crm):
    receive(replace(ticket, version=3, changed_at=START), ticket)
    receive(replace(ticket, version=4, changed_at=START + HOUR + timedelta(minutes=4)))
    receive(replace(ticket, version=6, changed_at=START + 2 * HOUR))
    assert alarm_names(engine) == []
    assert writes_allowed(engine, crm)


def test_an_older_version_that_was_changed_later_stops_all_writing(engine, receive, ticket, crm):
    receive(replace(ticket, version=2, priority="low", changed_at=START + 2 * HOUR))
    receive(new_ticket(number=1002))
    engine.settle()
    assert alarm_names(engine) == ["portal_restored"]
    assert len(crm.cases) == 1
    with engine.database.read() as session:
        assert "accept-portal" in alarms(session)[0].text


def test_a_number_given_twice_stops_all_writing(engine, receive, ticket, crm):
    receive(new_ticket(number=1001))
    assert alarm_names(engine) == ["portal_restored"]
    assert not writes_allowed(engine, crm)


def test_when_a_person_accepts_the_portal_the_crms_values_are_taken_over(engine, receive, ticket, crm, monkeypatch):
    restored = replace(ticket, version=2, priority="low", subject="Old", changed_at=START + 2 * HOUR)
    receive(restored)
    portal = Portal(0)
    portal.kept = [restored]
    portal.said[restored.ticket_id] = []
    monkeypatch.setattr(crm_commands, "read_settings", lambda: SimpleNamespace(database_url=""))
    monkeypatch.setattr(crm_commands, "open_crm", lambda _: (crm, crm.mapping()))
    monkeypatch.setattr(crm_commands, "open_database", lambda _: engine.database)
    monkeypatch.setattr(crm_commands, "open_source", lambda: nullcontext(portal))
    monkeypatch.setattr(Database, "check", lambda _: None)
    monkeypatch.setattr(crm_commands, "utc_now", lambda: engine.clock)
    result = CliRunner().invoke(accept_portal_command, ["--yes"])
    assert result.output.startswith("1 tickets read, 1 of them older than what was known.")
    assert alarm_names(engine) == []
    engine.runner.run_until_idle()
    with engine.database.read() as session:
        assert session.get_one(Replica, ticket.ticket_id).version == 2
    fields = crm.fields_of(case_id_of(ticket.ticket_id))
    assert (fields["priority"], fields["subject"]) == ("high", "Old")
    [change] = engine.sent(CaseChanged)
    assert [(item.field, item.before, item.after) for item in change.changes] == [("priority", "low", "high")]
    after = engine.answer(restored, change)
    engine.settle()
    assert engine.link(ticket).in_sync
    assert after.priority == "high"
