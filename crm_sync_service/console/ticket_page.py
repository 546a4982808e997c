"""One ticket and its Case as the sync service knows them: field by field, Note by Note, and how it came to be."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from crm_sync_service.console.conflicts import ConflictLine, conflicts_of
from crm_sync_service.console.fields import Names, label_of, ours_in_words, ours_of, sentence_label
from crm_sync_service.console.history import Entry, read_timeline
from crm_sync_service.console.tickets import TicketLine, line_of, lines
from crm_sync_service.links import LinkState, ReplyWork
from crm_sync_service.mapping import DEFAULT_POLICIES, note_for
from crm_sync_service.models import Lane, Link, Replica
from crm_sync_service.orders import open_orders
from crm_sync_service.stored import load_work
from shared.events import FieldChange, InternalNoteAdded, TicketChanged, dump

_FOUND_OUT = {"contact", "subject", "block"}
"""What the CRM is told is found out, or put into its form, on the way."""

Truth = Literal["same", "on_its_way", "differs", "left_alone", "waits", "unknown"]
HOLDS = {"skipped": "Skipped", "frozen": "Frozen", "refused": "Refused by the CRM"}


@dataclass(frozen=True, kw_only=True)
class FieldLine:
    """One synced field: the ticket's value, the Case's, and what both last shared."""

    name: str
    label: str
    ours: str
    theirs: str
    """As read just now, or as last known."""
    base: str
    truth: Truth
    words: str
    """Why it is so, with the CRM's own words where it said any."""
    hold: str
    """skipped, frozen or refused; empty if it is not left alone."""


@dataclass(frozen=True, kw_only=True)
class ReplyLine:
    """A reply or internal note and its Note."""

    id: uuid.UUID
    position: int
    kind: str
    author: str
    created_at: datetime
    title: str
    note_id: str | None
    parked: str | None
    skipped: str | None


@dataclass(frozen=True, kw_only=True)
class TicketPage:
    """Everything the console shows of a ticket."""

    ticket: TicketChanged
    version: int
    received_at: datetime
    line: TicketLine
    lane: Lane | None
    link: Link | None
    fields: Sequence[FieldLine]
    replies: Sequence[ReplyLine]
    conflicts: Sequence[ConflictLine]
    timeline: Sequence[Entry]
    asked: str
    """What a person asked for about the Case itself and no run has carried out yet; empty if nothing."""

    @property
    def notes(self) -> int:
        return sum(1 for reply in self.replies if reply.note_id)

    @property
    def skipped(self) -> int:
        return sum(1 for reply in self.replies if reply.skipped and not reply.note_id)

    @property
    def to_write(self) -> int:
        return len(self.replies) - self.notes - self.skipped

    @property
    def raw(self) -> dict[str, object]:
        return dump(self.ticket)


def read_ticket(session: Session, ticket_id: uuid.UUID, *, now: datetime) -> TicketPage | None:
    """Everything about a ticket; None if it never came."""
    found = session.execute(lines().where(Replica.ticket_id == ticket_id)).first()
    work = load_work(session, ticket_id)
    if found is None or work.ticket is None:
        return None
    replica, lane, link = found
    conflicts = conflicts_of(session, ticket_id)
    waiting = {line.field: line.sides[1].value for line in conflicts if line.state == "waiting"}
    names = Names(session)
    fields = _Fields(ticket=work.ticket, state=work.link, link=link, names=names, waiting=waiting)
    return TicketPage(
        ticket=work.ticket,
        version=replica.version,
        received_at=replica.received_at,
        line=line_of(replica, lane, link, now=now),
        lane=lane,
        link=link,
        fields=[fields.line(name) for name in DEFAULT_POLICIES],
        asked=_asked_of_case(work.link),
        replies=[_reply(reply) for reply in work.replies],
        conflicts=conflicts,
        timeline=read_timeline(session, work.ticket, names),
    )


def with_case(page: TicketPage, session: Session, theirs: Mapping[str, str | None]) -> TicketPage:
    """The same page with the Case's values as read just now: a difference shows, whatever was remembered."""
    names = Names(session)
    return replace(page, fields=[_beside(line, page, theirs.get(line.name), names) for line in page.fields])


