"""A support desk into which old tickets are imported."""

import csv
import io
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.base import outbox
from portal_service.channels.models import OutgoingMail
from portal_service.files.storage import FolderStorage
from portal_service.imports.cleaning import Cleaner
from portal_service.imports.columns import match_columns
from portal_service.imports.mapping import Rules
from portal_service.imports.reading import read_rows
from portal_service.imports.run import Import
from portal_service.imports.storing import Store
from portal_service.imports.tally import Tally
from portal_service.people.models import Contact, ContactEmail
from portal_service.tickets.models import Ticket
from shared.database import Database
from shared.emails import email_key
from tests.portal_service.support_desk import Help

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class OldDesk:
    """Imports texts into a portal and tells what is there afterwards."""

    database: Database
    storage: FolderStorage
    bad: dict[int, str]
    """Reason by line, of the last import."""

    def take(self, text: str, *, dry_run: bool = False, create_accounts: bool = False, **rules: Any) -> Tally:
        rows = read_rows(io.StringIO(text, newline="\n"))
        told = Rules(**rules)
        cleaner = Cleaner(columns=match_columns(rows.columns, told.columns), rules=told, source="old", now=NOW)
        store = Store(storage=self.storage, max_file_bytes=10**8, source="old", rng=random.Random(1))
        run = Import(
            database=self.database, cleaner=cleaner, store=store, create_accounts=create_accounts, dry_run=dry_run
        )
        self.bad = {}
        run.run(
            rows,
            report=lambda _, outcome: self.bad.update({row.line: error.reason for row, error in outcome.bad}),
            now=lambda: NOW,
        )
        return run.tally

    def ticket(self, id_: str) -> Ticket:
        """With everything loaded that tests look at."""
        with self.database.read() as session:
            ticket = session.scalars(select(Ticket).where(Ticket.external_ref == f"old:{id_}")).one()
            _ = ticket.account, ticket.contact and ticket.contact.emails, ticket.assignee, ticket.product
            _ = (
                ticket.request_type,
                ticket.category,
                ticket.attachments,
                [entry.attachments for entry in ticket.entries],
            )
            return ticket

    def refs(self) -> list[str]:
        with self.database.read() as session:
            return list(session.scalars(select(Ticket.external_ref).where(Ticket.external_ref.is_not(None))))

    def imported(self) -> set[str]:
        return {ref.partition(":")[2] for ref in self.refs() if ref.startswith("old:")}

    def events(self, ticket: Ticket) -> list[dict[str, Any]]:
        with self.database.read() as session:
            table = outbox.table
            bodies = session.scalars(
                select(table.c.body).where(table.c.subject == str(ticket.id)).order_by(table.c.position)
            )
            return [json.loads(body) for body in bodies]

    def mails(self) -> int:
        with self.database.read() as session:
            return len(session.scalars(select(OutgoingMail.id).where(OutgoingMail.created_at >= NOW)).all())


@pytest.fixture
def old_desk(desk: Help, tmp_path: Path) -> OldDesk:
    """The support desk, and two contacts who share twins@acme.example."""
    with desk.write() as session:
        add_twins(session)
    return OldDesk(database=desk.database, storage=FolderStorage(tmp_path / "files"), bad={})


def add_twins(session: Session) -> None:
    for name in ("Twin One", "Twin Two"):
        address = ContactEmail(position=0, address="twins@acme.example", key=email_key("twins@acme.example"))
        session.add(Contact(name=name, emails=[address]))


def csv_text(*rows: dict[str, str]) -> str:
    """A CSV with the columns of the first row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def row(id_: str, **changes: str) -> dict[str, str]:
    """An unremarkable closed ticket of Carol's."""
    return {
        "id": id_,
        "subject": f"Ticket {id_}",
        "description": "It does not work.",
        "status": "closed",
        "email": "carol@acme.example",
        "created": "2024-03-05 14:00",
        **changes,
    }


def json_lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
