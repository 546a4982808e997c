"""The change feeds: whoever walks them misses nothing and reads nothing twice without need."""

import uuid
from datetime import timedelta

import pytest

from crm_sync_service.desk import directory
from crm_sync_service.desk.cases import create_case
from crm_sync_service.desk.models import Account, Case
from crm_sync_service.desk.stamps import lock, stamp
from shared.clock import utc_now
from tests.crm_sync_service.desk.client import UNKNOWN_ID, demo, fresh_id


@pytest.fixture
def database_url(url_of_backend):
    return url_of_backend


def walk(api, path, **query):
    """Every page from the first to the last."""
    answer = api.get(path, **query).json
    yield answer["rows"]
    while answer["next"]:
        answer = api.get(path, **(query | answer["next"])).json
        yield answer["rows"]


def test_rows_come_in_the_order_of_their_last_change(api):
    first, second, third = (api.case(name=name)["id"] for name in ("one", "two", "three"))
    api.patch(f"/cases/{first}", {"priority": "low"})
    assert [row["id"] for row in api.rows("/cases")] == [second, third, first]


def test_the_pages_hold_every_row_once(api):
    ids = [api.case()["id"] for _ in range(7)]
    pages = list(walk(api, "/cases", limit=3))
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [row["id"] for page in pages for row in page] == ids


def test_a_last_page_that_is_full_is_known_to_be_the_last(api):
    for _ in range(3):
        api.case()
    assert api.get("/cases", limit=3).json["next"] is None


def test_a_row_changed_while_the_pages_are_walked_moves_to_the_end_and_hides_no_other(api):
    ids = [api.case()["id"] for _ in range(6)]
    first = api.get("/cases", limit=2).json
    api.patch(f"/cases/{ids[0]}", {"status": "closed"})
    api.patch(f"/cases/{ids[3]}", {"status": "closed"})
    rest = [row["id"] for page in walk(api, "/cases", limit=2, **first["next"]) for row in page]
    assert rest == [ids[2], ids[4], ids[5], ids[0], ids[3]]


def test_reading_since_a_stamp_includes_the_row_that_has_it(api):
    api.case()
    second, third = api.case(), api.case()
    assert api.rows("/cases", modified_since=second["modified_at"]) == [second, third]


def test_behind_a_row_comes_the_next_one_even_if_they_share_the_stamp(api, database):
    moment = utc_now()
    with database.write() as session:
        lock(session, now=moment)
        cases = [create_case(session, {"name": "Bulk"}, actor="Importer", now=moment) for _ in range(5)]
        for case in cases:
            case.modified_at = moment
    pages = list(walk(api, "/cases", limit=2))
    assert [row["id"] for page in pages for row in page] == sorted(str(case.id) for case in cases)


def test_deleted_rows_stay_in_the_feed(api):
    case = api.case()
    api.delete(f"/cases/{case['id']}")
    (row,) = api.rows("/cases", modified_since=case["modified_at"])
    assert (row["id"], row["deleted"], row["version"]) == (case["id"], True, 2)


def test_stamps_grow_strictly_even_if_the_clock_stands_still_or_goes_back(database):
    now = utc_now()
    with database.write() as session:
        first = create_case(session, {"name": "Now"}, actor="A", now=now)
        second = create_case(session, {"name": "Same moment"}, actor="A", now=now)
    with database.write() as session:
        third = create_case(session, {"name": "Clock set back"}, actor="A", now=now - timedelta(hours=1))
        lock(session, now=now)
        stamp(session, third, actor="A", now=now - timedelta(hours=2))
    assert first.modified_at < second.modified_at < third.modified_at
    assert third.version == 2


def test_notes_have_a_feed_of_their_own(api):
    case = api.case()
    notes = [api.note(case["id"], position=position) for position in (1, 2)]
    assert api.rows("/notes") == notes
    changed = api.patch(f"/notes/{notes[0]['id']}", {"body": "Edited"}).json
    assert api.rows("/notes", modified_since=notes[1]["modified_at"]) == [notes[1], changed]


def test_the_directory_has_feeds_with_names_addresses_and_activity(api):
    assert {row["name"] for row in api.rows("/accounts")} >= {"Globex GmbH & Söhne"}
    contact = next(row for row in api.rows("/contacts") if row["name"] == "Li Wei 李伟")
    assert (contact["emails"], contact["account_id"]) == (["li@globex.example"], demo("account", "globex"))
    user = next(row for row in api.rows("/users") if row["name"] == "Anna Visser")
    assert (user["email"], user["active"], user["id"]) == ("anna@support.example", True, demo("user", "anna"))
    assert "password_hash" not in user
    assert len(api.rows("/products")) == 5
    assert api.get(f"/products/{demo('product', 'sync')}").json["name"] == "Sync Engine"


