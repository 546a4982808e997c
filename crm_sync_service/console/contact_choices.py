"""Addresses that several contacts of the CRM share: a person says who it is, nothing is guessed."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from crm_sync_service.console.figures import AMBIGUOUS
from crm_sync_service.models import ContactMatch, DirectoryRecord, Replica

PAGE = 25
_TICKETS = 10


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One contact of the CRM that has the address."""

    crm_id: str
    name: str
    emails: Sequence[str]
    account: str
    """Its account's name; empty if it has none."""
    active: bool
    known: bool
    """The directory has told of it; otherwise only its id is known."""
    fits_account: bool
    """It belongs to the account of a ticket that waits."""


@dataclass(frozen=True, kw_only=True)
class WaitingTicket:
    """A ticket that waits for the choice."""

    ticket_id: uuid.UUID
    number: int
    subject: str
    requester: str
    account: str


@dataclass(frozen=True, kw_only=True)
class ContactQuestion:
    """An address and who it may be."""

    email: str
    since: datetime
    candidates: Sequence[Candidate]
    tickets: Sequence[WaitingTicket]
    """The first of them."""
    ticket_count: int


@dataclass(frozen=True, kw_only=True)
class DecidedContact:
    """A choice that was made."""

    email: str
    crm_id: str
    name: str
    by: str
    at: datetime


def read_questions(session: Session, *, after: str = "") -> list[ContactQuestion]:
    """By address, PAGE at a time."""
    rows = _rows(session, AMBIGUOUS, ContactMatch.email_key > after)
    return [_question(session, row) for row in rows]


def read_question(session: Session, email: str) -> ContactQuestion | None:
    rows = _rows(session, AMBIGUOUS, ContactMatch.email_key == email)
    return _question(session, rows[0]) if rows else None


def read_decided(session: Session) -> list[DecidedContact]:
    """The newest choices of people."""
    rows = session.scalars(
        select(ContactMatch)
        .where(ContactMatch.decided_by.is_not(None), ContactMatch.crm_id.is_not(None))
        .order_by(ContactMatch.decided_at.desc())
        .limit(PAGE)
    ).all()
    names = _records(session, "contact", (row.crm_id for row in rows))
    return [
        DecidedContact(
            email=row.email_key,
            crm_id=row.crm_id or "",
            name=names[row.crm_id].name if row.crm_id in names else row.crm_id or "",
            by=row.decided_by or "",
            at=row.decided_at,
        )
        for row in rows
    ]


def _rows(session: Session, *conditions: ColumnElement[bool]) -> Sequence[ContactMatch]:
    statement = select(ContactMatch).where(*conditions).order_by(ContactMatch.email_key).limit(PAGE)
    return session.scalars(statement).all()


def _question(session: Session, row: ContactMatch) -> ContactQuestion:
    ids = [uuid.UUID(text) for text in row.tickets[:_TICKETS]]
    tickets = session.scalars(select(Replica).where(Replica.ticket_id.in_(ids)).order_by(Replica.number)).all()
    wanted = {str(ticket.body.get("account_crm_id")) for ticket in tickets}
    contacts = _records(session, "contact", row.candidates)
    accounts = _records(session, "account", (contact.account_crm_id for contact in contacts.values()))
    return ContactQuestion(
        email=row.email_key,
        since=row.decided_at,
        candidates=[_candidate(crm_id, contacts.get(crm_id), accounts, wanted) for crm_id in row.candidates],
        tickets=[_ticket(ticket) for ticket in tickets],
        ticket_count=len(row.tickets),
    )


def _candidate(
    crm_id: str, record: DirectoryRecord | None, accounts: dict[str, DirectoryRecord], wanted: set[str]
) -> Candidate:
    account_id = record.account_crm_id if record else None
    return Candidate(
        crm_id=crm_id,
        name=record.name if record else crm_id,
        emails=record.emails if record else (),
        account=accounts[account_id].name if account_id in accounts else account_id or "",
        active=record.active if record else True,
        known=record is not None,
        fits_account=account_id in wanted,
    )


def _ticket(replica: Replica) -> WaitingTicket:
    contact = replica.body.get("contact") or {}
    return WaitingTicket(
        ticket_id=replica.ticket_id,
        number=replica.number,
        subject=replica.body["subject"],
        requester=contact.get("name") or "",
        account=replica.body.get("account_name") or "",
    )


def _records(session: Session, kind: str, ids: Iterable[str | None]) -> dict[str, DirectoryRecord]:
    wanted = {crm_id for crm_id in ids if crm_id}
    rows = session.scalars(
        select(DirectoryRecord).where(DirectoryRecord.kind == kind, DirectoryRecord.crm_id.in_(wanted))
    )
    return {row.crm_id: row for row in rows}
