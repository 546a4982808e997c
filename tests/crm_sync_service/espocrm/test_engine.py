"""The real engine over the connector and the simulated EspoCRM: lost answers, other writers, text of every kind."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from crm_sync_service.connectors.base import UnreachableError
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.espocrm import KIND, EspoCrmConnector
from crm_sync_service.directory_feed import poll_directory, refresh_directory
from crm_sync_service.drift import DriftChecker
from crm_sync_service.mapping_file import read_mapping
from crm_sync_service.models import Base
from crm_sync_service.runner import LaneRunner
from crm_sync_service.sweep import Sweeper
from shared.events import CaseChanged, DirectoryChanged, Person
from tests.crm_sync_service.engine import Engine, new_internal_note, new_reply, new_ticket
from tests.crm_sync_service.espocrm.simulator import KEY
from tests.crm_sync_service.espocrm.world import ACME, ADA, BOB, GLOBEX, GRACE, a_world

TORTURE = (
    "a <b> = <c>",
    "List<String> x = new ArrayList<>();",
    "Re: foo <bar@example.com>",
    "<script>alert('x')</script> & \"quotes\" 'single'",
    "Emoji 🔥👨‍👩‍👧 火事 Ünïcödé",
    "tabs\tand\r\nlines\rof\nevery kind",
    "  space around  ",
    "x" * 400,
    "\u0000zero \ud7ff edge \ufffd",
    "--- Casebridge: managed block, do not edit ---",
)


class MappedCrm(EspoCrmConnector):
    """With the mapping file that is shipped."""

    def __init__(self, url):
        self.file = read_mapping(KIND.mapping)
        super().__init__(ConnectorConfig(url=url, api_key=KEY, fields=self.file.attributes, options=self.file.options))

    def mapping(self):
        return self.file.case_mapping(self)


class PatientEngine(Engine):
    """A look at the feed that fails is made again at the next one, as the worker does."""

    def settle(self, *, seconds=0):
        try:
            return super().settle(seconds=seconds)
        except UnreachableError:
            return self.runner.run_until_idle()


@pytest.fixture
def world():
    with a_world() as world:
        yield world


@pytest.fixture
def engine(world, open_database):
    crm = MappedCrm(world.crmside.url)
    yield PatientEngine(open_database("sqlite", Base.metadata), crm)
    crm.close()


def ticket(**changes):
    fixed = {
        "account_crm_id": ACME,
        "account_name": "Acme GmbH",
        "product_crm_id": "Router",
        "product_name": "Router",
        "contact": Person(name="Ada Lovelace", email="ada@acme.example", crm_id=ADA),
        "assignee": Person(name="Bob Backend", email="bob@crm.example", crm_id=BOB),
    }
    return new_ticket(**{**fixed, **changes})


def case_of(world):
    (row,) = world.state.live("Case")
    return row


def writes(world):
    return len(world.crmside.writes())


def assert_settled(world, engine, ticket):
    """In sync, and looking again writes nothing."""
    assert engine.receipt().state == "in_sync", engine.receipt().reason
    before = writes(world)
    for _ in range(3):
        engine.receive(ticket)
        engine.settle(seconds=70)
    assert writes(world) == before


def test_a_ticket_becomes_one_case_with_every_field(world, engine):
    one = ticket(status="open", priority="high")
    engine.receive(one)
    engine.settle()
    row = case_of(world)
    assert (row["accountId"], row["contactId"], row["assignedUserId"], row["product"]) == (ACME, ADA, BOB, "Router")
    assert (row["status"], row["priority"], row["portalTicketNumber"]) == ("Assigned", "High", "1001")
    assert row["description"].startswith(one.description)
    assert_settled(world, engine, one)


@pytest.mark.parametrize("words", TORTURE)
def test_text_of_every_kind_arrives_and_stays(world, engine, words):
    one = ticket(subject=words, description=f"{words}\n\n{words}", details={"Browser": words})
    engine.receive(one)
    engine.settle()
    engine.receive(new_reply(one, 1, words or "."))
    engine.settle()
    assert len(world.state.live("Case")) == 1
    assert_settled(world, engine, one)


@pytest.mark.parametrize("kind", ["hang_up", "500", "cut", "hang_up_before", "500_before", "502", "html"])
@pytest.mark.parametrize("path", ["Case", "Note", "Case/.*"])
def test_answers_that_go_wrong_cost_nothing(world, engine, kind, path):
    one = ticket()
    for method in ("POST", "PATCH", "GET"):
        world.crmside.fail(kind, method, path, times=2)
    engine.receive(one, new_reply(one, 1, "First"), new_internal_note(one, 2))
    engine.settle_through_failures(6)
    after = replace(one, version=2, priority="urgent", subject="Another")
    engine.receive(after, new_reply(one, 3, "Third"))
    engine.settle_through_failures(6)
    row = case_of(world)
    assert (row["priority"], row["name"]) == ("Urgent", "Another")
    assert [post["post"].rsplit("\n", 1)[-1] for post in world.posts()] == ["First", "Careful, VIP.", "Third"]
    assert_settled(world, engine, after)


def test_a_case_made_only_in_part_is_completed(world, engine):
    """A create is ten statements without a transaction: the Case may be there without its contacts."""
    answer = world.crmside._answer

    def interrupted(request):
        response = answer(request)
        if (request.method, request.path) == ("POST", "Case"):
            world.crmside._answer = answer
            case_of(world)["contactsIds"] = []
            response.status, response.body, response.headers = 500, b"", {}
        return response

    world.crmside._answer = interrupted
    one = ticket()
    engine.receive(one)
    engine.settle()
    assert case_of(world)["contactsIds"] == [ADA]
    assert_settled(world, engine, one)


def test_a_change_in_the_crm_reaches_the_ticket_once(world, engine):
    one = ticket()
    engine.receive(one)
    engine.settle()
    world.crmside.edit(case_of(world)["id"], priority="Urgent", accountId=GLOBEX)
    engine.settle(seconds=1)
    (change,) = engine.sent(CaseChanged)
    assert {item.field: item.after for item in change.changes} == {"priority": "urgent", "account": GLOBEX}
    after = engine.answer(one, change)
    engine.settle(seconds=1)
    assert len(engine.sent(CaseChanged)) == 1
    assert_settled(world, engine, after)


def test_a_person_who_saves_while_we_write_is_not_overwritten(world, engine):
    """The check of the version is not atomic: both pass it, and one version is made of two."""
    one = ticket()
    engine.receive(one)
    engine.settle()
    case_id = case_of(world)["id"]
    world.state.between.append(lambda: world.crmside.edit(case_id, status="Pending"))
    two = replace(one, version=2, priority="high")
    engine.receive(two)
    engine.settle(seconds=1)
    engine.settle(seconds=1)
    (change,) = engine.sent(CaseChanged)
    assert {item.field: item.after for item in change.changes} == {"status": "pending"}
    after = engine.answer(two, change)
    engine.settle(seconds=1)
    assert (case_of(world)["status"], case_of(world)["priority"]) == ("Pending", "High")
    assert_settled(world, engine, after)


def test_a_field_written_by_both_at_once_ends_equal_on_both_sides(world, engine):
    one = ticket()
    engine.receive(one)
    engine.settle()
    case_id = case_of(world)["id"]
    answer = world.crmside._answer

    def overwritten(request):
        """Bob's write lands in the same second, after ours, as one version with it."""
        response = answer(request)
        if request.method == "PATCH":
            world.crmside._answer = answer
            row = world.state.tables["Case"][case_id]
            row["priority"], row["modifiedById"] = "Low", BOB
        return response

    world.crmside._answer = overwritten
    two = replace(one, version=2, priority="high")
    engine.receive(two)
    engine.settle(seconds=1)
    engine.settle(seconds=1)
    changes = engine.sent(CaseChanged)
    after = engine.answer(two, changes[-1])
    engine.settle(seconds=1)
    assert after.priority == "low"
    assert case_of(world)["priority"] == "Low"
    assert_settled(world, engine, after)


