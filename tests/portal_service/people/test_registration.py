"""Asking for a log-in: nothing is revealed, nobody registers for somebody else, staff decide (S01, S02)."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from portal_service.people import auth, passwords, registration, throttle
from portal_service.people.auth import LoginRefused, verify_login
from portal_service.people.credentials import Registration
from portal_service.people.models import Contact, ContactEmail, User
from portal_service.people.registration import Application
from portal_service.tickets.errors import Invalid, Refused
from shared.emails import email_key
from tests.portal_service.support_desk import Help

PASSWORD = "correct horse battery"
ZOE = "zoe@new.example"


def apply_for(desk: Help, *, address: str = "192.0.2.1", **changes: str) -> dict[str, str]:
    """Register as Zoe; what was wrong by field, as the page would say it."""
    entered = {"username": "Zoe", "password": PASSWORD, "name": "Zoe Z", "email": ZOE, "company": "New Inc"} | changes
    with desk.write() as session:
        try:
            registration.register(session, Application(**entered), now=desk.clock.now, address=address)
        except Invalid as invalid:
            return invalid.errors
    return {}


def link_in_mail(desk: Help, recipient: str = ZOE) -> str:
    """The token of the newest confirmation link somebody got."""
    with desk.write() as session:
        return re.findall(r"/register/confirm/(\S+)", desk.mail_texts(session, recipient)[-1])[0]


def confirm(desk: Help, token: str, password: str = PASSWORD) -> str:
    """How the confirmation was answered: an empty text when it was taken."""
    with desk.write() as session:
        try:
            registration.confirm(session, token, password, now=desk.clock.now)
        except Refused as refused:
            return refused.message_key
    return ""


def log_in(desk: Help, password: str = PASSWORD) -> str:
    with desk.write() as session:
        try:
            return verify_login(session, "zoe", password, address="192.0.2.1", now=desk.clock.now).username
        except LoginRefused as refused:
            return refused.message_key


@pytest.fixture
def waiting(desk: Help) -> Help:
    """Zoe registered and confirmed her address."""
    assert apply_for(desk) == {}
    assert confirm(desk, link_in_mail(desk)) == ""
    return desk


def test_from_the_form_to_the_log_in(desk: Help) -> None:
    assert apply_for(desk) == {}
    assert log_in(desk) == auth.NOT_CONFIRMED
    assert confirm(desk, link_in_mail(desk)) == ""
    assert log_in(desk) == auth.NOT_APPROVED
    assert log_in(desk, "wrong") == auth.WRONG
    with desk.write() as session:
        (found,) = registration.awaiting(session)
        assert [mail for mail in desk.mails(session) if mail[0] == ZOE] == [(ZOE, "Please confirm your e-mail address")]
        registration.approve(
            session,
            found,
            by=desk.staff(session, "Sam"),
            account_id=desk.account(session, "Acme").id,
            now=desk.clock.forward(minutes=1),
        )
        assert desk.mails(session)[-1] == (ZOE, "Your registration is approved")
        contact = desk.contact(session, "Zoe Z")
        assert (contact.account, contact.email, contact.crm_id) == (desk.account(session, "Acme"), ZOE, None)
        with pytest.raises(Refused):
            registration.approve(session, found, by=desk.staff(session, "Sam"), now=desk.clock.now)
    assert log_in(desk) == "Zoe"


def test_a_refusal_tells_the_reason_and_keeps_the_door_shut(waiting: Help) -> None:
    with waiting.write() as session:
        (found,) = registration.awaiting(session)
        sam = waiting.staff(session, "Sam")
        with pytest.raises(Invalid):
            registration.refuse(session, found, reason="  ", by=sam, now=waiting.clock.now)
        registration.refuse(session, found, reason="You are no customer.", by=sam, now=waiting.clock.forward(minutes=1))
        assert waiting.mails(session)[-1] == (ZOE, "Your registration was not approved")
        assert "> You are no customer." in waiting.mail_texts(session, ZOE)[-1]
        assert registration.awaiting(session) == []
    assert log_in(waiting) == auth.NOT_ACCEPTED


def test_staff_who_manage_people_are_told_once_that_somebody_waits(desk: Help) -> None:
    with desk.write() as session:
        desk.staff(session, "Admin").is_admin = True
    apply_for(desk)
    assert confirm(desk, link_in_mail(desk)) == ""
    with desk.write() as session:
        told = [mail for mail in desk.mails(session) if mail[0].endswith("@support.example")]
        assert told == [("admin@support.example", "Zoe Z asks for a log-in")]
        assert "zoe@new.example" in desk.mail_texts(session, "admin@support.example")[0]


def test_a_known_address_gets_the_same_answer_and_a_mail_of_its_own(desk: Help) -> None:
    assert apply_for(desk, email="CAROL@acme.example") == apply_for(desk, username="Other") == {}
    with desk.write() as session:
        assert ("CAROL@acme.example", "You already have a log-in") in desk.mails(session)
        assert "Your user name: Carol" in desk.mail_texts(session, "CAROL@acme.example")[0]
        assert session.scalar(select(User).where(User.username_key == "zoe")) is None


def test_the_address_of_an_agent_is_known_too(desk: Help) -> None:
    assert apply_for(desk, email="Sam@Support.example") == {}
    with desk.write() as session:
        assert desk.mails(session) == [("Sam@Support.example", "You already have a log-in")]


def test_who_registers_with_anothers_address_gains_nothing_by_her_click(desk: Help) -> None:
    apply_for(desk, password="the password of a thief")
    assert confirm(desk, link_in_mail(desk), "what she would type") == auth.WRONG_PASSWORD
    with desk.write() as session:
        assert registration.awaiting(session) == []


def test_the_password_behind_a_link_cannot_be_guessed(desk: Help) -> None:
    apply_for(desk)
    token = link_in_mail(desk)
    for _ in range(10):
        assert confirm(desk, token, "wrong") == auth.WRONG_PASSWORD
    assert confirm(desk, token) == throttle.THROTTLED


def test_a_link_works_once_and_for_two_days(desk: Help) -> None:
    apply_for(desk)
    token = link_in_mail(desk)
    assert confirm(desk, token) == ""
    assert confirm(desk, token) == registration.DECIDED
    apply_for(desk, username="Yan", email="yan@new.example")
    late = link_in_mail(desk, "yan@new.example")
    desk.clock.forward(days=2, seconds=1)
    assert confirm(desk, late) == confirm(desk, "made-up") == registration.DECIDED


def test_what_nobody_confirmed_is_forgotten_and_its_name_free_again(waiting: Help) -> None:
    apply_for(waiting, username="Yan", email="yan@new.example")
    assert apply_for(waiting, username="yan") == {"username": registration.TAKEN}
    with waiting.write() as session:
        registration.forget_stale(session, now=waiting.clock.forward(days=2, minutes=1))
        assert session.scalars(select(Registration.email)).all() == [ZOE]
    assert apply_for(waiting, username="yan", email="yan@new.example") == {}


def test_a_waiting_address_registers_only_once(waiting: Help) -> None:
    assert apply_for(waiting, username="Zoe2", email=ZOE.upper()) == {}
    with waiting.write() as session:
        assert session.scalar(select(func.count()).select_from(Registration)) == 1


def add_contact(session: Any, name: str, address: str, **more: Any) -> Contact:
    contact = Contact(name=name, **more)
    contact.emails = [ContactEmail(position=0, address=address, key=email_key(address))]
    session.add(contact)
    session.flush()
    return contact


def test_the_contact_of_the_directory_is_found_by_any_case_of_its_address(waiting: Help) -> None:
    with waiting.write() as session:
        known = add_contact(session, "Z. Z.", "ZOE@NEW.example", crm_id="C-9", account=waiting.account(session, "Acme"))
        (found,) = registration.awaiting(session)
        assert registration.matches(session, found) == [known]
        sam = waiting.staff(session, "Sam")
        registration.approve(session, found, by=sam, contact_id=known.id, now=waiting.clock.now)
        assert found.user.contact is known


def test_somebody_elses_contact_cannot_be_chosen(waiting: Help) -> None:
    with waiting.write() as session:
        (found,) = registration.awaiting(session)
        sam, carol = waiting.staff(session, "Sam"), waiting.contact(session, "Carol")
        with pytest.raises(Invalid) as refused:
            registration.approve(session, found, by=sam, contact_id=carol.id, now=waiting.clock.now)
        assert refused.value.errors == {"contact_id": registration.NOT_A_MATCH}
        with pytest.raises(Invalid) as refused:
            registration.approve(session, found, by=sam, now=waiting.clock.now)
        assert refused.value.errors == {"account_id": registration.NO_ACCOUNT}


@pytest.mark.parametrize(
    ("entered", "errors"),
    [
        ({"username": "CAROL"}, {"username": registration.TAKEN}),
        ({"username": " "}, {"username": "Please fill this in."}),
        ({"name": "x" * 151}, {"name": registration.TOO_LONG}),
        ({"company": ""}, {"company": "Please fill this in."}),
        ({"email": "nowhere"}, {"email": registration.NO_EMAIL}),
        ({"password": "short"}, {"password": passwords.TOO_SHORT}),
        ({"password": "x" * 201}, {"password": passwords.TOO_LONG}),
        ({"password": "Password123"}, {"password": passwords.LEAKED}),
        ({"password": "my name is zoe@new.example"}, {"password": passwords.TOO_PERSONAL}),
    ],
)
def test_what_cannot_be_is_told_at_its_field(desk: Help, entered: dict[str, str], errors: dict[str, str]) -> None:
    assert apply_for(desk, **entered) == errors
    with desk.write() as session:
        assert session.scalar(select(func.count()).select_from(Registration)) == 0


def test_one_address_cannot_try_names_without_end(desk: Help) -> None:
    for _ in range(20):
        assert apply_for(desk, username="carol") == {"username": registration.TAKEN}
    assert apply_for(desk) == {"": throttle.THROTTLED}
    assert apply_for(desk, address="198.51.100.7") == {}
    desk.clock.forward(minutes=16)
    assert apply_for(desk, username="carol") == {"username": registration.TAKEN}


def test_one_mailbox_is_not_flooded(desk: Help) -> None:
    for number in range(5):
        assert apply_for(desk, username=f"Zoe{number}") == {}
    with desk.write() as session:
        assert len(desk.mail_texts(session, ZOE)) == 3


def test_the_words_of_an_applicant_are_no_markup_in_the_mail(desk: Help) -> None:
    apply_for(desk, name="<b>{email}</b>")
    assert confirm(desk, link_in_mail(desk)) == ""
    with desk.write() as session:
        assert "<b>{email}</b> asks for a log-in" in desk.mail_texts(session, "sam@support.example")[0]


def test_a_refused_registration_is_forgotten_in_the_end(waiting: Help) -> None:
    with waiting.write() as session:
        (found,) = registration.awaiting(session)
        registration.refuse(session, found, reason="No", by=waiting.staff(session, "Sam"), now=waiting.clock.now)
    with waiting.write() as session:
        registration.forget_stale(session, now=waiting.clock.now + timedelta(days=29))
        assert session.scalar(select(func.count()).select_from(Registration)) == 1
        registration.forget_stale(session, now=waiting.clock.now + timedelta(days=31))
        assert session.scalar(select(func.count()).select_from(Registration)) == 0
