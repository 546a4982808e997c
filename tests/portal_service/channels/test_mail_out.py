"""From the outbox to the mail server, and what becomes of a mail it does not take."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal_service.channels.mail_out import Recipient, queue_mail
from portal_service.channels.mailer import Mailer
from portal_service.channels.models import OutgoingMail, SuppressedAddress
from portal_service.channels.sending import BATCH, GIVE_UP, given_up, put_off, send_due, try_again
from portal_service.tickets.actions import add_reply
from tests.portal_service.channels.mail_server import MailServer
from tests.portal_service.support_desk import Help

CAROL = "carol@acme.example"


def mail_to(desk: Help, recipient: str) -> OutgoingMail:
    with desk.write() as session:
        query = select(OutgoingMail).where(OutgoingMail.recipient == recipient).order_by(OutgoingMail.created_at)
        return session.scalars(query).all()[-1]


def reply(desk: Help, body: str = "Hi") -> None:
    with desk.write() as session:
        sam = desk.actor(session, "sam")
        add_reply(session, desk.ticket(session), actor=sam, body=body, now=desk.clock.forward(hours=1))


def test_each_mail_is_sent_once_with_all_its_headers(filed: Help, server: MailServer) -> None:
    assert send_due(filed.database, server.mailer, filed.clock.now) == 2
    assert send_due(filed.database, server.mailer, filed.clock.forward(hours=9)) == 0
    assert len(server.taken) == 2
    to_carol = server.to(CAROL)
    stored = mail_to(filed, CAROL)
    assert to_carol["To"] == "Carol <carol@acme.example>"
    assert to_carol["Subject"] == "[#1001] Größe 尺寸 👍"
    assert to_carol["From"] == "Support <support@support.test>"
    assert to_carol["Message-ID"] == stored.message_id
    text, html = to_carol.get_body(("plain",)), to_carol.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "> שלום" in text.get_content()
    assert "x" * 2_000 in text.get_content()
    assert 'lang="en"' in html.get_content()


def test_no_machine_shall_answer_but_bounces_may_come(filed: Help, server: MailServer) -> None:
    reply(filed)
    send_due(filed.database, server.mailer, filed.clock.now)
    first, second = [mail for mail in server.taken if mail["To"].addresses[0].addr_spec == CAROL]
    assert {mail["Auto-Submitted"] for mail in server.taken} == {"auto-generated"}
    assert {mail["X-Auto-Response-Suppress"] for mail in server.taken} == {"DR, RN, NRN, OOF, AutoReply"}
    assert (first["Precedence"], second["Precedence"]) == ("bulk", None)


def test_an_answer_refers_to_the_first_mail(filed: Help, server: MailServer) -> None:
    first = mail_to(filed, CAROL).message_id
    reply(filed)
    send_due(filed.database, server.mailer, filed.clock.now)
    answer = server.to(CAROL)
    assert (answer["In-Reply-To"], answer["References"]) == (first, first)
    assert answer["Message-ID"] != first


def test_a_server_that_is_away_delays_and_loses_nothing(filed: Help, server: MailServer) -> None:
    nobody = Mailer("smtp://127.0.0.1:1", "support@support.test")
    assert send_due(filed.database, nobody, filed.clock.now) == 0
    waiting = mail_to(filed, CAROL)
    assert waiting.error is not None
    assert send_due(filed.database, server.mailer, filed.clock.now) == 0
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=1)) == 2
    assert mail_to(filed, CAROL).error is None


def test_an_outage_of_days_brings_no_mail_nearer_to_being_given_up(filed: Help, server: MailServer) -> None:
    nobody = Mailer("smtp://127.0.0.1:1", "support@support.test")
    for _ in range(21):
        send_due(filed.database, nobody, filed.clock.forward(hours=6))
    server.answer = "451 4.7.1 greylisted, try later"
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=1)) == 0
    server.answer = "250 OK"
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=1)) == 2


def test_everything_due_rests_while_the_server_is_away(desk: Help, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal_service.channels.sending.BATCH", 2)
    with desk.write() as session:
        for _ in range(3):
            desk.submit(session)
    tries = []

    class Away(Mailer):
        def connect(self) -> Any:
            tries.append(1)
            raise ConnectionRefusedError

    for _ in range(3):
        send_due(desk.database, Away("smtp://x", "support@support.test"), desk.clock.forward(seconds=1))
    assert len(tries) == 1


def test_a_temporary_no_is_asked_again_later_and_later(filed: Help, server: MailServer) -> None:
    server.answer = "451 busy, try later"
    pauses = []
    for _ in range(4):
        send_due(filed.database, server.mailer, filed.clock.now)
        mail = mail_to(filed, CAROL)
        pauses.append(mail.due_at - filed.clock.now)
        filed.clock.now = mail.due_at
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] <= timedelta(hours=1)
    with filed.write() as session:
        assert {mail.error for mail in put_off(session, limit=9)} == {"451 busy, try later"}
    server.answer = "250 OK"
    send_due(filed.database, server.mailer, filed.clock.forward(hours=1))
    assert len(server.taken) == 2


def test_what_is_put_off_for_days_is_given_up_and_can_be_sent_again(filed: Help, server: MailServer) -> None:
    server.refusals[CAROL] = "450 4.2.2 mailbox full"
    tries = 0
    began = filed.clock.now
    while mail_to(filed, CAROL).failed_at is None:
        send_due(filed.database, server.mailer, filed.clock.now)
        filed.clock.forward(hours=5)
        tries += 1
    assert tries >= 20
    assert GIVE_UP <= filed.clock.now - began <= GIVE_UP + timedelta(hours=10)
    with filed.write() as session:
        (mail,) = given_up(session, limit=9)
        assert "mailbox full" in str(mail.error)
        try_again(session, mail, now=filed.clock.now)
    server.refusals.clear()
    assert send_due(filed.database, server.mailer, filed.clock.now) == 1


def test_a_final_no_is_kept_with_the_servers_words_and_harms_nobody_else(filed: Help, server: MailServer) -> None:
    server.refusals[CAROL] = "550 5.7.1 we do not like you"
    assert send_due(filed.database, server.mailer, filed.clock.now) == 1
    refused = mail_to(filed, CAROL)
    assert refused.failed_at == filed.clock.now
    assert refused.error == "550 5.7.1 we do not like you"
    assert send_due(filed.database, server.mailer, filed.clock.forward(days=1)) == 0


def test_an_address_without_a_mailbox_gets_no_more_mails_until_somebody_tries_again(
    filed: Help, server: MailServer
) -> None:
    server.refusals[CAROL] = "550 5.1.1 no such user here"
    send_due(filed.database, server.mailer, filed.clock.now)
    reply(filed)
    with filed.write() as session:
        assert session.get_one(SuppressedAddress, CAROL).reason == "550 5.1.1 no such user here"
        assert len(filed.mail_texts(session, CAROL)) == 1
        try_again(session, given_up(session, limit=1)[0], now=filed.clock.now)
    server.refusals.clear()
    reply(filed)
    send_due(filed.database, server.mailer, filed.clock.now)
    assert server.recipients.count(CAROL) == 2


def test_a_sender_the_server_does_not_take_fails_no_mail(filed: Help, server: MailServer) -> None:
    server.sender_answer = "553 5.7.1 not your address"
    assert send_due(filed.database, server.mailer, filed.clock.now) == 0
    assert "not your address" in str(mail_to(filed, CAROL).error)
    server.sender_answer = ""
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=1)) == 2


def test_a_connection_dropped_after_the_data_costs_only_a_second_copy_of_that_mail(
    filed: Help, server: MailServer
) -> None:
    server.hang_up_after_data = 1
    assert send_due(filed.database, server.mailer, filed.clock.now) == 1
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=1)) == 1
    assert len(server.taken) == 3
    assert len({mail["Message-ID"] for mail in server.taken}) == 2


def test_an_address_that_is_none_is_kept_as_failed(filed: Help, server: MailServer) -> None:
    with filed.write() as session:
        mail = session.scalars(select(OutgoingMail).where(OutgoingMail.recipient == CAROL)).one()
        mail.recipient = "carol@acme.example\nBcc: everybody@acme.example"
    assert send_due(filed.database, server.mailer, filed.clock.now) == 1
    assert len(server.taken) == 1


def test_a_mail_claimed_by_a_worker_that_died_is_sent_after_its_lease(filed: Help, server: MailServer) -> None:
    class Dying(Mailer):
        def connect(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send_due(filed.database, Dying("smtp://127.0.0.1:1", "x"), filed.clock.now)
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=4)) == 0
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=2)) == 2


def test_a_worker_that_dies_before_it_marks_sends_the_same_mail_once_more_and_no_other(
    filed: Help, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("portal_service.channels.sending.failpoint", die)
        with pytest.raises(KeyboardInterrupt):
            send_due(filed.database, server.mailer, filed.clock.now)
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=6)) == 2
    assert send_due(filed.database, server.mailer, filed.clock.forward(minutes=6)) == 0
    ids = [mail["Message-ID"] for mail in server.taken]
    assert len(ids) == 3
    assert len(set(ids)) == 2


def test_two_workers_send_each_mail_once(desk: Help, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal_service.channels.sending.BATCH", 3)
    with desk.write() as session:
        for _ in range(6):
            desk.submit(session)
    begin = threading.Barrier(2)

    def work() -> None:
        begin.wait()
        while send_due(desk.database, server.mailer, desk.clock.now):
            pass

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ids = [mail["Message-ID"] for mail in server.taken]
    assert len(ids) == len(set(ids)) == 12


def test_a_batch_that_takes_too_long_gives_the_rest_back(
    filed: Help, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal_service.channels.sending._BATCH_SECONDS", -1.0)
    assert send_due(filed.database, server.mailer, filed.clock.now) == 1
    assert send_due(filed.database, server.mailer, filed.clock.now) == 1
    assert len(server.taken) == 2


def test_a_long_queue_is_sent_in_batches(desk: Help, server: MailServer) -> None:
    with desk.write() as session:
        for _ in range(BATCH):
            desk.submit(session)
    assert send_due(desk.database, server.mailer, desk.clock.now) == BATCH
    assert send_due(desk.database, server.mailer, desk.clock.now) == BATCH
    assert send_due(desk.database, server.mailer, desk.clock.now) == 0


def test_words_that_open_something_are_forgotten_once_they_are_sent(filed: Help, server: MailServer) -> None:
    with filed.write() as session:
        for kind, secret in (("approved", False), ("reset", True)):
            to = Recipient(name="Zoe", address=f"{kind}@new.example", language="en")
            queue_mail(
                session,
                kind,
                key=kind,
                recipient=to,
                now=filed.clock.now,
                words={"username": "zoe"},
                url="https://support.test/the-way-in",
                secret=secret,
            )
    assert send_due(filed.database, server.mailer, filed.clock.now) == 4
    for kind in ("approved", "reset"):
        assert "the-way-in" in str(server.to(f"{kind}@new.example").get_body(("plain",)))
    assert "the-way-in" in mail_to(filed, "approved@new.example").text
    assert (mail_to(filed, "reset@new.example").text, mail_to(filed, "reset@new.example").html) == ("", "")
