"""EspoCRM's rows as the engine sees them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from crm_sync_service.connectors.base import (
    CaseRecord,
    DirectoryEntry,
    DirectoryKind,
    NewNote,
    NoteRecord,
    UnreachableError,
)
from crm_sync_service.connectors.espocrm.query import dumps, moment

Row = Mapping[str, Any]
_HASH_LENGTH = 10
_PEOPLE = frozenset({"regular", "admin", "super-admin"})


def stamp_of(row: Row, attributes: Sequence[str]) -> str:
    """Changes with every change of the Case.

    Time and version alone would not do: times are whole seconds, two writers at once may make one version of two,
    and a merge of accounts or contacts moves neither.
    """
    values = dumps([row.get(attribute) or None for attribute in attributes])
    digest = hashlib.sha256(values.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{row['modifiedAt']} v{row.get('versionNumber')} {digest}"


def hashed(attributes: Mapping[str, str]) -> list[str]:
    """The attributes that count for a stamp: all synced ones that a list can show cheaply."""
    return sorted(attribute for name, attribute in attributes.items() if name != "description")


def case_of(row: Row, attributes: Mapping[str, str], *, public_url: str) -> CaseRecord:
    """Raises UnreachableError for something that is no Case."""
    try:
        stamp = stamp_of(row, hashed(attributes))
        modified_at = moment(row["modifiedAt"])
        record_id = str(row["id"])
    except (KeyError, ValueError, TypeError) as error:
        raise UnreachableError(f"EspoCRM answered with something that is no Case: {sorted(row)[:10]}") from error
    fields = {name: _value(row.get(attribute)) for name, attribute in attributes.items()}
    if fields.get("contact"):
        fields["contact"] = primary_contact(row, attributes["contact"])
    return CaseRecord(
        id=record_id,
        number=_value(row.get("number")),
        url=f"{public_url}/#Case/view/{record_id}",
        fields=fields,
        stamp=stamp,
        version=stamp,
        modified_by=row.get("modifiedByName") or row.get("createdByName"),
        modified_at=modified_at,
    )


def primary_contact(row: Row, attribute: str) -> str | None:
    """The contact of a Case, unless it was unlinked or deleted: then its id stays behind as the primary one."""
    primary = row.get(attribute)
    return str(primary) if primary and primary in (row.get("contactsIds") or ()) else None


def _value(value: Any) -> str | None:
    return str(value) if value not in {None, ""} else None


def post_of(new: NewNote) -> str:
    """A Post has no title: only what the body does not say anyway is put above it."""
    said = new.side != "system" or not new.title or new.body.startswith(new.title)
    return new.body if said else f"{new.title}\n\n{new.body}"


def note_of(row: Row, *, key_field: str | None, customer_mark: str) -> NoteRecord:
    key = _value(row.get(key_field)) if key_field else None
    body = str(row.get("post") or "")
    marked = bool(customer_mark) and key is None and not row.get("isInternal") and _starts_with(body, customer_mark)
    return NoteRecord(
        id=str(row["id"]),
        case_id=str(row["parentId"]),
        title="",
        body=body.strip()[len(customer_mark) :].strip() if marked else body,
        key=key,
        author=row.get("createdByName"),
        created_at=moment(row["createdAt"]) if row.get("createdAt") else None,
        for_customer=marked,
    )


def _starts_with(body: str, mark: str) -> bool:
    words = body.split(maxsplit=1)
    return bool(words) and words[0].lower() == mark.lower()


def entry_of(kind: DirectoryKind, row: Row, *, emails: tuple[str, ...] = ()) -> DirectoryEntry:
    active = not row.get("deleted")
    if kind == "user":
        active = active and bool(row.get("isActive")) and row.get("type") in _PEOPLE
    return DirectoryEntry(
        kind=kind,
        crm_id=str(row["id"]),
        name=person_or_name(row),
        active=active,
        emails=emails or addresses(row),
        account_id=row.get("accountId") if kind == "contact" else None,
    )


def person_or_name(row: Row) -> str:
    """EspoCRM's name; the answer to a create has it only in parts."""
    parts = " ".join(filter(None, (row.get("firstName"), row.get("lastName"))))
    return str(row.get("name") or parts or row.get("userName") or row["id"])


def addresses(row: Row) -> tuple[str, ...]:
    """All addresses if the row has them, the primary one first; else that one."""
    found = [row.get("emailAddress")]
    data = row.get("emailAddressData")
    if isinstance(data, list):
        found += [item.get("emailAddress") for item in data if isinstance(item, dict)]
    return tuple(dict.fromkeys(str(address) for address in found if address))
