"""Mending one field, one Note, or the link of a ticket to its Case."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from crm_sync_service.connectors.base import InvalidError, NewCase, UnreachableError
from crm_sync_service.console.fixes import case_id_in
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import DirectoryRecord
from shared.events import CaseChanged
from shared.ids import new_id
from tests.crm_sync_service.engine import new_reply, new_ticket


@pytest.fixture
def ticket(engine):
    ticket = new_ticket(number=1234)
    engine.receive(ticket)
    engine.settle()
    return ticket


@pytest.fixture
def refused(engine, ticket):
    """The CRM refuses the ticket's new status, in its own words."""
    changed = replace(ticket, version=2, status="open")
    engine.crm.fail("update_case", InvalidError("422", fields={"status": "'open' is none of new, assigned."}))
    engine.receive(changed)
    engine.settle()
    return changed


def field_page(ticket, name="status"):
    return f"/tickets/{ticket.ticket_id}/fields/{name}"


def press(browser, page, act, **fields):
    answer = browser.post(f"{page}/{act}", on=page, **fields)
    assert answer.status_code == 302
    return browser.text(answer.location)


def test_ours_theirs_and_base_with_the_crms_own_words(refused, operator):
    page = operator.text(field_page(refused))
    assert "Refused by the CRM: the CRM refuses status: 'open' is none of new, assigned." in page
    assert "Ticket open Changed by Carol Jansen" in page
    assert "Case, read just now new" in page
    assert "Last shared by both new" in page


def test_a_refused_field_is_tried_again(refused, engine, operator):
    press(operator, field_page(refused), "release")
    engine.settle(seconds=20)
    assert engine.link(refused).in_sync
    assert engine.case(refused)["status"] == "assigned"


def test_a_value_is_set_on_both_sides(refused, engine, operator):
    page = press(operator, field_page(refused), "value", value="pending", why="agreed by phone")
    assert "Set value: #1234 status: “pending” (agreed by phone). It is carried out at once." in page
    assert "On its way Operator asked for it just now" in page
    engine.settle(seconds=20)
    after = engine.answer(refused, engine.sent(CaseChanged)[-1])
    engine.settle(seconds=20)
    assert after.status == "pending"
    assert engine.link(refused).in_sync


def test_a_field_is_skipped_with_a_reason_and_taken_back(refused, engine, operator):
    assert "Say why" in press(operator, field_page(refused), "skip", why=" ")
    press(operator, field_page(refused), "skip", why="no such status in this CRM")
    engine.settle(seconds=20)
    page = operator.text(field_page(refused))
    assert "Skipped: status is left out, as Operator decided: no such status in this CRM" in page
    assert "Status Skipped" in operator.text("/held").replace("Printer <on> fire ", "")
    figures = operator.get("/api/v1/overview").json["figures"]
    assert (figures["on_purpose"], figures["need_person"], figures["held"]) == (1, 0, 1)
    press(operator, field_page(refused), "unskip")
    engine.settle(seconds=20)
    assert engine.link(refused).in_sync
    assert "Nothing is left alone" in operator.text("/held")


def test_records_of_the_crm_are_found_by_name(ticket, engine, operator, database):
    with database.write() as session:
        session.add_all(
            DirectoryRecord(kind="user", crm_id=f"u{n}", revision=1, name=f"User {n:03}", active=True, emails=[])
            for n in range(120)
        )
    page = operator.text(field_page(ticket, "assignee"))
    assert "User 049" in page
    assert "User 050" not in page
    found = operator.text(field_page(ticket, "assignee") + "?find=110")
    assert "User 110" in found
    assert "User 049" not in found


def test_while_the_crm_is_down_what_was_last_known_is_shown(refused, engine, operator):
    engine.crm.fail("get_case", UnreachableError("no answer from the CRM: Connection refused"))
    page = operator.text(field_page(refused))
    assert "The Case could not be read just now: no answer from the CRM: Connection refused" in page
    assert "Case, as last known new" in page


