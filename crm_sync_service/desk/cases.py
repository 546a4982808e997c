"""Creating, changing, merging and deleting Cases. All functions take the write lock themselves."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from crm_sync_service.desk import records, stamps, text
from crm_sync_service.desk.errors import InvalidError
from crm_sync_service.desk.models import CASE_PRIORITIES, CASE_STATUSES, Case, Change, Contact, Note
from shared.ids import new_id

_RULES: records.Rules = {
    "name": text.one_line,
    "description": text.long_text,
    "status": partial(text.one_of, CASE_STATUSES),
    "priority": partial(text.one_of, CASE_PRIORITIES),
    "ticket_number": partial(text.one_line, limit=64),
    "ticket_url": text.web_address,
}


def create_case(session: Session, values: Mapping[str, Any], *, actor: str, now: datetime) -> Case:
    """A new Case, with the client's `id` if `values` has one. Raises ExistsError, InvalidError."""
    ledger = stamps.lock(session, now=now)
    case_id = values.get("id") or new_id()
    records.refuse_taken(session, Case, case_id)
    cleaned = records.clean(
        {field: value for field, value in values.items() if field not in {"id", "contact_ids"}}, _RULES
    )
    if "name" not in cleaned:
        raise InvalidError({"name": "A Case needs a name."})
    for field in records.REFERENCES:
        if cleaned.get(field) is not None:
            records.choosable(session, field, cleaned[field])
    ledger.case_serial += 1
    case = Case(id=case_id, serial=ledger.case_serial, created_at=now, **cleaned)
    _set_contacts(session, case, values.get("contact_ids", ()))
    _refresh_search_key(case)
    records.save(session, case, [records.change(case, "created", "", case.number)], actor=actor, now=now)
    return case


def change_case(
    session: Session,
    case_id: uuid.UUID,
    values: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    expected_version: int | None = None,
) -> Case:
    """Set the given fields; what is already so changes nothing, not even the version.

    Raises NotFoundError, DeletedError, StaleError, InvalidError.
    """
    case = lock_case(session, case_id, now=now)
    records.expect_version(case, expected_version)
    cleaned = records.clean({field: value for field, value in values.items() if field != "contact_ids"}, _RULES)
    changes = records.change_fields(session, case, cleaned)
    if "contact_ids" in values or "contact_id" in cleaned:
        wanted = values.get("contact_ids", [contact.id for contact in case.contacts])
        changes += _set_contacts(session, case, wanted)
    _refresh_search_key(case)
    records.save(session, case, changes, actor=actor, now=now)
    return case


def lock_case(session: Session, case_id: uuid.UUID, *, now: datetime) -> Case:
    """The Case, not deleted and safe from other writers. Raises NotFoundError, DeletedError."""
    stamps.lock(session, now=now)
    return records.find_live(session, Case, case_id)


def delete_case(session: Session, case_id: uuid.UUID, *, actor: str, now: datetime) -> None:
    """Mark a Case as deleted; it stays in the feed. Doing it again changes nothing. Raises NotFoundError."""
    stamps.lock(session, now=now)
    case = records.find(session, Case, case_id)
    if not case.deleted:
        case.deleted = True
        records.save(session, case, [records.change(case, "deleted", case.number, "")], actor=actor, now=now)


def merge_case(session: Session, case_id: uuid.UUID, *, into: uuid.UUID, actor: str, now: datetime) -> Case:
    """Move a Case's Notes and contacts to another Case and leave a pointer. Returns the other one.

    Raises NotFoundError, DeletedError, InvalidError.
    """
    case = lock_case(session, case_id, now=now)
    kept = records.merge_target(session, case, into)
    for note in session.scalars(select(Note).where(Note.case_id == case.id)):
        note.case_id = kept.id
        stamps.stamp(session, note, actor=actor, now=now)
    _set_contacts(session, kept, [contact.id for contact in [*kept.contacts, *case.contacts]])
    records.save(session, kept, [records.change(kept, "merged", case.number, kept.number)], actor=actor, now=now)
    case.deleted, case.merged_into = True, kept.id
    records.save(session, case, [records.change(case, "merged", case.number, kept.number)], actor=actor, now=now)
    return kept


def _set_contacts(session: Session, case: Case, wanted: Iterable[uuid.UUID]) -> list[Change]:
    """Make the subpanel hold the wanted contacts and the primary one. Raises InvalidError."""
    ids = {*wanted, *([case.contact_id] if case.contact_id else [])}
    present = {contact.id: contact for contact in case.contacts}
    if ids == set(present):
        return []
    case.contacts = [present.get(contact_id) or _choosable_contact(session, contact_id) for contact_id in ids]
    before = ", ".join(sorted(contact.name for contact in present.values()))
    return [records.change(case, "contact_ids", before, ", ".join(sorted(contact.name for contact in case.contacts)))]


def _choosable_contact(session: Session, contact_id: uuid.UUID) -> Contact:
    try:
        contact = records.choosable(session, "contact_id", contact_id)
    except InvalidError as error:
        raise InvalidError({"contact_ids": error.fields["contact_id"]}) from error
    assert isinstance(contact, Contact)
    return contact


def _refresh_search_key(case: Case) -> None:
    case.search_key = text.search_key(case.name, case.number, case.ticket_number, case.description)


def replace_account(session: Session, old: uuid.UUID, new: uuid.UUID, *, actor: str, now: datetime) -> None:
    """Let every Case of one account, also deleted ones, belong to another: part of a merge."""
    for case in session.scalars(select(Case).where(Case.account_id == old)).all():
        records.save(session, case, records.change_fields(session, case, {"account_id": new}), actor=actor, now=now)


def replace_contact(session: Session, old: uuid.UUID, new: uuid.UUID, *, actor: str, now: datetime) -> None:
    """Let every Case of one contact, also deleted ones, name another instead: part of a merge."""
    involved = or_(Case.contact_id == old, Case.contacts.any(Contact.id == old))
    for case in session.scalars(select(Case).where(involved)).all():
        changes = records.change_fields(session, case, {"contact_id": new}) if case.contact_id == old else []
        others = [contact.id for contact in case.contacts if contact.id != old]
        changes += _set_contacts(session, case, [*others, new])
        records.save(session, case, changes, actor=actor, now=now)