def _beside(line: FieldLine, page: TicketPage, value: str | None, names: Names) -> FieldLine:
    shown = "" if value is None else names.of(line.name, value)
    base = page.link.base.get(line.name) if page.link else None
    if line.truth == "same" and value != base:
        return replace(line, theirs=shown, truth="differs", words="the Case was changed since it was last compared")
    return replace(line, theirs=shown)


def _reply(work: ReplyWork) -> ReplyLine:
    reply = work.reply
    note = note_for(reply, case_id="")
    return ReplyLine(
        id=work.id,
        position=reply.position,
        kind="internal note" if isinstance(reply, InternalNoteAdded) else f"reply ({reply.side})",
        author=reply.author.name,
        created_at=reply.created_at,
        title=note.title,
        note_id=work.note_id,
        parked=work.parked,
        skipped=work.skipped,
    )


def _asked_of_case(state: LinkState) -> str:
    words = {"recreate": "a new Case", "relink": "a link to another Case", "unlink": "an end of the mirroring"}
    asked = [f"{order.by} asked for {words[order.do]}" for order in open_orders(state) if order.do in words]
    return asked[-1] if asked else ""


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """What is known of a ticket's fields, put into words."""

    ticket: TicketChanged
    state: LinkState
    link: Link | None
    names: Names
    waiting: Mapping[str, str]
    """The Case's values, in words, of fields with a conflict that waits: newer than what both last shared."""

    def line(self, name: str) -> FieldLine:
        truth, words = self._truth(name)
        has_case = self.state.case_id is not None
        return FieldLine(
            name=name,
            label=sentence_label(name),
            ours=self._ours(name),
            theirs=self.waiting.get(name, self._last_known(name)) if has_case else "",
            base=self.names.of(name, self.state.base.get(name)) if has_case else "",
            truth=truth,
            words=words,
            hold=self.state.holds[name].kind if name in self.state.holds else "",
        )

    def _ours(self, name: str) -> str:
        if name == "block":
            return self.state.base.get("block") or ""
        return ours_in_words(name, self.ticket) or self.names.of(name, ours_of(name, self.ticket))

    def _last_known(self, name: str) -> str:
        """What the Case had when it was last read."""
        coming = [change.after for change in self._pulled() if change.field == name]
        return self.names.of(name, coming[-1] if coming else self.state.base.get(name))

    def _truth(self, name: str) -> tuple[Truth, str]:
        """How a field is; the first that fits."""
        if self.link is None or self.state.case_id is None:
            return "unknown", "there is no Case yet"
        if asked := self._asked(name):
            return "on_its_way", asked
        if name in self.state.holds or name in self.waiting:
            return self._held(name)
        if name in self.state.parked:
            return "differs", self.state.parked[name]
        if coming := self._coming(name):
            return "on_its_way", coming
        return ("same", "") if self._agrees(name) else ("differs", f"the ticket's {label_of(name)} is not in the Case")

    def _held(self, name: str) -> tuple[Truth, str]:
        hold = self.state.holds.get(name)
        if name in self.waiting or hold is None or hold.kind == "waiting":
            return "waits", "changed on both sides: a person has to choose"
        return "left_alone", f"{HOLDS[hold.kind]}: {hold.words}"

    def _agrees(self, name: str) -> bool:
        if self.link is not None and self.link.in_sync and self.link.compared_version == self.ticket.version:
            return True
        return name in _FOUND_OUT or self.state.base.get(name) == ours_of(name, self.ticket)

    def _asked(self, name: str) -> str:
        """What a person asked for and no run has carried out yet, in words; empty if nothing."""
        orders = [order for order in open_orders(self.state) if order.field == name]
        return f"{orders[-1].by} asked for it just now" if orders else ""

    def _coming(self, name: str) -> str:
        """What is being written, in words; empty if nothing is."""
        wanted = self.state.wanted.get(name)
        parts = [f"{self._shown(name, wanted.value)} for both, set by {wanted.by}"] if wanted else []
        sent = self.state.pending_push.get(name, [])[-1:]
        parts += [f"to the CRM: {self._shown(name, value)}" for value in sent]
        parts += [f"from the CRM: {self._shown(name, c.after)}" for c in self._pulled() if c.field == name]
        return "; ".join(parts)

    def _shown(self, name: str, value: str | None) -> str:
        return self.names.of(name, value) or "empty"

    def _pulled(self) -> Sequence[FieldChange]:
        return self.state.pending_pull.event.changes if self.state.pending_pull else ()
