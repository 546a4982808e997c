"""The timeline, how it was at a moment, and undoing one change."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from crm_sync_service.console.fields import Names
from crm_sync_service.console.history import read_timeline
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import outbox
from shared.events import CaseChanged
from tests.crm_sync_service.engine import new_reply, new_ticket


@pytest.fixture
def ticket(engine):
    """Filed as new and normal; opened in the portal; then its priority raised in the CRM."""
    ticket = new_ticket(number=1234)
    engine.receive(ticket)
    engine.settle()
    ticket = replace(ticket, version=2, status="open")
    engine.receive(ticket, new_reply(ticket, 1))
    engine.settle(seconds=20)
    engine.crm.edit(case_id_of(ticket.ticket_id), priority="high")
    engine.settle(seconds=20)
    ticket = engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle(seconds=20)
    return ticket


def entries(database, ticket):
    with database.read() as session:
        return {entry.action: entry for entry in read_timeline(session, ticket, Names(session))}


def test_each_change_with_before_and_after(ticket, viewer):
    page = viewer.text(f"/tickets/{ticket.ticket_id}")
    assert "Updated to the CRM Status: new → open" in page
    assert "Pulled to the portal Priority: normal → high" in page
    assert "Undo" not in page, "a viewer has no buttons"


def test_the_messages_with_their_ids_on_demand(ticket, viewer, database):
    path = f"/tickets/{ticket.ticket_id}"
    assert "Messages to the portal" not in viewer.text(path)
    page = viewer.text(f"{path}?messages=1")
    with database.read() as session:
        ids = [str(row) for row in session.scalars(select(outbox.table.c.event_id))]
    assert "casebridge.case.changed.v1" in page
    assert "not confirmed yet" in page
    assert any(event_id in page for event_id in ids)


def test_how_it_was_after_a_change(ticket, viewer, database):
    updated = entries(database, ticket)["updated"]
    page = viewer.text(f"/tickets/{ticket.ticket_id}/at/{updated.id}")
    assert "Status open open" in page
    assert "Priority normal high" in page
    made = entries(database, ticket)["created"]
    page = viewer.text(f"/tickets/{ticket.ticket_id}/at/{made.id}")
    assert "Status new open Priority normal high" in page
    assert "the Case had 0 Notes of ours" in page
    assert "Later" in page
    assert "Earlier" not in page


def test_a_change_is_undone_on_both_sides_as_a_new_one(ticket, engine, operator, database):
    pulled = entries(database, ticket)["pulled"]
    path = f"/tickets/{ticket.ticket_id}"
    answer = operator.post(f"{path}/undo", on=path, step=f"{pulled.id}:priority")
    assert "Set value: #1234 priority: “normal” (undo of the change of" in operator.text(answer.location)
    engine.settle(seconds=20)
    after = engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle(seconds=20)
    assert (after.priority, engine.case(ticket)["priority"]) == ("normal", "medium")
    assert engine.link(ticket).in_sync
    assert "asked for by Operator: undo of the change of" in operator.text(path)


@pytest.mark.parametrize("step", ["", "x:priority", "999:priority", "pulled:status", "created:priority"])
def test_only_a_change_of_the_ticket_can_be_undone(ticket, operator, database, step):
    for action, entry in entries(database, ticket).items():
        step = step.replace(action, str(entry.id))
    path = f"/tickets/{ticket.ticket_id}"
    assert operator.post(f"{path}/undo", on=path, step=step).status_code == 404


def test_an_entry_of_another_ticket_is_not_shown(ticket, engine, viewer, database):
    other = new_ticket(number=1235)
    engine.receive(other)
    engine.settle(seconds=20)
    mine = entries(database, ticket)["updated"]
    assert viewer.get(f"/tickets/{other.ticket_id}/at/{mine.id}").status_code == 404
