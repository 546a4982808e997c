"""What an administrator decides, from end to end in a real browser."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from crm_sync_service.connectors.base import InvalidError
from crm_sync_service.mapping import case_id_of
from shared.events import CaseChanged, TicketChanged
from tests.browser.console.conftest import Visit
from tests.browser.looks import EVERYTHING, faults
from tests.crm_sync_service.engine import Engine, new_reply, new_ticket

pytestmark = pytest.mark.browser


@pytest.fixture
def ticket(engine: Engine) -> TicketChanged:
    """Both sides change the priority while the worker stands still; then it runs."""
    ticket = new_ticket(number=1234, subject="Printer on fire")
    engine.receive(ticket)
    engine.settle()
    changed = replace(ticket, version=2, priority="low", changed_by="Sam Peters")
    engine.receive(changed)
    engine.crm.edit(case_id_of(ticket.ticket_id), priority="high", by="Anna Visser")
    engine.settle(seconds=1)
    return changed


@pytest.mark.parametrize("scripts", [True, False])
def test_a_conflict_is_decided_and_undone(visit: Visit, engine: Engine, ticket: TicketChanged, *, scripts: bool):
    page = visit("/", java_script_enabled=scripts)
    page.get_by_role("link", name="1 conflict waits for a decision").click()
    card = page.get_by_role("article")
    expect(card).to_contain_text("Sam Peters")
    expect(card).to_contain_text("Anna Visser")
    card.get_by_label("Reason").fill("the customer said so")
    card.get_by_role("button", name="Take the ticket's value").press("Enter")
    expect(page.get_by_role("article")).to_contain_text("On its way")
    engine.settle(seconds=30)
    assert engine.case(ticket)["priority"] == "low"
    page.reload()
    expect(page.get_by_role("article")).to_contain_text("Olga Operator chose the ticket's value.")

    page.get_by_role("button", name="Undo").press("Enter")
    engine.settle(seconds=30)
    after = engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle(seconds=30)
    assert (after.priority, engine.case(ticket)["priority"]) == ("high", "high")
    page.reload()
    expect(page.get_by_role("article")).to_contain_text("Olga Operator reversed it: the Case's value counts.")
    page.get_by_role("link", name="Actions").click()
    expect(page.get_by_role("main")).to_contain_text("Reverse conflict")


@pytest.fixture
def troubled(engine: Engine, ticket: TicketChanged) -> TicketChanged:
    """Something of each kind that needs a person."""
    refused, note, gone, unclear = (new_ticket(number=1300 + n) for n in range(4))
    engine.receive(refused, note, gone, replace(unclear, contact=replace(unclear.contact, crm_id=None)))
    for crm_id in ("c1", "c2"):
        engine.crm.keep("contact", crm_id, f"Carol {crm_id}", emails=("carol@acme.example",))
    engine.settle()
    engine.crm.fail("update_case", InvalidError("422", fields={"status": "'open' is none of new, assigned."}))
    engine.receive(replace(refused, version=2, status="open"))
    engine.settle()
    engine.crm.fail("create_note", InvalidError("422: a forbidden word"))
    engine.receive(new_reply(note, 1))
    engine.settle()
    engine.crm.delete_case(case_id_of(gone.ticket_id))
    engine.settle()
    return refused


DESKTOP = ["/", "/held", "/contacts", "/tickets", "/drift", "/drift/preview?tickets=1300+1302", "/backfill", "{ticket}"]
PHONE = ["/failures", "/conflicts", "/actions", "{ticket}", "{ticket}/fields/status", "{ticket}/case"]


@pytest.mark.parametrize(
    ("width", "colours", "paths"),
    [(1280, "light", DESKTOP), (390, "dark", PHONE)],
    ids=["desktop and light", "phone and dark"],
)
def test_every_page_is_for_everybody(visit: Visit, troubled: TicketChanged, width: int, colours: str, paths: list[str]):
    page = visit("/", viewport={"width": width, "height": 844}, color_scheme=colours)
    for path in paths:
        page.goto(path.format(ticket=f"/tickets/{troubled.ticket_id}"))
        assert not faults(page, EVERYTHING), path
