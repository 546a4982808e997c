"""A portal, reduced to its answers, and a sync worker that is driven by hand."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from crm_sync_service import change_feed, inbox
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Conflict, Lane, Link, outbox
from crm_sync_service.runner import LaneRunner
from shared.database import Database
from shared.events import (
    CaseChanged,
    Event,
    InternalNoteAdded,
    Person,
    Receipt,
    ReplyAdded,
    TicketChanged,
    load,
)
from shared.ids import new_id

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def new_ticket(**changes: Any) -> TicketChanged:
    ticket_id = new_id()
    ticket = TicketChanged(
        ticket_id=ticket_id,
        version=1,
        number=1001,
        ticket_url="http://portal.example/tickets/1001",
        subject="Printer <on> fire",
        description="It burns.\n\nSince 9:00 — 火事 🔥",
        link_url="https://shop.example/page?a=1&b=2",
        details={"Browser": "Chromium 156"},
        status="new",
        priority="normal",
        request_type="Level 1 support",
        origin="portal",
        account_crm_id="acme",
        account_name="Acme",
        product_crm_id="portal",
        product_name="Portal Server",
        category=None,
        contact=Person(name="Carol Jansen", email="carol@acme.example", crm_id="carol"),
        assignee=Person(name="Sam Peters", email="sam@support.example", crm_id="sam"),
        attachments=(),
        reply_count=0,
        changed_by="Carol Jansen",
        created_at=START,
        changed_at=START,
    )
    return replace(ticket, **changes)


def new_reply(ticket: TicketChanged, position: int, body: str = "Any news?") -> ReplyAdded:
    return ReplyAdded(
        ticket_id=ticket.ticket_id,
        reply_id=new_id(),
        position=position,
        side="customer",
        author=Person(name="Carol Jansen"),
        channel="portal",
        body=body,
        attachments=(),
        created_at=START + timedelta(minutes=position),
    )


def new_internal_note(ticket: TicketChanged, position: int) -> InternalNoteAdded:
    return InternalNoteAdded(
        ticket_id=ticket.ticket_id,
        note_id=new_id(),
        position=position,
        author=Person(name="Sam Peters"),
        body="Careful, VIP.",
        attachments=(),
        created_at=START + timedelta(minutes=position),
    )


class Engine:
    """The sync service over a database and a CRM, with a clock of its own."""

    def __init__(self, database: Database, crm: Any) -> None:
        self.database, self.crm, self.clock = database, crm, START
        self.runner = LaneRunner(
            database=database, crm=crm, mapping=crm.mapping(), owner="test", threads=1, now=lambda: self.clock
        )

    def receive(self, *events: Event) -> None:
        with self.database.write() as session:
            for event in events:
                inbox.apply(session, event, now=self.clock)

    def settle(self, *, seconds: float = 0) -> int:
        """Look at the CRM and work off all lanes; returns how many runs that took."""
        self.clock += timedelta(seconds=seconds)
        change_feed.poll_cases(self.database, self.crm, overlap=timedelta(seconds=120), now=self.clock)
        return self.runner.run_until_idle()

    def settle_through_failures(self, rounds: int = 12) -> None:
        """Let time pass until every pause after a failure has ended."""
        for _ in range(rounds):
            self.settle(seconds=70)

    def sent(self, kind: type[Event]) -> list[Any]:
        """Events for the portal, oldest first."""
        with self.database.read() as session:
            rows = session.execute(select(outbox.table).order_by(outbox.table.c.position)).all()
        return [load(row.type, json.loads(row.body)) for row in rows if row.type == kind.type]

    def answer(self, ticket: TicketChanged, change: CaseChanged, *, refuse: bool = False) -> TicketChanged:
        """The portal applies (or refuses) a change of the CRM and answers with its next snapshot."""
        values = {item.field: item.after for item in change.changes}
        applied: dict[str, Any] = {name: values[name] for name in ("status", "priority") if name in values}
        if "account" in values:
            applied["account_crm_id"] = values["account"]
        if "assignee" in values:
            applied["assignee"] = Person(name="?", crm_id=values["assignee"]) if values["assignee"] else None
        after = replace(
            ticket,
            version=ticket.version + 1,
            pull_number=change.pull_number,
            **({} if refuse else applied),
        )
        self.receive(after)
        return after

    def receipt(self) -> Receipt:
        last: Receipt = self.sent(Receipt)[-1]
        return last

    def link(self, ticket: TicketChanged) -> Link:
        with self.database.read() as session:
            return session.get_one(Link, ticket.ticket_id)

    def lane(self, ticket_id: uuid.UUID) -> Lane:
        with self.database.read() as session:
            return session.get_one(Lane, ticket_id)

    def conflicts(self) -> list[Conflict]:
        with self.database.read() as session:
            return list(session.scalars(select(Conflict).order_by(Conflict.id)))

    def case(self, ticket: TicketChanged) -> dict[str, str | None]:
        fields: dict[str, str | None] = self.crm.fields_of(case_id_of(ticket.ticket_id))
        return fields

    def notes(self) -> list[str]:
        """The bodies' last lines of all Notes, in the order of their positions."""
        notes = sorted(self.crm.notes.values(), key=lambda note: note.position)
        return [note.body.rsplit("\n", 1)[-1] for note in notes]