def test_random_trouble_ends_with_one_case_and_one_note_each(world, engine):
    """Lost answers of every kind and a person who edits between them."""
    chance = random.Random(7)
    one = ticket(subject=TORTURE[0])
    engine.receive(one)
    kinds = ("hang_up", "500", "cut", "hang_up_before", "500_before", "502")
    seen = 0
    for number in range(1, 13):
        for _ in range(3):
            method, path = chance.choice([("POST", "Case"), ("POST", "Note"), ("PATCH", "Case/.*"), ("GET", "Case.*")])
            world.crmside.fail(chance.choice(kinds), method, path)
        status = chance.choice(["new", "open", "pending"])
        one = replace(one, version=one.version + 1, status=status, subject=TORTURE[number % 7])
        engine.receive(one, new_reply(one, number, TORTURE[number % 6]))
        engine.settle_through_failures(3)
        if cases := world.state.live("Case"):
            world.crmside.edit(cases[0]["id"], priority=chance.choice(["Low", "High", "Urgent"]))
        engine.settle_through_failures(2)
        for change in engine.sent(CaseChanged)[seen:]:
            one = engine.answer(one, change)
            seen += 1
    world.crmside.faults.clear()
    for _ in range(4):
        engine.settle_through_failures(4)
        for change in engine.sent(CaseChanged)[seen:]:
            one = engine.answer(one, change)
            seen += 1
    row = case_of(world)
    assert len(world.posts()) == 12
    keys = [post["portalReplyId"] for post in world.posts()]
    assert len(set(keys)) == 12
    assert row["priority"] == {"low": "Low", "normal": "Normal", "high": "High", "urgent": "Urgent"}[one.priority]
    assert_settled(world, engine, one)


