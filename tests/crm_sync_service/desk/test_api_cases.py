"""Cases through the API: the rules that the connector of the sync service relies on."""

import uuid

import pytest

from crm_sync_service.desk.models import User
from tests.crm_sync_service.desk.client import UNKNOWN_ID, demo, fresh_id


@pytest.fixture
def database_url(url_of_backend):
    return url_of_backend


def test_a_case_is_read_as_it_was_created(api):
    case_id = fresh_id()
    given = {
        "id": case_id,
        "name": "Sofía's gateway 李伟 🔥",
        "description": "First line\n\n  second, with spaces at its end  \n",
        "status": "assigned",
        "priority": "critical",
        "account_id": demo("account", "acme"),
        "contact_id": demo("contact", "carol"),
        "product_id": demo("product", "sensor"),
        "assigned_user_id": demo("user", "nora"),
        "ticket_number": "1001",
        "ticket_url": "http://127.0.0.1:8000/tickets/1001",
    }
    created = api.case(**given)
    read = api.get(f"/cases/{case_id}")
    assert read.json == created
    assert {field: created[field] for field in given} == given
    assert created["contact_ids"] == [demo("contact", "carol")]
    assert created["url"] == f"http://127.0.0.1:8002/cases/{case_id}"
    assert (created["version"], created["deleted"], created["modified_by"]) == (1, False, "Casebridge sync")
    assert read.headers["ETag"] == '"1"'


def test_a_case_needs_no_more_than_a_name(api):
    case = api.case()
    assert (case["status"], case["priority"], case["description"]) == ("new", "medium", "")
    assert uuid.UUID(case["id"])
    assert case["account_id"] is case["contact_id"] is case["ticket_number"] is None


def test_cases_are_numbered_one_after_the_other(api):
    assert [api.case()["number"] for _ in range(3)] == ["C-00001", "C-00002", "C-00003"]


def test_a_refused_create_uses_up_no_number(api):
    assert api.post("/cases", {"name": " "}).status_code == 422
    assert api.case()["number"] == "C-00001"


def test_creating_the_same_id_again_says_that_it_exists_and_changes_nothing(api):
    case = api.case(id=fresh_id())
    again = api.post("/cases", {"id": case["id"], "name": "Something else"})
    assert (again.status_code, again.json["error"], again.json["deleted"]) == (409, "exists", False)
    assert api.get(f"/cases/{case['id']}").json == case


def test_the_id_of_a_deleted_case_stays_taken(api):
    case = api.case()
    api.delete(f"/cases/{case['id']}")
    again = api.post("/cases", {"id": case["id"], "name": "Back again"})
    assert (again.status_code, again.json["error"], again.json["deleted"]) == (409, "exists", True)


def test_an_existing_id_is_said_before_any_other_fault_of_a_repeated_create(api):
    case = api.case()
    again = api.post("/cases", {"id": case["id"], "name": "Same", "account_id": fresh_id()})
    assert again.status_code == 409


def test_a_change_sets_only_what_it_names(api):
    case = api.case(description="Keep me", priority="high")
    changed = api.patch(f"/cases/{case['id']}", {"status": "resolved", "account_id": demo("account", "globex")}).json
    assert (changed["status"], changed["account_id"]) == ("resolved", demo("account", "globex"))
    assert (changed["description"], changed["priority"], changed["version"]) == ("Keep me", "high", 2)
    assert changed["modified_at"] > case["modified_at"]


def test_a_reference_can_be_emptied(api):
    case = api.case(product_id=demo("product", "sync"))
    assert api.patch(f"/cases/{case['id']}", {"product_id": None}).json["product_id"] is None


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"status": "new"},
        {"name": "  Printer on fire\n"},
        {"description": "", "contact_ids": []},
        {"account_id": None, "ticket_number": None},
    ],
)
def test_a_change_that_changes_nothing_leaves_version_and_time_alone(api, change):
    case = api.case()
    answer = api.patch(f"/cases/{case['id']}", change, version=1)
    assert (answer.status_code, answer.json) == (200, case)


def test_a_change_for_an_older_version_is_refused_with_the_case_as_it_is(api):
    case = api.case()
    api.patch(f"/cases/{case['id']}", {"status": "assigned"}, version=1)
    refused = api.patch(f"/cases/{case['id']}", {"status": "closed"}, version=1)
    assert (refused.status_code, refused.json["error"]) == (412, "stale")
    assert refused.json["case"] == api.get(f"/cases/{case['id']}").json
    assert refused.json["case"]["status"] == "assigned"


def test_an_older_version_is_refused_even_if_the_change_would_change_nothing(api):
    case = api.case()
    api.patch(f"/cases/{case['id']}", {"status": "assigned"})
    assert api.patch(f"/cases/{case['id']}", {"status": "assigned"}, version=1).status_code == 412


@pytest.mark.parametrize("header", ['"1"', "1", 'W/"1"', "*"])
def test_a_version_may_be_written_in_several_ways(api, header):
    case = api.case()
    answer = api("PATCH", f"/cases/{case['id']}", json={"status": "closed"}, headers={"If-Match": header})
    assert answer.status_code == 200


