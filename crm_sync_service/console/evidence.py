"""The evidence file of a ticket (SPEC O14): both sides, how they came to be, and hashes to prove it was not altered."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from crm_sync_service.connectors.base import NoteRecord
from crm_sync_service.console.live import LiveCase
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.console.plain import as_json
from crm_sync_service.models import Activity, Conflict, Lane, Link, Replica, ReplyReplica
from shared.clock import to_text

_MOST = 10_000


def read_evidence(
    session: Session,
    ticket_id: uuid.UUID,
    *,
    live: LiveCase | None,
    notes: Sequence[NoteRecord],
    problem: str,
    who: str,
    now: datetime,
) -> dict[str, Any]:
    """All that this service knows of a ticket. What the portal sent by mail is in the portal, not here."""
    parts = {
        "ticket": _rows(session, Replica, ticket_id),
        "replies": _rows(session, ReplyReplica, ticket_id),
        "link": _rows(session, Link, ticket_id),
        "lane": _rows(session, Lane, ticket_id),
        "timeline": _rows(session, Activity, ticket_id),
        "conflicts": _rows(session, Conflict, ticket_id),
        "actions": _actions(session, ticket_id),
        "case": as_json(live.record) if live else None,
        "notes": as_json(notes) if live else None,
    }
    return {
        "about": f"Ticket {ticket_id} and its Case, as Casebridge knows them",
        "made_at": to_text(now),
        "made_by": who,
        "case_not_read_because": problem or None,
        "sha256": {name: _hash(part) for name, part in parts.items()},
        **parts,
    }


def _rows(session: Session, model: Any, ticket_id: uuid.UUID) -> list[dict[str, Any]]:
    key = inspect(model).primary_key[0]
    rows = session.scalars(select(model).where(model.ticket_id == ticket_id).order_by(key).limit(_MOST))
    return [as_json(row) for row in rows]


def _actions(session: Session, ticket_id: uuid.UUID) -> list[dict[str, Any]]:
    """What people did about it. They are few, so looking through the newest of them is quick enough."""
    rows = session.scalars(select(ConsoleAction).order_by(ConsoleAction.id.desc()).limit(_MOST))
    return [as_json(row) for row in rows if str(ticket_id) in row.ticket_ids]


def _hash(part: Any) -> str:
    """Of the part as JSON with sorted keys and without spaces, so that anybody can work it out again."""
    text = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
