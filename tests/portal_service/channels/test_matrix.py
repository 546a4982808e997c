"""Every event of a ticket, done by everybody who can do it: exactly these mails, to exactly these people."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.channels import notices
from portal_service.channels.matrix import MATRIX
from portal_service.channels.models import OutgoingMail
from portal_service.guests.filing import Guest, file_as_guest, guest_actor
from portal_service.people.models import Contact, ContactEmail
from portal_service.tickets.actions import (
    add_internal_note,
    add_reply,
    close,
    reopen,
    set_status,
    submit_ticket,
    transfer,
)
from portal_service.tickets.actor import CLOCK, Actor
from portal_service.tickets.models import Ticket
from shared.emails import email_key
from tests.portal_service.support_desk import Help

CAROL, SAM, NORA, ADMIN = "carol@acme.example", "sam@support.example", "nora@support.example", "admin@support.example"
GUEST = "greta@guest.example"
CRM = Actor(kind="crm", name="Anna of the CRM")

Told = list[tuple[str, str]]
"""Address and kind of each mail, sorted."""


@pytest.fixture
def backend() -> str:
    """One database is enough: these are about who."""
    return "sqlite"


@dataclass
class Scene:
    """Carol's ticket (or Greta's, a guest's), which Sam has."""

    desk: Help
    session: Session
    ticket: Ticket

    def actor(self, who: str) -> Actor:
        if who == "crm":
            return CRM
        if who == "guest":
            assert self.ticket.contact is not None
            return guest_actor(self.ticket.contact)
        return self.desk.actor(self.session, who)

    def told(self, act: Callable[[], object]) -> Told:
        before = set(self.session.scalars(select(OutgoingMail.id)))
        act()
        mails = self.session.scalars(select(OutgoingMail).where(OutgoingMail.id.not_in(before)))
        return sorted((mail.recipient, mail.kind) for mail in mails)


def scene(desk: Help, session: Session, *, guest: bool = False) -> Scene:
    sam = desk.staff(session, "Sam").id
    if guest:
        greta = Guest(name="Greta", email=GUEST, language="nl")
        new = desk.new(session, contact_id=None, account_id=None, favourite_staff_id=sam, external_ref="guest:1")
        ticket = file_as_guest(session, greta, new, address="10.0.0.1", now=desk.clock.now, rng=desk.rng)
    else:
        ticket = desk.submit(session, favourite_staff_id=sam)
    desk.clock.forward(hours=1)
    return Scene(desk, session, ticket)


def do(event: str, it: Scene, actor: Actor) -> None:
    """What leads to an event, by an action of the product itself."""
    now = it.desk.clock.forward(minutes=1)
    what: dict[str, Callable[[], object]] = {
        "replied": lambda: add_reply(it.session, it.ticket, actor=actor, body="Words", now=now),
        "asked": lambda: add_reply(it.session, it.ticket, actor=actor, body="Words?", pending=True, now=now),
        "noted": lambda: add_internal_note(it.session, it.ticket, actor=actor, body="SECRET", now=now),
        "pending": lambda: set_status(it.session, it.ticket, "pending", actor=actor, now=now),
        "solved": lambda: set_status(it.session, it.ticket, "solved", actor=actor, now=now),
        "closed": lambda: close(it.session, it.ticket, actor=actor, now=now),
        "reopened": lambda: reopen(it.session, it.ticket, actor=actor, now=now),
        "assigned": lambda: transfer(
            it.session,
            it.ticket,
            actor=actor,
            assignee_id=it.desk.staff(it.session, "Nora").id,
            account_id=it.ticket.account_id,
            product_id=it.ticket.product_id,
            note="",
            now=now,
        ),
    }
    what[event]()


