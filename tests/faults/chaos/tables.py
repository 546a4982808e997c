"""The three databases of an installation, read with plain SQL on either backend."""

import json
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from sqlalchemy import Connection, create_engine, text

from tests.faults.chaos.installation import Installation

_TICKETS = """
    SELECT t.id, t.number, t.subject, t.description, t.link_url, t.status, t.priority, t.foreign_assignee,
           a.crm_id AS account_crm_id, a.name AS account_name, p.crm_id AS product_crm_id, p.name AS product_name,
           s.crm_id AS assignee_crm_id, s.name AS assignee_name, c.crm_id AS contact_crm_id
    FROM tickets t LEFT JOIN accounts a ON a.id = t.account_id LEFT JOIN products p ON p.id = t.product_id
         LEFT JOIN staff s ON s.id = t.assignee_id LEFT JOIN contacts c ON c.id = t.contact_id
"""
_ENTRIES = """
    SELECT e.body, e.position, t.number AS ticket_number FROM entries e JOIN tickets t ON t.id = e.ticket_id
"""


class Tables:
    """Open connections; for the length of one look."""

    def __init__(self, installation: Installation) -> None:
        self._engines = [_engine(installation, service) for service in ("portal", "sync", "crm")]
        self.portal, self.sync, self.crm = (engine.connect() for engine in self._engines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in (self.portal, self.sync, self.crm):
            connection.close()
        for engine in self._engines:
            engine.dispose()

    def tickets(self) -> dict[str, Any]:
        """By number, with `assignee` as the CRM's id and the name of whoever has it."""
        return {str(row.number): _ticket(row) for row in _rows(self.portal, _TICKETS)}

    def entries(self) -> Sequence[Any]:
        return _rows(self.portal, _ENTRIES)

    def portal_history(self) -> Mapping[str, Sequence[Any]]:
        query = "SELECT ticket_id, actor_kind, action, field, before, after FROM history WHERE field IS NOT NULL"
        return _grouped(_rows(self.portal, f"{query} ORDER BY id"), "ticket_id")

    def crm_history(self) -> Mapping[str, Sequence[Any]]:
        query = "SELECT record_id, who, field, before, after FROM changes ORDER BY id"
        return _grouped(_rows(self.crm, query), "record_id")

    def crm_names(self) -> dict[str, str]:
        return {
            _id(row.id): row.name
            for table in ("accounts", "products", "users", "contacts")
            for row in _rows(self.crm, f"SELECT id, name FROM {table}")
        }

    def conflicts(self) -> set[tuple[str, str, str, str | None]]:
        """Ticket's id, field, side and value of all that was kept, records by name."""
        names = self.crm_names()
        kept = set()
        for row in _rows(self.sync, "SELECT ticket_id, field, ours, theirs FROM conflicts"):
            for side, value in (("portal", row.ours), ("crm", row.theirs)):
                kept.add((_id(row.ticket_id), row.field, side, names.get(value or "", value) or None))
        return kept

    def unfinished(self) -> list[str]:
        """What still waits somewhere, in words; empty when all is done."""
        counts = {
            "events of the portal are unsent": _count(self.portal, "outbox WHERE sent_at IS NULL"),
            "events of the sync service are unsent": _count(self.sync, "outbox WHERE sent_at IS NULL"),
            "events of the portal were not received": _count(self.portal, "outbox") - _count(self.sync, "inbox"),
            "events of the sync service were not received": _count(self.sync, "outbox") - _count(self.portal, "inbox"),
            "events could not be read": _count(self.portal, "unreadable_events")
            + _count(self.sync, "unreadable_events"),
        }
        frozen = "links WHERE CAST(holds AS text) LIKE '%frozen%'"
        counts["tickets have a frozen field"] = _count(self.sync, frozen)
        lanes = _rows(self.sync, "SELECT state, count(*) AS n FROM lanes WHERE state <> 'idle' GROUP BY state")
        counts |= {f"lanes are {row.state}": row.n for row in lanes}
        return [f"{count} {what}" for what, count in counts.items() if count > 0]

    def case_rows(self) -> dict[str, Mapping[str, Any]]:
        """Cases as the API would show the fields that are compared, by ticket number; the last of several."""
        query = (
            "SELECT id, name, description, status, priority, account_id, contact_id, product_id, assigned_user_id, "
            "ticket_number FROM cases"
        )
        references = ("account_id", "contact_id", "product_id", "assigned_user_id", "id")
        return {
            str(row.ticket_number): {
                **row._mapping,
                **{name: _id(getattr(row, name)) if getattr(row, name) else None for name in references},
            }
            for row in _rows(self.crm, query)
        }

    def crm_writes(self) -> int:
        """How many changes of all records the CRM has noted so far."""
        return _count(self.crm, "changes")

    def choices(self) -> tuple[int, int]:
        """How many products and accounts the portal knows from the CRM."""
        return (
            _count(self.portal, "products WHERE crm_id IS NOT NULL"),
            _count(self.portal, "accounts WHERE crm_id IS NOT NULL"),
        )

    def lanes_at_work(self) -> int:
        return _count(self.sync, "lanes WHERE state <> 'idle'")

    def receipts(self) -> int:
        """How many comparisons the sync service has told the portal of."""
        return _count(self.sync, "outbox WHERE type LIKE '%receipt%'")


def _engine(installation: Installation, service: str) -> Any:
    url = installation.database_url(service)
    if url.startswith("sqlite"):
        return create_engine(url, connect_args={"timeout": 20})
    return create_engine(url, connect_args={"options": f"-c search_path={service}", "connect_timeout": 5})


def _rows(connection: Connection, query: str) -> Sequence[Any]:
    rows = connection.execute(text(query)).all()
    connection.rollback()
    return rows


def _count(connection: Connection, what: str) -> int:
    (row,) = _rows(connection, f"SELECT count(*) AS n FROM {what}")
    return int(row.n)


def _ticket(row: Any) -> Any:
    foreign = json.loads(row.foreign_assignee) if isinstance(row.foreign_assignee, str) else row.foreign_assignee
    values = {**row._mapping, "id": _id(row.id)}
    if foreign:
        values |= {"assignee_crm_id": foreign["crm_id"], "assignee_name": foreign["name"]}
    return SimpleNamespace(**values)


def _grouped(rows: Sequence[Any], column: str) -> Mapping[str, Sequence[Any]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        groups[_id(getattr(row, column))].append(row)
    return groups


def _id(value: object) -> str:
    return str(uuid.UUID(str(value)))
