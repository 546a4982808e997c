import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from portal_service.files.storage import StoredFile
from portal_service.tickets.errors import Invalid
from portal_service.tickets.models import Category
from portal_service.tickets.queries import history
from shared.events import TicketChanged
from tests.portal_service.support_desk import Help


def test_a_ticket_is_numbered_assigned_and_told_in_one_transaction(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session, link_url="https://acme.example/x", details={"Browser": "Firefox", "Empty": " "})

        assert (ticket.number, ticket.version, ticket.status) == (1001, 1, "new")
        assert ticket.assignee is not None
        assert ticket.assignee.name in {"Sam", "Nora"}
        (event,) = desk.told(session)
        assert isinstance(event, TicketChanged)
        assert (event.version, event.number, event.description) == (1, 1001, "I press the button\nand nothing happens.")
        assert event.details == {"Browser": "Firefox"}
        assert event.account_crm_id == "A-Acme"
        assert event.contact is not None
        assert event.contact.crm_id == "C-Carol"
        assert event.ticket_url == "https://support.test/tickets/1001"
        assert [entry.action for entry in history(session, ticket, public_only=True)] == ["created"]


def test_a_rolled_back_ticket_leaves_nothing(desk: Help) -> None:
    with suppress(ZeroDivisionError), desk.write() as session:
        desk.submit(session)
        raise ZeroDivisionError
    with desk.write() as session:
        assert desk.told(session) == []
        assert desk.mails(session) == []


def test_words_are_kept_as_they_were_written(desk: Help) -> None:
    words = "  Zeile 1\r\nשלום 你好 👩‍👩‍👧\r\n\t<b>&amp;</b>\x00 end "
    with desk.write() as session:
        ticket = desk.submit(session, description=words, subject=" two\nlines ")
        assert ticket.description == "  Zeile 1\nשלום 你好 👩‍👩‍👧\n\t<b>&amp;</b> end "
        assert ticket.subject == "two lines"


NOWHERE = uuid.UUID(int=1)
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"subject": " \n"}, "subject"),
    ({"subject": "x" * 256}, "subject"),
    ({"description": "\n "}, "description"),
    ({"description": "x" * 60_001}, "description"),
    ({"description": "👍" * 50_000}, "description"),
    ({"link_url": "javascript:alert(1)"}, "link_url"),
    ({"link_url": "https://" + "x" * 2000}, "link_url"),
    ({"account_id": None}, "account_id"),
    ({"account_id": NOWHERE}, "account_id"),
    ({"contact_id": NOWHERE}, "contact_id"),
    ({"product_id": None}, "product_id"),
    ({"product_id": NOWHERE}, "product_id"),
    ({"category_id": NOWHERE}, "category_id"),
    ({"request_type_id": None}, "request_type_id"),
    ({"priority": "whenever"}, "priority"),
    ({"origin": "moon"}, "origin"),
    ({"details": {"Error text": "x" * 4_001}}, "details"),
    ({"files": (StoredFile(name="a", content_type="text/plain", size=1, sha256="0" * 64),) * 21}, "files"),
]


@pytest.mark.parametrize(("entered", "field"), WRONG, ids=lambda value: str(value)[:30])
def test_what_cannot_be_is_refused_with_its_field(desk: Help, entered: dict[str, Any], field: str) -> None:
    with desk.write() as session:
        with pytest.raises(Invalid) as refused:
            desk.submit(session, **entered)
        assert list(refused.value.errors) == [field]
        assert desk.told(session) == []


def test_a_category_does_instead_of_a_product(desk: Help) -> None:
    with desk.write() as session:
        category = session.query(Category).one()
        ticket = desk.submit(session, product_id=None, category_id=category.id)
        assert ticket.product is None
        (event,) = desk.told(session)
        assert isinstance(event, TicketChanged)
        assert (event.product_crm_id, event.category) == (None, "Other")


def test_the_longest_ticket_that_is_taken_still_fits_an_event(desk: Help) -> None:
    files = tuple(
        StoredFile(name="名" * 290 + f"{number}.txt", content_type="text/plain", size=1, sha256="0" * 64)
        for number in range(20)
    )
    with desk.write() as session:
        ticket = desk.submit(
            session, subject="名" * 255, description="名" * 59_990, details={"d": "名" * 3_900}, files=files
        )
        assert ticket.attachment_count == 20


def test_a_customer_files_for_himself_and_his_accounts_only(desk: Help) -> None:
    with desk.write() as session:
        globex = desk.account(session, "Globex").id
        with pytest.raises(Invalid) as refused:
            desk.submit(session, account_id=globex)
        assert list(refused.value.errors) == ["account_id"]
        with pytest.raises(Invalid) as refused:
            desk.submit(session, by="dave")
        assert list(refused.value.errors) == ["contact_id"]


def test_staff_files_on_behalf_of_a_contact_who_gets_the_mail(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session, by="sam", filed_by="Sam", origin="staff")
        assert ticket.contact is not None
        assert ticket.contact.name == "Carol"
        assert ("carol@acme.example", "We received your request") in desk.mails(session)


def test_parallel_submissions_get_distinct_numbers_and_balanced_agents(desk: Help) -> None:
    together = threading.Barrier(10)

    def submit_some(_: int) -> None:
        together.wait()
        for _again in range(20):
            with desk.write() as session:
                desk.submit(session)

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(submit_some, range(10)))

    with desk.write() as session:
        tickets = [desk.ticket(session, number) for number in range(1001, 1201)]
        counts: dict[str, int] = {}
        for ticket in tickets:
            assert ticket.assignee is not None
            counts[ticket.assignee.name] = counts.get(ticket.assignee.name, 0) + 1
        assert counts == {"Sam": 100, "Nora": 100}


def test_a_ticket_filed_at_the_same_moment_counts(desk: Help) -> None:
    """The second submission waits for the first to be decided instead of counting without it."""
    with ThreadPoolExecutor(1) as other_process:
        with desk.write() as session:
            first = desk.submit(session)
            waiting = other_process.submit(_submit_another, desk)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        assert {waiting.result(timeout=20), first.assignment["chosen"]} == {"Sam", "Nora"}


def _submit_another(desk: Help) -> str:
    with desk.write() as session:
        return str(desk.submit(session).assignment["chosen"])