CASES: list[tuple[str, str, Told]] = [
    ("replied", "carol", [(SAM, "reply_staff")]),
    ("replied", "peter", [(CAROL, "reply"), (SAM, "reply_staff")]),
    ("replied", "sam", [(CAROL, "reply")]),
    ("replied", "nora", [(CAROL, "reply"), (SAM, "reply_staff")]),
    ("replied", "crm", [(CAROL, "reply"), (SAM, "reply_staff")]),
    ("replied", "guest", [(SAM, "reply_staff")]),
    ("asked", "sam", [(CAROL, "question")]),
    ("asked", "nora", [(CAROL, "question"), (SAM, "reply_staff")]),
    ("noted", "sam", []),
    ("noted", "nora", [(SAM, "note")]),
    ("noted", "crm", [(SAM, "note")]),
    ("pending", "sam", [(CAROL, "waiting")]),
    ("solved", "carol", [(SAM, "solved_staff")]),
    ("solved", "guest", [(SAM, "solved_staff")]),
    ("solved", "sam", [(CAROL, "solved")]),
    ("solved", "nora", [(CAROL, "solved"), (SAM, "solved_staff")]),
    ("closed", "carol", [(SAM, "closed_staff")]),
    ("closed", "peter", [(CAROL, "closed"), (SAM, "closed_staff")]),
    ("closed", "sam", [(CAROL, "closed")]),
    ("closed", "nora", [(CAROL, "closed"), (SAM, "closed_staff")]),
    ("assigned", "sam", [(NORA, "assigned")]),
    ("assigned", "nora", []),
    ("assigned", "admin", [(NORA, "assigned")]),
]


@pytest.mark.parametrize(("event", "by", "told"), CASES, ids=[f"{event} by {by}" for event, by, _ in CASES])
def test_each_event_tells_exactly_these(desk: Help, event: str, by: str, told: Told) -> None:
    with desk.write() as session:
        it = scene(desk, session, guest=by == "guest")
        assert it.told(lambda: do(event, it, it.actor(by))) == told


REOPENED: list[tuple[str, Told]] = [
    ("carol", [(SAM, "reopened")]),
    ("sam", [(CAROL, "reopened")]),
    ("nora", [(CAROL, "reopened"), (SAM, "reopened")]),
]


@pytest.mark.parametrize(("by", "told"), REOPENED, ids=[by for by, _ in REOPENED])
def test_taking_up_a_closed_ticket_tells_the_others(desk: Help, by: str, told: Told) -> None:
    with desk.write() as session:
        it = scene(desk, session)
        close(session, it.ticket, actor=it.actor("sam"), now=desk.clock.forward(minutes=1))
        assert it.told(lambda: do("reopened", it, it.actor(by))) == told


def test_taking_up_a_waiting_ticket_is_no_reopening(desk: Help) -> None:
    with desk.write() as session:
        it = scene(desk, session)
        set_status(session, it.ticket, "pending", actor=it.actor("sam"), now=desk.clock.forward(minutes=1))
        assert it.told(lambda: do("reopened", it, it.actor("sam"))) == []


def test_a_new_ticket_is_confirmed_to_its_requester_and_given_to_its_agent(desk: Help) -> None:
    with desk.write() as session:
        sam = desk.staff(session, "Sam").id
        it = Scene(desk, session, Ticket())
        assert it.told(lambda: desk.submit(session, favourite_staff_id=sam)) == [(CAROL, "created"), (SAM, "assigned")]


def test_an_agent_who_files_for_a_contact_is_told_that_it_came_to_him(desk: Help) -> None:
    with desk.write() as session:
        new = desk.new(session, favourite_staff_id=desk.staff(session, "Sam").id, filed_by="Sam", origin="staff")
        it = Scene(desk, session, Ticket())
        sam = desk.actor(session, "sam")
        assert it.told(partial(submit_ticket, session, new, actor=sam, now=desk.clock.now, rng=desk.rng)) == [
            (CAROL, "created"),
            (SAM, "assigned"),
        ]


def test_a_guest_gets_number_and_key_in_his_language(desk: Help) -> None:
    with desk.write() as session:
        it = Scene(desk, session, Ticket())
        assert it.told(lambda: scene(desk, session, guest=True)) == [(GUEST, "guest_created"), (SAM, "assigned")]
        (text,) = desk.mail_texts(session, GUEST)
        assert text.startswith("Beste Greta,")
        assert "https://support.test/guest/open/1001/" in text