def test_the_case_is_read_on_the_tickets_page_when_asked_for(ticket, engine, viewer):
    case = engine.crm.cases[case_id_of(ticket.ticket_id)]
    case.fields["priority"] = "high"  # past the feed
    path = f"/tickets/{ticket.ticket_id}"
    engine.crm.calls.clear()
    assert "Priority normal normal normal Same" in viewer.text(path)
    assert engine.crm.calls == []
    page = viewer.text(f"{path}?read=now")
    assert "Priority normal high normal Differs the Case was changed since it was last compared" in page


def test_what_cannot_be_done(ticket, operator):
    assert operator.get(field_page(ticket, "colour")).status_code == 404
    assert operator.post(field_page(ticket) + "/paint", on=field_page(ticket)).status_code == 404
    assert "status is not frozen or refused" in press(operator, field_page(ticket), "release")
    assert "choose one of new, open" in press(operator, field_page(ticket), "value", value="x", why="y")


@pytest.fixture
def refused_note(engine, ticket):
    engine.crm.fail("create_note", InvalidError("422: too rude"))
    reply = new_reply(ticket, 1)
    engine.receive(reply)
    engine.settle()
    return reply


def test_a_refused_note_is_skipped_with_a_reason_and_written_after_all(refused_note, ticket, engine, operator):
    page = f"/tickets/{ticket.ticket_id}/notes/{refused_note.reply_id}"
    assert "422: too rude" in operator.text(page)
    press(operator, page, "skip", why="rude indeed")
    engine.settle(seconds=20)
    ticket_page = operator.text(f"/tickets/{ticket.ticket_id}")
    assert "1 reply = 0 Notes + 1 skipped" in ticket_page
    assert "Operator decided so: rude indeed" in ticket_page
    press(operator, page, "unskip")
    engine.settle(seconds=20)
    assert "1 reply = 1 Note" in operator.text(f"/tickets/{ticket.ticket_id}")
    assert len(engine.notes()) == 1


def test_a_reply_of_another_ticket_is_not_touched(refused_note, ticket, engine, operator):
    other = new_ticket(number=1235)
    engine.receive(other)
    engine.settle()
    page = f"/tickets/{ticket.ticket_id}/notes/{refused_note.reply_id}"
    wrong = f"/tickets/{other.ticket_id}/notes/{refused_note.reply_id}"
    assert operator.get(wrong).status_code == 404
    operator.post(f"{wrong}/skip", on=page, why="x")
    assert "Refused" in operator.text(page)


@pytest.fixture
def deleted(engine, ticket):
    engine.crm.delete_case(case_id_of(ticket.ticket_id))
    engine.settle(seconds=20)
    return ticket


def case_page(ticket):
    return f"/tickets/{ticket.ticket_id}/case"


def sure(browser, ticket, act, **fields):
    """Ask, and say yes."""
    page = case_page(ticket)
    question = browser.post(f"{page}/{act}", on=page, **fields)
    assert question.status_code == 200, question.text
    return press(browser, page, act, sure="yes", **fields)


def test_a_deleted_case_waits_for_a_decision(deleted, operator):
    assert f"{case_page(deleted)}" in operator.get("/failures").text
    assert "Its Case was deleted in the CRM" in operator.text(case_page(deleted))
    assert "Say what is to be done" in operator.text(f"/tickets/{deleted.ticket_id}")


def test_a_new_case_is_made_once_it_is_confirmed(deleted, engine, operator):
    page = case_page(deleted)
    asked = operator.post(f"{page}/recreate", on=page, why="deleted by mistake")
    assert "Make a new Case for ticket #1234?" in asked.text
    engine.settle(seconds=20)
    assert engine.link(deleted).state == "case_deleted"
    assert "asked for a new Case" in sure(operator, deleted, "recreate", why="deleted by mistake")
    engine.settle(seconds=20)
    assert engine.link(deleted).in_sync
    assert "C-00002" in operator.text(f"/tickets/{deleted.ticket_id}")


def test_a_ticket_is_linked_to_a_case_that_somebody_made(deleted, engine, operator):
    engine.crm.create_case(NewCase(id="by-hand", key="by-hand", fields={"subject": "Made by hand"}))
    page = case_page(deleted)
    asked = operator.post(f"{page}/relink", on=page, case="http://crm.example/cases/by-hand", why="made by hand")
    assert "Link ticket #1234 to this Case?" in asked.text
    assert "Made by hand" in asked.text
    sure(operator, deleted, "relink", case="by-hand", why="made by hand")
    engine.settle(seconds=20)
    assert engine.link(deleted).case_id == "by-hand"
    assert "Operator" in operator.text("/actions")


