"""One Case and one Note, whatever the CRM does to help with that: ids of ours, unique keys, or neither."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError

import pytest

import crm_sync_service.models
from crm_sync_service.connectors.base import AlreadyExistsError, InvalidError, UnreachableError
from crm_sync_service.models import ContactMatch
from shared.events import CaseChanged, Person, Receipt
from tests.crm_sync_service.engine import Engine, new_reply, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm
from tests.crm_sync_service.keyed_crm import KeyedCrm

LOST = UnreachableError("the answer was lost")
KINDS = {
    "client ids": FakeCrm,
    "unique keys": lambda: KeyedCrm(unique_keys=True),
    "neither": lambda: KeyedCrm(unique_keys=False),
}


@pytest.fixture(params=KINDS)
def crm(request):
    return KINDS[request.param]()


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)


def case_of(engine, ticket):
    return engine.crm.fields_of(engine.link(ticket).case_id)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("method", ["create_case", "create_note", "find_case", "find_note"])
def test_a_lost_answer_makes_no_second_case_and_no_second_note(engine, crm, method, moment):
    """FAILURES 1, 11."""
    crm.fail("create_case", LOST, when="after")
    crm.fail("create_note", LOST, when="after")
    crm.fail(method, LOST, when=moment, times=2)
    ticket = new_ticket()
    engine.receive(ticket, new_reply(ticket, 1, "only once"))
    engine.settle_through_failures()
    assert (len(crm.cases), engine.notes()) == (1, ["only once"])
    assert engine.receipt().state == "in_sync"


def test_what_the_ticket_became_while_the_answer_was_lost_is_written_afterwards(engine, crm):
    """FAILURES 2: the base of a Case that is found is what was sent when it was made."""
    crm.fail("create_case", LOST, when="after")
    ticket = new_ticket(priority="low")
    engine.receive(ticket)
    engine.settle()
    engine.receive(replace(ticket, version=2, priority="urgent"))
    engine.settle_through_failures(3)
    assert (case_of(engine, ticket)["priority"], engine.sent(CaseChanged), engine.conflicts()) == ("critical", [], [])


def test_a_case_deleted_before_its_making_was_known_is_neither_made_again_nor_asked_for_for_ever(open_database):
    """FAILURES 6: the id is taken by what is deleted; the ticket says so, and somebody decides."""
    crm = FakeCrm()
    engine = Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)
    crm.fail("create_case", LOST, when="after")
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    [case_id] = crm.cases
    crm.delete_case(case_id)
    engine.settle_through_failures(4)
    assert (engine.link(ticket).state, engine.lane(ticket.ticket_id).state) == ("case_deleted", "idle")
    assert "was deleted in the CRM" in engine.receipt().reason
    calls, told = len(crm.calls), len(engine.sent(Receipt))
    engine.receive(replace(ticket, version=2, status="open"))
    engine.settle_through_failures(3)
    assert (len(crm.cases), crm.called("create_case")) == (1, 1)
    assert [call.method for call in crm.calls[calls:] if call.method != "changed_cases"] == []
    assert len(engine.sent(Receipt)) == told + 1


def test_an_account_managers_edit_of_a_case_that_is_found_survives(engine, crm):
    crm.fail("create_case", LOST, when="after")
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    [case_id] = crm.cases
    crm.edit(case_id, priority="high")
    engine.settle(seconds=70)
    assert [(c.field, c.after) for c in engine.sent(CaseChanged)[-1].changes] == [("priority", "high")]


def test_two_cases_with_one_key_stop_the_ticket_and_name_both(open_database):
    """FAILURES 5: a person chooses, nothing is guessed."""
    crm = KeyedCrm(unique_keys=False)
    engine = Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)
    crm.fail("create_case", LOST, when="after")
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    crm.case_keys[str(ticket.ticket_id)].append("case-99")
    engine.settle(seconds=70)
    lane = engine.lane(ticket.ticket_id)
    assert (lane.state, len(crm.cases)) == ("parked", 1)
    assert "case-1, case-99" in lane.cause


def test_a_crm_that_says_it_exists_and_does_not_show_it_is_asked_again(open_database):
    """An index that lags behind: nothing is made until it shows what there is."""
    crm = KeyedCrm(unique_keys=True)
    engine = Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)
    crm.fail("create_case", AlreadyExistsError("400: duplicate value"))
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    assert engine.lane(ticket.ticket_id).cause.startswith("the CRM says that it has this record, but does not show it")
    engine.settle_through_failures(3)
    assert (len(crm.cases), engine.receipt().state) == (1, "in_sync")


def test_a_field_that_the_crm_refuses_does_not_stop_the_case(engine, crm):
    """FAILURES 10, 37: created without it, the field is parked in the CRM's words and tried again when it changes."""
    crm.fail("create_case", InvalidError("422", fields={"account": "This account was deleted."}))
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    assert case_of(engine, ticket)["account"] is None
    assert "the CRM refuses account: This account was deleted." in engine.receipt().reason
    calls = crm.called("update_case")
    engine.receive(replace(ticket, version=2, account_crm_id="globex"))
    engine.settle()
    assert (case_of(engine, ticket)["account"], crm.called("update_case") - calls) == ("globex", 1)
    assert engine.receipt().state == "in_sync"


