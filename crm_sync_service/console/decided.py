"""What people decide in the console: each decision is made by the engine's own functions and logged with who did it.

All raise DecisionError, with words for the person, when it makes no sense any more.
"""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service import backfill, decisions, gate, jobs
from crm_sync_service.console.actions import log_action
from crm_sync_service.console.fields import Names, label_of
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.models import Conflict, CrmState, Replica, ReplyReplica

MOST_PER_MINUTE = 60_000
"""Of a backfill."""

Act = Callable[[Session], ConsoleAction]


def decide_conflict(
    session: Session, conflict_id: int, *, winner: Literal["portal", "crm"], why: str, who: str, now: datetime
) -> ConsoleAction:
    row = decisions.decide(session, conflict_id, winner=winner, by=who, now=now, why=why)
    value = row.ours if winner == "portal" else row.theirs
    whose = "the ticket's" if winner == "portal" else "the Case's"
    detail = f"{label_of(row.field)}: {whose} value {_value(session, row, value)} counts"
    return _log(session, "decide conflict", detail, row.ticket_id, why=why, who=who, now=now)


def reverse_conflict(session: Session, conflict_id: int, *, why: str, who: str, now: datetime) -> ConsoleAction:
    row = decisions.reverse(session, conflict_id, by=who, now=now, why=why)
    value = row.theirs if row.winner == "portal" else row.ours
    detail = f"{label_of(row.field)}: {_value(session, row, value)} counts on both sides"
    return _log(session, "reverse conflict", detail, row.ticket_id, why=why, who=who, now=now)


def _value(session: Session, row: Conflict, value: str | None) -> str:
    return f"“{Names(session).of(row.field, value) or 'empty'}”"


def set_value(
    session: Session, ticket_id: uuid.UUID, field: str, value: str | None, *, why: str, who: str, now: datetime
) -> ConsoleAction:
    decisions.set_value(session, ticket_id, field, value, by=who, why=why, now=now)
    shown = Names(session).of(field, value) or "empty"
    return _log(session, "set value", f"{label_of(field)}: “{shown}”", ticket_id, why=why, who=who, now=now)


def skip_field(
    session: Session, ticket_id: uuid.UUID, field: str, *, why: str, who: str, now: datetime
) -> ConsoleAction:
    decisions.skip_field(session, ticket_id, field, by=who, why=why, now=now)
    return _log(session, "skip field", label_of(field), ticket_id, why=why, who=who, now=now)


def unskip_field(session: Session, ticket_id: uuid.UUID, field: str, *, who: str, now: datetime) -> ConsoleAction:
    decisions.unskip_field(session, ticket_id, field, by=who, now=now)
    return _log(session, "sync field again", label_of(field), ticket_id, who=who, now=now)


def release_field(session: Session, ticket_id: uuid.UUID, field: str, *, who: str, now: datetime) -> ConsoleAction:
    decisions.release_field(session, ticket_id, field, by=who, now=now)
    return _log(session, "release field", label_of(field), ticket_id, who=who, now=now)


def skip_note(session: Session, reply_id: uuid.UUID, *, why: str, who: str, now: datetime) -> ConsoleAction:
    decisions.skip_note(session, reply_id, by=who, why=why, now=now)
    reply = session.get_one(ReplyReplica, reply_id)
    return _log(session, "skip Note", f"of reply {reply.position}", reply.ticket_id, why=why, who=who, now=now)


def unskip_note(session: Session, reply_id: uuid.UUID, *, who: str, now: datetime) -> ConsoleAction:
    decisions.unskip_note(session, reply_id, by=who, now=now)
    reply = session.get_one(ReplyReplica, reply_id)
    return _log(session, "write Note again", f"of reply {reply.position}", reply.ticket_id, who=who, now=now)


def recreate_case(session: Session, ticket_id: uuid.UUID, *, why: str, who: str, now: datetime) -> ConsoleAction:
    decisions.recreate_case(session, ticket_id, by=who, why=why, now=now)
    return _log(session, "make new Case", "", ticket_id, why=why, who=who, now=now)


def relink_case(
    session: Session, ticket_id: uuid.UUID, case_id: str, *, why: str, who: str, now: datetime
) -> ConsoleAction:
    decisions.relink_case(session, ticket_id, case_id, by=who, why=why, now=now)
    return _log(session, "link to Case", case_id, ticket_id, why=why, who=who, now=now)


def unlink_case(session: Session, ticket_id: uuid.UUID, *, why: str, who: str, now: datetime) -> ConsoleAction:
    decisions.unlink_case(session, ticket_id, by=who, why=why, now=now)
    return _log(session, "unlink Case", "", ticket_id, why=why, who=who, now=now)


