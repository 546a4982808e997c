"""The tables behind the simulated SuiteCRM, and what people do in its pages."""

import random
import threading
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tests.crm_sync_service.suitecrm import purifier

_LENGTHS = {"portal_ticket_id_c": 64, "portal_message_id_c": 64, "first_name": 100, "last_name": 100}

API_USER = "aaaaaaaa-0000-4000-8000-000000000004"
ADMIN = "1"
SINGULAR = {
    "Cases": "Case",
    "Notes": "Note",
    "Contacts": "Contact",
    "Accounts": "Account",
    "Users": "User",
    "EmailAddresses": "EmailAddress",
    "AOP_Case_Updates": "AOP_Case_Updates",
}
_COMMON = ("name", "date_entered", "date_modified", "modified_user_id", "created_by", "description", "deleted")
COLUMNS = {
    "Cases": (
        *_COMMON,
        *("assigned_user_id", "case_number", "type", "status", "priority", "resolution", "work_log", "account_id"),
        *("state", "contact_created_by_id"),
    ),
    "Notes": (*_COMMON, "assigned_user_id", "filename", "parent_type", "parent_id", "contact_id", "portal_flag"),
    "Contacts": (*_COMMON, "first_name", "last_name", "account_id", "assigned_user_id", "title"),
    "Accounts": (*_COMMON, "assigned_user_id"),
    "Users": (*_COMMON, "first_name", "last_name", "user_name", "status", "employee_status"),
    "EmailAddresses": ("email_address", "email_address_caps", "date_modified", "deleted"),
    "AOP_Case_Updates": (*_COMMON, "case_id", "contact_id", "internal", "assigned_user_id"),
}
VIRTUAL = {
    "Cases": (
        *("modified_by_name", "created_by_name", "assigned_user_name", "account_name", "contact_created_by_name"),
        *("contact_id", "update_text"),
    ),
    "Notes": ("modified_by_name", "created_by_name", "assigned_user_name", "parent_name", "filecontents"),
    "Contacts": ("modified_by_name", "created_by_name", "email1", "email2", "account_name", "email_addresses_primary"),
    "Accounts": ("modified_by_name", "created_by_name"),
    "Users": ("full_name", "email1", "modified_by_name", "created_by_name"),
    "EmailAddresses": (),
    "AOP_Case_Updates": ("modified_by_name", "created_by_name"),
}
CUSTOM = {"Cases": ("portal_ticket_id_c", "product_c"), "Notes": ("portal_message_id_c",)}
HIDDEN = {"Users": {"user_name", "status"}}
Row = dict[str, str]


@dataclass(kw_only=True)
class Quirks:
    """What is peculiar about SuiteCRM; each can be turned off."""

    purify: bool = True
    """Text is taken for HTML."""
    encode: bool = True
    """Values come back with entities, differently per field."""
    narrow: bool = False
    """Three bytes a character, as installed."""
    cut: bool = True
    """255 characters and 65,535 bytes, silently."""
    zero_seconds: bool = True
    wrong_offset: str = ""
    """Such as "-05:00", of another PHP time zone; the clock stays UTC."""
    ties: bool = True
    """No order among rows of one second; otherwise by id."""
    whole_row: bool = True
    """A change writes back every column as it was read."""
    null_ignored: bool = True
    generic_link: bool = True
    """Linking without the link's name sets `contact_created_by_id`."""
    any_value: bool = True
    """Unknown options and records are stored."""
    id_in_attributes: bool = True
    """Then nothing is stored, with 201."""
    removed_addresses: bool = True
    """A filter by e-mail address also finds those that a contact no longer has."""
    takes_account: bool = True
    """A Case without account gets that of a contact that is linked."""
    unique_index: bool = False
    """Somebody put one on `portal_ticket_id_c`: the second Case is stored without its custom fields."""
    old_counts: bool = False
    """Before 7.14.5 the number of pages is 0 with a custom field in the filter."""


