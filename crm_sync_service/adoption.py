"""Adoption: Cases that the CRM has already are found for tickets that have none, before any is created (FAILURES 66).

A match must be the only one on both sides. Values that both share become the base, what is empty on one side is filled
from the other, and where both have something else the field rests until a person has chosen.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service.backfill import hand_over
from crm_sync_service.connectors.base import AmbiguousError, CaseRecord, Connector, NewCase, NotFoundError
from crm_sync_service.decisions import relink_case
from crm_sync_service.links import Hold
from crm_sync_service.mapping import CaseMapping, case_id_of
from crm_sync_service.models import Conflict, ContactMatch, Link
from crm_sync_service.order_book import hold_link
from crm_sync_service.orders import ADOPTION
from shared.clock import to_text
from shared.database import Database
from shared.emails import email_key
from shared.events import TicketChanged
from shared.ticket_source import TicketSource

By = Literal["ticket-number", "external-key", "subject+contact"]
WAYS: tuple[By, ...] = ("ticket-number", "external-key", "subject+contact")
_WHY = "the CRM had a Case of this ticket already"


@dataclass(frozen=True, kw_only=True)
class Differing:
    """A field in which ticket and Case both have something, and not the same."""

    field: str
    ours: str | None
    theirs: str | None


@dataclass(frozen=True, kw_only=True)
class Match:
    """A ticket and its Case."""

    ticket: TicketChanged
    case: CaseRecord
    differing: Sequence[Differing]


@dataclass(kw_only=True)
class Adopted:
    """What was found."""

    matched: int = 0
    ambiguous: int = 0
    unmatched: int = 0
    conflicts: int = 0


@dataclass(frozen=True, kw_only=True)
class Adopter:
    """Finds the Cases of tickets that have none; memory grows with the number of Cases that are linked to no ticket."""

    database: Database
    source: TicketSource
    crm: Connector
    mapping: CaseMapping
    by: By
    now: Callable[[], datetime]
    found: Adopted = field(default_factory=Adopted)

    def matches(self, say: Callable[[str], None]) -> Iterator[Match]:
        """Each ticket with the one Case that is its own; `say` is told of what is not clear. Raises CrmError."""
        if self.by == "external-key":
            yield from self._by_key(say)
            return
        cases = self._cases()
        wanted = Counter(self._sign(ticket) for ticket in self._tickets())
        for ticket in self._tickets():
            sign = self._sign(ticket)
            ids = cases.get(sign, []) if sign else []
            if len(ids) == 1 and wanted[sign] == 1:
                yield self._match(ticket, self.crm.get_case(ids[0]))
            elif ids:
                self._unclear(ticket, ids, wanted[sign], say)
            else:
                self.found.unmatched += 1

    def adopt(self, match: Match) -> None:
        """Link the two in the ticket's lane; its next run writes Notes and what the Case lacks."""
        now, ticket = self.now(), match.ticket
        entries = self.source.entries(ticket.ticket_id)
        with self.database.write() as session:
            hand_over(session, ticket, entries, now=now)
            link = hold_link(session, ticket.ticket_id, now=now)
            session.flush()
            link.holds = {**link.holds, **{each.field: asdict(_hold(each, now)) for each in match.differing}}
            link.held = bool(link.holds)
            for each in match.differing:
                self._ask(session, match, each, now=now)
            relink_case(session, ticket.ticket_id, match.case.id, by=ADOPTION, why=_WHY, now=now)

    def _by_key(self, say: Callable[[str], None]) -> Iterator[Match]:
        for ticket in self._tickets():
            new = NewCase(id=case_id_of(ticket.ticket_id), key=str(ticket.ticket_id))
            try:
                case = self.crm.find_case(new)
            except NotFoundError:  # it was deleted
                case = None
            except AmbiguousError as error:
                self._unclear(ticket, error.record_ids, 1, say)
                continue
            if case is None:
                self.found.unmatched += 1
            else:
                yield self._match(ticket, case)

    def _tickets(self) -> Iterator[TicketChanged]:
        """Those without a Case that are still there."""
        for ticket in self.source.tickets():
            with self.database.read() as session:
                link = session.get(Link, ticket.ticket_id)
            fresh = link is None or (link.state == "new" and link.pending_create is None and not link.orders)
            if fresh and ticket.deleted_at is None:
                yield ticket

    def _cases(self) -> Mapping[str, list[str]]:
        """The ids of all Cases that belong to no ticket, by their sign."""
        found: dict[str, list[str]] = {}
        page: str | None = None
        while True:
            answer = self.crm.changed_cases(None, page=page)
            ids = [row.case_id for row in answer.rows]
            with self.database.read() as session:
                linked = set(session.scalars(select(Link.case_id).where(Link.case_id.in_(ids))))
            for case_id in sorted(set(ids) - linked):
                if sign := self._sign_of_case(case_id):
                    found.setdefault(sign, []).append(case_id)
            page = answer.next
            if page is None:
                return found

    def _sign_of_case(self, case_id: str) -> str | None:
        try:
            fields = self.crm.get_case(case_id).fields
        except NotFoundError:
            return None
        if self.by == "ticket-number":
            return fields.get("ticket_number")
        return _sign(fields.get("subject"), fields.get("contact"))

    def _sign(self, ticket: TicketChanged) -> str | None:
        if self.by == "ticket-number":
            return str(ticket.number)
        return _sign(self.crm.normalise("subject", ticket.subject), self._contact_id(ticket))

    def _contact_id(self, ticket: TicketChanged) -> str | None:
        person = ticket.contact
        if person is None or person.crm_id or not person.email:
            return person.crm_id if person else None
        with self.database.read() as session:
            match = session.get(ContactMatch, email_key(person.email))
        if match is not None:
            return match.crm_id
        found = self.crm.contacts_by_email(person.email)
        return found[0].crm_id if len(found) == 1 else None

    def _match(self, ticket: TicketChanged, case: CaseRecord) -> Match:
        ours = self.mapping.ours(ticket, contact_id=self._contact_id(ticket))
        theirs = self.mapping.theirs(case.fields, known=[ours])
        differing = [
            Differing(field=name, ours=ours[name], theirs=theirs[name])
            for name in self.mapping.policies
            if name != "block" and ours.get(name) and theirs[name] and ours[name] != theirs[name]
        ]
        self.found.matched += 1
        self.found.conflicts += len(differing)
        return Match(ticket=ticket, case=case, differing=differing)

    def _unclear(self, ticket: TicketChanged, ids: Sequence[str], tickets: int, say: Callable[[str], None]) -> None:
        self.found.ambiguous += 1
        others = f" and {tickets - 1} more tickets look the same" if tickets > 1 else ""
        say(f"#{ticket.number} is ambiguous: {len(ids)} Cases fit ({', '.join(ids[:5])}){others}")

    def _ask(self, session: Session, match: Match, each: Differing, *, now: datetime) -> None:
        session.add(
            Conflict(
                ticket_id=match.ticket.ticket_id,
                at=now,
                field=each.field,
                base=None,
                ours=each.ours,
                ours_by=match.ticket.changed_by,
                ours_at=match.ticket.changed_at,
                theirs=each.theirs,
                theirs_by=match.case.modified_by or self.crm.name,
                theirs_at=match.case.modified_at,
                policy="ask",
                state="waiting",
                winner=None,
                how=None,
            )
        )


def _sign(subject: str | None, contact: str | None) -> str | None:
    """What a Case and its ticket have in common; None if too little is known for that."""
    return f"{contact} {' '.join(subject.casefold().split())}" if subject and contact else None


def _hold(each: Differing, now: datetime) -> Hold:
    words = f"{each.field} differs between the ticket and the Case that was adopted for it: choose one of the two"
    return Hold(kind="frozen", words=words, by=ADOPTION, at=to_text(now))
