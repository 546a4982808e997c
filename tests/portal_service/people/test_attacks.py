"""What a hostile visitor tries with log-ins, each once worked or was thought of."""

import hashlib
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal_service.people import auth, one_time, pace, passwords, registration, reset, second_factor, throttle
from portal_service.people.auth import LoginRefused
from portal_service.people.credentials import ExternalLogin, OneTimeToken, RecoveryCode, Registration
from portal_service.people.models import LoginFailure, User
from portal_service.people.passwords import no_password
from portal_service.web.visits import SESSION_COOKIE
from shared.clock import utc_now
from shared.database import Database
from shared.ids import new_id
from tests.portal_service.web.browsing import Visitor, Visitors

PASSWORD = "casebridge-demo"


def user_named(database: Database, name: str) -> User:
    with database.read() as session:
        return session.scalars(select(User).where(User.username_key == name)).one()


def test_a_stolen_cookie_does_not_pass_for_its_owner_beside_the_thiefs_own_log_in(
    app: Flask, visitors: Visitors, carol: Visitor
) -> None:
    """The thief proves his own password in his browser, then puts the stolen log-in beside that proof."""
    thief = visitors.anonymous()
    assert thief.post("/login", username="dave", password=PASSWORD).status_code == 303
    assert thief.get("/settings/two-factor/authenticator").status_code == 200
    stolen = carol.client.get_cookie(SESSION_COOKIE)
    assert stolen is not None
    thief.client.set_cookie(SESSION_COOKIE, stolen.value)
    answer = thief.get("/settings/two-factor/authenticator")
    assert answer.status_code == 303
    assert answer.location.startswith("/settings/two-factor/again")


def test_the_owner_proves_himself_once_and_may_then_go_on(carol: Visitor) -> None:
    assert carol.get("/settings/two-factor/authenticator").status_code == 303
    assert carol.post("/settings/two-factor/again", password=PASSWORD).status_code == 303
    assert carol.get("/settings/two-factor/authenticator").status_code == 200


def test_nobody_locks_somebody_else_out_by_wrong_passwords(database: Database) -> None:
    now = utc_now()
    with database.write() as session:
        for _ in range(12):
            with pytest.raises(LoginRefused):
                auth.verify_login(session, "carol", "a guess", address="203.0.113.9", now=now)
        with pytest.raises(LoginRefused, match="Too many"):
            auth.verify_login(session, "carol", PASSWORD, address="203.0.113.9", now=now)
        assert auth.verify_login(session, "carol", PASSWORD, address="198.51.100.7", now=now)


def test_guessing_one_name_from_many_addresses_is_slowed_down_all_the_same(database: Database) -> None:
    now = utc_now()
    with database.write() as session:
        throttle.count(session, [throttle.limit("name", "carol", 0)] * 50, now=now)
        with pytest.raises(LoginRefused, match="Too many"):
            auth.verify_login(session, "carol", PASSWORD, address="198.51.100.7", now=now)
        carol = session.scalars(select(User).where(User.username_key == "carol")).one()
        auth.forgive_name(session, carol)
        assert auth.verify_login(session, "carol", PASSWORD, address="198.51.100.7", now=now)


def test_forgiving_one_name_forgives_no_other(database: Database) -> None:
    now = utc_now()
    limits = [throttle.per_name_and_address(name, "203.0.113.9", 1) for name in ("carol", "carol2", "carol_", "c%")]
    with database.write() as session:
        throttle.count(session, limits, now=now)
        throttle.forgive_name(session, "carol")
        assert [throttle.is_exceeded(session, [one], now=now) for one in limits] == [False, True, True, True]


def test_an_address_a_stranger_writes_into_a_header_is_not_believed(nobody: Visitor) -> None:
    for number in range(3):
        nobody.client.post("/login", headers={"X-Forwarded-For": f"203.0.113.{number}"})
        nobody.post("/login", username="carol", password="a guess")
    with nobody.database.read() as session:
        keys = set(session.scalars(select(LoginFailure.key)))
    assert all("203.0.113" not in key for key in keys)
    assert "address@:127.0.0.1" in keys


def test_a_new_password_ends_a_log_in_that_is_half_way(database: Database) -> None:
    now = utc_now()
    with database.write() as session:
        carol = session.scalars(select(User).where(User.username_key == "carol")).one()
        half = one_time.issue(session, "second-step", user=carol, lifetime=timedelta(minutes=10), now=now)
        link = one_time.issue(session, reset.RESET, user=carol, lifetime=timedelta(minutes=30), now=now)
        reset.reset(session, link, "a horse of another stable", now=now)
        assert one_time.look_up(session, "second-step", half, now=now) is None
        assert one_time.look_up(session, reset.RESET, link, now=now) is None


