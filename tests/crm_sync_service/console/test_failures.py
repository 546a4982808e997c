"""Failures grouped by cause, and the buttons that repair them."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import select

from crm_sync_service.connectors.base import CrmError, InvalidError
from crm_sync_service.console.advice import advice_for, cause_key
from crm_sync_service.console.failures import group_failures, read_failures
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Activity
from shared.ids import new_id
from tests.crm_sync_service.engine import new_reply, new_ticket

REFUSAL = InvalidError("422: 'open' is none of new, assigned.")


@pytest.fixture
def parked(engine):
    """Three tickets whose last change the CRM refuses."""
    tickets = [new_ticket(number=1001 + n, subject=f"Subject <{n}>") for n in range(3)]
    engine.receive(*tickets)
    engine.settle()
    engine.crm.fail("update_case", REFUSAL, times=3)
    engine.receive(*(replace(ticket, version=2, status="open") for ticket in tickets))
    engine.settle()
    return tickets


def groups(database):
    with database.read() as session:
        return group_failures(read_failures(session))


def states(engine, tickets):
    return [engine.lane(ticket.ticket_id).state for ticket in tickets]


def confirm(browser, **chosen):
    """Press a retry button and say yes; returns the page with the result."""
    question = browser.post("/retry", on="/failures", **chosen)
    assert question.status_code == 200
    answer = browser.post("/retry", on="/failures", sure="yes", **chosen)
    assert answer.status_code == 302
    return answer.location


def test_nothing_fails(viewer):
    assert "Nothing fails" in viewer.text("/failures")


def test_failures_of_one_cause_are_one_group(parked, database, viewer):
    assert [len(group.failures) for group in groups(database)] == [3]
    page = viewer.text("/failures")
    assert "the CRM refuses: 422: 'open' is none of new, assigned." in page
    assert "Correct it in the ticket or relax the rule in the CRM, then retry." in page
    for ticket, case in zip(parked, ("C-00001", "C-00002", "C-00003"), strict=True):
        assert f"#{ticket.number}" in page
        assert ticket.subject in page
        assert case in page


def test_ids_and_numbers_do_not_split_a_cause():
    texts = [
        f"Case C-0000{n} of {new_id()} and {n}@acme.example was refused at 20261122{n}: 422 on try {1}"
        for n in range(1, 4)
    ]
    assert len({cause_key(text) for text in texts}) == 1
    assert "422" in cause_key(texts[0])


def test_asking_to_retry_changes_nothing_until_it_is_confirmed(parked, engine, operator):
    asked = operator.post("/retry", on="/failures", ticket=str(parked[0].ticket_id))
    assert "Retry 1 ticket?" in asked.text
    assert states(engine, parked) == ["parked"] * 3


def test_retrying_one(parked, engine, operator):
    result = confirm(operator, ticket=str(parked[0].ticket_id))
    assert states(engine, parked) == ["due", "parked", "parked"]
    assert "1 ticket will be tried again at once" in operator.text(result)
    engine.settle(seconds=60)
    assert states(engine, parked) == ["idle", "parked", "parked"]
    assert "Now: 1 in sync." in operator.text(result)
    assert engine.case(parked[0])["status"] == "assigned"


def test_retrying_the_chosen_ones(parked, engine, operator):
    confirm(operator, ticket=[str(parked[0].ticket_id), str(parked[2].ticket_id)])
    assert states(engine, parked) == ["due", "parked", "due"]


def test_retrying_all_of_a_cause(parked, engine, operator, database):
    confirm(operator, cause=groups(database)[0].key)
    engine.settle(seconds=60)
    assert states(engine, parked) == ["idle"] * 3
    assert groups(database) == []


def test_a_retry_that_fails_again_is_shown_again(parked, engine, operator):
    engine.crm.fail("update_case", InvalidError("422: still not"))
    result = confirm(operator, ticket=str(parked[0].ticket_id))
    engine.settle(seconds=60)
    assert "1 not in sync" in operator.text(result)
    assert "422: still not" in operator.text("/failures")


def test_choosing_nothing_says_what_to_do(parked, operator):
    answer = operator.post("/retry", on="/failures")
    assert answer.location == "/failures"
    assert "Choose at least one ticket" in operator.text("/failures")


@pytest.mark.parametrize("ticket", ["1001", "' OR 1=1", ""])
def test_what_is_no_ticket_id_is_refused(parked, operator, ticket):
    assert operator.post("/retry", on="/failures", ticket=ticket).status_code == 400


def test_every_retry_is_logged_with_who_and_what(parked, database, operator):
    confirm(operator, ticket=[str(parked[0].ticket_id), str(new_id())])
    with database.read() as session:
        logged = session.scalars(select(ConsoleAction).where(ConsoleAction.action == "retry")).one()
        done = session.scalars(select(Activity).where(Activity.action == "retried")).one()
    assert (logged.who, logged.detail) == ("Operator", "1 ticket: #1001")
    assert logged.ticket_ids == [str(parked[0].ticket_id)]
    assert (done.ticket_id, done.detail) == (parked[0].ticket_id, "another try, asked for by Operator")
    assert "Operator" in operator.text("/actions")


def test_a_ticket_that_is_tried_again_by_itself_says_when(engine, viewer, database):
    ticket = new_ticket()
    engine.crm.fail("create_case", CrmError("500: busy"))
    engine.receive(ticket)
    engine.settle()
    (group,) = groups(database)
    (failure,) = group.failures
    assert (failure.kind, failure.attempts, group.needs_person) == ("retrying", 1, False)
    assert failure.next_at > engine.clock
    assert "Tried again" in viewer.text("/failures")


def test_a_refused_note_is_shown_in_the_crms_words_and_written_after_a_retry(engine, operator, database):
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    engine.crm.fail("create_note", InvalidError("422: too rude"))
    engine.receive(new_reply(ticket, 1))
    engine.settle()
    assert "422: too rude" in groups(database)[0].cause
    assert "422: too rude" in operator.text(f"/tickets/{ticket.ticket_id}")
    confirm(operator, ticket=str(ticket.ticket_id))
    engine.settle(seconds=60)
    assert groups(database) == []
    assert len(engine.notes()) == 1


def test_a_value_the_portal_does_not_know_is_a_failure_with_advice(engine, database, viewer):
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    case = engine.crm.cases[case_id_of(ticket.ticket_id)]
    case.fields["status"] = "escalated"
    engine.crm._touch(case, "Anna")
    engine.settle()
    page = viewer.text("/failures")
    assert 'the CRM has status "escalated", which the portal does not know' in page
    assert "Set the Case to a value that has a counterpart" in page


def test_a_deleted_case_is_told_but_cannot_be_retried(engine, database, operator):
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    engine.crm.delete_case(case_id_of(ticket.ticket_id))
    engine.settle()
    (group,) = groups(database)
    assert group.failures[0].kind == "case_deleted"
    assert not group.may_retry
    assert "makes no second Case" in operator.text("/failures")
    assert not re.search(r'<button[^>]*name="(ticket|cause)"', operator.get("/failures").text)


def test_a_group_shows_ten_and_has_a_page_with_all(engine, viewer, database):
    tickets = [new_ticket(number=2001 + n) for n in range(12)]
    engine.receive(*tickets)
    engine.settle()
    engine.crm.fail("update_case", REFUSAL, times=12)
    engine.receive(*(replace(ticket, version=2, status="open") for ticket in tickets))
    engine.settle()
    assert len(re.findall(r"#20\d\d", viewer.text("/failures"))) == 10
    (group,) = groups(database)
    assert len(re.findall(r"#20\d\d", viewer.text(f"/failures/{group.key}"))) == 12
    assert viewer.get("/failures/gone").location == "/failures"


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        ("the CRM refuses our key (the CRM answered 401: no): check CRM_API_KEY", "CRM_API_KEY"),
        ("no answer from the CRM: Connection refused", "CRM_API_URL"),
        ("EspoCRM refuses the API key (401): check CRM_API_KEY", "CRM_API_KEY"),
        ("the certificate of https://crm/ is not trusted (self-signed certificate)", "CRM_CA_FILE"),
        ("the CRM answered 200 with a web page instead of JSON: check that CRM_API_URL is", "CRM_API_URL"),
        ("the CRM answered 200 with JSON that is cut off or broken: {", "CRM_API_URL"),
        ("2 contacts of the CRM have the address a@b.c: merge them", "merge those who are one person"),
        ("3 workers died while they handled this ticket", "Look for the reason in its log"),
        ("Tariq is no user of the CRM, so the Case's assignee is left as it is", "does not guess"),
        ("KeyError: 'x'", "report it"),
    ],
)
def test_every_cause_has_advice(cause, advice):
    assert advice in advice_for(cause)