@dataclass(kw_only=True)
class Tables:
    """Rows by module and id, as the database has them."""

    quirks: Quirks = field(default_factory=Quirks)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {module: {} for module in SINGULAR})
    custom: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(CUSTOM))
    contacts: dict[str, list[str]] = field(default_factory=dict)
    """Contact ids by Case, in the order of linking."""
    emails: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)
    """Addresses by contact or user, the primary one first, each with whether it was removed."""
    mails: list[str] = field(default_factory=list)
    """What SuiteCRM mailed by itself."""
    between: Callable[[], None] | None = None
    """Called between reading and writing a row."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: Any = field(default_factory=lambda: count(1))
    _random: random.Random = field(default_factory=lambda: random.Random(4))

    def columns(self, module: str) -> tuple[str, ...]:
        return (*COLUMNS[module], *self.custom.get(module, ()))

    def live(self, module: str, record_id: str) -> Row | None:
        row = self.rows[module].get(record_id.lower())
        return row if row is not None and row["deleted"] == "0" else None

    def stamp(self) -> str:
        return self.now().strftime("%Y-%m-%d %H:%M:%S")

    def new_row(self, module: str, record_id: str | None, *, by: str) -> Row:
        row = dict.fromkeys(self.columns(module), "")
        stamp = self.stamp()
        row |= {"id": record_id or str(uuid.uuid4()), "deleted": "0", "date_entered": stamp, "date_modified": stamp}
        row |= {"created_by": by, "modified_user_id": by}
        if module == "Cases":
            row |= {"case_number": str(next(self._numbers)), "state": "Open"}
        if module == "Notes":
            row["portal_flag"] = "0"
        if module == "Users":
            row |= {"status": "Active", "employee_status": "Active"}
        return row

    def stored(self, module: str, name: str, value: Any) -> str:
        """One value as the database keeps it."""
        text = {True: "1", False: "0"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        text = text.replace("\0", "")
        text = text if name == "description" else text.strip(" \t\n\r\v")
        text = purifier.stored(text) if self.quirks.purify else text
        if self.quirks.narrow:
            text = "".join("????" if ord(character) > 0xFFFF else character for character in text)
        if not self.quirks.cut:
            return text
        if name == "description":
            return text.encode()[:65_535].decode(errors="ignore")
        return text[: _LENGTHS.get(name, 255)]

    def change(self, module: str, record_id: str, values: Mapping[str, str], *, by: str) -> Row:
        """Save a record as SuiteCRM does: read it, change the copy, write all of it back."""
        read = dict(self.rows[module][record_id])
        if self.between is not None:
            between, self.between = self.between, None
            between()
        with self.lock:
            row = read if self.quirks.whole_row else self.rows[module][record_id]
            if module == "Cases" and row["account_id"] and self.live("Accounts", row["account_id"]) is None:
                row["account_id"] = ""
            row |= {"date_modified": self.stamp(), "modified_user_id": by} | dict(values)
            self.rows[module][record_id] = row
            return row

    def link_contact(self, case_id: str, contact_id: str) -> None:
        linked = self.contacts.setdefault(case_id, [])
        if contact_id not in linked:
            linked.append(contact_id)
        case, contact = self.rows["Cases"][case_id], self.rows["Contacts"][contact_id]
        if self.quirks.takes_account and not case["account_id"] and contact["account_id"]:
            case |= {"account_id": contact["account_id"], "date_modified": self.stamp()}
        self.mails.append(f"case {case_id} to contact {contact_id}")

    def sorted_rows(self, rows: list[Row], order: str) -> list[Row]:
        name, descending = order.removeprefix("-"), order.startswith("-")
        tied = name in {"date_modified", "date_entered"} and self.quirks.ties
        keys = {id(row): (self._random.random() if tied else row["id"]) for row in rows}
        return sorted(rows, key=lambda row: (row[name], keys[id(row)]), reverse=descending)

    # What people do.

    def keep(self, module: str, record_id: str, **values: str) -> Row:
        """Somebody adds a record. `email1` is its address."""
        with self.lock:
            row = self.new_row(module, record_id, by=ADMIN)
            if "email1" in values:
                self.emails[record_id] = [(values.pop("email1"), False)]
            row |= values
            self.rows[module][record_id] = row
            return row

    def edit(self, case_id: str, *, by: str = ADMIN, **values: str) -> Row:
        """An account manager changes single fields in the list, where nothing else is touched."""
        return self.change("Cases", case_id, values, by=by)

    def save_form(self, case_id: str, *, by: str = ADMIN, **values: str) -> Row:
        """An account manager saves the edit form, whose editor rewrites the description."""
        description = purifier.saved_by_editor(self.rows["Cases"][case_id]["description"])
        return self.edit(case_id, by=by, **({"description": purifier.decoded(description)} | values))

    def delete(self, module: str, record_id: str) -> None:
        self.rows[module][record_id] |= {"deleted": "1", "date_modified": self.stamp()}
        if module == "Cases":
            for note in self.rows["Notes"].values():
                if note["parent_id"] == record_id:
                    note["parent_id"] = ""

    def write_note(self, case_id: str, name: str, description: str = "", *, portal_flag: str = "0") -> str:
        with self.lock:
            row = self.new_row("Notes", None, by=ADMIN)
            row |= {"name": name, "description": description, "parent_type": "Cases", "parent_id": case_id}
            row["portal_flag"] = portal_flag
            self.rows["Notes"][row["id"]] = row
            return row["id"]


def folded(text: str) -> str:
    """As the database compares: without case and accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))
