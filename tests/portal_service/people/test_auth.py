from datetime import timedelta

import pytest
from sqlalchemy import select

from portal_service.people import auth
from portal_service.people.auth import LoginRefused, verify_login
from portal_service.people.models import LoginSession
from portal_service.people.passwords import hash_password
from portal_service.people.sessions import (
    end_all_sessions,
    end_one,
    end_session,
    find_session,
    is_stale,
    keep_alive,
    read_session,
    sessions_of,
    shown_id,
    start_session,
)
from portal_service.people.throttle import THROTTLED
from tests.portal_service.support_desk import Help

PASSWORD = "correct horse battery"


@pytest.fixture
def carol(desk: Help) -> Help:
    with desk.write() as session:
        desk.user(session, "carol").password_hash = hash_password(PASSWORD)
    return desk


def log_in(desk: Help, username: str, password: str, *, address: str = "192.0.2.1") -> str:
    """What the log-in answered: the user's name, or the refusal."""
    with desk.write() as session:
        try:
            return verify_login(session, username, password, address=address, now=desk.clock.now).username
        except LoginRefused as refused:
            return refused.message_key


def test_the_right_password_logs_in_whatever_the_case_of_the_name(carol: Help) -> None:
    assert log_in(carol, " CAROL", PASSWORD) == "Carol"
    assert log_in(carol, "carol", PASSWORD.upper()) == auth.WRONG


def test_an_unknown_name_and_a_wrong_password_get_one_answer(carol: Help) -> None:
    assert log_in(carol, "nobody", PASSWORD) == log_in(carol, "carol", "wrong") == auth.WRONG


def test_guessing_one_name_is_throttled_until_the_window_has_passed(carol: Help) -> None:
    for attempt in range(10):
        assert log_in(carol, "carol", "wrong") == auth.WRONG, attempt
    assert log_in(carol, "carol", PASSWORD) == THROTTLED
    carol.clock.forward(minutes=16)
    assert log_in(carol, "carol", PASSWORD) == "Carol"
    assert log_in(carol, "carol", "wrong") == auth.WRONG


def test_guessing_many_names_from_one_address_is_throttled(carol: Help) -> None:
    for attempt in range(50):
        log_in(carol, f"name{attempt}", "wrong")
    assert log_in(carol, "carol", PASSWORD) == THROTTLED
    assert log_in(carol, "carol", PASSWORD, address="198.51.100.7") == "Carol"


def test_a_session_lasts_until_its_end_and_only_its_hash_is_stored(carol: Help) -> None:
    now = carol.clock.now
    with carol.write() as session:
        token = start_session(session, carol.user(session, "carol"), now=now, user_agent="Firefox")
        assert token not in [row.token_hash for row in session.scalars(select(LoginSession))]
        user = read_session(session, token, now=now + timedelta(days=13))
        assert user is not None
        assert user.username == "Carol"
        assert read_session(session, token, now=now + timedelta(days=14)) is None
        assert read_session(session, token + "x", now=now) is None
        end_session(session, token)
    with carol.write() as session:
        assert read_session(session, token, now=now) is None


def test_somebody_deactivated_is_out_at_once(carol: Help) -> None:
    with carol.write() as session:
        token = start_session(session, carol.user(session, "carol"), now=carol.clock.now)
        carol.contact(session, "Carol").active = False
        assert read_session(session, token, now=carol.clock.now) is None
    assert log_in(carol, "carol", PASSWORD) == auth.WRONG


def test_a_used_session_goes_on_but_not_for_ever(carol: Help) -> None:
    with carol.write() as session:
        token = start_session(session, carol.user(session, "carol"), now=carol.clock.now)
    for _ in range(8):
        with carol.write() as session:
            login = find_session(session, token, now=carol.clock.forward(days=10))
            assert login is not None
            assert is_stale(login, now=carol.clock.now)
            keep_alive(session, login, now=carol.clock.now)
            session.refresh(login)
            assert not is_stale(login, now=carol.clock.now)
    with carol.write() as session:
        assert find_session(session, token, now=carol.clock.forward(days=10)) is None


def test_an_agent_who_leaves_the_desk_is_logged_out(carol: Help) -> None:
    with carol.write() as session:
        token = start_session(session, carol.user(session, "sam"), now=carol.clock.now)
        assert read_session(session, token, now=carol.clock.forward(minutes=29)) is not None
        assert read_session(session, token, now=carol.clock.forward(minutes=2)) is None


def test_sessions_are_listed_and_ended_one_by_one_or_all(carol: Help) -> None:
    with carol.write() as session:
        user, other = carol.user(session, "carol"), carol.user(session, "dave")
        phone = start_session(session, user, now=carol.clock.now, user_agent="Phone", address="192.0.2.9")
        desktop = start_session(session, user, now=carol.clock.forward(minutes=1), user_agent="Desktop")
        foreign = start_session(session, other, now=carol.clock.now)
        now = carol.clock.now
        assert [login.user_agent for login in sessions_of(session, user, now=now)] == ["Desktop", "Phone"]
        foreign_login, phone_login = find_session(session, foreign, now=now), find_session(session, phone, now=now)
        assert foreign_login is not None
        assert phone_login is not None
        for shown in (shown_id(foreign_login), "", "%", shown_id(phone_login)[:8]):
            end_one(session, user, shown)
        assert len(sessions_of(session, user, now=now)) == 2
        assert read_session(session, foreign, now=now) is other
        end_one(session, user, shown_id(phone_login))
        assert [login.user_agent for login in sessions_of(session, user, now=now)] == ["Desktop"]
        third = start_session(session, user, now=now, user_agent="Third")
        end_all_sessions(session, user, besides=find_session(session, third, now=now))
        assert read_session(session, desktop, now=now) is None
        assert read_session(session, third, now=now) is user


def test_a_network_of_ipv6_counts_as_one_address(carol: Help) -> None:
    for attempt in range(50):
        log_in(carol, f"name{attempt}", "wrong", address=f"2001:db8:1:2::{attempt:x}")
    assert log_in(carol, "carol", PASSWORD, address="2001:db8:1:2:ffff::1") == THROTTLED
    assert log_in(carol, "carol", PASSWORD, address="2001:db8:1:3::1") == "Carol"
