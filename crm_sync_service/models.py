"""The tables of the sync service, its outbox and its inbox."""

import uuid
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import JSON, Index, String, Text, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.database import BigId, Database, UtcDateTime, new_metadata
from shared.inbox import Inbox
from shared.outbox import Outbox

SCHEMA = "sync"
SOURCE = "crm-sync"
MIGRATIONS = Path(__file__).parent / "migrations"


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        dict[str, Any] | None: JSON(none_as_null=True),
        list[Any]: JSON,
    }


outbox = Outbox(Base.metadata, source=SOURCE)
inbox = Inbox(Base.metadata)


def open_database(url: str, *, pool_size: int = 5) -> Database:
    return Database(url, schema=SCHEMA, migrations=MIGRATIONS, pool_size=pool_size)


class Replica(Base):
    """A ticket as the portal last told; only ever moves to a higher version."""

    __tablename__ = "replicas"

    ticket_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    number: Mapped[int] = mapped_column(index=True)
    body: Mapped[dict[str, Any]]
    """A TicketChanged as JSON."""
    received_at: Mapped[datetime]


class ReplyReplica(Base):
    """A reply or internal note as the portal told it; never changes."""

    __tablename__ = "reply_replicas"

    reply_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    ticket_id: Mapped[uuid.UUID]
    position: Mapped[int]
    type: Mapped[str] = mapped_column(String(80))
    """The event's type: of a ReplyAdded or an InternalNoteAdded."""
    body: Mapped[dict[str, Any]]
    note_id: Mapped[str | None] = mapped_column(String(64))
    """The CRM's id of the Note, once it is there."""
    parked: Mapped[str | None] = mapped_column(Text)
    """Why the CRM will not take it, in its own words."""
    skipped: Mapped[str | None] = mapped_column(Text)
    """Who decided that it becomes no Note, and why; None: it becomes one."""
    pending: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Its Note may have been made already: look before making it, where the CRM refuses no second one."""

    __table_args__ = (Index("ix_reply_replicas_ticket", "ticket_id", "position"),)


class Lane(Base):
    """All deliveries of one ticket, in order: worked by one worker at a time, under a lease."""

    __tablename__ = "lanes"

    ticket_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    """idle, due, running or parked."""
    due_at: Mapped[datetime]
    due_since: Mapped[datetime]
    """When the oldest change now waiting began to wait."""
    priority: Mapped[int] = mapped_column(default=2, server_default="2")
    """lanes.Priority of what waits: lower goes first."""
    requests: Mapped[int] = mapped_column(default=0)
    """Grows whenever there may be work; a run that saw an older count leaves the lane due."""
    owner: Mapped[str | None] = mapped_column(String(120))
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0)
    """Grows with each claim; a write that carries an older fence is refused."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Failed runs since the last good one."""
    crashes: Mapped[int] = mapped_column(default=0)
    """Runs whose worker died, counted before handling."""
    cause: Mapped[str | None] = mapped_column(Text)
    """Why it waits or is parked, in the CRM's own words."""
    failed_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_lanes_state_due", "state", "due_at"),)


class Link(Base):
    """A ticket and its Case."""

    __tablename__ = "links"

    ticket_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    """new, linked, case_deleted (tombstone of the CRM), ticket_deleted, redacted (of the portal) or unlinked."""
    case_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    case_number: Mapped[str | None] = mapped_column(String(64))
    case_url: Mapped[str | None] = mapped_column(String(2000))
    base: Mapped[dict[str, Any]]
    """Last values both sides were seen to share, by field."""
    pending_create: Mapped[dict[str, Any] | None]
    pending_push: Mapped[dict[str, Any]]
    """By field, the values sent whose arrival is not yet known."""
    pending_pull: Mapped[dict[str, Any] | None]
    """{"values": by field, "event": the CaseChanged as JSON, "sent_at"} while the portal has not answered."""
    parked: Mapped[dict[str, Any]]
    """By field, why it is not synced."""
    pull_number: Mapped[int] = mapped_column(default=0)
    receipt_number: Mapped[int] = mapped_column(default=0)
    seen: Mapped[str | None] = mapped_column(String(200))
    """The Case's stamp as last read or written by us; a feed row with the same one is an echo."""
    compared_version: Mapped[int | None]
    compared_at: Mapped[datetime | None]
    in_sync: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str | None] = mapped_column(Text)
    """Why the last comparison did not end in sync, in words."""
    wanted: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """By field, the value that a person decided on, until both sides have it (links.Wanted)."""
    holds: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """By field, why it is left alone on purpose: skipped, frozen or refused (links.Hold)."""
    held: Mapped[bool] = mapped_column(default=False, server_default=false(), index=True)
    """There are holds."""
    flips: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """By field, who set it when to what in the last hour: [moment, side, hash of the value]."""
    orders: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """What people asked for and no run has carried out yet (links.Order); only ever added to by decisions.py."""
    order_number: Mapped[int] = mapped_column(default=0, server_default="0")
    """The last order's number."""
    orders_done: Mapped[int] = mapped_column(default=0, server_default="0")
    """The last order carried out."""
    generation: Mapped[int] = mapped_column(default=0, server_default="0")
    """Grows when the ticket gets another Case: its ids and keys and those of its Notes are new ones then."""
    extra_notes: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Ids of Notes that stand for no reply, by their key; None while one may be there already."""
    notes_told: Mapped[int] = mapped_column(default=0, server_default="0")
    """Grows with each news of Notes that people wrote in the CRM."""
    notes_read: Mapped[int] = mapped_column(default=0, server_default="0")
    """`notes_told` when they were last read."""
    notes_seen: Mapped[str | None] = mapped_column(String(200))
    """The Case's stamp when its Notes were last read, where a Note changes it."""
    echoes: Mapped[int] = mapped_column(default=0, server_default="0")
    """Changes in the feed that were our own writes and went no further."""
    echo: Mapped[str | None] = mapped_column(String(200))
    """The stamp of our last write, until the feed has shown it."""


