"""Who gets into the console, and what they may do there."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from crm_sync_service.console import auth
from crm_sync_service.console.auth import PasswordError, add_user
from crm_sync_service.console.demo import load_demo
from crm_sync_service.console.models import ConsoleAction, ConsoleSession, ConsoleUser
from shared.clock import utc_now
from shared.ids import new_id
from tests.crm_sync_service.console.conftest import PASSWORD, Browser

OPEN = {"/log-in", "/healthz", "/readyz", "/metrics"}


def every_path(app):
    """All paths that a browser can ask for, with made-up arguments."""
    some = {"ticket_id": new_id(), "action_id": 1, "key": "k", "event_id": new_id(), "destination": "portal-events"}
    some |= {
        "conflict_id": 1,
        "reply_id": new_id(),
        "run_id": 1,
        "name": "status",
        "act": "skip",
        "crm": "desk",
        "topic": "t",
        "entry_id": 1,
        "job_id": 1,
    }
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.endswith("static"):
            yield rule, rule.build({name: some[name] for name in rule.arguments}, append_unknown=False)[1]


def test_without_a_log_in_nothing_is_shown(app, browser):
    asked = 0
    for rule, path in every_path(app):
        if path in OPEN or "GET" not in rule.methods:
            continue
        answer = browser.get(path)
        asked += 1
        if path.startswith("/api/"):
            assert answer.status_code == 401, path
            assert answer.mimetype == "application/problem+json"
        else:
            assert answer.status_code == 302, path
            assert answer.location.startswith("/log-in?next="), path
    assert asked >= 10


def test_without_a_log_in_nothing_can_be_done(app, browser):
    for rule, path in every_path(app):
        if "POST" not in rule.methods or path == "/log-in" or path.startswith("/hooks/"):  # those are signed
            continue
        answer = browser.post(path)
        if path.startswith("/api/"):
            assert answer.status_code == 401, path
        else:
            assert answer.location.startswith("/log-in"), path


def test_a_viewer_can_do_nothing_at_all(app, viewer):
    asked = 0
    for rule, path in every_path(app):
        if "POST" in rule.methods and path not in {"/log-in", "/log-out"} and not path.startswith("/hooks/"):
            assert viewer.post(path, on="/").status_code == 403, path
            asked += 1
    assert asked >= 15


def test_only_an_administrator_pauses_everything(operator):
    for path in (
        "/backfill/pause",
        "/backfill/rate",
        "/crms/fake/pause",
        "/crms/fake/go-on",
        "/api/v1/crms/fake/pause",
        "/api/v1/crms/fake/go-on",
    ):
        assert operator.post(path, on="/").status_code == 403, path


def test_a_form_without_its_token_is_refused(operator):
    assert operator.client.post("/retry", data={"ticket": str(new_id())}).status_code == 400


def test_a_log_in_leads_to_the_page_that_was_asked_for(browser):
    answer = browser.post("/log-in?next=/failures?x=1", username="VIEWER ", password=PASSWORD)
    assert answer.location == "/failures?x=1"
    assert browser.get("/failures").status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/%09/evil.example", ""]
)
def test_a_log_in_never_leads_elsewhere(browser, target):
    answer = browser.post(f"/log-in?next={target}", username="viewer", password=PASSWORD)
    assert answer.location == "/"


def test_wrong_name_and_wrong_password_get_the_same_answer(browser):
    unknown, wrong = browser.log_in("nobody", PASSWORD), browser.log_in("viewer", "wrong password")
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.text.replace("nobody", "viewer").count("User name or password is wrong") == 1
    assert "User name or password is wrong" in wrong.text


def test_guessing_is_slowed_down_even_for_the_right_password(app, database):
    guesser = Browser(app)
    for _ in range(auth.MOST_PER_NAME_AND_ADDRESS):
        assert guesser.log_in("operator", "guess").status_code == 401
    assert guesser.log_in("operator").status_code == 401
    assert guesser.log_in("viewer").status_code == 302, "others may still log in"


def test_guesses_beyond_the_limit_do_not_fill_the_log(app, database):
    guesser = Browser(app)
    for _ in range(auth.MOST_PER_NAME_AND_ADDRESS + 3):
        guesser.log_in("operator", "guess")
    with database.read() as session:
        assert len(session.scalars(select(ConsoleAction)).all()) == auth.MOST_PER_NAME_AND_ADDRESS


def test_after_a_while_one_may_try_again(database):
    now = utc_now()
    with database.write() as session:
        tries = [auth.count_attempt(session, "x", address="1.2.3.4", now=now) for _ in range(6)]
        later = auth.count_attempt(session, "x", address="1.2.3.4", now=now + auth.WINDOW + timedelta(seconds=1))
    assert tries == [True] * 5 + [False]
    assert later


def test_one_address_cannot_try_all_names(database):
    with database.write() as session:
        tries = [auth.count_attempt(session, f"name{n}", address="1.2.3.4", now=utc_now()) for n in range(21)]
    assert tries == [True] * 20 + [False]


def test_the_cookie_alone_is_worth_nothing_after_logging_out(app, operator):
    stolen = operator.client.get_cookie("casebridge_console").value
    assert operator.post("/log-out", on="/").location == "/log-in"
    thief = app.test_client()
    thief.set_cookie("casebridge_console", stolen)
    assert thief.get("/").status_code == 302


def test_the_database_holds_no_usable_token(database, operator):
    with operator.client.session_transaction() as cookie:
        token = cookie["login"]
    with database.read() as session:
        stored = session.scalars(select(ConsoleSession.token_hash)).all()
        hashes = session.scalars(select(ConsoleUser.password_hash)).all()
    assert token not in stored
    assert all(value.startswith("$argon2id$") for value in hashes)


@pytest.mark.parametrize("spent", [{"seen_at": timedelta(hours=-3)}, {"expires_at": timedelta(seconds=-1)}])
def test_a_log_in_ends_by_itself(database, operator, spent):
    assert operator.get("/").status_code == 200
    with database.write() as session:
        session.execute(update(ConsoleSession).values({name: utc_now() + span for name, span in spent.items()}))
    assert operator.get("/").status_code == 302


def test_a_page_that_refreshes_itself_keeps_no_log_in_alive(database, operator):
    long_ago = utc_now() - timedelta(hours=1)
    for headers, kept in (({"X-Unattended": "1"}, True), ({}, False)):
        with database.write() as session:
            session.execute(update(ConsoleSession).values(seen_at=long_ago))
        assert operator.get("/", headers=headers).status_code == 200
        with database.read() as session:
            assert (session.scalars(select(ConsoleSession.seen_at)).one() == long_ago) is kept


def test_a_viewer_sees_everything_and_changes_nothing(viewer):
    assert "Retry" not in viewer.text("/failures")
    for path in ("/retry", f"/unreadable/{new_id()}/set-aside", "/dead-letters/portal-events"):
        answer = viewer.post(path, on="/")
        assert answer.status_code == 403, path
        assert "right to act" in answer.text


def test_log_ins_are_logged(database, browser):
    browser.log_in("viewer", "wrong password")
    browser.log_in("viewer")
    browser.post("/log-out", on="/")
    with database.read() as session:
        logged = [(row.action, row.who) for row in session.scalars(select(ConsoleAction).order_by(ConsoleAction.id))]
    assert logged == [("refused log-in", "nobody"), ("logged in", "Viewer"), ("logged out", "Viewer")]


def test_a_short_password_is_refused(database):
    with pytest.raises(PasswordError, match="at least 12"), database.write() as session:
        add_user(session, "x", "too short", name="X", role="viewer")


def test_the_demo_log_in_is_made_once(app, database):
    with database.write() as session:
        load_demo(session, utc_now())
        load_demo(session, utc_now())
    assert Browser(app).log_in("alex", "casebridge-demo").status_code == 302
