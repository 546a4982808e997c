"""Two administrators at the same moment, and filing meanwhile, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select, text

from portal_service.tickets import offer
from portal_service.tickets.errors import Refused
from portal_service.tickets.models import RequestType
from portal_service.tickets.offer import Texts
from tests.portal_service.support_desk import Help


def test_of_two_who_withdraw_the_last_two_types_at_once_one_is_refused(desk: Help) -> None:
    together = Barrier(2)

    def withdraw(key: str) -> bool:
        together.wait()
        try:
            with desk.write() as session:
                by = desk.staff(session, "Admin")
                offer.withdraw(session, desk.type(session, key), by=by, now=desk.clock.now)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(withdraw, ("level-1", "billing"))) == [False, True]
    with desk.write() as session:
        assert len(session.scalars(select(RequestType).where(RequestType.active)).all()) == 1


def test_of_two_who_add_one_name_at_once_the_second_is_told(desk: Help) -> None:
    together = Barrier(2)

    def add(_number: int) -> list[str]:
        together.wait()
        try:
            with desk.write() as session:
                by = desk.staff(session, "Admin")
                offer.add(session, RequestType, Texts(name_en="Training"), by=by, now=desk.clock.now)
        except offer.Invalid as invalid:
            return list(invalid.errors)
        return []

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(add, range(2))) == [[], ["name_en"]]


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_ticket_is_filed_while_an_administrator_changes_its_type(desk: Help) -> None:
    """SQLite has one writer at a time anyway."""
    with desk.write() as session:
        type_ = desk.type(session, "level-1")
        offer.change(session, type_, Texts(name_en="First help"), by=desk.staff(session, "Admin"), now=desk.clock.now)
        with desk.write() as other:
            other.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert desk.submit(other).number == 1001