def test_a_refused_value_is_not_sent_again_and_again(engine, crm):
    crm.fail("create_case", InvalidError("422", fields={"account": "no such account"}))
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    writes = len(crm.writes)
    for version in range(2, 6):
        engine.receive(replace(ticket, version=version))
        engine.settle(seconds=60)
    assert len(crm.writes) == writes


def test_two_tickets_of_a_new_customer_make_one_contact(open_database, crm):
    """FAILURES 8, with both runs between the look-up and the creation at the same moment."""
    database = open_database("sqlite", crm_sync_service.models.Base.metadata)
    tickets = [
        new_ticket(number=number, contact=Person(name="Neo", email=email))
        for number, email in ((1001, "Neo@X.example"), (1002, "neo@x.example"))
    ]
    engines = [Engine(database, crm) for _ in tickets]
    engines[0].receive(*tickets)
    together = Barrier(2, timeout=0.5)

    def meet(call, moment):
        if call.method == "contacts_by_email" and moment == "after":
            _wait(together)

    crm.hooks.append(meet)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda engine: engine.runner.run_until_idle(), engines))
    crm.hooks.clear()
    engines[0].settle(seconds=6)
    engines[0].settle(seconds=6)
    assert len([kind for kind, _ in crm.records if kind == "contact"]) == 1
    assert len({case.fields["contact"] for case in crm.cases.values()} - {None}) == 1
    assert [case.fields["contact"] is not None for case in crm.cases.values()] == [True, True]


def _wait(barrier):
    with suppress(BrokenBarrierError):
        barrier.wait()


def test_a_contact_whose_making_was_lost_is_found_and_not_made_twice(engine, crm):
    crm.fail("create_contact", LOST, when="after")
    ticket = new_ticket(contact=Person(name="Neo", email="neo@x.example"))
    engine.receive(ticket)
    engine.settle_through_failures(3)
    assert len([kind for kind, _ in crm.records if kind == "contact"]) == 1
    assert case_of(engine, ticket)["contact"] is not None
    with engine.database.read() as session:
        assert session.get_one(ContactMatch, "neo@x.example").claimed_by is None


def test_a_contact_is_made_without_an_account_that_is_gone(engine, crm):
    crm.fail("create_contact", InvalidError("422", fields={"account": "This account was deleted."}))
    ticket = new_ticket(contact=Person(name="Neo\u202eoeN", email="neo@x.example"))
    engine.receive(ticket)
    engine.settle()
    [(_, record)] = [(key, record) for key, record in crm.records.items() if key[0] == "contact"]
    assert (record.entry.name, record.entry.account_id) == ("NeooeN", None)
