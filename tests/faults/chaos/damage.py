"""Damage to a finished run, each of a kind that the checker must find, and the way back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from shared.ids import new_id
from tests.faults.chaos.installation import Installation
from tests.faults.chaos.tables import Tables

Plant = Callable[[Installation, Tables], Any]


@contextmanager
def planted(name: str, installation: Installation) -> Iterator[None]:
    """The damage is there inside, and gone afterwards."""
    with Tables(installation) as tables:
        undo = DAMAGE[name][1](installation, tables)
        try:
            yield
        finally:
            for connection, statement, values in undo:
                _change(connection, statement, **values)


def _change(connection: Connection, statement: str, **values: Any) -> None:
    connection.execute(text(statement), values)
    connection.commit()


def _one(connection: Connection, query: str) -> Any:
    row = connection.execute(text(query)).first()
    connection.rollback()
    assert row is not None, query
    return row


def _second_case(installation: Installation, tables: Tables) -> Any:
    case = _one(tables.crm, "SELECT name, ticket_number FROM cases WHERE ticket_number IS NOT NULL LIMIT 1")
    made = str(new_id())
    answer = installation.crm(
        "POST", "/cases", json={"id": made, "name": case.name, "ticket_number": case.ticket_number}
    )
    assert answer.status_code == 201, answer.text
    row = _one(tables.crm, "SELECT id FROM cases ORDER BY serial DESC LIMIT 1")
    return [
        (tables.crm, "DELETE FROM changes WHERE record_id = :id", {"id": row.id}),
        (tables.crm, "DELETE FROM cases WHERE id = :id", {"id": row.id}),
    ]


def _deleted_case(installation: Installation, tables: Tables) -> Any:
    row = _one(tables.crm, "SELECT id FROM cases WHERE ticket_number IS NOT NULL LIMIT 1")
    _change(tables.crm, "UPDATE cases SET deleted = true WHERE id = :id", id=row.id)
    return [(tables.crm, "UPDATE cases SET deleted = false WHERE id = :id", {"id": row.id})]


def _unexpected_case(installation: Installation, tables: Tables) -> Any:
    row = _one(tables.crm, "SELECT id, ticket_number FROM cases WHERE ticket_number IS NOT NULL LIMIT 1")
    statement = "UPDATE cases SET ticket_number = :number WHERE id = :id"
    _change(tables.crm, statement, number="999999", id=row.id)
    return [(tables.crm, statement, {"number": row.ticket_number, "id": row.id})]


def _second_note(installation: Installation, tables: Tables) -> Any:
    note = _one(tables.crm, "SELECT case_id, body FROM notes WHERE origin = 'api' LIMIT 1")
    made = str(new_id())
    body = {"id": made, "case_id": str(note.case_id), "body": note.body, "author": "nobody", "side": "staff"}
    answer = installation.crm("POST", "/notes", json=body)
    assert answer.status_code == 201, answer.text
    row = _one(tables.crm, "SELECT id FROM notes WHERE author = 'nobody'")
    return [
        (tables.crm, "DELETE FROM changes WHERE record_id = :id", {"id": row.id}),
        (tables.crm, "DELETE FROM notes WHERE id = :id", {"id": row.id}),
    ]


def _lost_note(installation: Installation, tables: Tables) -> Any:
    note = _one(tables.crm, "SELECT id, case_id FROM notes WHERE origin = 'api' LIMIT 1")
    case = _one(tables.crm, f"SELECT id FROM cases WHERE id <> '{note.case_id}' LIMIT 1")
    statement = "UPDATE notes SET case_id = :case WHERE id = :id"
    _change(tables.crm, statement, case=case.id, id=note.id)
    return [(tables.crm, statement, {"case": note.case_id, "id": note.id})]


def _altered_note(installation: Installation, tables: Tables) -> Any:
    note = _one(tables.crm, "SELECT id, body FROM notes WHERE origin = 'api' LIMIT 1")
    statement = "UPDATE notes SET body = :body WHERE id = :id"
    _change(tables.crm, statement, body=note.body[:-1], id=note.id)
    return [(tables.crm, statement, {"body": note.body, "id": note.id})]


def _other_priority(installation: Installation, tables: Tables) -> Any:
    case = _one(tables.crm, "SELECT id, priority FROM cases WHERE ticket_number IS NOT NULL LIMIT 1")
    statement = "UPDATE cases SET priority = :priority WHERE id = :id"
    _change(tables.crm, statement, priority="low" if case.priority == "high" else "high", id=case.id)
    return [(tables.crm, statement, {"priority": case.priority, "id": case.id})]


def _forgotten_conflicts(installation: Installation, tables: Tables) -> Any:
    _change(tables.sync, "UPDATE conflicts SET field = 'not-' || field")
    return [(tables.sync, "UPDATE conflicts SET field = substr(field, 5)", {})]


def _lost_entry(installation: Installation, tables: Tables) -> Any:
    entry = _one(tables.portal, "SELECT id, body FROM entries WHERE body LIKE '%words-%' LIMIT 1")
    statement = "UPDATE entries SET body = :body WHERE id = :id"
    _change(tables.portal, statement, body="something else", id=entry.id)
    return [(tables.portal, statement, {"body": entry.body, "id": entry.id})]


def _parked_lane(installation: Installation, tables: Tables) -> Any:
    row = _one(tables.sync, "SELECT ticket_id FROM lanes LIMIT 1")
    statement = "UPDATE lanes SET state = :state WHERE ticket_id = :id"
    _change(tables.sync, statement, state="parked", id=row.ticket_id)
    return [(tables.sync, statement, {"state": "idle", "id": row.ticket_id})]


def _unsent_event(installation: Installation, tables: Tables) -> Any:
    row = _one(tables.portal, "SELECT position, sent_at FROM outbox LIMIT 1")
    statement = "UPDATE outbox SET sent_at = :at WHERE position = :position"
    _change(tables.portal, statement, at=None, position=row.position)
    return [(tables.portal, statement, {"at": row.sent_at, "position": row.position})]


def _lost_event(installation: Installation, tables: Tables) -> Any:
    row = _one(tables.sync, "SELECT event_id, type, received_at FROM inbox LIMIT 1")
    _change(tables.sync, "DELETE FROM inbox WHERE event_id = :id", id=row.event_id)
    statement = "INSERT INTO inbox (event_id, type, received_at) VALUES (:id, :type, :at)"
    return [(tables.sync, statement, {"id": row.event_id, "type": row.type, "at": row.received_at})]


DAMAGE: Mapping[str, tuple[str, Plant]] = {
    "a second Case": ("cases", _second_case),
    "a deleted Case": ("cases", _deleted_case),
    "a Case of no ticket": ("cases", _unexpected_case),
    "a second Note": ("notes", _second_note),
    "a Note on another Case": ("notes", _lost_note),
    "a Note that lacks a letter": ("notes", _altered_note),
    "another priority": ("fields", _other_priority),
    "forgotten conflicts": ("conflicts", _forgotten_conflicts),
    "a lost reply": ("lost", _lost_entry),
    "a parked lane": ("unfinished", _parked_lane),
    "an unsent event": ("unfinished", _unsent_event),
    "an event that never arrived": ("unfinished", _lost_event),
}
"""What the checker must say, and how to do it."""