class Conflict(Base):
    """Both sides changed one field; both values are kept."""

    __tablename__ = "conflicts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    ticket_id: Mapped[uuid.UUID] = mapped_column(index=True)
    at: Mapped[datetime]
    field: Mapped[str] = mapped_column(String(40))
    base: Mapped[str | None] = mapped_column(Text)
    ours: Mapped[str | None] = mapped_column(Text)
    ours_by: Mapped[str] = mapped_column(String(255))
    ours_at: Mapped[datetime]
    theirs: Mapped[str | None] = mapped_column(Text)
    theirs_by: Mapped[str] = mapped_column(String(255))
    theirs_at: Mapped[datetime]
    policy: Mapped[str] = mapped_column(String(20), default="crm", server_default="crm")
    """The field's policy then: portal, crm, newest or ask."""
    state: Mapped[str] = mapped_column(String(20), default="decided", server_default="decided", index=True)
    """waiting, decided or reversed."""
    winner: Mapped[str | None] = mapped_column(String(20))
    """portal or crm; None while it waits, and if the sides came to agree by themselves."""
    how: Mapped[str | None] = mapped_column(String(20), default="policy", server_default="policy")
    """policy, person or withdrawn: the sides came to agree by themselves."""
    decided_by: Mapped[str | None] = mapped_column(String(255))
    """The person."""
    decided_at: Mapped[datetime | None]
    reversed_by: Mapped[str | None] = mapped_column(String(255))
    reversed_at: Mapped[datetime | None]
    why: Mapped[str | None] = mapped_column(Text)
    """What the person said about it."""


class Activity(Base):
    """One thing the sync did for a ticket: the timeline that the console shows."""

    __tablename__ = "activities"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    ticket_id: Mapped[uuid.UUID] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    direction: Mapped[str] = mapped_column(String(20))
    """to_crm, to_portal, or person: what somebody asked for."""
    action: Mapped[str] = mapped_column(String(40))
    """created, updated, noted, pulled, failed, parked, retried ..."""
    detail: Mapped[str] = mapped_column(Text)
    """In words, with values before and after where there are any."""
    attempt: Mapped[int] = mapped_column(default=1)


class Cursor(Base):
    """How far a change feed has been read; saved only after its last page is stored."""

    __tablename__ = "cursors"

    feed: Mapped[str] = mapped_column(String(64), primary_key=True)
    stamp: Mapped[str] = mapped_column(String(64))
    """The largest stamp seen in data, never our clock."""
    polled_at: Mapped[datetime]


class CrmState(Base):
    """Whether a CRM is called at all: reachable, unreachable, or paused until a moment it named."""

    __tablename__ = "crm_states"

    crm: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    """No call before this moment, except one probe at it."""
    failures: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(Text)
    announced_at: Mapped[datetime | None]
    stopped_by: Mapped[str | None] = mapped_column(String(255))
    """The person who paused it: no call, and no probe, until somebody lets it go on."""


class DirectoryRecord(Base):
    """An account, contact, user or product as last announced to the portal."""

    __tablename__ = "directory"

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    crm_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    revision: Mapped[int]
    name: Mapped[str] = mapped_column(String(255))
    active: Mapped[bool]
    emails: Mapped[list[Any]]
    account_crm_id: Mapped[str | None] = mapped_column(String(64))
    merged_into: Mapped[str | None] = mapped_column(String(64))
    refreshed_at: Mapped[datetime | None]
    """When a full refresh last met it; one that no longer meets it calls it gone."""


class ContactMatch(Base):
    """Which CRM contact a requester's address belongs to, decided once."""

    __tablename__ = "contact_matches"

    email_key: Mapped[str] = mapped_column(String(320), primary_key=True)
    crm_id: Mapped[str | None] = mapped_column(String(64), index=True)
    """None while several contacts share the address and a person must choose, or one is being made."""
    candidates: Mapped[list[Any]]
    decided_at: Mapped[datetime]
    decided_by: Mapped[str | None] = mapped_column(String(255))
    """The person who chose; None: there was no choice."""
    tickets: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """Tickets that wait for the contact."""
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    """The ticket for which the contact is being made, where the CRM would make a second one."""
    claimed_until: Mapped[datetime | None]


class SentNote(Base):
    """A Note of the CRM that was given to the customer as a reply (S91), once."""

    __tablename__ = "sent_notes"

    note_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    ticket_id: Mapped[uuid.UUID] = mapped_column(index=True)
    at: Mapped[datetime]


class WorkerPulse(Base):
    """A sync worker's last sign of progress, for the console."""

    __tablename__ = "worker_pulses"

    owner: Mapped[str] = mapped_column(String(120), primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
