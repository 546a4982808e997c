"""Accounts, contacts, products and users: creating, renaming, finding by address, merging."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service.desk import cases, records, stamps, text
from crm_sync_service.desk.errors import InvalidError
from crm_sync_service.desk.models import Account, Change, Contact, ContactEmail, Product, User
from shared.emails import email_key
from shared.ids import new_id

_RULES: records.Rules = {"name": text.one_line}


def create_account(session: Session, values: Mapping[str, Any], *, actor: str, now: datetime) -> Account:
    """A new account with `name` and perhaps a client's `id`. Raises ExistsError, InvalidError."""
    stamps.lock(session, now=now)
    account_id = values.get("id") or new_id()
    records.refuse_taken(session, Account, account_id)
    name = records.clean({"name": values["name"]}, _RULES)["name"]
    account = Account(id=account_id, name=name, search_key=text.search_key(name), created_at=now)
    records.save(session, account, [records.change(account, "created", "", name)], actor=actor, now=now)
    return account


def change_account(
    session: Session,
    account_id: uuid.UUID,
    values: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    expected_version: int | None = None,
) -> Account:
    """Rename an account. Raises NotFoundError, DeletedError, StaleError, InvalidError."""
    stamps.lock(session, now=now)
    account = records.find_live(session, Account, account_id)
    records.expect_version(account, expected_version)
    changes = records.change_fields(session, account, records.clean(values, _RULES))
    account.search_key = text.search_key(account.name)
    records.save(session, account, changes, actor=actor, now=now)
    return account


def create_contact(session: Session, values: Mapping[str, Any], *, actor: str, now: datetime) -> Contact:
    """A new contact with `name`, `emails`, `account_id` and perhaps an `id`. Raises ExistsError, InvalidError."""
    stamps.lock(session, now=now)
    contact_id = values.get("id") or new_id()
    records.refuse_taken(session, Contact, contact_id)
    name = records.clean({"name": values["name"]}, _RULES)["name"]
    account_id = values.get("account_id")
    if account_id is not None:
        records.choosable(session, "account_id", account_id)
    contact = Contact(id=contact_id, name=name, account_id=account_id, created_at=now)
    _set_emails(session, contact, values.get("emails", ()))
    _refresh_search_key(contact)
    records.save(session, contact, [records.change(contact, "created", "", name)], actor=actor, now=now)
    return contact


def change_contact(
    session: Session,
    contact_id: uuid.UUID,
    values: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    expected_version: int | None = None,
) -> Contact:
    """Set `name`, `account_id` or `emails`. Raises NotFoundError, DeletedError, StaleError, InvalidError."""
    stamps.lock(session, now=now)
    contact = records.find_live(session, Contact, contact_id)
    records.expect_version(contact, expected_version)
    cleaned = records.clean({field: value for field, value in values.items() if field != "emails"}, _RULES)
    changes = records.change_fields(session, contact, cleaned)
    if "emails" in values:
        changes += _set_emails(session, contact, values["emails"])
    _refresh_search_key(contact)
    records.save(session, contact, changes, actor=actor, now=now)
    return contact


def delete_contact(session: Session, contact_id: uuid.UUID, *, actor: str, now: datetime) -> None:
    """Mark a contact as deleted; it stays in the feed. Doing it again changes nothing. Raises NotFoundError."""
    stamps.lock(session, now=now)
    contact = records.find(session, Contact, contact_id)
    if not contact.deleted:
        contact.deleted = True
        records.save(session, contact, [records.change(contact, "deleted", contact.name, "")], actor=actor, now=now)


def create_product(session: Session, values: Mapping[str, Any], *, actor: str, now: datetime) -> Product:
    """A new product with `id` and `name`."""
    product = Product(**values, search_key=text.search_key(values["name"]), created_at=now)
    records.save(session, product, [records.change(product, "created", "", product.name)], actor=actor, now=now)
    return product


def create_user(session: Session, values: Mapping[str, Any], *, actor: str, now: datetime) -> User:
    """A new user with `id`, `name` and `email`; with `username_key` and `password_hash` one who can log in."""
    user = User(**values, search_key=text.search_key(values["name"], values["email"]), created_at=now)
    records.save(session, user, [records.change(user, "created", "", user.name)], actor=actor, now=now)
    return user


def contacts_with_email(session: Session, address: str) -> list[Contact]:
    """The contacts that have this address among theirs, whatever its case; several when they share it."""
    has_it = Contact.emails.any(ContactEmail.key == email_key(address))
    return list(session.scalars(select(Contact).where(has_it, ~Contact.deleted).order_by(Contact.created_at)))


def merge_accounts(session: Session, account_id: uuid.UUID, *, into: uuid.UUID, actor: str, now: datetime) -> Account:
    """Move an account's contacts and Cases to another and leave a pointer. Returns the other one.

    Raises NotFoundError, DeletedError, InvalidError.
    """
    stamps.lock(session, now=now)
    account = records.find_live(session, Account, account_id)
    kept = records.merge_target(session, account, into)
    for contact in session.scalars(select(Contact).where(Contact.account_id == account_id)).all():
        changes = records.change_fields(session, contact, {"account_id": into})
        records.save(session, contact, changes, actor=actor, now=now)
    cases.replace_account(session, account_id, into, actor=actor, now=now)
    _leave_pointer(session, account, kept, actor=actor, now=now)
    return kept


def merge_contacts(session: Session, contact_id: uuid.UUID, *, into: uuid.UUID, actor: str, now: datetime) -> Contact:
    """Give a contact's addresses and Cases to another and leave a pointer. Returns the other one.

    Raises NotFoundError, DeletedError, InvalidError.
    """
    stamps.lock(session, now=now)
    contact = records.find_live(session, Contact, contact_id)
    kept = records.merge_target(session, contact, into)
    _set_emails(session, kept, [*kept.addresses, *contact.addresses])
    _refresh_search_key(kept)
    cases.replace_contact(session, contact_id, into, actor=actor, now=now)
    _leave_pointer(session, contact, kept, actor=actor, now=now)
    return kept


def _leave_pointer(
    session: Session, gone: Account | Contact, kept: Account | Contact, *, actor: str, now: datetime
) -> None:
    gone.deleted, gone.merged_into = True, kept.id
    for record in (kept, gone):
        records.save(session, record, [records.change(record, "merged", gone.name, kept.name)], actor=actor, now=now)


def _set_emails(session: Session, contact: Contact, addresses: Iterable[str]) -> list[Change]:
    """Make these the contact's addresses, each once, the first being primary. Raises InvalidError."""
    wanted: dict[str, str] = {}
    try:
        for address in map(text.email_address, addresses):
            wanted.setdefault(email_key(address), address)
    except text.TextError as error:
        raise InvalidError({"emails": str(error)}) from error
    ordered = list(wanted.values())
    before = contact.addresses
    if ordered == before:
        return []
    if before:
        contact.emails.clear()
        session.flush()  # the old rows go before new ones take their places
    contact.emails = [
        ContactEmail(position=position, address=address, key=email_key(address))
        for position, address in enumerate(ordered)
    ]
    return [records.change(contact, "emails", ", ".join(before), ", ".join(ordered))]


def _refresh_search_key(contact: Contact) -> None:
    contact.search_key = text.search_key(contact.name, *contact.addresses)
