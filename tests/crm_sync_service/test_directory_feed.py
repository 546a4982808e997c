"""The directory: what changes is announced at once, what vanished within a day, and never half of it by mistake."""

from datetime import timedelta

import pytest

from crm_sync_service.alarms import alarms
from crm_sync_service.directory_feed import REFRESH_EVERY, poll_directory, refresh_directory, refresh_is_due
from crm_sync_service.models import Base
from shared.events import DirectoryChanged
from tests.crm_sync_service.engine import START, Engine
from tests.crm_sync_service.fake_crm import FakeCrm


@pytest.fixture
def crm():
    crm = FakeCrm(now=lambda: START, page_size=7)
    crm.keep("account", "acme", "Acme")
    crm.keep("account", "globex", "Globex")
    crm.keep("contact", "carol", "Carol", emails=("carol@acme.example",), account_id="acme")
    crm.keep("user", "anna", "Anna Visser")
    crm.keep("product", "portal", "Portal Server")
    return crm


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", Base.metadata), crm)


def poll(engine):
    return poll_directory(engine.database, engine.crm, overlap=timedelta(seconds=120), now=engine.clock)


def refresh(engine, **options):
    """A day later."""
    engine.clock += timedelta(days=1)
    return {
        found.kind: found
        for found in refresh_directory(engine.database, engine.crm, now=lambda: engine.clock, **options)
    }


def told(engine):
    """The newest announcement of each record."""
    return {(event.kind, event.crm_id): event for event in engine.sent(DirectoryChanged)}


def test_everything_is_announced_once(engine):
    assert poll(engine) == 5
    assert poll(engine) == 0
    assert told(engine)["contact", "carol"].emails == ("carol@acme.example",)


def test_renames_deactivations_and_merges_are_announced(engine, crm):
    poll(engine)
    crm.keep("account", "acme", "Acme International")
    crm.keep("user", "anna", "Anna Visser", active=False)
    crm.keep("account", "globex", "Globex", merged_into="acme")
    assert poll(engine) == 3
    news = told(engine)
    assert news["account", "acme"].name == "Acme International"
    assert not news["user", "anna"].active
    assert news["account", "globex"].merged_into == "acme"
    assert news["account", "globex"].revision == 2


def test_after_a_first_refresh_the_feed_goes_on_from_there(engine, crm):
    """As `casebridge connect` reads the whole directory before the worker is started."""
    refresh(engine)
    asked, read = [], crm.changed_directory
    crm.changed_directory = lambda kind, since, *, page: asked.append(since) or read(kind, since, page=page)
    assert poll(engine) == 0
    assert len(asked) == 4
    assert None not in asked


def test_a_refresh_finds_what_no_feed_told(engine, crm):
    poll(engine)
    crm.records["account", "acme"].entry = crm.keep("account", "acme", "Back-dated")
    crm.records["account", "acme"].modified_at = START - timedelta(days=30)
    assert poll(engine) == 0
    found = refresh(engine)
    assert (found["account"].records, found["account"].changed, found["account"].vanished) == (2, 1, 0)
    assert told(engine)["account", "acme"].name == "Back-dated"


def test_a_record_that_vanished_is_announced_as_inactive_once(engine, crm):
    poll(engine)
    del crm.records["product", "portal"]
    crm.keep("product", "other", "Another")
    assert refresh(engine)["product"].vanished == 1
    assert not told(engine)["product", "portal"].active
    count = len(engine.sent(DirectoryChanged))
    assert refresh(engine)["product"].vanished == 0
    assert len(engine.sent(DirectoryChanged)) == count


def test_a_contact_whose_address_another_one_has_now_was_merged_into_it(engine, crm):
    """As in EspoCRM, which tells nobody of a merge."""
    crm.keep("contact", "twin", "C. Jansen", emails=("c.jansen@acme.example",), account_id="acme")
    crm.keep("contact", "other", "Neo", emails=("neo@acme.example",), account_id="acme")
    poll(engine)
    del crm.records["contact", "twin"], crm.records["contact", "other"]
    crm.keep("contact", "carol", "Carol", emails=("carol@acme.example", "C.Jansen@acme.example"), account_id="acme")
    assert refresh(engine)["contact"].vanished == 2
    assert (told(engine)["contact", "twin"].active, told(engine)["contact", "twin"].merged_into) == (False, "carol")
    assert told(engine)["contact", "other"].merged_into is None


def test_a_merge_that_nobody_tells_of_is_seen_at_the_next_look(engine, crm):
    """The survivor changes and has the addresses of the other, who is not found by them any more."""
    crm.keep("contact", "twin", "C. Jansen", emails=("c.jansen@acme.example",), account_id="acme")
    crm.keep("contact", "namesake", "Carol", emails=("carol@acme.example", "carol@home.example"), account_id="acme")
    crm.keep("contact", "office", "The office", emails=("office@acme.example",), account_id="acme")
    poll(engine)
    del crm.records["contact", "twin"]
    mine = ("carol@acme.example", "C.Jansen@acme.example", "office@acme.example")
    crm.keep("contact", "carol", "Carol", emails=mine, account_id="acme")
    assert poll(engine) == 2
    assert (told(engine)["contact", "twin"].active, told(engine)["contact", "twin"].merged_into) == (False, "carol")
    assert told(engine)["contact", "namesake"].active, "has an address of his own"
    assert told(engine)["contact", "office"].active, "is still found by the address that both have"
    assert poll(engine) == 0


def test_one_that_comes_back_is_announced_again(engine, crm):
    poll(engine)
    entry = crm.records.pop(("account", "globex"))
    refresh(engine)
    crm.records["account", "globex"] = entry
    refresh(engine)
    assert told(engine)["account", "globex"].active
    assert told(engine)["account", "globex"].revision == 3


def test_many_that_vanish_at_once_are_an_alarm_and_nobody_is_deactivated(engine, crm):
    """FAILURES 48: a list omits what a lost right hides."""
    for number in range(60):
        crm.keep("contact", f"c{number}", f"Contact {number}")
    refresh(engine)
    hidden = {key: crm.records.pop(key) for key in list(crm.records) if key[0] == "contact" and key[1] > "c2"}
    count = len(engine.sent(DirectoryChanged))
    found = refresh(engine)
    assert (found["contact"].vanished, found["contact"].doubtful) == (0, len(hidden))
    assert len(engine.sent(DirectoryChanged)) == count
    with engine.database.read() as session:
        assert [alarm.name for alarm in alarms(session)] == ["directory_vanished:contact"]
    crm.records.update(hidden)
    refresh(engine)
    with engine.database.read() as session:
        assert alarms(session) == []


def test_a_kind_of_which_nothing_is_left_is_doubtful_too(engine, crm):
    poll(engine)
    del crm.records["user", "anna"]
    assert refresh(engine)["user"].doubtful == 1


def test_a_refresh_that_is_interrupted_is_due_again_and_tells_of_nothing_gone(engine, crm):
    poll(engine)
    del crm.records["account", "globex"]
    assert refresh(engine, go_on=lambda _: False) == {}
    with engine.database.read() as session:
        assert refresh_is_due(session, now=engine.clock)
    assert told(engine)["account", "globex"].active
    refresh(engine)
    with engine.database.read() as session:
        assert not refresh_is_due(session, now=engine.clock)
        assert refresh_is_due(session, now=engine.clock + REFRESH_EVERY)
