"""A CRM whose database keeps three bytes a character: names in their place, said on the ticket, and no difference."""

from dataclasses import replace

from sqlalchemy import select

from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Activity, Base
from tests.crm_sync_service.engine import START, Engine, new_reply, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm


def test_whatever_the_crm_its_declaration_is_enough(open_database):
    crm = FakeCrm(now=lambda: START)
    crm.capabilities = replace(crm.capabilities, text=replace(crm.capabilities.text, wide=lambda: False))
    engine = Engine(open_database("sqlite", Base.metadata), crm)
    ticket = new_ticket(subject="It burns 🔥", description="🇳🇱 ü", reply_count=1)
    engine.receive(ticket, new_reply(ticket, 1, "Still 🔥"))
    engine.settle()
    case_id = case_id_of(ticket.ticket_id)
    fields = crm.fields_of(case_id)
    assert (fields["subject"], (fields["description"] or "").split("\n")[0]) == ("It burns [fire]", "[n][l] ü")
    (note,) = crm.notes_of(case_id)
    assert note.body.endswith("Still [fire]")
    assert "🔥" not in note.title
    with engine.database.read() as session:
        told = " | ".join(session.scalars(select(Activity.detail)))
    assert "cannot keep all of the subject and the description" in told
    assert "cannot keep all of its words" in told
    writes = crm.called("update_case")
    engine.settle(seconds=1)
    assert (engine.receipt().state, crm.called("update_case")) == ("in_sync", writes)


def test_it_is_asked_only_when_it_matters(open_database):
    asked = []
    crm = FakeCrm(now=lambda: START)
    rules = replace(crm.capabilities.text, wide=lambda: asked.append(1) is None)
    crm.capabilities = replace(crm.capabilities, text=rules)
    engine = Engine(open_database("sqlite", Base.metadata), crm)
    engine.receive(new_ticket(subject="Plain", description="words"))
    engine.settle()
    assert asked == []