def test_a_case_that_was_deleted_is_not_made_again(world, engine):
    one = ticket()
    engine.receive(one)
    engine.settle()
    world.state.delete("Case", case_of(world)["id"])
    engine.receive(replace(one, version=2, priority="high"), new_reply(one, 1))
    engine.settle_through_failures(3)
    assert world.state.live("Case") == []
    assert engine.receipt().state == "failed"
    assert "deleted" in engine.receipt().reason


def test_workers_at_once_make_one_case_one_note_each_and_one_contact(world, engine):
    """Three workers, each with a connection of its own, and a new customer who files eight tickets at once."""
    new = Person(name="Neo Anderson", email="neo@x.example", crm_id=None)
    tickets = [ticket(number=2000 + number, contact=new) for number in range(8)]
    engine.receive(
        *tickets, *(new_reply(one, position, f"{one.number}/{position}") for one in tickets for position in (1, 2))
    )
    crms = [MappedCrm(world.crmside.url) for _ in range(3)]

    def work(crm):
        worker = LaneRunner(
            database=engine.database,
            crm=crm,
            mapping=crm.mapping(),
            owner=f"worker-{id(crm)}",
            threads=1,
            now=lambda: engine.clock,
        )
        return worker.run_until_idle()

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(work, crms)) >= 8
    engine.settle_through_failures(3)
    cases = world.state.live("Case")
    assert sorted(case["portalTicketNumber"] for case in cases) == [str(one.number) for one in tickets]
    assert sorted(post["post"].rsplit("\n", 1)[-1] for post in world.posts()) == sorted(
        f"{one.number}/{position}" for one in tickets for position in (1, 2)
    )
    (neo,) = [row for row in world.state.live("Contact") if row["emailAddress"] == "neo@x.example"]
    assert {case["contactId"] for case in cases} == {neo["id"]}
    for crm in crms:
        crm.close()


def test_accounts_that_were_merged_are_followed_though_nothing_tells_of_it(world, engine):
    one = ticket()
    engine.receive(one)
    engine.settle()
    checker = DriftChecker(engine.database, engine.crm, engine.crm.mapping())
    sweep = Sweeper(checker=checker, owner="a", span=timedelta(days=1), now=lambda: engine.clock)
    sweep.tick(threading.Event())
    world.clock += timedelta(hours=1)
    world.state.keep("Case", name="somebody else's")
    engine.settle()
    world.state.merge("Account", ACME, into=GLOBEX)
    assert engine.settle(seconds=1) == 0, "the feed does not show it"
    engine.clock += timedelta(minutes=11)
    sweep.tick(threading.Event())
    engine.settle()
    (change,) = engine.sent(CaseChanged)
    assert {item.field: item.after for item in change.changes} == {"account": GLOBEX}
    after = engine.answer(one, change)
    engine.settle(seconds=1)
    assert_settled(world, engine, after)


@pytest.mark.parametrize("at_once", [False, True])
def test_contacts_that_were_merged_are_followed_by_their_address(world, engine, at_once):
    def refresh():
        if at_once:
            poll_directory(engine.database, engine.crm, overlap=timedelta(seconds=120), now=engine.clock)
        else:
            refresh_directory(engine.database, engine.crm, now=lambda: engine.clock)

    refresh()
    one = ticket(contact=Person(name="Grace Hopper", email="grace@acme.example", crm_id=GRACE))
    engine.receive(one)
    engine.settle()
    world.clock += timedelta(hours=1)
    engine.clock += timedelta(hours=1)
    world.state.merge("Contact", GRACE, into=ADA)
    refresh()
    (told,) = [event for event in engine.sent(DirectoryChanged) if event.crm_id == GRACE and event.merged_into]
    assert (told.merged_into, told.active) == (ADA, False)
    two = replace(one, version=2, contact=Person(name="Ada Lovelace", email="ada@acme.example", crm_id=ADA))
    engine.receive(two)
    engine.settle(seconds=1)
    assert (case_of(world)["contactId"], case_of(world)["contactsIds"]) == (ADA, [ADA])
    assert_settled(world, engine, two)