@pytest.mark.parametrize("header", ["one", '"1', "-1", '"' + "9" * 40 + '"'])
def test_a_version_that_is_none_is_told(api, header):
    case = api.case()
    answer = api("PATCH", f"/cases/{case['id']}", json={"status": "closed"}, headers={"If-Match": header})
    assert (answer.status_code, answer.json["error"]) == (400, "malformed")
    assert "If-Match" in answer.json["message"]


def test_a_deleted_case_is_gone_for_readers_and_writers(api):
    case = api.case()
    assert api.delete(f"/cases/{case['id']}").status_code == 204
    for answer in (
        api.get(f"/cases/{case['id']}"),
        api.patch(f"/cases/{case['id']}", {"status": "new"}),
        api.get(f"/cases/{case['id']}/notes"),
    ):
        assert answer.status_code == 410
        assert (answer.json["error"], answer.json["merged_into"]) == ("deleted", None)


def test_deleting_twice_is_as_good_as_once(api):
    case = api.case()
    assert [api.delete(f"/cases/{case['id']}").status_code for _ in range(2)] == [204, 204]
    assert [row["version"] for row in api.rows("/cases")] == [2]


@pytest.mark.parametrize("case_id", [UNKNOWN_ID, "not-an-id"])
def test_what_never_was_is_not_found(api, case_id):
    for answer in (
        api.get(f"/cases/{case_id}"),
        api.patch(f"/cases/{case_id}", {"status": "new"}),
        api.delete(f"/cases/{case_id}"),
        api.get(f"/cases/{case_id}/notes"),
    ):
        assert (answer.status_code, answer.json["error"]) == (404, "not_found")


def test_the_primary_contact_is_always_among_the_contacts(api):
    carol, peter, dave = (demo("contact", key) for key in ("carol", "peter", "dave"))
    case = api.case(contact_id=carol, contact_ids=[peter])
    assert set(case["contact_ids"]) == {carol, peter}
    case = api.patch(f"/cases/{case['id']}", {"contact_ids": []}).json
    assert case["contact_ids"] == [carol]
    case = api.patch(f"/cases/{case['id']}", {"contact_id": dave}).json
    assert (case["contact_id"], set(case["contact_ids"])) == (dave, {carol, dave})
    assert case["version"] == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account_id", UNKNOWN_ID),
        ("contact_id", UNKNOWN_ID),
        ("product_id", UNKNOWN_ID),
        ("assigned_user_id", UNKNOWN_ID),
        ("contact_ids", [UNKNOWN_ID]),
        ("status", "open"),
        ("priority", "urgent"),
        ("name", " \r\n "),
        ("name", "x" * 256),
        ("name", "a\0b"),
        ("description", "x" * 65_536),
        ("description", "half \ud83d a pair"),
        ("description", None),
        ("ticket_url", "javascript:alert(1)"),
        ("ticket_url", "http://"),
        ("ticket_number", "1" * 65),
        ("ticket_number", True),
        ("account_id", 7),
        ("contact_ids", "carol"),
        ("number", "C-00009"),
        ("version", 9),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name_in_create_and_change(api, field, value):
    case = api.case()
    for answer in (
        api.post("/cases", {"name": "Printer", field: value}),
        api.patch(f"/cases/{case['id']}", {field: value}),
    ):
        assert (answer.status_code, answer.json["error"]) == (422, "invalid")
        assert list(answer.json["fields"]) == [field]
    assert api.rows("/cases") == [case]


def test_texts_of_the_greatest_length_are_kept_whole(api):
    name, description = "😀" * 255, "\u0394" * 65_535
    case = api.case(name=name, description=description)
    assert api.get(f"/cases/{case['id']}").json["name"] == name
    assert api.get(f"/cases/{case['id']}").json["description"] == description


def test_a_name_is_one_trimmed_line_and_a_description_keeps_all_but_carriage_returns(api):
    case = api.case(name="  two\r\nlines\nor\rmore\t ", description=" \tas\r\nit\ris  \n")
    assert case["name"] == "two lines or more"
    assert case["description"] == " \tas\nit\ris  \n"


def test_a_ticket_number_may_come_as_a_number(api):
    assert api.case(ticket_number=1001)["ticket_number"] == "1001"


def test_nobody_new_can_be_put_where_an_inactive_or_deleted_record_would_be(api, database):
    from_dave = {"contact_id": demo("contact", "dave")}
    case = api.case(**from_dave, assigned_user_id=demo("user", "mila"))
    set_inactive(database, demo("user", "mila"))
    refused = api.post("/cases", {"name": "New", "assigned_user_id": demo("user", "mila")})
    assert refused.json["fields"] == {"assigned_user_id": "Mila Novak is no longer active."}
    # What is already so may stay so.
    assert api.patch(f"/cases/{case['id']}", {"assigned_user_id": demo("user", "mila")}).status_code == 200


def set_inactive(database, user_id):
    with database.write() as session:
        session.get_one(User, uuid.UUID(user_id)).active = False
