"""Tickets as the portal would tell of them, and tables full of others."""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, text

from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Lane, Link, Replica
from shared.database import Database
from shared.events import Event, Person, ReplyAdded, TicketChanged, dump
from shared.ids import new_id

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_CHUNK = 2_000
_FIRST = 10_000_000
_BASE = {"subject": "Printer on fire", "status": "new", "priority": "normal", "account": None, "product": None}
_RESTING_THERE = """
WITH made AS MATERIALIZED (
  SELECT gen_random_uuid() AS id, number FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS number
), replicas_made AS (
  INSERT INTO replicas (ticket_id, version, number, body, received_at)
  SELECT id, 1, number, CAST(:body AS jsonb) || jsonb_build_object('ticket_id', id, 'number', number),
    CAST(:moment AS timestamptz)
  FROM made
), links_made AS (
  INSERT INTO links (ticket_id, state, case_id, case_number, base, pending_push, parked, pull_number, receipt_number,
    seen, in_sync, compared_version, compared_at)
  SELECT id, 'linked', gen_random_uuid(), number, CAST(:base AS json), '{}', '{}', 0, 0, '1', true, 1,
    CAST(:moment AS timestamptz)
  FROM made
)
INSERT INTO lanes (ticket_id, state, due_at, due_since, requests, fence, attempts, crashes)
SELECT id, 'idle', CAST(:moment AS timestamptz), CAST(:moment AS timestamptz), 0, 0, 0, 0 FROM made
"""
_PRIORITIES = ("low", "high", "urgent", "normal")


def new_ticket(number: int) -> TicketChanged:
    """A ticket of ordinary size."""
    return TicketChanged(
        ticket_id=new_id(),
        version=1,
        number=number,
        ticket_url=f"http://portal.example/tickets/{number}",
        subject=f"Printer {number} on fire",
        description="It burns.\n\nSince 9:00 this morning, and nobody knows why. " * 4,
        link_url="https://shop.example/page?a=1&b=2",
        details={"Browser": "Chromium 156", "Kind of request": "Incident"},
        status="new",
        priority="normal",
        request_type="Level 1 support",
        origin="portal",
        account_crm_id=None,
        account_name=None,
        product_crm_id=None,
        product_name=None,
        category="Hardware",
        contact=None,
        assignee=None,
        attachments=(),
        reply_count=0,
        changed_by="Carol Jansen",
        created_at=_MOMENT,
        changed_at=_MOMENT,
    )


def edited(ticket: TicketChanged) -> TicketChanged:
    """The same ticket with another priority."""
    priority: Any = _PRIORITIES[ticket.version % len(_PRIORITIES)]
    return replace(ticket, version=ticket.version + 1, priority=priority)


def replied(ticket: TicketChanged, position: int) -> ReplyAdded:
    return ReplyAdded(
        ticket_id=ticket.ticket_id,
        reply_id=new_id(),
        position=position,
        side="customer",
        author=Person(name="Carol Jansen"),
        channel="portal",
        body=f"Any news? This is the {position}th time that I ask.",
        attachments=(),
        created_at=_MOMENT,
    )


def burst(ticket: TicketChanged, *, edits: int, replies: int) -> tuple[TicketChanged, Sequence[Event]]:
    """Many changes of one ticket in a row; returns it as it is at the end."""
    events: list[Event] = [replied(ticket, position + 1) for position in range(replies)]
    for _ in range(edits):
        ticket = edited(ticket)
        events.append(ticket)
    return ticket, events


def fill(database: Database, count: int, *, progress: Any) -> None:
    """As many tickets that are linked and at rest, written in bulk."""
    body = json.loads(json.dumps(dump(new_ticket(0))))
    if database.is_postgresql:
        _fill_there(database, count, body)
        progress(count)
        return
    rows = (_resting(number, body) for number in range(_FIRST, _FIRST + count))
    while chunk := list(_take(rows, _CHUNK)):
        with database.write() as session:
            for table in (Replica, Link, Lane):
                session.execute(insert(table), [row[table] for row in chunk])
        progress(len(chunk))


def _fill_there(database: Database, count: int, body: dict[str, Any]) -> None:
    """PostgreSQL makes a million rows by itself in a fraction of the time that sending them takes."""
    values = {"first": _FIRST, "last": _FIRST + count - 1, "moment": _MOMENT, "base": json.dumps(_BASE)}
    with database.write() as session:
        session.execute(text(_RESTING_THERE), {**values, "body": json.dumps(body)})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE replicas, links, lanes"))


def _take(rows: Iterator[Any], count: int) -> Iterator[Any]:
    for _ in range(count):
        try:
            yield next(rows)
        except StopIteration:
            return


def _resting(number: int, body: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    ticket_id = uuid.uuid4()
    return {
        Replica: {
            "ticket_id": ticket_id,
            "version": 1,
            "number": number,
            "body": {**body, "ticket_id": str(ticket_id), "number": number},
            "received_at": _MOMENT,
        },
        Link: {
            "ticket_id": ticket_id,
            "state": "linked",
            "case_id": case_id_of(ticket_id),
            "case_number": str(number),
            "case_url": None,
            "base": _BASE,
            "pending_push": {},
            "parked": {},
            "seen": "1",
            "in_sync": True,
            "compared_version": 1,
            "compared_at": _MOMENT,
        },
        Lane: {"ticket_id": ticket_id, "state": "idle", "due_at": _MOMENT, "due_since": _MOMENT},
    }
