"""Tokens that work once, also for those who come at the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal_service.people import one_time, registration, second_factor, throttle
from portal_service.people.credentials import OneTimeToken, Registration
from portal_service.people.models import LoginFailure
from portal_service.tickets.errors import Refused
from tests.portal_service.people.test_registration import apply_for, confirm, link_in_mail
from tests.portal_service.support_desk import Help


def winners(desk: Help, act: Callable[[Session], bool], *, of: int = 4) -> int:
    """How many of several who do the same at the same moment succeed."""
    together = threading.Barrier(of)

    def try_(_number: int) -> bool:
        together.wait()
        with desk.write() as session:
            return act(session)

    with ThreadPoolExecutor(of) as pool:
        return sum(pool.map(try_, range(of)))


def test_a_token_is_spent_once(desk: Help) -> None:
    with desk.write() as session:
        token = one_time.issue(session, "reset", lifetime=timedelta(minutes=1), now=desk.clock.now)
    assert winners(desk, lambda session: one_time.spend(session, "reset", token, now=desk.clock.now) is not None) == 1


def test_a_recovery_code_lets_in_once(desk: Help) -> None:
    with desk.write() as session:
        code = second_factor.new_codes(session, desk.user(session, "carol"))[0]

    def use(session: Session) -> bool:
        try:
            second_factor.check_code(session, desk.user(session, "carol"), code, now=desk.clock.now)
        except Refused:
            return False
        return True

    assert winners(desk, use) == 1


def test_two_agents_who_approve_at_once_make_one_contact_and_one_mail(desk: Help) -> None:
    assert apply_for(desk) == {}
    assert confirm(desk, link_in_mail(desk)) == ""

    def approve(session: Session) -> bool:
        found = session.scalars(select(Registration)).one()
        sam, acme = desk.staff(session, "Sam"), desk.account(session, "Acme")
        try:
            registration.approve(session, found, by=sam, account_id=acme.id, now=desk.clock.now)
        except Refused:
            return False
        return True

    assert winners(desk, approve) == 1
    with desk.write() as session:
        assert [mail[1] for mail in desk.mails(session)].count("Your registration is approved") == 1
        assert desk.contact(session, "Zoe Z").email == "zoe@new.example"


@pytest.mark.parametrize(("purpose", "wait"), [("other", 0), ("reset", 60)])
def test_a_token_for_something_else_or_too_old_is_none(desk: Help, purpose: str, wait: int) -> None:
    with desk.write() as session:
        token = one_time.issue(session, "reset", lifetime=timedelta(minutes=1), now=desk.clock.now)
        assert one_time.look_up(session, "reset", token, now=desk.clock.now) is not None
        assert one_time.look_up(session, purpose, token, now=desk.clock.forward(seconds=wait)) is None


def test_what_no_longer_counts_is_deleted(desk: Help) -> None:
    with desk.write() as session:
        one_time.issue(session, "reset", lifetime=timedelta(minutes=10), now=desk.clock.now)
        throttle.count(session, [throttle.limit("x", "y", 1)], now=desk.clock.now)
        for minutes, left in ((9, 1), (7, 0)):
            now = desk.clock.forward(minutes=minutes)
            one_time.forget_expired(session, now=now)
            throttle.forget(session, now=now)
            for table in (OneTimeToken, LoginFailure):
                assert session.scalar(select(func.count()).select_from(table)) == left
