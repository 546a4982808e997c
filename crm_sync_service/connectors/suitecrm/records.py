"""SuiteCRM's records as the rest of Casebridge knows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from crm_sync_service.connectors.base import DirectoryEntry, DirectoryKind, NoteRecord, UnreachableError
from crm_sync_service.connectors.suitecrm.settings import SuiteCrmSettings
from crm_sync_service.connectors.suitecrm.text import decode, decode_rich, digest

TEXTS = ("subject", "description")
MODULES: Mapping[DirectoryKind, str] = {"account": "Accounts", "contact": "Contacts", "user": "Users"}
NOTE_FIELDS = (
    "name",
    "description",
    "parent_type",
    "parent_id",
    "created_by_name",
    "date_entered",
    "date_modified",
)
DIRECTORY_FIELDS: Mapping[DirectoryKind, str] = {
    "account": "name,date_modified",
    "contact": "first_name,last_name,email1,email2,account_id,date_modified",
    "user": "first_name,last_name,email1,employee_status,date_modified",
}
Attributes = Mapping[str, Any]


def attributes_of(body: Mapping[str, Any]) -> Attributes:
    """Of an answer with one record. Raises UnreachableError."""
    data = body.get("data")
    attributes = data.get("attributes") if isinstance(data, Mapping) else None
    if not isinstance(attributes, Mapping):
        raise UnreachableError("SuiteCRM answered without the record that was asked for")
    return attributes


def when(stamp: Any) -> datetime:
    """A stamp as UTC, whatever offset it claims: with another PHP time zone the offset is wrong, the clock right."""
    try:
        return datetime.strptime(str(stamp)[:19].replace(" ", "T"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def filter_text(moment: datetime) -> str:
    """As filters want it: UTC without an offset, which would be ignored."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def text_of(attributes: Attributes, name: str) -> str | None:
    value = attributes.get(name)
    return decode(value) or None if isinstance(value, str) else None


def case_fields(attributes: Attributes, settings: SuiteCrmSettings) -> dict[str, str | None]:
    """By CaseField, without the contact, which is no attribute."""
    fields: dict[str, str | None] = {}
    for name, attribute in settings.fields.items():
        raw = attributes.get(attribute)
        if name == "contact":
            continue
        text = str(raw) if raw not in (None, "", False) else ""
        fields[name] = (decode_rich(text) if name == "description" else decode(text)) or None
    return fields


def case_stamp(attributes: Attributes, settings: SuiteCrmSettings) -> str:
    """Made of the values: dates come without seconds and change with every save, also one that changes nothing."""
    fields = case_fields(attributes, settings)
    return digest(*(f"{name}={fields[name] or ''}" for name in sorted(fields)))


def case_attributes(settings: SuiteCrmSettings) -> list[str]:
    """What is read of a Case."""
    names = [attribute for name, attribute in settings.fields.items() if name != "contact"]
    names += [settings.ticket_id_field, settings.main_contact_field, "case_number", "modified_by_name", "date_modified"]
    return list(dict.fromkeys(names))


def note_attributes(settings: SuiteCrmSettings) -> list[str]:
    return [*NOTE_FIELDS, settings.message_id_field, settings.customer_flag_field]


def note_record(row: Attributes, settings: SuiteCrmSettings) -> NoteRecord:
    attributes = row["attributes"]
    return NoteRecord(
        id=row["id"],
        case_id=str(attributes.get("parent_id") or ""),
        title=text_of(attributes, "name") or "",
        body=text_of(attributes, "description") or "",
        key=text_of(attributes, settings.message_id_field) if settings.message_id_field else None,
        author=text_of(attributes, "created_by_name"),
        created_at=when(attributes.get("date_entered")),
        for_customer=str(attributes.get(settings.customer_flag_field)) == "1",
    )


def directory_entry(kind: DirectoryKind, row: Attributes) -> DirectoryEntry:
    """An inactive user looks like any other: only one whose employment ended is told apart."""
    attributes = row["attributes"]
    parts = [text_of(attributes, name) for name in ("first_name", "last_name")]
    emails = dict.fromkeys(filter(None, (text_of(attributes, name) for name in ("email1", "email2"))))
    return DirectoryEntry(
        kind=kind,
        crm_id=row["id"],
        name=text_of(attributes, "name") or " ".join(filter(None, parts)),
        active=attributes.get("employee_status") != "Terminated",
        emails=tuple(emails),
        account_id=text_of(attributes, "account_id"),
    )


def product_entries(labels: Mapping[str, str]) -> list[DirectoryEntry]:
    return [DirectoryEntry(kind="product", crm_id=key, name=label, active=True) for key, label in labels.items()]
