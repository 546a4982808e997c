"""The connector contract, held against the bundled CRM over HTTP, the CRM in memory of the tests, and simulators."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm_sync_service.connection import open_connector
from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    GoneError,
    InvalidError,
    NewCase,
    NewContact,
    NewNote,
    NotFoundError,
    StaleError,
    UnauthorisedError,
    UnreachableError,
    rewrite_note,
)
from crm_sync_service.connectors.config import ConnectorConfig
from shared.ids import derived_id, new_id
from shared.redaction import REDACTED
from tests.crm_sync_service.desk.client import KEY
from tests.crm_sync_service.espocrm.simulator import KEY as ESPOCRM_KEY
from tests.crm_sync_service.espocrm.simulator import running as running_espocrm
from tests.crm_sync_service.fake_crm import FakeCrm
from tests.crm_sync_service.suitecrm.simulator import CLIENT, SECRET, Simulator

ACME = str(derived_id("demo-account", "acme"))
GLOBEX = str(derived_id("demo-account", "globex"))
CAROL = str(derived_id("demo-contact", "carol"))


def desk(url, key=KEY):
    return open_connector("desk", ConnectorConfig(url=url, api_key=key), None)[0]


@pytest.fixture(scope="module")
def suitecrm_url():
    with Simulator().served() as simulator:
        simulator.tables.keep("Accounts", ACME, name="Acme Instruments")
        simulator.tables.keep("Accounts", GLOBEX, name="Globex")
        carol = {"first_name": "Carol", "last_name": "Jansen", "email1": "carol@acme.example", "account_id": ACME}
        simulator.tables.keep("Contacts", CAROL, **carol)
        yield simulator.url


def suitecrm(url):
    connector, _ = open_connector("suitecrm", ConnectorConfig(url=url, client_id=CLIENT, client_secret=SECRET), None)
    return connector


@pytest.fixture(scope="module")
def espocrm_url():
    with running_espocrm() as simulator:
        simulator.state.keep("Account", ACME, name="Acme Instruments")
        simulator.state.keep("Account", GLOBEX, name="Globex")
        carol = {"firstName": "Carol", "lastName": "Jansen", "emailAddress": "carol@acme.example", "accountId": ACME}
        simulator.state.keep("Contact", CAROL, **carol)
        yield simulator.url


def espocrm(url):
    return open_connector("espocrm", ConnectorConfig(url=url, api_key=ESPOCRM_KEY), None)[0]


@pytest.fixture(params=["desk", "fake", "suitecrm", "espocrm"])
def crm(request):
    if request.param == "desk":
        connector = desk(request.getfixturevalue("desk_url"))
    elif request.param == "suitecrm":
        connector = suitecrm(request.getfixturevalue("suitecrm_url"))
    elif request.param == "espocrm":
        connector = espocrm(request.getfixturevalue("espocrm_url"))
    else:
        connector = FakeCrm()
        connector.keep("account", ACME, "Acme Instruments")
        connector.keep("account", GLOBEX, "Globex")
        connector.keep("contact", CAROL, "Carol Jansen", emails=("carol@acme.example",), account_id=ACME)
    yield connector
    connector.close()


OPTIONS = {
    "suitecrm": {"new": "Open_New", "closed": "Closed_Closed", "medium": "P2", "high": "P1"},
    "espocrm": {"new": "New", "closed": "Closed", "medium": "Normal", "high": "High"},
}


def key(crm, word):
    """An option as this CRM calls it."""
    return OPTIONS.get(crm.name, {}).get(word, word)


def fields(crm, **changes):
    return {
        "subject": "Printer",
        "description": "It burns",
        "status": key(crm, "new"),
        "priority": key(crm, "medium"),
        "account": ACME,
        "contact": CAROL,
        "product": None,
        "assignee": None,
        "ticket_number": str(new_id().int % 10**9),
        "ticket_url": "http://127.0.0.1:8000/tickets/1001",
        **changes,
    }


def create(crm, **changes):
    return crm.create_case(NewCase(id=str(new_id()), key=str(new_id()), fields=fields(crm, **changes)))


def note(case_id, **changes):
    values = {
        "id": str(new_id()),
        "key": str(new_id()),
        "case_id": case_id,
        "title": "Customer Carol: hello",
        "body": "hello",
    }
    values |= {"author": "Carol", "side": "customer", "position": 1, "created_at": datetime.now(UTC)}
    return NewNote(**(values | changes))


def test_what_is_created_is_read_back(crm):
    subject = "a (b) & 'c' 🔥" if crm.name == "espocrm" else "a <b> & 'c' 🔥"
    case = create(crm, subject=subject)
    again = crm.get_case(case.id)
    assert (again.fields, again.stamp, again.version) == (case.fields, case.stamp, case.version)
    assert again.fields["subject"] == subject
    assert again.number


def test_a_create_with_a_known_id_or_key_is_refused(crm):
    first = NewCase(id=str(new_id()), key=str(new_id()), fields=fields(crm))
    case = crm.create_case(first)
    with pytest.raises(AlreadyExistsError) as refused:
        crm.create_case(replace(first, fields=fields(crm, subject="another")))
    assert refused.value.record_id in ({case.id} if crm.capabilities.unique_keys else {case.id, None})
    assert crm.get_case(case.id).fields["subject"] == "Printer"
    assert crm.find_case(first).id == case.id


def test_what_was_never_made_is_not_found(crm):
    case = create(crm)
    assert crm.find_case(NewCase(id=str(new_id()), key=str(new_id()))) is None
    assert crm.find_note(note(case.id)) is None


def test_parallel_creates_with_one_id_make_one_case(crm):
    case_id = str(new_id())
    number = fields(crm)

    def attempt(_):
        try:
            return crm.create_case(NewCase(id=case_id, key=case_id, fields=number)).id
        except AlreadyExistsError:
            return None

    with ThreadPoolExecutor(6) as pool:
        made = [made for made in pool.map(attempt, range(6)) if made]
    if crm.capabilities.client_ids:
        assert made == [case_id]
    else:
        assert len(made) == 1


def test_an_update_changes_only_what_is_sent(crm):
    case = create(crm)
    after = crm.update_case(case.id, {"priority": key(crm, "high"), "account": GLOBEX}, version=case.version)
    assert after.fields == {**case.fields, "priority": key(crm, "high"), "account": GLOBEX}
    assert after.stamp != case.stamp


def test_an_update_that_changes_nothing_leaves_the_stamp(crm):
    case = create(crm)
    assert crm.update_case(case.id, {"priority": key(crm, "medium")}, version=case.version).stamp == case.stamp


def test_an_update_for_an_older_version_is_stale(crm):
    case = create(crm)
    crm.update_case(case.id, {"priority": key(crm, "high")}, version=case.version)
    with pytest.raises(StaleError):
        crm.update_case(case.id, {"status": key(crm, "closed")}, version=case.version)


def test_values_the_crm_cannot_take_are_named(crm):
    case = create(crm)
    with pytest.raises(InvalidError) as refused:
        crm.update_case(case.id, {"status": "on the moon"}, version=None)
    assert set(refused.value.fields) == {"status"}


def test_an_unknown_case_is_not_found(crm):
    with pytest.raises(NotFoundError):
        crm.get_case(str(new_id()))


def test_a_note_is_made_once(crm):
    case = create(crm)
    new = note(case.id)
    note_id = crm.create_note(new)
    assert note_id == new.id or not crm.capabilities.client_ids
    with pytest.raises(AlreadyExistsError) as refused:
        crm.create_note(new)
    assert refused.value.record_id in ({note_id} if crm.capabilities.unique_keys else {note_id, None})
    assert crm.find_note(new) == note_id
    title = new.title[: crm.capabilities.text.note_title_length]
    assert [(n.id, n.title, n.body) for n in crm.notes_of(case.id)] == [(note_id, title, new.body)]


def test_the_words_of_a_note_can_be_taken_out(crm):
    case = create(crm)
    new = note(case.id, body="My name is Carol")
    note_id = crm.create_note(new)
    rewrite_note(crm, note_id, replace(new, title=REDACTED, body=REDACTED, author=REDACTED))
    [found] = crm.notes_of(case.id)
    assert (found.id, found.body) == (note_id, REDACTED)
    assert "Carol" not in found.title
    assert crm.find_note(new) == note_id


def test_notes_do_not_touch_the_case(crm):
    case = create(crm)
    crm.create_note(note(case.id))
    assert crm.get_case(case.id).stamp == case.stamp


def test_the_feed_shows_each_change_with_the_stamp_a_read_gives(crm):
    before = create(crm)
    since = crm.changed_cases(None, page=None).newest
    changed = crm.update_case(before.id, {"priority": key(crm, "high")}, version=None)
    rows = {}
    page = None
    while True:
        answer = crm.changed_cases(crm.rewind(since, timedelta(seconds=0)), page=page)
        rows |= {row.case_id: row.stamp for row in answer.rows}
        page = answer.next
        if page is None:
            break
    assert rows[before.id] == changed.stamp == crm.get_case(before.id).stamp


def test_contacts_are_found_by_any_spelling_of_their_address(crm):
    assert [entry.crm_id for entry in crm.contacts_by_email("CAROL@acme.example")] == [CAROL]
    assert list(crm.contacts_by_email("nobody@acme.example")) == []


def test_a_contact_is_made_once(crm):
    address = f"neo-{new_id().hex}@x.example"
    new = NewContact(id=str(new_id()), name="Neo", emails=(address,), account_id=ACME)
    contact_id = crm.create_contact(new).crm_id
    assert contact_id == new.id or not crm.capabilities.client_ids
    with pytest.raises(AlreadyExistsError) as refused:
        crm.create_contact(new)
    assert refused.value.record_id in ({contact_id, None} if crm.capabilities.client_ids else {contact_id})
    assert [entry.crm_id for entry in crm.contacts_by_email(address.upper())] == [contact_id]


def test_the_directory_names_accounts(crm):
    rows = crm.changed_directory("account", None, page=None).rows
    assert "Acme Instruments" in {row.name for row in rows if row.active}


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    subject=st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    description=st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
)
def test_text_comes_back_as_normalise_says(crm, subject, description):
    """Otherwise every look would find a difference that nobody made."""
    subject = crm.normalise("subject", subject) or "none"
    description = crm.normalise("description", description)
    stored = create(crm, subject=subject, description=description)
    assert stored.fields["subject"] == subject
    assert stored.fields["description"] == description


def test_a_wrong_key_is_an_answer_of_its_own(desk_url):
    crm = desk(desk_url, "wrong")
    with pytest.raises(UnauthorisedError, match="CRM_API_KEY"):
        crm.info()
    crm.close()


def test_a_port_where_nobody_listens_is_unreachable():
    crm = desk("http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="no answer"):
        crm.info()
    crm.close()


def test_a_deleted_case_is_gone(desk_url):
    crm = desk(desk_url)
    case = create(crm)
    httpx.delete(f"{desk_url}/api/v1/cases/{case.id}", headers={"Authorization": f"Bearer {KEY}"})
    with pytest.raises(GoneError):
        crm.get_case(case.id)
    crm.close()
