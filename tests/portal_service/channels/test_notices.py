import re
from typing import Any

import pytest
from sqlalchemy import select

from portal_service.channels import notices
from portal_service.channels.models import OutgoingMail
from portal_service.tickets.actions import (
    SYSTEM,
    add_reply,
    close,
    submit_ticket,
    transfer,
)
from tests.portal_service.support_desk import Help

CAROL, SAM, NORA = "carol@acme.example", "sam@support.example", "nora@support.example"


@pytest.fixture
def sams(desk: Help) -> Help:
    """A desk where Carol's ticket is with Sam."""
    with desk.write() as session:
        desk.submit(session, favourite_staff_id=desk.staff(session, "Sam").id)
    return desk


def since_then(desk: Help, session: Any, before: int) -> list[tuple[str, str]]:
    return sorted(desk.mails(session)[before:])


def test_a_new_ticket_is_mailed_to_its_requester_and_its_agent_only(sams: Help) -> None:
    with sams.write() as session:
        assert sorted(sams.mails(session)) == [(CAROL, "We received your request"), (SAM, "Ticket #1001 is yours")]
        mail = session.scalars(select(OutgoingMail).where(OutgoingMail.recipient == CAROL)).one()
        assert mail.subject == "[#1001] It does not work"
        assert "Sam takes care of it." in mail.text
        assert "> I press the button\n> and nothing happens." in mail.text
        assert "https://support.test/tickets/1001" in mail.text
        assert "https://support.test/tickets/1001" in mail.html


def test_a_transfer_tells_the_new_agent_once_with_the_note(sams: Help) -> None:
    with sams.write() as session:
        ticket = sams.ticket(session)
        before = len(sams.mails(session))
        transfer(
            session,
            ticket,
            actor=sams.actor(session, "sam"),
            assignee_id=sams.staff(session, "Nora").id,
            account_id=ticket.account_id,
            product_id=ticket.product_id,
            note="Please phone her",
            now=sams.clock.forward(minutes=1),
        )
        assert since_then(sams, session, before) == [(NORA, "Ticket #1001 is yours")]
        assert "Please phone her" in sams.mail_texts(session, NORA)[0]
        assert not [text for text in sams.mail_texts(session, CAROL) if "Please phone her" in text]


def test_a_mail_to_one_person_about_one_update_is_queued_once(sams: Help) -> None:
    with sams.write() as session:
        ticket, carol = sams.ticket(session), sams.actor(session, "carol")
        reply = add_reply(session, ticket, actor=carol, body="Words", now=sams.clock.forward(minutes=1))
        before = len(sams.mails(session))
        notices.reply_added(session, ticket, reply, actor=carol, now=sams.clock.forward(minutes=1))
        assert len(sams.mails(session)) == before


def test_an_import_tells_nobody(desk: Help) -> None:
    with desk.write() as session:
        new = desk.new(session, origin="import")
        ticket = submit_ticket(session, new, actor=SYSTEM, now=desk.clock.now, rng=desk.rng)
        close(session, ticket, actor=SYSTEM, now=desk.clock.now)
        assert desk.mails(session) == []


def test_somebody_inactive_gets_nothing(sams: Help) -> None:
    with sams.write() as session:
        sams.staff(session, "Sam").active = False
        before = len(sams.mails(session))
        add_reply(session, sams.ticket(session), actor=sams.actor(session, "carol"), body="x", now=sams.clock.now)
        assert len(sams.mails(session)) == before


def test_all_mails_to_one_person_about_a_ticket_are_one_thread(sams: Help) -> None:
    with sams.write() as session:
        for number in range(3):
            now = sams.clock.forward(minutes=1)
            add_reply(session, sams.ticket(session), actor=sams.actor(session, "sam"), body=f"{number}", now=now)
        mails = list(
            session.scalars(
                select(OutgoingMail).where(OutgoingMail.recipient == CAROL).order_by(OutgoingMail.created_at)
            )
        )
        assert [mail.in_reply_to for mail in mails] == [None, *[mails[0].message_id] * 3]
        assert len({mail.message_id for mail in mails}) == 4
        assert re.fullmatch(r"<ticket-1001\.[0-9a-f-]{36}@support\.test>", mails[0].message_id)


def test_words_in_a_mail_are_words_and_no_markup(desk: Help) -> None:
    with desk.write() as session:
        desk.submit(session, subject="<b>{name}</b> {0.__class__}", description="<script>alert('{x}')</script>")
        mail = session.scalars(select(OutgoingMail).where(OutgoingMail.recipient == CAROL)).one()
        assert "<script>" not in mail.html
        assert "&lt;script&gt;" in mail.html
        assert mail.subject == "[#1001] <b>{name}</b> {0.__class__}"
        assert "<script>alert('{x}')</script>" in mail.text


def test_mails_are_in_the_language_of_their_reader(desk: Help) -> None:
    with desk.write() as session:
        desk.user(session, "carol").language = "nl"
        desk.submit(session)
        assert (CAROL, "We hebben uw aanvraag ontvangen") in desk.mails(session)