def test_a_merged_account_says_into_which_and_takes_its_cases_and_contacts_along(api, database):
    case = api.case(account_id=demo("account", "acme"), contact_id=demo("contact", "carol"))
    with database.write() as session:
        directory.merge_accounts(
            session,
            uuid.UUID(demo("account", "acme")),
            into=uuid.UUID(demo("account", "globex")),
            actor="Anna",
            now=utc_now(),
        )
    gone = next(row for row in api.rows("/accounts") if row["id"] == demo("account", "acme"))
    assert (gone["deleted"], gone["merged_into"]) == (True, demo("account", "globex"))
    assert api.get(f"/accounts/{gone['id']}").json["merged_into"] == demo("account", "globex")
    assert api.get(f"/contacts/{demo('contact', 'carol')}").json["account_id"] == demo("account", "globex")
    (changed,) = api.rows("/cases", modified_since=case["modified_at"])
    assert (changed["account_id"], changed["version"], changed["modified_by"]) == (demo("account", "globex"), 2, "Anna")


def test_a_merged_contact_gives_its_addresses_and_its_places_to_the_other(api, database):
    carol, peter, dave = (demo("contact", key) for key in ("carol", "peter", "dave"))
    primary = api.case(contact_id=carol)
    beside = api.case(contact_id=dave, contact_ids=[carol, peter])
    with database.write() as session:
        directory.merge_contacts(session, uuid.UUID(carol), into=uuid.UUID(peter), actor="Anna", now=utc_now())
    primary, beside = (api.get(f"/cases/{case['id']}").json for case in (primary, beside))
    assert (primary["contact_id"], primary["contact_ids"]) == (peter, [peter])
    assert (beside["contact_id"], set(beside["contact_ids"])) == (dave, {dave, peter})
    assert api.get(f"/contacts/{peter}").json["emails"] == ["peter@acme.example", "carol@acme.example"]
    assert [row["id"] for row in api.rows("/contacts", email="carol@acme.example")] == [peter]
    assert api.get(f"/contacts/{carol}").status_code == 410


@pytest.mark.parametrize(
    "query",
    [
        {"modified_since": "yesterday"},
        {"modified_since": "2026-99-01"},
        {"modified_since": "9999-12-31T23:59:59-12:00"},
        {"modified_since": "2026-11-22T00:00:00Z", "after": "7"},
        {"after": UNKNOWN_ID},
        {"limit": "501"},
        {"limit": "0"},
        {"limit": "many"},
    ],
)
def test_a_query_that_cannot_be_read_is_told(api, query):
    answer = api.get("/cases", **query)
    assert (answer.status_code, answer.json["error"]) == (400, "malformed")
    assert answer.json["message"]


def test_a_contact_is_found_by_any_of_its_addresses_in_any_case(api):
    contact = api.post(
        "/contacts", {"name": "Kees", "emails": ["Kees@Acme.Example", "kees.privé@münchen.example"]}
    ).json
    shared = api.post("/contacts", {"name": "Reception", "emails": ["info@acme.example", "kees@acme.example"]}).json
    found = api.rows("/contacts", email="KEES@ACME.EXAMPLE")
    assert [row["id"] for row in found] == [contact["id"], shared["id"]]
    assert [row["id"] for row in api.rows("/contacts", email="kees.privé@xn--mnchen-3ya.example")] == [contact["id"]]
    assert api.rows("/contacts", email="nobody@acme.example") == []
    assert contact["emails"] == ["Kees@Acme.Example", "kees.privé@münchen.example"]


def test_a_contact_is_created_once_for_its_id(api):
    values = {"id": fresh_id(), "name": "Ada", "emails": ["ada@acme.example", "ADA@acme.example"]}
    created = api.post("/contacts", {**values, "account_id": demo("account", "acme")})
    assert (created.status_code, created.json["emails"]) == (201, ["ada@acme.example"])
    assert api.post("/contacts", values).status_code == 409


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("emails", ["no address"]),
        ("emails", ["two@acme.example\nBcc: x@y.example"]),
        ("emails", "ada@acme.example"),
        ("name", ""),
        ("account_id", UNKNOWN_ID),
    ],
)
def test_a_contact_that_cannot_be_is_refused_by_field(api, field, value):
    answer = api.post("/contacts", {"name": "Ada", field: value})
    assert (answer.status_code, list(answer.json["fields"])) == (422, [field])


def test_a_merge_into_itself_or_into_nothing_is_refused(api, database):
    account = uuid.UUID(demo("account", "acme"))
    for into in (account, uuid.uuid4()):
        with pytest.raises(Exception, match="into"), database.write() as session:
            directory.merge_accounts(session, account, into=into, actor="Anna", now=utc_now())
    with database.read() as session:
        assert not session.get_one(Account, account).deleted
        assert session.query(Case).count() == 0
