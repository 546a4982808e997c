"""The console's pages, its JSON and its metrics."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from crm_sync_service import gate
from crm_sync_service.connectors.base import UnreachableError
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import WorkerPulse, inbox, outbox
from shared.broker import Broker
from shared.broker_ops import open_operations
from shared.clock import utc_now
from shared.events import PORTAL_EVENTS, Message
from shared.ids import new_id
from tests.crm_sync_service.engine import new_internal_note, new_reply, new_ticket


@pytest.fixture
def mirrored(engine, database):
    """A ticket with a reply and an internal note, in sync; a worker is alive and everything was sent."""
    ticket = new_ticket(number=1234, subject="Printer <on> fire")
    engine.receive(ticket, new_reply(ticket, 1), new_internal_note(ticket, 2))
    engine.settle()
    with database.write() as session:
        session.merge(WorkerPulse(owner="host:1", started_at=utc_now(), seen_at=utc_now()))
        session.execute(update(outbox.table).values(sent_at=utc_now()))
        gate.state_of(session, "fake", now=utc_now())
    engine.settle()
    return ticket


def message(body="{}", kind="casebridge.ticket.merged.v3"):
    return Message(
        id=new_id(),
        type=kind,
        destination=PORTAL_EVENTS,
        subject="a ticket",
        source="portal",
        time=utc_now(),
        body=body,
    )


def test_all_well_in_words(mirrored, viewer):
    page = viewer.text("/")
    assert "The only ticket is in sync, last compared" in page
    assert "Sync worker host:1" in page
    assert "Cases created 1 1 1" in page


def test_a_crm_that_is_down_leaves_the_console_up(mirrored, engine, database, viewer):
    with database.write() as session:
        for _ in range(gate.FAILURES_TO_OPEN):
            gate.note_failure(session, "fake", UnreachableError("the CRM answered 503: tea break"), now=utc_now())
    engine.receive(replace(mirrored, version=2, status="open"))
    page = viewer.text("/")
    assert "CRM unreachable since" in page
    assert "(the CRM answered 503: tea break); 1 ticket waits, nothing is lost" in page


def test_a_broker_that_is_down_leaves_the_console_up_and_says_since_when(mirrored, settings, viewer):
    file = settings.common.home / "broker.db"
    file.rename(file.with_suffix(".away"))
    file.mkdir()
    page = viewer.text("/")
    assert "Broker unreachable since" in page
    assert "not known" in page
    assert viewer.get("/metrics").status_code == 200


@pytest.mark.parametrize("wanted", ["1234", "#1234", " 1234 ", "C-00001", "c-00001", "ticket id", "Case id"])
def test_a_ticket_is_found_by_any_of_its_names(mirrored, viewer, wanted):
    ids = {"ticket id": str(mirrored.ticket_id), "Case id": case_id_of(mirrored.ticket_id)}
    answer = viewer.get("/tickets", query_string={"q": ids.get(wanted, wanted)})
    assert answer.location == f"/tickets/{mirrored.ticket_id}"


@pytest.mark.parametrize("wanted", ["9", "C-9", "<script>", "9" * 50, "00000000-0000-4000-8000-000000000000", "%"])
def test_what_is_not_there_is_not_found(mirrored, viewer, wanted):
    answer = viewer.get("/tickets", query_string={"q": wanted})
    assert answer.status_code == 200
    assert "Nothing found" in answer.text
    assert "<script>9" not in answer.text


def test_lists_by_state(mirrored, engine, viewer):
    waiting = new_ticket(number=1235)
    engine.receive(waiting)
    assert "#1235" in viewer.text("/tickets")
    assert "#1234" in viewer.text("/tickets?state=in_sync")
    assert "#1235" not in viewer.text("/tickets?state=in_sync")
    assert "#1235" in viewer.text("/tickets?state=waiting")
    assert "No tickets here" in viewer.text("/tickets?state=failed")
    assert viewer.get("/tickets?state=nonsense").status_code == 400


def test_a_tickets_page_shows_both_sides_and_its_history(mirrored, viewer):
    page = viewer.text(f"/tickets/{mirrored.ticket_id}")
    assert "Printer <on> fire" in page
    assert "In sync compared" in page
    assert "2 replies = 2 Notes" in page
    assert "after the ticket was filed Case C-00001 created" in page
    assert "Noted to the CRM Customer Carol Jansen: Any news?" in page
    assert viewer.get(f"/tickets/{new_id()}").status_code == 404


def test_a_change_under_way_is_shown_with_both_values(mirrored, engine, viewer):
    engine.crm.edit(case_id_of(mirrored.ticket_id), priority="high")
    engine.settle(seconds=1)
    page = viewer.text(f"/tickets/{mirrored.ticket_id}")
    assert "Priority normal high normal On its way from the CRM: high" in page
    assert "Waiting" in page


def test_a_conflict_is_shown_with_both_values_and_people(mirrored, engine, viewer):
    engine.receive(replace(mirrored, version=2, priority="low", changed_by="Sam Peters"))
    engine.crm.edit(case_id_of(mirrored.ticket_id), priority="high", by="Anna Visser")
    engine.settle(seconds=1)
    page = viewer.text("/conflicts?state=decided")
    assert "Priority: #1234 Printer <on> fire" in page
    assert "Before, both had normal" in page
    assert "Ticket low Sam Peters" in page
    assert "Case Counts high Anna Visser" in page


def test_no_conflicts(viewer):
    assert "Nothing waits for you Nobody has changed the same field" in viewer.text("/conflicts")


def test_an_unreadable_event_is_shown_whole_and_harmless_and_can_be_set_aside(database, operator):
    event = message('{"html": "<script>alert(1)</script>"}')
    with database.write() as session:
        inbox.keep_unreadable(session, event, "unknown event type", now=utc_now())
    raw = operator.get("/unreadable").text
    assert "&lt;script&gt;alert(1)" in raw
    assert "<script>alert" not in raw
    assert "casebridge.ticket.merged.v3 " in operator.text("/unreadable")
    operator.post(f"/unreadable/{event.id}/set-aside", on="/unreadable")
    assert "Every event could be read" in operator.text("/unreadable")
    assert '"html"' in operator.text("/actions")


def test_dead_letters_are_shown_and_put_back(settings, operator):
    broker = Broker(settings.common.broker_url)
    with broker.connected() as connection:
        queue = connection.topology.queue(PORTAL_EVENTS)
        publisher = broker.publisher()
        publisher.publish([message('{"poison": true}')])
        publisher.close()
        connection.channel.basic_get(queue).reject()
    page = operator.text("/unreadable")
    assert "1 message" not in page
    assert '{"poison": true}' in page
    operator.post(f"/dead-letters/{PORTAL_EVENTS}", on="/unreadable")
    (state, _) = open_operations(broker).queues()
    assert (state.waiting, state.dead_letters) == (1, 0)
    assert "1 dead letter of portal-events" in operator.text("/actions")


def test_the_same_as_json(mirrored, engine, viewer):
    overview = viewer.get("/api/v1/overview").json
    assert overview["health"]["headline"]["level"] == "ok"
    assert overview["figures"]["in_sync"] == 1
    assert {station["key"] for station in overview["stations"]} == {
        "portal-events",
        "unreadable",
        "lanes",
        "parked",
        "outbox",
        "crm-events",
    }
    engine.crm.delete_case(case_id_of(mirrored.ticket_id))
    engine.settle(seconds=1)
    (group,) = viewer.get("/api/v1/failures").json["groups"]
    assert (group["count"], group["failures"][0]["number"]) == (1, 1234)
    assert group["needs_person"] is True


def test_metrics_say_the_same(mirrored, viewer, app):
    text = app.test_client().get("/metrics").text
    for line in (
        'casebridge_links{state="ok"} 1.0',
        'casebridge_links{state="parked"} 0.0',
        "casebridge_outbox_unsent 0.0",
        "casebridge_parked_events 0.0",
        "casebridge_workers 1.0",
        'casebridge_circuit_open{target="fake"} 0.0',
        'casebridge_circuit_open{target="broker"} 0.0',
        'casebridge_queue_messages{queue="casebridge.portal-events"} 0.0',
        'casebridge_last_successful_poll_timestamp_seconds{feed="cases"}',
        'casebridge_crm_cursor_timestamp_seconds{feed="cases"}',
        "casebridge_worker_last_progress_timestamp_seconds",
        "casebridge_scrape_failed 0.0",
    ):
        assert line in text, line


def test_pages_carry_no_script_or_style_of_their_own(mirrored, viewer):
    for path in ("/", "/failures", "/tickets", f"/tickets/{mirrored.ticket_id}", "/conflicts", "/unreadable"):
        answer = viewer.get(path)
        assert "style=" not in answer.text, path
        assert "onclick" not in answer.text, path
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_old_failures_are_not_hidden_by_a_fresh_look(mirrored, engine, viewer):
    """The overview counts what the last comparison said, however often the feed was read since."""
    engine.crm.fail("update_case", UnreachableError("no answer"), times=1)
    engine.receive(replace(mirrored, version=2, status="open"))
    engine.settle(seconds=1)
    engine.clock += timedelta(seconds=1)
    assert "1 ticket failed and is tried again" in viewer.text("/")
