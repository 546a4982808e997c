"""The table of conflicts in memory, by the rules of store.LaneStore."""

import uuid
from types import SimpleNamespace
from typing import Protocol

from crm_sync_service.links import ConflictFound


class Conflict(SimpleNamespace):
    """models.Conflict, without what an ORM adds to it."""


class Session(Protocol):
    """Where the conflicts are."""

    conflicts: list[tuple[uuid.UUID, ConflictFound]]
    conflict_rows: list[Conflict]

    def add(self, record: Conflict) -> None: ...


def keep_conflict(session: Session, ticket_id: uuid.UUID, found: ConflictFound) -> None:
    """store.LaneStore._add_conflict."""
    session.conflicts.append((ticket_id, found))
    last = last_conflict(session, ticket_id, found.field)
    values = {"base": found.base, "ours": found.ours, "theirs": found.theirs}
    if last is not None and last.state == "waiting":
        vars(last).update(values)
        if found.winner is not None:
            last.state, last.winner, last.how = "decided", found.winner, "policy"
        return
    if found.winner is not None and last is not None and {name: getattr(last, name) for name in values} == values:
        return
    session.add(
        Conflict(
            id=len(session.conflict_rows) + 1,
            ticket_id=ticket_id,
            field=found.field,
            winner=found.winner,
            state="decided" if found.winner else "waiting",
            how="policy" if found.winner else None,
            decided_by=None,
            why=None,
            **values,
        )
    )


def withdraw_conflict(session: Session, ticket_id: uuid.UUID, name: str) -> None:
    """store.LaneStore._withdraw_conflict."""
    last = last_conflict(session, ticket_id, name)
    if last is not None and last.state == "waiting":
        last.state, last.how = "decided", "withdrawn"


def last_conflict(session: Session, ticket_id: uuid.UUID, name: str) -> Conflict | None:
    rows = (row for row in reversed(session.conflict_rows) if (row.ticket_id, row.field) == (ticket_id, name))
    return next(rows, None)
