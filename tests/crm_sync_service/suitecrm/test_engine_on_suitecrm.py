"""The real engine over our connector and a simulated SuiteCRM: it converges, and writes nothing twice."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from crm_sync_service.connectors.config import default_mapping
from crm_sync_service.mapping import BLOCK_BEGIN, block_of, case_id_of, note_id_of
from crm_sync_service.mapping_file import read_mapping
from crm_sync_service.models import Activity, Base
from shared.events import AttachmentLink, CaseChanged, Person
from tests.crm_sync_service.engine import Engine, new_reply, new_ticket
from tests.crm_sync_service.suitecrm.simulator import Simulator
from tests.crm_sync_service.suitecrm.world import ACME, ALICE, CAROL, GLOBEX, TORTURE, open_world


class Driven:
    """The connector with the mapping file that is shipped for it."""

    def __init__(self, crm):
        self._crm = crm

    def __getattr__(self, name):
        return getattr(self._crm, name)

    def mapping(self):
        return read_mapping(default_mapping("suitecrm")).case_mapping(self._crm)


@pytest.fixture
def world():
    with Simulator().served() as simulator:
        world = open_world(simulator)
        yield world
        world.crm.close()


@pytest.fixture
def engine(world, open_database):
    return Engine(open_database("sqlite", Base.metadata), Driven(world.crm))


def ticket_of_acme(**changes):
    person = Person(name="Carol Jansen", email="carol@acme.example", crm_id=CAROL)
    agent = Person(name="Alice Agent", email="alice@crm.example", crm_id=ALICE)
    values = {"account_crm_id": ACME, "product_crm_id": "router_x1", "contact": person, "assignee": agent}
    return new_ticket(**(values | changes))


def row_of(world, ticket):
    return world.row(case_id_of(ticket.ticket_id))


def is_settled(engine, world):
    """Nothing is left to say to the CRM or to the portal."""
    before = len(world.simulator.writes("PATCH")) + len(world.simulator.writes("POST"))
    for _ in range(3):
        world.seconds += 120
        engine.settle(seconds=120)
    return len(world.simulator.writes("PATCH")) + len(world.simulator.writes("POST")) == before


@pytest.mark.parametrize("text", TORTURE)
def test_hard_text_arrives_once_and_unharmed(engine, world, text):
    ticket = ticket_of_acme(subject=text, description=f"{text}\n\n{text}", details={"Said": text})
    reply = new_reply(ticket, 1, body=f"{text}\n{text}")
    engine.receive(ticket, reply)
    engine.settle()
    assert engine.receipt().state == "in_sync"
    case = world.crm.get_case(case_id_of(ticket.ticket_id))
    assert case.fields["subject"] == text.strip()
    assert case.fields["description"].startswith(f"{text}\n\n{text}\n\n{BLOCK_BEGIN}")
    (note,) = world.crm.notes_of(case.id)
    assert (note.id, text in note.body) == (note_id_of(reply.reply_id), True)
    assert is_settled(engine, world)
    assert world.simulator.writes("PATCH") == []
    assert engine.sent(CaseChanged) == []


def test_changes_go_both_ways_without_an_echo(engine, world):
    ticket = ticket_of_acme()
    engine.receive(ticket)
    engine.settle()
    world.simulator.tables.edit(case_id_of(ticket.ticket_id), priority="P1", account_id=GLOBEX)
    engine.settle(seconds=5)
    (change,) = engine.sent(CaseChanged)
    assert {item.field: item.after for item in change.changes} == {"priority": "high", "account": GLOBEX}
    ticket = engine.answer(ticket, change)
    engine.settle()
    engine.receive(replace(ticket, version=ticket.version + 1, status="pending"))
    engine.settle()
    row = row_of(world, ticket)
    assert (row["status"], row["state"], row["priority"]) == ("Open_Pending Input", "Open", "P1")
    assert is_settled(engine, world)
    assert (len(engine.sent(CaseChanged)), len(world.simulator.writes("PATCH"))) == (1, 1)


def test_a_form_saved_by_an_account_manager_is_not_fought_over(engine, world):
    ticket = ticket_of_acme()
    engine.receive(ticket)
    engine.settle()
    case_id = case_id_of(ticket.ticket_id)
    world.simulator.tables.save_form(case_id, work_log="called")
    world.seconds += 60
    engine.settle(seconds=60)
    assert is_settled(engine, world)
    assert world.simulator.writes("PATCH") == []
    assert engine.sent(CaseChanged) == []
    assert engine.receipt().state == "in_sync"


def test_the_block_is_renewed_inside_what_the_editor_made(engine, world):
    ticket = ticket_of_acme()
    engine.receive(ticket)
    engine.settle()
    case_id = case_id_of(ticket.ticket_id)
    world.simulator.tables.save_form(case_id)
    row = row_of(world, ticket)
    row["description"] = row["description"].replace("<p>", "<p><b>Call first!</b> ", 1)
    file = AttachmentLink(id=ticket.ticket_id, name="a <b>.png", size=3, url="https://portal.example/a?x=1&y=2")
    engine.receive(replace(ticket, version=2, attachments=(file,)))
    engine.settle(seconds=60)
    case = world.crm.get_case(case_id)
    assert "- a <b>.png (3 bytes) https://portal.example/a?x=1&y=2\n" in block_of(case.fields["description"])
    assert "<b>Call first!</b>" in row_of(world, ticket)["description"]
    assert is_settled(engine, world)
    assert len(world.simulator.writes("PATCH")) == 1


def test_solved_and_closed_share_a_status_without_turning_into_each_other(engine, world):
    ticket = ticket_of_acme(status="solved")
    engine.receive(ticket)
    engine.settle()
    assert row_of(world, ticket)["state"] == "Closed"
    assert is_settled(engine, world)
    assert engine.sent(CaseChanged) == []


def test_where_emoji_are_lost_the_ticket_says_so(engine, world):
    world.simulator.quirks.narrow = True
    ticket = ticket_of_acme(subject="It burns 🔥", description="plain")
    ticket = replace(ticket, reply_count=2)
    engine.receive(ticket, new_reply(ticket, 1, "Still 🔥"), new_reply(ticket, 2, "No more"))
    engine.settle()
    assert row_of(world, ticket)["name"] == "It burns [fire]"
    with engine.database.read() as session:
        found = session.scalars(select(Activity).where(Activity.action.in_(("altered", "noted")))).all()
    lacking = "what it lacks is written in another way, or cut"
    assert sorted(activity.detail for activity in found) == [
        "Customer Carol Jansen: No more",
        f"Customer Carol Jansen: Still [fire] (the CRM cannot keep all of its words: {lacking})",
        f"the CRM cannot keep all of the subject: {lacking}",
    ]
    assert engine.receipt().state == "in_sync"
    assert engine.conflicts() == []
    assert is_settled(engine, world)
    assert world.simulator.writes("PATCH") == []


def test_a_deleted_case_is_not_made_again(engine, world):
    ticket = ticket_of_acme()
    engine.receive(ticket)
    engine.settle()
    world.simulator.tables.delete("Cases", case_id_of(ticket.ticket_id))
    engine.receive(replace(ticket, version=2, status="open"))
    engine.settle()
    assert engine.receipt().state == "failed"
    assert is_settled(engine, world)
