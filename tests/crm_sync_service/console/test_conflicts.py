"""The conflict inbox: both values side by side, one press decides, one press reverses."""

from dataclasses import replace

import pytest
from sqlalchemy import insert, select

from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.mapping import case_id_of
from crm_sync_service.merge import Policy
from crm_sync_service.models import Conflict
from shared.clock import utc_now
from shared.events import CaseChanged
from shared.ids import new_id
from tests.crm_sync_service.engine import new_ticket


@pytest.fixture
def asking(engine):
    """The policy of the priority is "ask"."""
    mapping = engine.runner.mapping
    ask = Policy(direction="both", winner="ask")
    engine.runner.mapping = replace(mapping, policies={**mapping.policies, "priority": ask})
    return engine


@pytest.fixture
def ticket(asking):
    """Both sides changed the priority while no worker ran; now it waits."""
    ticket = new_ticket(number=1234)
    asking.receive(ticket)
    asking.settle()
    changed = replace(ticket, version=2, priority="low", changed_by="Sam Peters")
    asking.receive(changed)
    asking.crm.edit(case_id_of(ticket.ticket_id), priority="high", by="Anna Visser")
    asking.settle(seconds=20)
    return changed


def the_conflict(engine):
    (conflict,) = engine.conflicts()
    return conflict


def decide(browser, engine, winner, **fields):
    path = f"/conflicts/{the_conflict(engine).id}"
    answer = browser.post(f"{path}/decision", on="/conflicts", winner=winner, **fields)
    assert answer.location == path
    return path


def test_both_values_with_authors_and_what_each_choice_does(ticket, viewer):
    page = viewer.text("/conflicts")
    assert "Waiting 1" in page
    assert "Priority: #1234 Printer <on> fire Waits for you" in page
    assert "Before, both had normal" in page
    assert "Ticket low Sam Peters" in page
    assert "Case high Anna Visser" in page
    assert "Take the" not in page, "a viewer has no buttons"


def test_the_tickets_page_shows_what_the_case_has_now_and_not_what_both_had(ticket, viewer):
    fields = {line["name"]: line for line in viewer.get(f"/api/v1/tickets/{ticket.ticket_id}").json["fields"]}
    assert (fields["priority"]["ours"], fields["priority"]["theirs"], fields["priority"]["base"]) == (
        "low",
        "high",
        "normal",
    )


def test_the_consequences_are_said_before_the_choice(ticket, operator):
    page = operator.text("/conflicts")
    assert "Take the ticket's value Case C-00001 is changed to “low”; the ticket keeps it." in page
    assert "Take the Case's value Ticket #1234 is changed to “high”; the Case keeps it." in page


def test_the_tickets_value_reaches_the_case(ticket, asking, operator):
    path = decide(operator, asking, "portal", why="the customer said so")
    assert "On its way" in operator.text(path)
    asking.settle(seconds=20)
    assert asking.case(ticket)["priority"] == "low"
    page = operator.text(path)
    assert "Decided" in page
    assert "On its way" not in page
    assert "Operator chose the ticket's value. Reason: the customer said so" in page
    assert "Nothing waits for you 1 conflict so far, all settled." in operator.text("/conflicts")


def test_the_cases_value_reaches_the_ticket(ticket, asking, operator):
    path = decide(operator, asking, "crm")
    asking.settle(seconds=20)
    change = asking.sent(CaseChanged)[-1]
    assert [(item.field, item.after) for item in change.changes] == [("priority", "high")]
    asking.answer(ticket, change)
    asking.settle(seconds=20)
    assert asking.link(ticket).in_sync
    assert "Operator chose the Case's value." in operator.text(path)


