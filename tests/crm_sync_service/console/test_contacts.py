"""Addresses that several contacts share: a person chooses, and the tickets go on."""

import pytest
from sqlalchemy import insert, select

from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.models import ContactMatch, DirectoryRecord
from shared.clock import utc_now
from shared.events import Person
from tests.crm_sync_service.engine import new_ticket


@pytest.fixture
def ticket(engine, database):
    """Two contacts have the requester's address; the directory knows one of them."""
    for crm_id, name, account in (("c1", "Piet de Vries", "acme"), ("c2", "P. Vries", "globex")):
        engine.crm.keep("contact", crm_id, name, emails=("info@acme.example",), account_id=account)
    with database.write() as session:
        session.add_all(
            [
                DirectoryRecord(kind="account", crm_id="globex", revision=1, name="Globex", active=True, emails=[]),
                DirectoryRecord(
                    kind="contact",
                    crm_id="c2",
                    revision=1,
                    name="P. Vries",
                    active=True,
                    emails=["info@acme.example"],
                    account_crm_id="globex",
                ),
            ]
        )
    ticket = new_ticket(
        number=1234,
        contact=Person(name="Piet", email="Info@acme.example"),
        account_crm_id="initech",
        account_name="Initech",
    )
    engine.receive(ticket)
    engine.settle()
    return ticket


def choose(browser, crm_id, email="info@acme.example"):
    return browser.post("/contacts/choice", on="/contacts", email=email, contact=crm_id)


def test_the_candidates_with_account_and_addresses_and_who_waits(ticket, viewer):
    page = viewer.text("/contacts")
    assert "info@acme.example 1 ticket waits" in page
    assert "#1234 Printer <on> fire from Piet, Initech" in page
    assert "P. Vries Globex · info@acme.example c2" in page
    assert "c1 not read from the CRM yet" in page
    assert "It is this one" not in page
    assert "1 address belongs to several contacts: choose one" in viewer.text("/")


def test_choosing_one_lets_the_tickets_go_on(ticket, engine, operator, database):
    page = operator.text(choose(operator, "c2").location)
    assert "Chosen. info@acme.example: P. Vries (c2); 1 ticket goes on." in page
    assert "Every contact is known" in page
    engine.settle(seconds=20)
    assert engine.case(ticket)["contact"] == "c2"
    assert engine.link(ticket).in_sync
    with database.read() as session:
        logged = session.scalars(select(ConsoleAction).where(ConsoleAction.action == "choose contact")).one()
    assert logged.who == "Operator"
    assert "info@acme.example P. Vries Operator" in operator.text("/contacts")


def test_only_a_candidate_can_be_chosen(ticket, engine, operator):
    assert choose(operator, "somebody").status_code == 400
    assert engine.case(ticket)["contact"] is None


def test_what_was_chosen_meanwhile(ticket, operator):
    choose(operator, "c2")
    answer = operator.post("/contacts/choice", on="/", email="info@acme.example", contact="c1")
    assert "Nobody needs to choose for this address any more." in operator.text(answer.location)


def test_ten_thousand_addresses_come_page_by_page(database, viewer):
    rows = [
        {"email_key": f"a{n:05}@x.example", "candidates": ["c1", "c2"], "decided_at": utc_now(), "tickets": []}
        for n in range(10_000)
    ]
    with database.write() as session:
        session.execute(insert(ContactMatch), rows)
    assert "a00025@" not in viewer.text("/contacts")
    assert "a00025@x.example" in viewer.text("/contacts?after=a00024@x.example")


def test_the_same_as_json(ticket, operator):
    (question,) = operator.get("/api/v1/contacts").json["questions"]
    assert [candidate["crm_id"] for candidate in question["candidates"]] == ["c1", "c2"]
    headers = {"X-CSRFToken": operator.get("/api/v1/session").json["csrf_token"]}
    choice = {"email": question["email"], "contact": "c1"}
    assert operator.client.post("/api/v1/contacts/choice", json=choice, headers=headers).status_code == 200
    assert operator.client.post("/api/v1/contacts/choice", json=choice, headers=headers).status_code == 409
