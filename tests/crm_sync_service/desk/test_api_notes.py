"""Notes through the API."""

import uuid

import pytest
from sqlalchemy import select

from crm_sync_service.desk.models import Change
from tests.crm_sync_service.desk.client import UNKNOWN_ID, fresh_id


@pytest.fixture
def database_url(url_of_backend):
    return url_of_backend


def test_a_note_is_read_as_it_was_created(api):
    case = api.case()
    note = api.note(case["id"], id=fresh_id(), position=7, created_at="2026-11-20T10:00:00+01:00", body="a\r\nb ")
    assert api.get(f"/notes/{note['id']}").json == note
    assert (note["position"], note["body"], note["side"], note["author"]) == (7, "a\nb ", "customer", "Carol Jansen")
    assert note["created_at"] == "2026-11-20T09:00:00.000000Z"
    assert (note["origin"], note["version"]) == ("api", 1)


def test_a_note_needs_neither_title_nor_position_nor_time(api):
    case = api.case()
    api.note(case["id"], position=4)
    bare = api.post("/notes", {"case_id": case["id"], "body": "Hi", "author": "Nora", "side": "staff"}).json
    assert (bare["title"], bare["position"]) == ("", 4)
    assert [row["id"] for row in api.rows(f"/cases/{case['id']}/notes")][-1] == bare["id"]


def test_a_note_leaves_the_times_and_the_version_of_its_case_alone(api):
    case = api.case()
    note = api.note(case["id"])
    api.patch(f"/notes/{note['id']}", {"body": "Better"})
    assert api.get(f"/cases/{case['id']}").json == case


def test_creating_the_same_note_again_says_that_it_exists(api):
    case = api.case()
    note = api.note(case["id"], id=fresh_id())
    again = api.post("/notes", {**{k: note[k] for k in ("id", "case_id", "author", "side")}, "body": "Other"})
    assert (again.status_code, again.json["error"]) == (409, "exists")
    assert [row["body"] for row in api.rows(f"/cases/{case['id']}/notes")] == ["Hello"]


def test_the_notes_of_a_case_come_by_position_then_by_time(api):
    case = api.case()
    for position, hour in [(2, 11), (1, 12), (2, 10), (3, 9)]:
        api.note(
            case["id"], position=position, created_at=f"2026-11-20T{hour:02}:00:00Z", title=f"{position} at {hour}"
        )
    api.note(api.case()["id"], title="of another Case")
    titles = [row["title"] for row in api.rows(f"/cases/{case['id']}/notes")]
    assert titles == ["1 at 12", "2 at 10", "2 at 11", "3 at 9"]


def test_title_and_body_can_be_changed_and_nothing_else(api):
    note = api.note(api.case()["id"])
    changed = api.patch(f"/notes/{note['id']}", {"title": "New", "body": "Newer"}, version=1).json
    assert (changed["title"], changed["body"], changed["version"]) == ("New", "Newer", 2)
    assert api.patch(f"/notes/{note['id']}", {"author": "Mallory"}).json["fields"] == {"author": "Unknown field."}
    assert api.patch(f"/notes/{note['id']}", {"title": "New"}).json == changed
    stale = api.patch(f"/notes/{note['id']}", {"title": "Late"}, version=1)
    assert (stale.status_code, stale.json["note"]) == (412, changed)


def test_words_that_are_taken_out_are_gone_from_the_history_too(api, database):
    case = api.case(name="Carol's printer")
    note = api.note(case["id"], title="Carol: hello", body="I am Carol", author="Carol", side="customer")
    api.patch(f"/notes/{note['id']}", {"title": "[redacted]", "body": "[redacted]"})
    api.patch(f"/cases/{case['id']}", {"name": "[redacted]"})
    assert api.get(f"/notes/{note['id']}").json["author"] == "[redacted]"
    with database.read() as session:
        ours = select(Change).where(Change.record_id.in_([uuid.UUID(case["id"]), uuid.UUID(note["id"])]))
        told = [(row.before, row.after) for row in session.scalars(ours)]
    assert "Carol" not in str(told)
    assert len(told) >= 4, "what was changed, and when, stays"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("case_id", UNKNOWN_ID),
        ("side", "public"),
        ("body", "x" * 65_536),
        ("title", "x" * 256),
        ("author", " "),
        ("position", -1),
        ("position", 2**31),
        ("position", "first"),
        ("created_at", "yesterday"),
        ("created_at", "0001-01-01T00:00:00+14:00"),
        ("created_at", 12),
    ],
)
def test_a_note_that_cannot_be_is_refused_by_field(api, field, value):
    case = api.case()
    note = {"case_id": case["id"], "body": "Hello", "author": "Carol", "side": "customer", field: value}
    answer = api.post("/notes", note)
    assert (answer.status_code, list(answer.json["fields"])) == (422, [field])
    assert api.rows("/notes") == []


def test_a_deleted_case_takes_no_notes(api):
    case = api.case()
    api.delete(f"/cases/{case['id']}")
    answer = api.post("/notes", {"case_id": case["id"], "body": "Hello", "author": "Carol", "side": "customer"})
    assert (answer.status_code, answer.json["fields"]) == (422, {"case_id": "This Case was deleted."})


def test_a_note_that_never_was_is_not_found(api):
    for answer in (api.get(f"/notes/{fresh_id()}"), api.patch(f"/notes/{fresh_id()}", {"title": "x"})):
        assert (answer.status_code, answer.json["error"]) == (404, "not_found")


def test_a_note_can_be_removed(api):
    case = api.case()
    note = api.note(case["id"])
    assert api.delete(f"/notes/{note['id']}").status_code == 204
    assert api.rows(f"/cases/{case['id']}/notes") == []
    assert api.delete(f"/notes/{note['id']}").status_code == 404


def test_a_removed_contact_is_gone_but_stays_in_the_feed(api):
    contact = api.post("/contacts", {"name": "Neo", "emails": ["neo@x.example"]}).json
    assert [api.delete(f"/contacts/{contact['id']}").status_code for _ in range(2)] == [204, 204]
    assert api.get(f"/contacts/{contact['id']}").status_code == 410
    assert api.rows("/contacts", email="neo@x.example") == []
    assert [row["deleted"] for row in api.rows("/contacts") if row["id"] == contact["id"]] == [True]
