"""What an administrator sees of mails that reached nobody, and of reviews that are late."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from portal_service.channels.models import OutgoingMail, SuppressedAddress
from portal_service.tickets.models import Ticket
from shared.clock import utc_now
from shared.database import Database
from tests.portal_service.web.browsing import Visitor, Visitors, text_of


@pytest.fixture
def alex(visitors: Visitors) -> Visitor:
    """An administrator."""
    return visitors.log_in("alex")


def some_mail(database: Database, **values: object) -> OutgoingMail:
    """One of the mails of the demo data, in another state."""
    with database.write() as session:
        mail = session.scalars(select(OutgoingMail).order_by(OutgoingMail.event_key)).first()
        assert mail is not None
        mail.error = "450 4.2.2 mailbox full"
        for name, value in values.items():
            setattr(mail, name, value)
        return mail


def test_nobody_but_an_administrator_finds_the_page(alex: Visitor, sam: Visitor, carol: Visitor) -> None:
    assert alex.get("/staff/mails").status_code == 200
    assert sam.get("/staff/mails").status_code == 404
    assert carol.get("/staff/mails").status_code == 404


def test_a_mail_that_waits_is_shown_with_the_servers_words(alex: Visitor, database: Database) -> None:
    mail = some_mail(database, attempts=3)
    page = text_of(alex.get("/staff/mails"))
    assert mail.recipient in page
    assert "450 4.2.2 mailbox full" in page


def test_a_mail_given_up_is_announced_and_sent_again(alex: Visitor, database: Database) -> None:
    mail = some_mail(database, failed_at=utc_now(), attempts=25, secret=False)
    assert "Undelivered mails 1" in text_of(alex.get("/staff/tickets"))
    assert "Given up" in text_of(alex.get("/staff/mails"))
    assert alex.post(f"/staff/mails/{mail.id}/again").status_code == 303
    with database.read() as session:
        kept = session.get_one(OutgoingMail, mail.id)
        assert (kept.failed_at, kept.attempts) == (None, 0)
        assert kept.due_at <= utc_now()
    assert alex.post(f"/staff/mails/{mail.id}/again").status_code == 404


def test_words_that_are_no_longer_kept_cannot_be_sent_again(alex: Visitor, database: Database) -> None:
    mail = some_mail(database, failed_at=utc_now(), text="", html="")
    assert "no longer kept" in text_of(alex.get("/staff/mails"))
    assert alex.post(f"/staff/mails/{mail.id}/again").status_code == 404


def test_an_agent_cannot_send_again_what_he_cannot_see(sam: Visitor, database: Database) -> None:
    mail = some_mail(database, failed_at=utc_now())
    assert sam.post(f"/staff/mails/{mail.id}/again").status_code == 404


def test_a_suppressed_address_is_lifted(alex: Visitor, database: Database) -> None:
    with database.write() as session:
        session.add(SuppressedAddress(key="gone@acme.example", reason="550 5.1.1 no such user", since=utc_now()))
    assert "550 5.1.1 no such user" in text_of(alex.get("/staff/mails"))
    assert alex.post("/staff/mails/addresses/lift", key="gone@acme.example").status_code == 303
    assert "gone@acme.example" not in text_of(alex.get("/staff/mails"))


def test_a_late_review_is_marked_in_the_list_and_afterwards_on_the_page(
    carol: Visitor, sam: Visitor, database: Database
) -> None:
    number = carol.file_request()
    assert "Review overdue" not in text_of(sam.get(f"/staff/tickets?q={number}"))
    _filed(database, number, at=utc_now() - timedelta(minutes=6))
    assert "Review overdue" in text_of(sam.get(f"/staff/tickets?q={number}"))
    page = text_of(sam.get(f"/staff/tickets/{number}"))
    assert "Late target:" in page
    assert "Review overdue" not in text_of(sam.get(f"/staff/tickets?q={number}"))


def _filed(database: Database, number: int, *, at: datetime) -> None:
    with database.write() as session:
        session.get_one(Ticket, number).created_at = at
