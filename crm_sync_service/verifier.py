"""Both sides read and compared, ticket by ticket. Memory does not grow with their number."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Protocol

import httpx
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.compare import Difference, Entry, Kind, compare_case, compare_notes, compare_removed
from crm_sync_service.connectors.base import CaseRecord, Connector, GoneError, NotFoundError
from crm_sync_service.mapping import CaseMapping, case_id_of
from crm_sync_service.models import ContactMatch, Lane, Link, Replica, ReplyReplica, inbox, outbox
from shared.database import Database
from shared.emails import email_key
from shared.events import TicketChanged
from shared.ticket_source import TicketSource

THREADS = 6
_IN_FLIGHT = 48
_LINK_SECONDS = 10
_LOOKS = 10
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What the sync service has stored about a ticket."""

    link: Link | None
    lane: Lane | None
    version: int
    """Of the replica; 0 if there is none."""
    notes: Mapping[str, str]
    """Note ids by reply id."""
    contact_id: str | None


@dataclass(kw_only=True)
class Counts:
    """How much was compared, and what was found."""

    tickets: int = 0
    cases: int = 0
    notes: int = 0
    links: int = 0
    differences: int = 0
    waiting: int = 0

    def add(self, other: "Counts") -> None:
        for name, number in asdict(other).items():
            setattr(self, name, getattr(self, name) + number)

    @property
    def all_equal(self) -> bool:
        return self.differences == 0 and self.waiting == 0


@dataclass(kw_only=True)
class Findings:
    """Of one ticket, or of what belongs to none."""

    counts: Counts = field(default_factory=Counts)
    differences: list[Difference] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    def differ(self, differences: Iterable[Difference]) -> None:
        self.differences += differences
        self.counts.differences = len(self.differences)

    def wait(self, words: Iterable[str]) -> None:
        self.waiting += words
        self.counts.waiting = len(self.waiting)


class Links(Protocol):
    """Opens links as an account manager's browser does."""

    def trouble(self, url: str, *, behind_log_in: bool = False) -> str | None:
        """Why a link does not open; None if it does, or if it asks who is there and is `behind_log_in`."""
        ...


