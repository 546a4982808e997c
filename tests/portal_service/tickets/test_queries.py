import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from portal_service.people import policy
from portal_service.people.models import AccountGrant
from portal_service.tickets import queries
from portal_service.tickets.actions import close, set_status
from portal_service.tickets.models import Ticket
from portal_service.tickets.queries import TicketFilter
from tests.portal_service.support_desk import Help

EVERYBODYS_ACTIONS = {"view", "reply", "close", "reopen"}
CUSTOMER_ACTIONS = EVERYBODYS_ACTIONS | {"rate"}
STAFF_ACTIONS = EVERYBODYS_ACTIONS | {
    "view_internal", "ask", "note", "transfer", "edit", "delete", "restore", "file_for_others"
}  # fmt: skip


def numbers(page: queries.Page[Ticket]) -> list[int]:
    return [ticket.number for ticket in page.items]


@pytest.mark.parametrize(("username", "sees"), [("carol", True), ("peter", True), ("dave", False)])
def test_a_contact_sees_own_tickets_and_those_of_granted_accounts(desk: Help, username: str, sees: bool) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        user = desk.user(session, username)
        assert user.contact is not None
        assert (queries.ticket_for_contact(session, user.contact, 1001) is ticket) == sees
        assert numbers(queries.tickets_for_contact(session, user.contact, TicketFilter(), limit=9)) == [1001] * sees
        assert queries.counts_by_status(session, contact=user.contact)["all"] == sees
        for action in STAFF_ACTIONS | CUSTOMER_ACTIONS | {"anything_else"}:
            assert policy.can(user, action, ticket) == (sees and action in CUSTOMER_ACTIONS)


def test_filing_for_an_account_does_not_show_its_other_tickets(desk: Help) -> None:
    with desk.write() as session:
        desk.submit(session)
        dave = desk.contact(session, "Dave")
        dave.grants = [AccountGrant(account=desk.account(session, "Acme"), whole_account=False)]
        session.flush()
        assert queries.ticket_for_contact(session, dave, 1001) is None
        assert desk.account(session, "Acme").id in policy.own_accounts(dave)


def test_staff_may_do_everything_until_deactivated_and_nobody_may_do_anything(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        sam = desk.user(session, "sam")
        assert {action for action in STAFF_ACTIONS if policy.can(sam, action, ticket)} == STAFF_ACTIONS
        assert not policy.can(None, "view", ticket)
        assert sam.staff is not None
        sam.staff.active = False
        assert not policy.can(sam, "view", ticket)


def many(desk: Help, session: Session) -> None:
    for number in range(7):
        desk.clock.forward(minutes=1)
        desk.submit(session, subject=f"Subject {number % 3}", priority="high" if number % 2 else "low")


@pytest.mark.parametrize("sort", sorted(queries.SORTS))
@pytest.mark.parametrize("descending", [True, False])
def test_pages_show_every_ticket_once_in_every_order(desk: Help, sort: str, descending: bool) -> None:
    with desk.write() as session:
        many(desk, session)
        wanted = TicketFilter(sort=sort, descending=descending, status="all")
        seen: list[int] = []
        cursor = None
        while True:
            page = queries.tickets_for_staff(session, replace(wanted, after=cursor), limit=3)
            seen += numbers(page)
            cursor = page.next
            if cursor is None:
                break
        whole = numbers(queries.tickets_for_staff(session, wanted, limit=50))
        assert seen == whole
        assert sorted(seen) == list(range(1001, 1008))


@pytest.mark.parametrize("sort", ["last_activity_at", "opened_at", "subject", "number"])
def test_what_is_filed_while_somebody_reads_shifts_no_page(desk: Help, sort: str) -> None:
    with desk.write() as session:
        many(desk, session)
        wanted = TicketFilter(sort=sort, status="all")
        first = queries.tickets_for_staff(session, wanted, limit=3)
        for subject in ("Subject 0", "Subject 9"):
            desk.clock.forward(minutes=1)
            desk.submit(session, subject=subject)
        following = queries.tickets_for_staff(session, replace(wanted, after=first.next), limit=50)
        seen = [*numbers(first), *numbers(following)]
        assert len(seen) == len(set(seen))
        assert set(range(1001, 1008)) <= set(seen)


def test_quiet_tickets_are_those_without_activity(desk: Help) -> None:
    with desk.write() as session:
        many(desk, session)
        since = desk.ticket(session, 1004).last_activity_at
        close(session, desk.ticket(session, 1001), actor=desk.actor(session, "sam"), now=desk.clock.now)
        found = queries.tickets_for_staff(session, TicketFilter(quiet_since=since, status="all"), limit=50)
        assert sorted(numbers(found)) == [1002, 1003]


def test_calls_come_in_the_order_of_their_moments_until_made_or_finished(desk: Help) -> None:
    with desk.write() as session:
        later, sooner, made, done = (
            desk.submit(session, call_at=desk.clock.now + timedelta(hours=hours)) for hours in (5, 1, 2, 3)
        )
        desk.submit(session)
        made.called_at = desk.clock.now
        close(session, done, actor=desk.actor(session, "sam"), now=desk.clock.now)
        session.flush()
        assert list(queries.tickets_to_call(session, limit=9)) == [sooner, later]


def test_nonsense_in_the_address_shows_the_first_page(desk: Help) -> None:
    with desk.write() as session:
        desk.submit(session)
        wrong = base64.urlsafe_b64encode(b'["number", "no number", 1]').decode()
        for after in ("x", "!!!", "W10=", wrong):
            for sort in ("; drop table", "number"):
                wanted = TicketFilter(sort=sort, status="nonsense", after=after)
                assert numbers(queries.tickets_for_staff(session, wanted, limit=5)) == [1001]


def test_filters_narrow_the_list(desk: Help) -> None:
    with desk.write() as session:
        first, second = desk.submit(session, subject="The printer 100% burns"), desk.submit(session)
        sam = desk.actor(session, "sam")
        set_status(session, second, "pending", actor=sam, now=desk.clock.now + timedelta(minutes=1))
        third = desk.submit(session)
        close(session, third, actor=sam, now=desk.clock.now)

        def found(**wanted: object) -> list[int]:
            page = queries.tickets_for_staff(session, TicketFilter(sort="number", descending=False, **wanted), limit=9)  # type: ignore[arg-type]
            return numbers(page)

        assert found() == [1001, 1002]
        assert found(status="all") == [1001, 1002, 1003]
        assert found(status="pending") == [1002]
        assert found(status="closed") == [1003]
        assert found(status=queries.ONLY_OPEN) == []
        assert found(q="#1002") == found(q="1002") == [1002]
        assert found(q="PRINTER") == found(q="100% b") == [1001]
        assert found(q="100_") == []
        assert found(q="carol") == found(q="acme") == [1001, 1002]
        assert found(assignee_id=first.assignee_id)[0] == 1001
        assert found(account_id=desk.account(session, "Globex").id) == []
        counts = queries.counts_by_status(session)
        assert (counts["new"], counts["pending"], counts["closed"], counts["open"], counts["all"]) == (1, 1, 1, 2, 3)