def test_recovery_codes_cannot_be_tried_out_on_a_copy_of_the_database(
    app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten letters are few: without the key of the installation, the stored hash of a known code is another one."""
    with database.write() as session:
        carol = session.scalars(select(User).where(User.username_key == "carol")).one()
        code = second_factor.new_codes(session, carol)[0].replace("-", "")
        stored = set(session.scalars(select(RecoveryCode.code_hash)))
        guesses = (code, f"{carol.id}:{code}", f"{carol.id}{code}")
        assert not stored & {hashlib.sha256(guess.encode()).hexdigest() for guess in guesses}


def test_a_refused_log_in_of_the_company_is_forgotten_without_stopping_the_housekeeping(database: Database) -> None:
    now = utc_now()
    with database.write() as session:
        user = User(
            id=new_id(), username="x", username_key="x", password_hash=no_password(), state="rejected", language="en"
        )
        session.add(user)
        session.flush()
        session.add(
            ExternalLogin(user_id=user.id, issuer="https://i", subject="s", email="x@y.example", created_at=now)
        )
        long_ago = now - timedelta(days=60)
        session.add(
            Registration(
                user=user,
                name="X",
                email="x@y.example",
                email_key="x@y.example",
                created_at=long_ago,
                decided_at=long_ago,
            )
        )
    with database.write() as session:
        registration.forget_stale(session, now=now)
    with database.read() as session:
        assert session.scalar(select(func.count()).where(User.username_key == "x")) == 0
        assert session.scalar(select(func.count()).select_from(ExternalLogin)) == 0


def test_starting_a_process_hashes_no_password() -> None:
    program = (
        "import argon2, sys\n"
        "def fail(*_, **__): raise SystemExit('hashed at import')\n"
        "argon2.PasswordHasher.hash = fail\n"
        "import portal_service.people.passwords, crm_sync_service.console.auth, crm_sync_service.desk.auth\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_costs_a_hash_as_a_known_one_does(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    real = passwords._hasher.verify

    class Counting:
        def verify(self, stored: str, given: str) -> bool:
            checked.append(stored)
            return real(stored, given)

    monkeypatch.setattr(passwords, "_hasher", Counting())
    passwords.nobodys_hash.cache_clear()
    monkeypatch.setattr(Counting, "hash", lambda *_: user_named(database, "carol").password_hash, raising=False)
    with database.write() as session:
        for name in ("carol", "nobody at all"):
            with pytest.raises(LoginRefused):
                auth.verify_login(session, name, "a guess", address="198.51.100.7", now=utc_now())
    passwords.nobodys_hash.cache_clear()
    assert len(checked) == 2


def test_expired_tokens_do_not_pile_up(database: Database) -> None:
    now = utc_now()
    with database.write() as session:
        one_time.issue(session, "x", lifetime=timedelta(minutes=1), now=now - timedelta(hours=1))
        one_time.forget_expired(session, now=now)
        assert session.scalar(select(func.count()).select_from(OneTimeToken)) == 0


def test_a_stranger_cannot_fill_the_disk_with_forms_that_have_a_mistake(
    app: Flask, nobody: Visitor, png: bytes
) -> None:
    folder = app.extensions["portal"].settings.files_root

    def stored() -> int:
        return sum(1 for path in folder.rglob("*") if path.is_file())

    assert nobody.post("/guest/new", files=[("a.png", png)]).status_code == 422
    before = stored()
    with nobody.database.write() as session:
        throttle.count(session, [throttle.per_address("upload", "127.0.0.1", 0)] * 120, now=utc_now())
    answer = nobody.post("/guest/new", files=[("b.png", png + b"other")])
    assert answer.status_code == 422
    assert "Too many attempts" in answer.text
    assert stored() == before


def test_files_and_pages_with_keys_stay_in_no_shared_cache(carol: Visitor, nobody: Visitor, png: bytes) -> None:
    number = carol.file_request(files=[("a.png", png)])
    page = carol.get(f"/cases/{number}/files").text
    link = re.search(r"/attachments/[0-9a-f-]+", page)
    assert link
    assert carol.get(link[0]).headers["Cache-Control"] == "private, no-cache"
    assert nobody.get("/guest/received").headers["Cache-Control"] == "no-store"


def test_a_clock_does_not_tell_which_addresses_are_known(nobody: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(pace.time, "sleep", waited.append)
    monkeypatch.setattr(pace, "SECONDS", 1000.0)
    for who in ("carol", "nobody-at-all", "carol@acme.example", "nobody@acme.example"):
        assert nobody.post("/password/forgot", who=who).location == "/password/sent"
    nobody.post("/guest/link", number="1001", email="nobody@acme.example")
    assert len(waited) == 5
    assert all(900 < seconds <= 1000 for seconds in waited), waited
