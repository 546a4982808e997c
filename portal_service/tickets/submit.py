"""Filing a ticket (S14 - S32)."""

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.assignment.engine import assign
from portal_service.channels import notices
from portal_service.files.storage import StoredFile
from portal_service.guests.models import GuestTicket
from portal_service.people import policy
from portal_service.people.models import Account, Contact
from portal_service.tickets import history, snapshots, text
from portal_service.tickets.actor import Actor
from portal_service.tickets.attachments import numbered, too_many
from portal_service.tickets.errors import NOT_OFFERED, PRODUCT_OR_CATEGORY, UNKNOWN, Invalid
from portal_service.tickets.lifecycle import NEW, PRIORITIES
from portal_service.tickets.models import Ticket
from portal_service.tickets.records import Records, read_records
from shared.ids import new_id

ORIGINS = ("portal", "email", "chat", "phone", "staff", "import")


@dataclass(frozen=True, kw_only=True)
class NewTicket:
    """What was entered. Ids of records; `details` are the recommended information by label, in order (S25)."""

    request_type_id: uuid.UUID | None
    account_id: uuid.UUID | None
    contact_id: uuid.UUID | None
    product_id: uuid.UUID | None = None
    category_id: uuid.UUID | None = None
    subject: str
    description: str
    link_url: str | None = None
    details: Mapping[str, str]
    call_at: datetime | None = None
    """When the requester wants to be phoned (S24)."""
    priority: str = "normal"
    origin: str = "portal"
    filed_by: str | None = None
    external_ref: str | None = None
    favourite_staff_id: uuid.UUID | None = None
    guest_language: str | None = None
    """The language of the mails to somebody without a log-in; only for his ticket."""
    files: tuple[StoredFile, ...] = ()


def submit_ticket(
    session: Session,
    new: NewTicket,
    *,
    actor: Actor,
    now: datetime,
    rng: random.Random,
    records: Records | None = None,
) -> Ticket:
    """File a ticket: numbered, assigned, mailed and told to the sync service in one transaction.

    `records` are those `new` names, where the caller has read them. Raises Invalid with every fault found.
    """
    new = _cleaned(new)
    found = records or _records(session, new)
    errors = _errors(new, found, actor=actor)
    if errors:
        raise Invalid(errors)
    ticket = _ticket(new, found, now=now)
    # Stored once, when all of it is known.
    assign(session, ticket, favourite_id=new.favourite_staff_id, rng=rng, now=now)
    files = numbered(ticket, new.files, entry=None, internal=False, now=now)
    session.add(ticket)
    session.flush()
    _remember_guest(session, ticket, new)
    history.record(session, ticket, "created", actor=actor, now=now)
    session.add_all(files)
    session.flush()
    snapshots.tell(session, ticket, actor=actor, now=now)
    notices.ticket_created(session, ticket, actor=actor, now=now)
    return ticket


def _records(session: Session, new: NewTicket) -> Records:
    return read_records(
        session,
        type_id=new.request_type_id,
        account_id=new.account_id,
        contact_id=new.contact_id,
        product_id=new.product_id,
        category_id=new.category_id,
    )


def _cleaned(new: NewTicket) -> NewTicket:
    details = {text.clean_line(label): text.clean_body(value).strip() for label, value in new.details.items()}
    return replace(
        new,
        subject=text.clean_line(new.subject),
        description=text.clean_body(new.description),
        link_url=text.clean_line(new.link_url or "") or None,
        details={label: value for label, value in details.items() if label and value},
    )


def _errors(new: NewTicket, records: Records, *, actor: Actor) -> dict[str, str]:
    found = {**_text_errors(new), **_record_errors(new, records), **_account_errors(records, actor=actor)}
    if new.product_id is None and new.category_id is None:
        found["product_id"] = PRODUCT_OR_CATEGORY
    if new.priority not in PRIORITIES:
        found["priority"] = UNKNOWN
    if new.origin not in ORIGINS:
        found["origin"] = UNKNOWN
    if too_many(new.files):
        found["files"] = too_many(new.files)
    return found


def _text_errors(new: NewTicket) -> dict[str, str]:
    found: dict[str, str | None] = {
        "subject": text.REQUIRED if not new.subject else None,
        "description": text.body_error(new.description) if new.description.strip() else text.REQUIRED,
        "link_url": text.link_error(new.link_url) if new.link_url else None,
    }
    if len(new.subject) > text.MAX_SUBJECT:
        found["subject"] = text.SUBJECT_TOO_LONG
    if sum(len(label) + len(value) for label, value in new.details.items()) > text.MAX_DETAILS:
        found["details"] = text.DETAILS_TOO_LONG
    return {field: error for field, error in found.items() if error}


def _record_errors(new: NewTicket, records: Records) -> dict[str, str]:
    found = {}
    if records.request_type is None or not records.request_type.active:
        found["request_type_id"] = NOT_OFFERED if records.request_type else UNKNOWN
    if new.product_id and (records.product is None or not records.product.active):
        found["product_id"] = UNKNOWN
    if new.category_id and (records.category is None or not records.category.active):
        found["category_id"] = UNKNOWN
    return found


def _account_errors(records: Records, *, actor: Actor) -> dict[str, str]:
    """Who files for whom: a customer for himself and his accounts, staff for any contact (S17, S28)."""
    contact, account = records.contact, records.account
    found = {}
    if contact is None or not policy.may_file_for(actor.kind, actor.contact_id, contact):
        found["contact_id"] = UNKNOWN
    if not _may_be_its_account(contact, account, actor):
        found["account_id"] = UNKNOWN
    return found


def _may_be_its_account(contact: Contact | None, account: Account | None, actor: Actor) -> bool:
    if account is None:
        return contact is not None and policy.may_file_without_account(contact)
    foreign = contact is not None and actor.kind == "customer" and account.id not in policy.own_accounts(contact)
    return account.active and not foreign


def _ticket(new: NewTicket, records: Records, *, now: datetime) -> Ticket:
    """The first version of a ticket, not stored yet."""
    ticket = Ticket(
        id=new_id(),
        version=1,
        subject=new.subject,
        description=new.description,
        link_url=new.link_url,
        details=dict(new.details),
        priority=new.priority,
        call_at=new.call_at,
        origin=new.origin,
        request_type_id=new.request_type_id,
        account_id=new.account_id,
        contact_id=new.contact_id,
        product_id=new.product_id,
        category_id=new.category_id,
        filed_by=new.filed_by,
        external_ref=new.external_ref,
        status=NEW,
        entry_count=0,
        attachment_count=0,
        pull_number=0,
        created_at=now,
        changed_at=now,
        last_activity_at=now,
    )
    for name in ("request_type", "account", "contact", "product", "category"):
        setattr(ticket, name, getattr(records, name))
    return ticket


def _remember_guest(session: Session, ticket: Ticket, new: NewTicket) -> None:
    if new.guest_language is not None and ticket.contact is not None:
        email = ticket.contact.email or ""
        session.add(GuestTicket(ticket_id=ticket.id, email=email, language=new.guest_language))
        session.flush()


def find_imported(session: Session, external_ref: str) -> Ticket | None:
    """The ticket an earlier run of an import made from the same row."""
    return session.scalar(select(Ticket).where(Ticket.external_ref == external_ref))
