"""The drift report, and repair with a look beforehand."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from crm_sync_service.connectors.base import UnreachableError
from crm_sync_service.console.drift_report import numbers_in
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.mapping import case_id_of
from crm_sync_service.operation_models import DriftRun
from shared.clock import utc_now
from tests.crm_sync_service.engine import new_reply, new_ticket


@pytest.fixture
def damaged(engine):
    """Two tickets, one of whose Cases was changed past every feed, with a Note that is gone."""
    tickets = [new_ticket(number=1234), new_ticket(number=1235)]
    engine.receive(*tickets, new_reply(tickets[0], 1))
    engine.settle()
    engine.crm.cases[case_id_of(tickets[0].ticket_id)].fields["priority"] = "high"
    engine.crm.notes.clear()
    return tickets


@pytest.fixture
def run(database):
    """The last comparison."""
    now = utc_now()
    with database.write() as session:
        run = DriftRun(
            kind="sweep",
            started_at=now - timedelta(hours=2),
            finished_at=now - timedelta(hours=1),
            tickets=1200,
            cases=1199,
            notes=4000,
            skipped=2,
            differences=3,
            repairs=1,
            counts={"field: priority": 2, "Note missing": 1},
            examples=['#1234 priority: ticket has "normal", Case has "high"', "CRM Case C-9 names ticket #7"],
        )
        session.add(run)
        session.flush()
        return run.id


def repair(browser, direction):
    preview = f"/drift/preview?tickets=1234+1235&direction={direction}"
    return browser.post("/drift/repair", on=preview, tickets="1234 1235", direction=direction)


def test_nothing_was_compared_yet(viewer):
    assert "No comparison has been finished yet" in viewer.text("/drift")


def test_the_last_run_with_counts_and_links_to_tickets(run, viewer):
    page = viewer.text("/drift")
    assert "The last comparison found 3 differences" in page
    assert "1,200 tickets, 1,199 Cases, 4,000 Notes" in page
    assert "Field: priority 2 Note missing 1" in page
    assert '#1234 priority: ticket has "normal", Case has "high"' in page
    assert "none CRM Case C-9 names ticket #7" in page
    assert "/tickets?q=1234" in viewer.get("/drift").text
    assert "Comparison" in viewer.text(f"/drift/{run}")
    assert viewer.get("/drift/999").status_code == 404
    assert viewer.get("/api/v1/drift").json["runs"][0]["counts"] == {"field: priority": 2, "Note missing": 1}


def test_looking_writes_nothing_and_says_what_a_repair_would_do(damaged, engine, viewer):
    engine.crm.writes.clear()
    page = viewer.text("/drift/preview?tickets=1234,1235&tickets=77")
    assert "1 ticket of 2 can be repaired" in page
    assert 'priority: ticket has "normal", Case has "high" A repair asks the portal to take priority' in page
    assert "Note of reply 1: ticket has" in page
    assert "A repair writes the Note again." in page
    assert "#1235 Same Ticket, Case and Notes agree." in page
    assert "No ticket has the number 77." in page
    assert "Repair 1 ticket" not in page, "a viewer has no button"
    assert engine.crm.writes == []
    assert [engine.lane(ticket.ticket_id).state for ticket in damaged] == ["idle", "idle"]


def test_a_direction_turns_the_repair_round(damaged, viewer):
    page = viewer.text("/drift/preview?tickets=1234&direction=to-crm")
    assert "A repair writes priority to the Case, as the ticket has it." in page
    assert viewer.get("/drift/preview?tickets=1234&direction=sideways").status_code == 400


def test_a_repair_goes_the_way_that_was_chosen_and_is_logged(damaged, engine, operator, database):
    answer = repair(operator, "to-crm")
    assert "1 ticket will be repaired at once" in operator.text(answer.location)
    engine.settle(seconds=20)
    assert engine.case(damaged[0])["priority"] == "medium"
    assert len(engine.notes()) == 1
    with database.read() as session:
        logged = session.scalars(select(ConsoleAction).where(ConsoleAction.action == "repair")).one()
    assert (logged.who, logged.detail) == ("Operator", "1 ticket: #1234 (to-crm)")
    assert "There was nothing left to repair" in operator.text(repair(operator, "to-crm").location)


def test_while_the_crm_is_down_nothing_is_repaired(damaged, engine, operator):
    engine.crm.fail("get_case", UnreachableError("no answer from the CRM"), times=99)
    answer = operator.post("/drift/repair", on="/", tickets="1234")
    assert "Nothing was repaired, as the Cases could not be read: no answer" in operator.text(answer.location)


def test_numbers_as_people_type_them():
    assert numbers_in("#1234, 1235;1234\n 7") == [1234, 1235, 7]
