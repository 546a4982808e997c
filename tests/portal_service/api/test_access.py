"""Who may call what: nobody learns of what is not his, and a token never does more than its scopes."""

import re
from collections.abc import Callable
from io import BytesIO

import pytest
from sqlalchemy import select

from portal_service.api.operations import OPERATIONS, Operation, Who
from portal_service.demo import PASSWORD
from portal_service.people.models import User
from portal_service.people.tokens_models import ApiToken
from tests.portal_service.api.calling import Program, code_of

_OPEN = {Who.ANYONE, Who.READER}


def path_of(operation: Operation) -> str:
    """An address of this call, of something that is not there."""
    path = re.sub(r"<int:\w+>", "999999", operation.rule)
    return re.sub(r"<\w+>", "none", re.sub(r"<uuid:\w+>", "00000000-0000-4000-8000-000000000000", path))


def test_every_call_but_the_open_ones_needs_a_token(nobody: Program) -> None:
    for operation in OPERATIONS:
        if operation.who not in _OPEN:
            answer = nobody.call(operation.method, path_of(operation))
            assert code_of(answer) == (401, "no_token"), operation.name
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), operation.name


def test_a_wrong_token_is_refused_where_none_is_needed(app: object, nobody: Program) -> None:
    nobody.token = "cbt_" + "x" * 43
    assert code_of(nobody.get("/articles")) == (401, "no_token")


def test_a_cookie_opens_nothing(app: object, nobody: Program, visitors: Callable[..., object]) -> None:
    browser = visitors.log_in("carol")  # type: ignore[attr-defined]
    assert browser.get("/cases").status_code == 200
    assert browser.get("/api/v1/me").status_code == 401
    assert browser.client.post("/api/v1/tickets", json={}).status_code == 401


def test_a_token_that_reads_changes_nothing(program: Callable[..., Program]) -> None:
    reader = program("sam", "read", "staff")
    for operation in OPERATIONS:
        if operation.scope == "write" and operation.who not in _OPEN | {Who.ADMIN, Who.CUSTOMER}:
            assert code_of(reader.call(operation.method, path_of(operation)))[1] == "insufficient_scope", operation.name


def test_an_agents_token_without_the_scope_acts_as_no_agent(program: Callable[..., Program]) -> None:
    sam = program("sam", "read", "write")
    assert sam.get("/me").status_code == 200
    for path in ("/tickets", "/tickets/1", "/tickets/1/comments", "/contacts", "/registrations", "/accounts"):
        assert code_of(sam.get(path)) == (403, "insufficient_scope"), path


def test_what_is_for_staff_is_not_there_for_customers(carol: Program) -> None:
    for operation in OPERATIONS:
        if operation.who in {Who.STAFF, Who.ADMIN}:
            answer = carol.call(operation.method, path_of(operation))
            assert code_of(answer) == (404, "not_found"), operation.name


def test_foreign_unknown_and_deleted_tickets_are_answered_alike(carol: Program, dave: Program, sam: Program) -> None:
    foreign, deleted = carol.file(), dave.file()
    sam.delete(f"/tickets/{deleted}")
    for path in ("", "/comments", "/files", "/history", "/sync"):
        answers = [dave.get(f"/tickets/{number}{path}") for number in (foreign, deleted, 999_999, 10**18)]
        assert {answer.status_code for answer in answers} == {404}
        texts = [{**answer.json, "request_id": ""} for answer in answers]
        assert texts.count(texts[0]) == len(texts), path
    for call in ("comments", "solve", "reopen"):
        assert code_of(dave.post(f"/tickets/{foreign}/{call}", {"body": "mine?"})) == (404, "not_found"), call


def test_no_customer_ever_reads_an_internal_note(carol: Program, sam: Program) -> None:
    number = carol.file()
    upload = sam.call("POST", "/uploads", data={"file": (BytesIO(b"hidden words"), "secret-plan.txt")}).json
    note = {"body": "He is difficult", "internal": True, "files": [upload["id"]]}
    assert sam.post(f"/tickets/{number}/comments", note).json["internal"] is True
    sam.post(f"/tickets/{number}/transfer", {"note": "Difficult customer"})
    secret = sam.get(f"/tickets/{number}/files").json["items"][0]["id"]
    for path in ("", "/comments", "/files", "/history", "/sync"):
        told = carol.get(f"/tickets/{number}{path}").text.lower()
        assert "difficult" not in told, path
        assert "secret-plan" not in told, path
        assert "internal" not in told, path
    assert carol.get(f"/tickets/{number}/files/{secret}").status_code == 404
    assert carol.get("/tickets?q=difficult&status=all").json["items"] == []
    assert sam.get(f"/tickets/{number}/files/{secret}").data == b"hidden words"