def field_acts(
    ticket_id: uuid.UUID, name: str, *, value: str | None, why: str, who: str, now: datetime
) -> dict[str, Act]:
    """What can be done about one field."""
    return {
        "value": lambda db: set_value(db, ticket_id, name, value, why=why, who=who, now=now),
        "skip": lambda db: skip_field(db, ticket_id, name, why=why, who=who, now=now),
        "unskip": lambda db: unskip_field(db, ticket_id, name, who=who, now=now),
        "release": lambda db: release_field(db, ticket_id, name, who=who, now=now),
    }


def note_acts(ticket_id: uuid.UUID, reply_id: uuid.UUID, *, why: str, who: str, now: datetime) -> dict[str, Act]:
    """What can be done about one Note."""
    return {
        "skip": lambda db: skip_note(db, _of(db, ticket_id, reply_id), why=why, who=who, now=now),
        "unskip": lambda db: unskip_note(db, _of(db, ticket_id, reply_id), who=who, now=now),
    }


def _of(session: Session, ticket_id: uuid.UUID, reply_id: uuid.UUID) -> uuid.UUID:
    """The reply, if it is the ticket's."""
    reply = session.get(ReplyReplica, reply_id)
    if reply is None or reply.ticket_id != ticket_id:
        raise decisions.DecisionError("This ticket has no such reply.")
    return reply_id


def case_acts(ticket_id: uuid.UUID, *, case_id: str, why: str, who: str, now: datetime) -> dict[str, Act]:
    """What can be done about the link to a Case."""
    return {
        "recreate": lambda db: recreate_case(db, ticket_id, why=why, who=who, now=now),
        "relink": lambda db: relink_case(db, ticket_id, case_id, why=why, who=who, now=now),
        "unlink": lambda db: unlink_case(db, ticket_id, why=why, who=who, now=now),
    }


def pause_crm(session: Session, crm: str, *, why: str, who: str, now: datetime) -> ConsoleAction:
    """Stop all calls to a CRM until somebody lets them go on."""
    _need_crm(session, crm)
    gate.stop(session, crm, by=who, why=why, now=now)
    return log_action(session, "pause sync", f"{crm}: {why}", who=who, now=now)


def let_crm_go_on(session: Session, crm: str, *, who: str, now: datetime) -> ConsoleAction:
    _need_crm(session, crm)
    gate.go_on(session, crm, now=now)
    return log_action(session, "let sync go on", crm, who=who, now=now)


def pause_backfill(session: Session, *, who: str, now: datetime) -> ConsoleAction:
    """Let the running one stop within a second or two."""
    if not backfill.pause(session, now=now):
        raise decisions.DecisionError("No backfill is running.")
    return log_action(session, "pause backfill", "", who=who, now=now)


def change_backfill_rate(session: Session, rate: int, *, who: str, now: datetime) -> ConsoleAction:
    """`rate`: tickets per minute."""
    if not 1 <= rate <= MOST_PER_MINUTE:
        raise decisions.DecisionError(f"Give a rate between 1 and {MOST_PER_MINUTE:,} tickets per minute.")
    if not backfill.set_rate(session, rate, now=now):
        raise decisions.DecisionError("No backfill is under way.")
    return log_action(session, "backfill rate", f"{rate:,} tickets per minute", who=who, now=now)


def start_job(
    session: Session, kind: jobs.Kind, *, who: str, now: datetime, **options: Any
) -> tuple[ConsoleAction, int]:
    """Have a worker do something long; returns the job's number, too."""
    job = jobs.ask(session, kind, asked_by=who, now=now, **options)
    told = ", ".join(f"{name} {value}" for name, value in options.items())
    return log_action(session, "start", f"{jobs.KINDS[kind]} {told}".strip(), who=who, now=now), job.id


def stop_job(session: Session, job_id: int, *, who: str, now: datetime) -> ConsoleAction:
    job = jobs.ask_to_stop(session, job_id, now=now)
    return log_action(session, "stop", jobs.KINDS[job.kind], who=who, now=now)


def _need_crm(session: Session, crm: str) -> None:
    if session.get(CrmState, crm) is None:
        raise decisions.DecisionError(f"No worker has spoken of a CRM {crm!r} yet.")


def choose_contact(session: Session, email: str, crm_id: str, *, who: str, now: datetime) -> ConsoleAction:
    number = decisions.choose_contact(session, email, crm_id, by=who, now=now)
    name = Names(session).of("contact", crm_id)
    tickets = "1 ticket goes" if number == 1 else f"{number:,} tickets go"
    return log_action(session, "choose contact", f"{email}: {name} ({crm_id}); {tickets} on", who=who, now=now)


def _log(
    session: Session, action: str, detail: str, ticket_id: uuid.UUID, *, who: str, now: datetime, why: str = ""
) -> ConsoleAction:
    words = " ".join(part for part in (_number(session, ticket_id), detail) if part)
    return log_action(session, action, f"{words} ({why})" if why else words, who=who, now=now, ticket_ids=[ticket_id])


def _number(session: Session, ticket_id: uuid.UUID) -> str:
    number = session.scalar(select(Replica.number).where(Replica.ticket_id == ticket_id))
    return f"#{number}" if number else "?"