def test_whoever_is_requester_and_agent_at_once_gets_one_mail(desk: Help) -> None:
    with desk.write() as session:
        both = Contact(name="Sam at home", account=desk.account(session, "Acme"))
        both.emails = [ContactEmail(position=0, address="Sam@Support.Example", key=email_key(SAM))]
        session.add(both)
        session.flush()
        it = Scene(desk, session, Ticket())
        new = desk.new(session, contact_id=both.id, favourite_staff_id=desk.staff(session, "Sam").id, origin="staff")
        nora = desk.actor(session, "nora")
        file = partial(submit_ticket, session, new, actor=nora, now=desk.clock.now, rng=desk.rng)
        assert it.told(file) == [("Sam@Support.Example", "created")]
        it.ticket = desk.ticket(session)
        assert it.told(lambda: do("replied", it, it.actor("nora"))) == [("Sam@Support.Example", "reply")]


def test_the_clock_tells_customer_agent_and_admins(desk: Help) -> None:
    with desk.write() as session:
        desk.staff(session, "Admin").is_admin = True
        it = scene(desk, session)
        now = desk.clock.now
        due = partial(notices.review_overdue, session, it.ticket, due=now, now=now)
        assert it.told(due) == [(ADMIN, "review_overdue"), (SAM, "review_overdue")]
        set_status(session, it.ticket, "pending", actor=it.actor("sam"), now=desk.clock.forward(minutes=1))
        reminded = partial(notices.reminded, session, it.ticket, since=now, closes=None, now=now)
        assert it.told(reminded) == [(CAROL, "reminder")]
        closed = partial(close, session, it.ticket, actor=CLOCK, now=desk.clock.forward(days=14))
        assert it.told(closed) == [(CAROL, "closed_unanswered"), (SAM, "closed_unanswered_staff")]


def test_a_reply_that_solves_the_ticket_is_one_mail_with_the_words_in_it(desk: Help) -> None:
    with desk.write() as session:
        it = scene(desk, session)
        carol, now = it.actor("carol"), desk.clock.forward(minutes=1)

        def both() -> None:
            add_reply(session, it.ticket, actor=carol, body="That was it, thanks!", now=now)
            set_status(session, it.ticket, "solved", actor=carol, now=now)

        assert it.told(both) == [(SAM, "solved_staff")]
        assert "> That was it, thanks!" in desk.mail_texts(session, SAM)[-1]


def test_an_answer_that_solves_the_ticket_is_one_mail_too(desk: Help) -> None:
    with desk.write() as session:
        it = scene(desk, session)
        now = desk.clock.forward(minutes=1)
        solve = partial(add_reply, session, it.ticket, actor=it.actor("nora"), body="Mended.", status="solved", now=now)
        assert it.told(solve) == [(CAROL, "solved"), (SAM, "solved_staff")]
        assert "> Mended." in desk.mail_texts(session, CAROL)[-1]


@pytest.mark.parametrize(("status", "says"), [("closed", True), ("solved", True), ("pending", False)])
def test_a_reply_to_a_finished_ticket_says_that_it_is_open_again(desk: Help, status: str, says: bool) -> None:
    with desk.write() as session:
        it = scene(desk, session)
        set_status(session, it.ticket, status, actor=it.actor("sam"), now=desk.clock.forward(minutes=1))
        assert it.told(lambda: do("replied", it, it.actor("carol"))) == [(SAM, "reply_staff")]
        assert ("opened the ticket again" in desk.mail_texts(session, SAM)[-1]) == says


def test_an_internal_note_reaches_no_customer_in_any_mail(desk: Help) -> None:
    with desk.write() as session:
        it = scene(desk, session)
        for event in ("noted", "replied", "asked", "pending", "solved", "closed", "reopened", "assigned"):
            do(event, it, it.actor("nora"))
        notices.reminded(session, it.ticket, since=desk.clock.now, closes=None, now=desk.clock.now)
        for mail in session.scalars(select(OutgoingMail)):
            assert ("SECRET" in mail.text + mail.html + mail.subject) <= mail.recipient.endswith("@support.example")


def test_no_event_of_the_matrix_is_left_out_here() -> None:
    tried = {event for event, _, _ in CASES} | {
        "created",
        "reopened",
        "reminded",
        "closed_unanswered",
        "review_overdue",
    }
    assert tried == set(MATRIX)


def test_only_mails_of_the_agent_may_hold_what_is_internal() -> None:
    internal = [mail for event in ("noted", "assigned") for mail in MATRIX[event]]
    assert {mail.to for mail in internal} == {"assignee"}
    assert {mail.to for event in MATRIX for mail in MATRIX[event] if mail.kind == "note"} == {"assignee"}
