"""Logging in and out of the desk."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from crm_sync_service.desk import auth
from crm_sync_service.desk.models import Case, LoginAttempt, LoginSession, User
from tests.crm_sync_service.desk.client import Visitor, words_of

PAGES = [
    "/",
    "/cases",
    "/accounts",
    "/contacts",
    "/products",
    "/users",
    "/me",
    "/cases/00000000-0000-0000-0000-000000000000",
]


@pytest.fixture
def stranger(app):
    return Visitor(app)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_needs_a_log_in_and_leads_back(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 302
    assert answer.location.startswith("/login")
    wanted = "" if path == "/" else path
    assert stranger.log_in(next=wanted).location == (wanted or "/")


def test_no_route_of_the_pages_is_left_unguarded(app, stranger):
    values = {"kind": "cases", "name": "status", "record_id": UUID(int=0), "contact_id": UUID(int=0)}
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("pages.")]
    assert len(rules) > 15
    for rule in rules:
        if rule.endpoint not in {"pages.login", "pages.log_in"}:
            path = app.url_map.bind("").build(rule.endpoint, {name: values[name] for name in rule.arguments})
            answer = stranger.post(path) if "POST" in rule.methods else stranger.get(path)
            assert answer.status_code == (401 if "POST" in rule.methods else 302), rule


def test_a_user_name_is_taken_in_any_case_and_with_spaces_around(stranger):
    assert stranger.log_in(" ANNA ").status_code == 303
    assert "Anna Visser" in words_of(stranger.get("/cases"))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("anna", "wrong"),
        ("nobody", "casebridge-demo"),
        ("sam", "casebridge-demo"),
        ("anna", ""),
        ("", ""),
        ("a\0nna", "x"),
    ],
)
def test_a_log_in_that_fails_says_the_same_whatever_was_wrong(stranger, username, password):
    answer = stranger.log_in(username, password)
    assert answer.status_code == 401
    assert "do not belong together" in words_of(answer)
    assert stranger.get("/cases").status_code == 302


def test_guessing_is_stopped_for_a_while_even_with_the_right_password(stranger, database):
    for _ in range(auth.MOST_PER_NAME_AND_ADDRESS):
        assert stranger.log_in("anna", "guess").status_code == 401
    refused = stranger.log_in("anna")
    assert refused.status_code == 429
    assert "15 minutes" in words_of(refused)
    assert stranger.log_in("bram").status_code == 303
    let_time_pass(database, LoginAttempt.at, auth.WINDOW)
    assert Visitor(stranger._client.application).log_in("anna").status_code == 303


def test_guessing_at_many_names_from_one_address_is_stopped(stranger):
    for number in range(auth.MOST_PER_ADDRESS):
        assert stranger.log_in(f"name-{number}", "guess").status_code == 401
    assert stranger.log_in("anna").status_code == 429


def test_a_good_log_in_forgets_the_bad_ones_before_it(stranger):
    for _ in range(3):
        for _ in range(auth.MOST_PER_NAME_AND_ADDRESS - 1):
            stranger.log_in("anna", "typo")
        assert stranger.log_in("anna").status_code == 303
        stranger.post("/logout")


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: x=1"],
)
def test_a_log_in_leads_nowhere_else(stranger, target):
    assert stranger.log_in(next=target).location == "/"


def test_a_form_without_its_token_is_refused(stranger):
    answer = stranger.post("/login", username="anna", password="casebridge-demo", csrf_token="")
    assert answer.status_code == 400
    assert stranger.get("/cases").status_code == 302


def test_logging_out_ends_the_session_also_for_a_copied_cookie(app, anna):
    cookie = anna._client.get_cookie("casebridge_crm").value
    anna.post("/logout")
    thief = app.test_client()
    thief.set_cookie("casebridge_crm", cookie)
    assert thief.get("/cases").status_code == 302


@pytest.mark.parametrize(
    ("column", "span"), [(LoginSession.last_seen_at, auth.IDLE), (LoginSession.created_at, auth.LONGEST)]
)
def test_a_session_ends_when_it_is_idle_or_old(anna, database, column, span):
    assert anna.get("/cases").status_code == 200
    let_time_pass(database, column, span + timedelta(seconds=1))
    assert anna.get("/cases").status_code == 302


def test_a_session_in_use_stays_alive(anna, database):
    let_time_pass(database, LoginSession.last_seen_at, auth.IDLE - timedelta(minutes=1))
    assert anna.get("/cases").status_code == 200
    let_time_pass(database, LoginSession.last_seen_at, timedelta(minutes=2))
    assert anna.get("/cases").status_code == 200


def test_a_user_who_is_no_longer_active_is_out_at_once(anna, database):
    with database.write() as session:
        session.execute(update(User).where(User.name == "Anna Visser").values(active=False))
    assert anna.get("/cases").status_code == 302
    assert anna.log_in().status_code == 401


def test_what_was_written_before_the_log_in_ended_is_given_back(anna, api, database):
    case = api.case()
    let_time_pass(database, LoginSession.last_seen_at, auth.IDLE + timedelta(seconds=1))
    answer = anna.post(f"/cases/{case['id']}/notes", title="Call", body="A long story")
    assert answer.status_code == 401
    assert "Call A long story" in words_of(answer)


def test_neither_passwords_nor_tokens_are_stored_as_they_are(anna, database):
    token = session_token(anna)
    with database.read() as session:
        stored = session.scalars(select(LoginSession.token_hash)).all()
        hashes = session.scalars(select(User.password_hash).where(User.password_hash.is_not(None))).all()
    assert token not in stored
    assert len(hashes) == 3
    assert all(value.startswith("$argon2id$") for value in hashes)


def test_times_are_shown_in_the_zone_that_the_visitor_chooses(anna, api, database):
    case = api.case()
    with database.write() as session:
        session.execute(update(Case).values(created_at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC)))
    page = anna.get(f"/cases/{case['id']}")
    assert "2 Jul 2026, 00:30 CEST" in words_of(page)
    assert 'datetime="2026-07-01T22:30:00.000000Z"' in page.text
    assert anna.post("/me", timezone="Asia/Tokyo").status_code == 303
    assert "2 Jul 2026, 07:30 JST" in words_of(anna.get(f"/cases/{case['id']}"))
    assert anna.post("/me", timezone="Mars/Olympus").status_code == 422


def session_token(visitor):
    with visitor._client.session_transaction() as session:
        return session["token"]


def let_time_pass(database, column, span):
    """Put moments back instead of waiting."""
    with database.write() as session:
        for row in session.scalars(select(column.class_)):
            setattr(row, column.key, getattr(row, column.key) - span)
