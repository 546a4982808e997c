"""Records as the simulated SuiteCRM puts them into an answer."""

from typing import Any

from tests.crm_sync_service.suitecrm import purifier
from tests.crm_sync_service.suitecrm.tables import HIDDEN, SINGULAR, VIRTUAL, Row, Tables

DATES = {"date_entered", "date_modified", "date_created"}


def record(
    tables: Tables, module: str, row: Row, wanted: list[str] | None = None, *, unread: bool = False
) -> dict[str, Any]:
    """`unread`: as it is in memory, where it could not be read again after saving."""
    names = wanted if wanted is not None else [*tables.columns(module), *VIRTUAL[module]]
    names = [name for name in names if name not in HIDDEN.get(module, set())]
    return {
        "type": SINGULAR[module],
        "id": row["id"],
        "attributes": {name: _value(tables, module, row, name, unread=unread) for name in names},
        "relationships": {},
    }


def _value(tables: Tables, module: str, row: Row, name: str, *, unread: bool) -> str:
    quirks = tables.quirks
    if name in DATES:
        zero = quirks.zero_seconds and not unread
        return shown_date(row.get(name, ""), zero=zero, offset=quirks.wrong_offset or "+00:00")
    if unread and name == "modified_by_name":
        return tables.rows["Users"][row["modified_user_id"]]["user_name"]
    value = _virtual(tables, module, row, name)
    if value is None:
        value = row.get(name, "")
    if not quirks.encode:
        return value
    rich = module == "Cases" and name == "description"
    return purifier.shown_rich(value) if rich else purifier.shown_plain(value)


def shown_date(value: str, *, zero: bool, offset: str) -> str:
    if not value:
        return ""
    day, clock = value.split(" ")
    return f"{day}T{clock[:5]}:{'00' if zero else clock[6:]}{offset}"


def _virtual(tables: Tables, module: str, row: Row, name: str) -> str | None:
    """A value that is no column of the row; None for columns."""
    columns = {"modified_by_name": "modified_user_id", "created_by_name": "created_by"}
    if name in {*columns, "assigned_user_name"}:
        return person(tables.live("Users", row.get(columns.get(name, "assigned_user_id"), "")))
    if name in _RELATED and (name != "account_id" or module == "Cases"):
        related, column, shown = _RELATED[name]
        other = tables.live(related, row[column])
        return person(other) if other and shown == "person" else (other or {}).get(shown, "")
    if name in {"email1", "email2"}:
        kept = [address for address, removed in tables.emails.get(row["id"], []) if not removed]
        return kept[0] if kept and name == "email1" else ""
    if name in {"full_name", "name"} and module in {"Users", "Contacts"}:
        return person(row)
    return "" if name in VIRTUAL[module] else None


_RELATED = {
    "account_id": ("Accounts", "account_id", "id"),
    "account_name": ("Accounts", "account_id", "name"),
    "contact_created_by_name": ("Contacts", "contact_created_by_id", "person"),
    "parent_name": ("Cases", "parent_id", "name"),
}
"""Module, column of ours and column of theirs; an id of no record is shown as nothing."""


def person(row: Row | None) -> str:
    return f"{row['first_name']} {row['last_name']}".strip() if row else ""
