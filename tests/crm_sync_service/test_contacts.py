"""Which contact a requester is: followed through merges and deletions, made once (O10, FAILURES 7-10)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, BrokenBarrierError

import pytest

import crm_sync_service.models
from crm_sync_service.connectors.base import InvalidError
from crm_sync_service.contacts import resolve_contact
from crm_sync_service.directory_feed import poll_directory
from crm_sync_service.models import ContactMatch
from shared.events import Person
from tests.crm_sync_service.engine import START, Engine, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm
from tests.crm_sync_service.keyed_crm import KeyedCrm


@pytest.fixture
def crm():
    return FakeCrm()


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", crm_sync_service.models.Base.metadata), crm)


def from_neo(**changes):
    return new_ticket(contact=Person(name="Neo", email="Neo@X.example"), **changes)


def look_at_directory(engine):
    engine.clock += timedelta(seconds=1)
    poll_directory(engine.database, engine.crm, overlap=timedelta(seconds=120), now=engine.clock)
    engine.settle()


def match_of(engine, key="neo@x.example"):
    with engine.database.read() as session:
        return session.get_one(ContactMatch, key)


def test_a_contact_merged_in_the_crm_is_followed(engine, crm):
    crm.keep("contact", "old", "Neo", emails=("neo@x.example",))
    engine.receive(from_neo())
    engine.settle()
    crm.keep("contact", "new", "Neo Anderson", emails=("neo@x.example",))
    crm.keep("contact", "old", "Neo", emails=(), active=False, merged_into="new")
    look_at_directory(engine)
    second = from_neo(number=1002)
    engine.receive(second)
    engine.settle()
    assert (match_of(engine).crm_id, engine.case(second)["contact"]) == ("new", "new")
    assert len([kind for kind, _ in crm.records if kind == "contact"]) == 2


def test_a_contact_deleted_in_the_crm_is_looked_up_again(engine, crm):
    crm.keep("contact", "old", "Neo", emails=("neo@x.example",))
    engine.receive(from_neo())
    engine.settle()
    crm.keep("contact", "old", "Neo", emails=("neo@x.example",), active=False)
    crm.keep("contact", "again", "Neo", emails=("neo@x.example",))
    look_at_directory(engine)
    second = from_neo(number=1002)
    engine.receive(second)
    engine.settle()
    assert engine.case(second)["contact"] == "again"


def test_an_ambiguous_address_is_settled_when_people_merge_the_contacts(engine, crm):
    for crm_id in ("one", "two"):
        crm.keep("contact", crm_id, "Neo", emails=("neo@x.example",))
    ticket = from_neo()
    engine.receive(ticket)
    engine.settle()
    assert engine.case(ticket)["contact"] is None
    assert "2 contacts of the CRM have the address Neo@X.example" in engine.receipt().reason
    look_at_directory(engine)
    crm.keep("contact", "two", "Neo", emails=("neo@x.example",), active=False, merged_into="one")
    look_at_directory(engine)
    assert (engine.case(ticket)["contact"], engine.receipt().state) == ("one", "in_sync")


def test_of_several_contacts_the_one_of_the_tickets_account_is_taken(engine, crm):
    """FAILURES 7."""
    crm.keep("contact", "elsewhere", "Neo", emails=("neo@x.example",), account_id="globex")
    crm.keep("contact", "here", "Neo", emails=("neo@x.example",), account_id="acme")
    ticket = from_neo()
    engine.receive(ticket)
    engine.settle()
    assert engine.case(ticket)["contact"] == "here"


@pytest.mark.parametrize("address", ["neo@x.example", "NEO@X.EXAMPLE", "neo@X.example "])
def test_every_spelling_of_an_address_is_the_same_contact(engine, crm, address):
    """FAILURES 9."""
    engine.receive(from_neo(), new_ticket(number=1002, contact=Person(name="Neo", email=address)))
    engine.settle()
    assert len([kind for kind, _ in crm.records if kind == "contact"]) == 1


def test_an_account_deleted_in_the_crm_parks_the_field_until_the_directory_tells_of_it(engine, crm):
    """FAILURES 10."""
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    crm.fail("update_case", InvalidError("422", fields={"account": "Globex was deleted."}))
    engine.receive(replace(ticket, version=2, account_crm_id="globex", status="open"))
    engine.settle()
    assert (engine.case(ticket)["account"], engine.case(ticket)["status"]) == ("acme", "assigned")
    assert engine.receipt().reason == "the CRM refuses account: Globex was deleted."
    crm.keep("account", "globex", "Globex")
    look_at_directory(engine)
    assert (engine.case(ticket)["account"], engine.receipt().state) == ("globex", "in_sync")


def test_only_one_run_makes_the_contact_of_an_address(sync_database):
    """FAILURES 8, on both databases: the others wait for it."""
    crm = KeyedCrm(unique_keys=False)
    together = Barrier(4, timeout=0.3)

    def meet(call, moment):
        if call.method == "contacts_by_email" and moment == "after":
            try:
                together.wait()
            except BrokenBarrierError:
                together.reset()

    crm.hooks.append(meet)
    tickets = [from_neo(number=number) for number in range(1001, 1005)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda ticket: resolve_contact(sync_database, crm, ticket, now=START), tickets))
    assert len([each for each in found if each.crm_id]) >= 1
    assert all(each.crm_id or each.wait for each in found)
    again = [resolve_contact(sync_database, crm, ticket, now=START) for ticket in tickets]
    assert len({each.crm_id for each in again}) == 1
    assert len([kind for kind, _ in crm.records if kind == "contact"]) == 1


def test_a_claim_whose_worker_died_ends(open_database):
    crm = KeyedCrm(unique_keys=False)
    database = open_database("sqlite", crm_sync_service.models.Base.metadata)
    first, second = from_neo(), from_neo(number=1002)

    class DiedError(BaseException):
        pass

    crm.fail("create_contact", DiedError(), when="after")
    with pytest.raises(DiedError):
        resolve_contact(database, crm, first, now=START)
    assert resolve_contact(database, crm, second, now=START + timedelta(seconds=59)).wait
    found = resolve_contact(database, crm, second, now=START + timedelta(seconds=61))
    assert found.crm_id == "contact-1"
    assert len([kind for kind, _ in crm.records if kind == "contact"]) == 1