def test_customers_write_no_notes_and_ask_no_questions(carol: Program) -> None:
    number = carol.file()
    for field in ("internal", "ask"):
        answer = carol.post(f"/tickets/{number}/comments", {"body": "x", field: True})
        assert code_of(answer) == (422, "invalid")
    assert carol.get(f"/tickets/{number}/comments").json["items"] == []


def test_uploads_belong_to_who_sent_them(carol: Program, dave: Program) -> None:
    number = dave.file()
    upload = carol.call("POST", "/uploads", data={"file": (BytesIO(b"mine"), "mine.txt")}).json
    assert code_of(dave.post(f"/tickets/{number}/comments", {"body": "", "files": [upload["id"]]})) == (422, "invalid")
    assert dave.delete(f"/uploads/{upload['id']}").status_code == 404
    assert carol.delete(f"/uploads/{upload['id']}").status_code == 204


def test_a_guests_token_opens_one_ticket(nobody: Program, carol: Program, app: object) -> None:
    other = carol.file()
    filed = nobody.post(
        "/guest/tickets",
        {
            "name": "Gus Guest", "email": "gus@guest.example", "company": "Guests", "phone": "+31 20 123 4567",
            "type": "level-1", "nature": "question", "subject": "Help", "description": "Please help.",
            "product_id": carol.request()["product_id"], "call_time": "2099-01-02T10:00",
            "call_zone": "Europe/Amsterdam",
        },
    )  # fmt: skip
    assert filed.status_code == 201, filed.text
    number, key = filed.json["number"], filed.json["key"]
    assert code_of(nobody.post("/guest/tokens", {"number": other, "key": key})) == (401, "wrong_key")
    made = nobody.post("/guest/tokens", {"number": number, "key": key})
    guest = Program(nobody.app, made.json["token"])
    assert guest.get(f"/tickets/{number}").json["subject"] == "Help"
    assert guest.post(f"/tickets/{number}/comments", {"body": "More."}).status_code == 201
    assert guest.post(f"/tickets/{number}/solve").json["status"] == "solved"
    for path in ("/tickets", f"/tickets/{other}", "/me", "/accounts", "/me/tokens"):
        assert code_of(guest.get(path)) == (404, "not_found"), path
    renewed = guest.post(f"/tickets/{number}/new-key")
    assert renewed.status_code == 201
    assert guest.get(f"/tickets/{number}").status_code == 401
    assert nobody.post("/guest/tokens", {"number": number, "key": renewed.json["key"]}).status_code == 201


def test_logging_in_and_out(nobody: Program) -> None:
    wrong = nobody.post("/tokens", {"username": "carol", "password": "wrong"})
    assert code_of(wrong) == (401, "log_in_refused")
    unknown = nobody.post("/tokens", {"username": "nobody-of-this-name", "password": "wrong"})
    assert {**wrong.json, "request_id": ""} == {**unknown.json, "request_id": ""}
    made = nobody.post("/tokens", {"username": "carol", "password": PASSWORD, "scopes": ["read"], "name": "shell"})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    shell = Program(nobody.app, made.json["token"])
    assert [one["name"] for one in shell.get("/me/tokens").json["items"]] == ["shell"]
    with shell.database.read() as session:
        assert made.json["token"] not in str(session.scalars(select(ApiToken.token_hash)).all())
    assert shell.delete("/tokens/current").status_code == 204
    assert shell.get("/me").status_code == 401


def test_customers_get_no_scope_of_staff(nobody: Program, program: Callable[..., Program]) -> None:
    asked = {"username": "carol", "password": PASSWORD, "scopes": ["staff"]}
    assert code_of(nobody.post("/tokens", asked)) == (422, "invalid")
    writer = program("sam", "write")
    more = writer.post("/me/tokens", {"password": PASSWORD, "scopes": ["write", "staff"]})
    assert code_of(more) == (403, "insufficient_scope")


def test_a_new_password_ends_every_token(carol: Program) -> None:
    wrong = carol.post("/me/password", {"current": "wrong", "password": "four words in a row"})
    assert code_of(wrong) == (422, "invalid")
    assert carol.post("/me/password", {"current": PASSWORD, "password": "four words in a row"}).status_code == 204
    assert carol.get("/me").status_code == 401


@pytest.mark.parametrize("state", ["rejected", "awaiting_approval"])
def test_a_token_ends_with_its_owners_log_in(carol: Program, state: str) -> None:
    with carol.database.write() as session:
        session.scalars(select(User).where(User.username_key == "carol")).one().state = state
    assert carol.get("/me").status_code == 401
