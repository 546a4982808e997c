"""What a guest's key opens, whose the ticket is, and what the mails bring (S05 - S10)."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from portal_service.channels.mail_out import Recipient, queue_mail
from portal_service.guests import filing, keys
from portal_service.guests.models import GuestKey, GuestTicket
from portal_service.people import policy, throttle
from portal_service.people.models import Contact
from portal_service.tickets.actions import add_internal_note, add_reply, close, delete
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.models import Ticket
from portal_service.tickets.queries import TicketFilter, tickets_for_contact
from shared.events import TicketChanged
from shared.settings import LANGUAGES
from tests.portal_service.support_desk import Help

GINA = "gina@acme.example"


def file_(desk: Help, session: Any, *, email: str = GINA, name: str = "Gina", address: str = "192.0.2.1") -> Ticket:
    session.flush()
    count = session.query(GuestTicket).count()
    return filing.file_as_guest(
        session,
        filing.Guest(name=name, email=email, language="en"),
        desk.new(session, contact_id=None, account_id=None, external_ref=f"{keys.GUEST_REF}{count}"),
        address=address,
        now=desk.clock.forward(seconds=1),
        rng=desk.rng,
    )


def keys_in_mails(desk: Help, session: Any, recipient: str = GINA) -> list[str]:
    return [key for text in desk.mail_texts(session, recipient) for key in re.findall(r"/guest/open/\d+/(\S+)", text)]


def test_a_guest_gets_a_mail_with_number_key_and_link(desk: Help) -> None:
    with desk.write() as session:
        ticket = file_(desk, session)
        assert (GINA, "We received your request") in desk.mails(session)
        (text,) = desk.mail_texts(session, GINA)
        (key,) = keys_in_mails(desk, session)
        assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}(-[0-9A-HJKMNP-TV-Z]{5}){3}", key)
        assert f"{key}\n" in text
        assert keys.find_key(session, ticket.number, key) is not None
        assert key not in [stored.key_hash for stored in session.scalars(select(GuestKey))]
        told = [event for event in desk.told(session) if isinstance(event, TicketChanged)][-1]
        assert (told.contact and told.contact.email, told.account_name) == (GINA, None)


def test_a_key_is_understood_however_it_is_typed_and_opens_one_ticket(desk: Help) -> None:
    with desk.write() as session:
        ticket, other = file_(desk, session), file_(desk, session)
        key = keys.issue_key(session, ticket, mailed=False, now=desk.clock.now)
        sloppy = f" {key.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} "
        assert keys.find_key(session, ticket.number, sloppy) is not None
        for number, typed in ((other.number, key), (ticket.number, key[:-1]), (ticket.number, ""), (0, key)):
            assert keys.find_key(session, number, typed) is None


def test_a_revoked_key_and_one_of_a_deleted_ticket_open_nothing(desk: Help) -> None:
    with desk.write() as session:
        ticket = file_(desk, session)
        old = keys.issue_key(session, ticket, mailed=False, now=desk.clock.now)
        keys.revoke_keys(session, ticket, now=desk.clock.now)
        new = keys.issue_key(session, ticket, mailed=False, now=desk.clock.now)
        session.expire_all()
        assert keys.find_key(session, ticket.number, old) is None
        found = keys.find_key(session, ticket.number, new)
        assert found is not None
        assert policy.guest_can(found, "reply", ticket)
        assert not policy.guest_can(found, "view_internal", ticket)
        delete(session, ticket, actor=desk.actor(session, "sam"), now=desk.clock.now)
        assert keys.find_key(session, ticket.number, new) is None
        assert not policy.guest_can(found, "view", ticket)


def test_every_answer_brings_a_link_that_works_and_notes_bring_nothing(desk: Help) -> None:
    with desk.write() as session:
        ticket, sam = file_(desk, session), desk.actor(session, "sam")
        add_reply(session, ticket, actor=sam, body="Try again", now=desk.clock.forward(minutes=1))
        add_internal_note(session, ticket, actor=sam, body="Secret", now=desk.clock.forward(minutes=1))
        close(session, ticket, actor=sam, now=desk.clock.forward(minutes=1))
        found = keys_in_mails(desk, session)
        assert len(found) == 3
        assert all(keys.find_key(session, ticket.number, key) for key in found)
        assert not [text for text in desk.mail_texts(session, GINA) if "Secret" in text]


def test_a_guests_reply_reopens_a_closed_ticket_and_tells_the_agent(desk: Help) -> None:
    with desk.write() as session:
        ticket, sam = file_(desk, session), desk.actor(session, "sam")
        close(session, ticket, actor=sam, now=desk.clock.forward(minutes=1))
        assert ticket.contact is not None
        add_reply(session, ticket, actor=filing.guest_actor(ticket.contact), body="Still", now=desk.clock.now)
        assert ticket.status == "open"
        assert [mail for mail in desk.mails(session) if mail[1] == "New reply from Gina"]


def test_nobody_puts_a_ticket_into_the_list_of_another(desk: Help) -> None:
    with desk.write() as session:
        ticket = file_(desk, session, email="carol@acme.example", name="Carol")
        carol, peter = (
            desk.contact(session, "Peter"),
            session.scalars(select(Contact).where(Contact.name == "Carol", ~Contact.guest)).one(),
        )
        for contact in (carol, peter):
            assert tickets_for_contact(session, contact, TicketFilter(), limit=9).items == []
        assert ticket.contact is not None
        assert ticket.contact.guest


def test_a_proved_address_moves_the_ticket_to_its_contact_and_account(desk: Help) -> None:
    with desk.write() as session:
        ticket = file_(desk, session, email="CAROL@acme.example", name="C. Jansen")
        filing.confirm_address(session, ticket, now=desk.clock.now)
        assert ticket.contact is desk.contact(session, "Carol")
        assert ticket.account is desk.account(session, "Acme")
        version = ticket.version
        filing.confirm_address(session, ticket, now=desk.clock.now)
        assert ticket.version == version
        told = [event for event in desk.told(session) if isinstance(event, TicketChanged)][-1]
        assert told.contact is not None
        assert (told.contact.crm_id, told.account_crm_id) == ("C-Carol", "A-Acme")


def test_a_proved_address_that_nobody_has_makes_the_guest_known(desk: Help) -> None:
    with desk.write() as session:
        ticket = file_(desk, session)
        filing.confirm_address(session, ticket, now=desk.clock.now)
        assert ticket.contact is not None
        assert not ticket.contact.guest
        assert ticket.account is None


def test_whoever_filed_with_the_address_of_another_is_out_once_that_one_says_it_is_his(desk: Help) -> None:
    with desk.write() as session:
        ticket = file_(desk, session, email="carol@acme.example", name="Carol")
        on_screen = keys.issue_key(session, ticket, mailed=False, now=desk.clock.now)
        (by_mail,) = keys_in_mails(desk, session, "carol@acme.example")
        filing.confirm_address(session, ticket, now=desk.clock.now)
        session.expire_all()
        assert keys.find_key(session, ticket.number, on_screen) is None
        assert keys.find_key(session, ticket.number, by_mail) is not None


def test_the_same_guest_is_one_contact(desk: Help) -> None:
    with desk.write() as session:
        first, again = file_(desk, session), file_(desk, session, email=GINA.upper(), name="gina")
        other = file_(desk, session, name="Somebody else")
        assert first.contact is again.contact
        assert other.contact is not first.contact


def mail_link(desk: Help, session: Any, number: int, email: str, address: str = "192.0.2.1") -> int:
    """How many mails it made."""
    before = len(desk.mails(session))
    filing.mail_link(session, number, email, address=address, now=desk.clock.forward(seconds=1))
    return len(desk.mails(session)) - before


def test_a_lost_key_is_sent_again_to_the_tickets_own_address_only(desk: Help) -> None:
    with desk.write() as session:
        ticket, carols = file_(desk, session), desk.submit(session)
        assert mail_link(desk, session, ticket.number, "GINA@acme.example") == 1
        assert keys.find_key(session, ticket.number, keys_in_mails(desk, session)[-1]) is not None
        for number, email in ((ticket.number, "else@acme.example"), (carols.number, "carol@acme.example"), (9, GINA)):
            assert mail_link(desk, session, number, email) == 0


def test_a_mailbox_is_not_flooded_with_links(desk: Help) -> None:
    with desk.write() as session:
        ticket = file_(desk, session)
        assert sum(mail_link(desk, session, ticket.number, GINA) for _ in range(5)) == 3
        for _ in range(15):
            mail_link(desk, session, 9, "x@y.example")
        with pytest.raises(Refused) as refused:
            mail_link(desk, session, 9, "x@y.example")
        assert refused.value.message_key == throttle.THROTTLED
        assert mail_link(desk, session, 9, "x@y.example", address="198.51.100.1") == 0


def test_tickets_without_end_are_refused(desk: Help) -> None:
    with desk.write() as session:
        for _ in range(5):
            file_(desk, session)
        with pytest.raises(Refused):
            file_(desk, session, address="198.51.100.1")
        with pytest.raises(Refused):
            file_(desk, session, email=GINA.replace("@", "\x01@"), address="198.51.100.1")
        for number in range(5):
            file_(desk, session, email=f"g{number}@acme.example")
        with pytest.raises(Refused):
            file_(desk, session, email="another@acme.example")


@pytest.mark.parametrize(
    ("changes", "field"), [({"name": " "}, "name"), ({"name": "x" * 151}, "name"), ({"email": "gina"}, "email")]
)
def test_a_guest_without_name_or_address_is_refused(desk: Help, changes: dict[str, str], field: str) -> None:
    with desk.write() as session, pytest.raises(Invalid) as refused:
        file_(desk, session, **changes)
    assert list(refused.value.errors) == [field]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["guest_created", "guest_link"])
def test_the_mails_to_guests_can_be_written_in_every_language(desk: Help, language: str, kind: str) -> None:
    words = {"key": "AAAAA-BBBBB", "assignee": "Sam", "missed_favourite": "Mila"}
    with desk.write() as session:
        ticket = file_(desk, session)
        to = Recipient(name="Gina", address="new@acme.example", language=language)
        queue_mail(
            session, kind, key=kind, recipient=to, now=desk.clock.now, words=words, url="https://x", ticket=ticket
        )
        (text,) = desk.mail_texts(session, "new@acme.example")
        assert "{" not in text
        assert "AAAAA-BBBBB" in text