class WebLinks:
    """Links opened over HTTP; nothing but the answer's head is read."""

    def __init__(self) -> None:
        self._http = httpx.Client(timeout=_LINK_SECONDS, trust_env=False, headers={"User-Agent": "casebridge-verify"})

    def trouble(self, url: str, *, behind_log_in: bool = False) -> str | None:
        try:
            with self._http.stream("GET", url) as answer:
                opens = answer.status_code == 200 or (behind_log_in and answer.is_redirect)
                return None if opens else f"the answer {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"no answer ({str(error) or type(error).__name__})"

    def close(self) -> None:
        self._http.close()


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Compares both sides by reading them; what the sync service remembers only says where to look."""

    source: TicketSource
    database: Database
    crm: Connector
    mapping: CaseMapping
    links: Links | None = None

    def run(self) -> Iterator[Findings]:
        """Findings of each ticket in turn, then of Cases without a ticket, then what waits in queues.

        Raises CrmError when the CRM does not answer, SQLAlchemyError when a database does not.
        """
        with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as pool:
            running: deque[Future[Findings]] = deque()
            try:
                for ticket in self.source.tickets():
                    entries = self.source.entries(ticket.ticket_id)
                    running.append(pool.submit(self.ticket, ticket, entries))
                    if len(running) >= _IN_FLIGHT:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)
        yield from self.strangers()
        yield self._queues()

    def ticket(self, ticket: TicketChanged, entries: Sequence[Entry]) -> Findings:
        """One ticket: its Case, its Notes, its links, and whether anything of it waits."""
        found = Findings(counts=Counts(tickets=1))
        with self.database.read() as session:
            stored = _stored(session, ticket)
        found.wait(_waiting(ticket, stored))
        if ticket.deleted_at is not None and (stored.link is None or stored.link.case_id is None):
            return found  # removed before it ever reached the CRM
        case_id = (stored.link.case_id if stored.link else None) or case_id_of(ticket.ticket_id)
        case = self._case(ticket, case_id, found)
        if case is not None:
            found.counts.cases = 1
            self._compare(ticket, case, entries, stored, found)
            found.differ(self._second_case(ticket, case))
        self._open_links(ticket, entries, found)
        return found

    def _case(self, ticket: TicketChanged, case_id: str, found: Findings) -> CaseRecord | None:
        try:
            return self.crm.get_case(case_id)
        except NotFoundError as error:
            if ticket.deleted_at is None:
                gone = isinstance(error, GoneError)
                words = "its Case was deleted" if gone else f"has no Case with the id {case_id}"
                found.differ([_sentence(ticket, "Case", words, kind="Case deleted" if gone else "Case missing")])
            return None

    def _compare(
        self, ticket: TicketChanged, case: CaseRecord, entries: Sequence[Entry], stored: Stored, found: Findings
    ) -> None:
        notes = self.crm.notes_of(case.id)
        found.counts.notes = len(notes)
        found.differ(compare_notes(ticket, entries, notes, mapping=self.mapping, written=stored.notes))
        if ticket.deleted_at is not None:
            extra = stored.link.extra_notes if stored.link else {}
            found.differ(compare_removed(ticket, notes, written=extra))
        else:
            found.differ(compare_case(ticket, case, mapping=self.mapping, contact_id=stored.contact_id))

    def _second_case(self, ticket: TicketChanged, case: CaseRecord) -> Iterator[Difference]:
        """A Case under the derived id beside the linked one: two for one ticket."""
        derived = case_id_of(ticket.ticket_id)
        if case.id == derived:
            return
        try:
            second = self.crm.get_case(derived)
        except NotFoundError:
            return
        words = f"has two Cases: {case.number} and {second.number}"
        yield _sentence(ticket, "Case", words, kind="second Case")

    def _open_links(self, ticket: TicketChanged, entries: Sequence[Entry], found: Findings) -> None:
        if self.links is None or ticket.deleted_at is not None:
            return
        attachments = (*ticket.attachments, *(link for entry in entries for link in entry.attachments))
        names = {ticket.ticket_url: "the ticket"} | {link.url: repr(link.name) for link in attachments}
        found.counts.links += len(names)
        for url, name in names.items():
            if trouble := self.links.trouble(url, behind_log_in=url == ticket.ticket_url):
                words = f"the link of {name} does not open: {trouble} from {url}"
                found.differ([_sentence(ticket, "link", words, kind="link dead")])

    def strangers(self) -> Iterator[Findings]:
        """Cases that name a ticket and are linked to none."""
        page: str | None = None
        while True:
            found, page = self.strangers_on(page)
            yield from found
            if page is None:
                return

    def strangers_on(self, page: str | None) -> tuple[list[Findings], str | None]:
        """Those on one page of all Cases, and the next page."""
        answer = self.crm.changed_cases(None, page=page)
        with self.database.read() as session:
            ids = [row.case_id for row in answer.rows]
            linked = set(session.scalars(select(Link.case_id).where(Link.case_id.in_(ids))))
        return [self._stranger(case_id) for case_id in sorted(set(ids) - linked)], answer.next

    def _stranger(self, case_id: str) -> Findings:
        found = Findings()
        try:
            case = self.crm.get_case(case_id)
        except NotFoundError:
            return found
        number = case.fields.get("ticket_number")
        if number:
            words = f"Case {case.number or case.id} names ticket #{number} and is not linked to it"
            found.differ(
                [_sentence(None, "Case", words, kind="stranger Case" if self._knows(number) else "dangling Case")]
            )
        return found

    def _knows(self, number: str) -> bool:
        if not number.isdecimal() or len(number) > 9:
            return False
        with self.database.read() as session:
            return session.scalar(select(Replica.ticket_id).where(Replica.number == int(number))) is not None

    def _queues(self) -> Findings:
        found = Findings()
        with self.database.read() as session:
            unreadable = inbox.unreadable_count(session)
            known = select(Replica.ticket_id)
            orphans = session.scalar(
                select(func.count()).select_from(ReplyReplica).where(ReplyReplica.ticket_id.not_in(known))
            )
        counted = {
            "events in the portal's outbox": lasting(self.source.unsent),
            "events in the sync service's outbox": lasting(self._unsent),
            "events nobody could read (see the console)": unreadable,
            "replies whose ticket has not come": orphans or 0,
        }
        found.wait(f"{number:,} {what}" for what, number in counted.items() if number)
        return found

    def _unsent(self) -> int:
        with self.database.read() as session:
            return outbox.waiting(session)[0]


def _sentence(ticket: TicketChanged | None, field_: str, sentence: str, *, kind: Kind) -> Difference:
    number = ticket.number if ticket else None
    return Difference(ticket=number, field=field_, ticket_has="", case_has="", sentence=sentence, kind=kind)


def lasting(count: Callable[[], int]) -> int:
    """A count, unless it drops to 0 within a second: signs of life pass through the queues all the time."""
    for _ in range(_LOOKS):
        number = count()
        if number == 0:
            break
        time.sleep(_LOOK_SECONDS)
    return number


def _stored(session: Session, ticket: TicketChanged) -> Stored:
    replica = session.get(Replica, ticket.ticket_id)
    notes = session.execute(
        select(ReplyReplica.reply_id, ReplyReplica.note_id).where(
            ReplyReplica.ticket_id == ticket.ticket_id, ReplyReplica.note_id.is_not(None)
        )
    )
    return Stored(
        link=session.get(Link, ticket.ticket_id),
        lane=session.get(Lane, ticket.ticket_id),
        version=replica.version if replica else 0,
        notes={str(reply_id): note_id for reply_id, note_id in notes if note_id},
        contact_id=_contact_id(session, ticket),
    )


def _contact_id(session: Session, ticket: TicketChanged) -> str | None:
    """The requester's contact: named by the portal, or found by address while reconciling."""
    person = ticket.contact
    if person is None or person.crm_id or not person.email:
        return person.crm_id if person else None
    match = session.get(ContactMatch, email_key(person.email))
    return match.crm_id if match else None


def _waiting(ticket: TicketChanged, stored: Stored) -> Iterator[str]:
    """What of a ticket is on its way, or stopped."""
    place, lane, link = f"#{ticket.number}", stored.lane, stored.link
    if stored.version < ticket.version:
        yield f"{place} version {ticket.version} has not reached the sync service, which has {stored.version or 'none'}"
    if lane is not None and lane.state != "idle":
        cause = f": {lane.cause}" if lane.cause else ""
        yield f"{place} is {'parked' if lane.state == 'parked' else 'still being worked on'}{cause}"
    if link is None:
        return
    pending = {"create": link.pending_create, "push": link.pending_push, "pull": link.pending_pull}
    for what, value in pending.items():
        if value:
            yield f"{place} has a pending {what}"