def test_undo_gives_both_sides_the_value_that_lost(ticket, asking, operator):
    path = decide(operator, asking, "portal")
    asking.settle(seconds=20)
    assert "Undo Ticket and Case both get “high” as priority." in operator.text(path)
    assert operator.post(f"{path}/reversal", on=path).location == path
    asking.settle(seconds=20)
    after = asking.answer(ticket, asking.sent(CaseChanged)[-1])
    asking.settle(seconds=20)
    assert (after.priority, asking.case(ticket)["priority"]) == ("high", "high")
    page = operator.text(path)
    assert "Operator reversed it: the Case's value counts." in page
    assert "Undo" not in page
    assert "Priority: #1234" in operator.text("/conflicts?state=reversed")


def test_who_decided_what_is_logged(ticket, asking, operator, database):
    decide(operator, asking, "portal", why="the customer said so")
    with database.read() as session:
        logged = session.scalars(select(ConsoleAction).where(ConsoleAction.action == "decide conflict")).one()
    assert logged.who == "Operator"
    assert logged.detail == "#1234 priority: the ticket's value “low” counts (the customer said so)"
    assert logged.ticket_ids == [str(ticket.ticket_id)]
    timeline = operator.text(f"/tickets/{ticket.ticket_id}")
    assert 'Decided by a person priority: "low" was chosen, asked for by Operator: the customer said so' in timeline


def test_a_conflict_that_somebody_else_has_just_decided(ticket, asking, operator):
    path = decide(operator, asking, "portal")
    answer = operator.post(f"{path}/decision", on=path, winner="crm")
    assert "This conflict is not open any more: Operator decided for the portal." in operator.text(answer.location)
    assert the_conflict(asking).winner == "portal"


def test_a_side_must_be_named(ticket, asking, operator):
    path = f"/conflicts/{the_conflict(asking).id}/decision"
    assert operator.post(path, on="/conflicts", winner="both").status_code == 400
    assert the_conflict(asking).state == "waiting"


def test_what_is_not_there(operator):
    assert operator.get("/conflicts/99").status_code == 404
    assert operator.get("/conflicts?state=open").status_code == 400
    assert "There is no such conflict" in operator.text(operator.post("/conflicts/9/reversal", on="/").location[:10])


def test_ten_thousand_conflicts_come_page_by_page(database, viewer):
    now = utc_now()
    rows = [
        {"ticket_id": new_id(), "at": now, "field": "priority", "ours": f"ours {n}", "ours_by": "Sam", "ours_at": now}
        | {"theirs_by": "Anna", "theirs_at": now, "state": "waiting", "policy": "ask"}
        for n in range(10_000)
    ]
    with database.write() as session:
        session.execute(insert(Conflict), rows)
    first = viewer.text("/conflicts")
    assert "Waiting 10,000" in first
    assert "ours 9975" in first
    assert "ours 9974" not in first
    second = viewer.text("/conflicts?state=waiting&before=9976")
    assert "ours 9974" in second


def test_the_same_as_json(ticket, asking, operator):
    inbox = operator.get("/api/v1/conflicts").json
    (line,) = inbox["lines"]
    assert inbox["counts"]["waiting"] == 1
    assert [(side["value"], side["by"]) for side in line["sides"]] == [("low", "Sam Peters"), ("high", "Anna Visser")]
    token = operator.get("/api/v1/session").json["csrf_token"]
    path, headers = f"/api/v1/conflicts/{line['id']}/decision", {"X-CSRFToken": token}
    assert operator.client.post(path, json={"winner": "portal"}).status_code == 400, "without the token"
    assert operator.client.post(path, json={"winner": "x"}, headers=headers).status_code == 400
    done = operator.client.post(path, json={"winner": "portal"}, headers=headers)
    assert (done.status_code, done.json["who"]) == (200, "Operator")
    again = operator.client.post(path, json={"winner": "crm"}, headers=headers)
    assert again.status_code == 409
    assert "not open any more" in again.json["detail"]
    back = operator.client.post(f"/api/v1/conflicts/{line['id']}/reversal", json={}, headers=headers)
    assert back.status_code == 200