def test_a_case_that_is_not_there_or_belongs_to_another_ticket_is_refused(deleted, engine, operator):
    other = new_ticket(number=1300)
    engine.receive(other)
    engine.settle(seconds=20)
    page = case_page(deleted)
    missing = operator.post(f"{page}/relink", on=page, case="nowhere", why="x")
    assert "Case nowhere could not be read" in operator.text(missing.location.partition("?")[0])
    taken = operator.post(f"{page}/relink", on=page, case="c-00002", why="merged")
    assert "belongs to" in taken.text
    assert "another ticket" in taken.text
    refused = press(operator, page, "relink", case="c-00002", why="merged", sure="yes")
    assert "That Case belongs to ticket #1300" in refused


def test_a_reason_is_asked_for(deleted, operator):
    page = case_page(deleted)
    assert "Say why" in press(operator, page, "unlink", why="")


def test_the_mirroring_is_ended_and_no_longer_a_failure(deleted, engine, operator, database):
    sure(operator, deleted, "unlink", why="the customer left")
    engine.settle(seconds=20)
    assert engine.link(deleted).state == "unlinked"
    assert "Nothing fails" in operator.text("/failures")
    assert "#1234" in operator.text("/tickets?state=unlinked")
    figures = operator.get("/api/v1/overview").json["figures"]
    assert (figures["unlinked"], figures["need_person"], figures["cases_deleted"]) == (1, 0, 0)
    with database.read() as session:
        logged = session.scalars(select(ConsoleAction).where(ConsoleAction.action == "unlink Case")).one()
    assert (logged.who, logged.detail) == ("Operator", "#1234 (the customer left)")


@pytest.mark.parametrize(
    "given",
    [
        "abc-1",
        " abc-1 ",
        "http://crm.example/cases/abc-1",
        "https://crm.example/cases/abc-1/?tab=2",
        "https://crm.example/#Case/view/abc-1",
        "https://crm.example/index.php?module=Cases&action=DetailView&record=abc-1&x=1",
        "https://crm.example/#/cases/record/abc-1",
    ],
)
def test_a_cases_id_is_taken_out_of_its_address(given):
    assert case_id_in(given) == "abc-1"


def test_the_evidence_file_has_both_sides_and_hashes(ticket, engine, viewer):
    engine.receive(new_reply(ticket, 1))
    engine.settle(seconds=20)
    answer = viewer.get(f"/tickets/{ticket.ticket_id}/evidence")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ticket-1234-evidence.json"'
    found = answer.json
    assert found["ticket"][0]["body"]["subject"] == ticket.subject
    assert found["case"]["fields"]["status"] == "new"
    assert len(found["notes"]) == len(found["replies"]) == 1
    assert {line["action"] for line in found["timeline"]} == {"created", "noted"}
    assert set(found["sha256"]) == {
        "ticket",
        "replies",
        "link",
        "lane",
        "timeline",
        "conflicts",
        "actions",
        "case",
        "notes",
    }
    assert viewer.get(f"/tickets/{new_id()}/evidence").status_code == 404


def test_the_same_as_json(refused, engine, operator):
    path = f"/api/v1/tickets/{refused.ticket_id}"
    found = operator.get(path).json
    (status,) = (field for field in found["fields"] if field["name"] == "status")
    assert (status["truth"], status["hold"], status["ours"], status["base"]) == ("left_alone", "refused", "open", "new")
    headers = {"X-CSRFToken": operator.get("/api/v1/session").json["csrf_token"]}
    act = f"{path}/fields/status/skip"
    assert operator.client.post(act, json={}, headers=headers).status_code == 409
    assert operator.client.post(act, json={"why": "so"}, headers=headers).json["action"] == "skip field"
    assert operator.client.post(f"{path}/fields/status/paint", json={}, headers=headers).status_code == 404
    engine.settle(seconds=20)
    assert operator.get("/api/v1/held").json["fields"][0]["field"] == "status"
