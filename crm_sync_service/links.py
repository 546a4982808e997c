"""What is known of a ticket and its Case, and where reconciling keeps it."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from crm_sync_service import merge
from shared.events import CaseChanged, InternalNoteAdded, NoteForCustomer, ReplyAdded, TicketChanged

LinkStatus = Literal["new", "linked", "case_deleted", "ticket_deleted", "redacted", "unlinked"]
HoldKind = Literal["skipped", "frozen", "refused", "waiting"]
Demand = Literal["set", "skip", "unskip", "release", "recreate", "relink", "unlink"]


@dataclass(frozen=True, kw_only=True)
class PendingPull:
    """A CaseChanged that the portal has not answered yet."""

    event: CaseChanged
    sent_at: datetime


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asked for, to be carried out by the next run of the lane."""

    number: int
    do: Demand
    by: str
    at: str
    """RFC 3339."""
    why: str = ""
    field: str | None = None
    value: str | None = None
    """Of a field, in the portal's terms; of `relink` the Case's id."""
    over: tuple[str | None, str | None] | None = None
    """What portal and CRM had when it was asked for; None: whatever they have when it is carried out."""
    conflict: int | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A value that a person decided on, until both sides have it."""

    value: str | None
    by: str
    at: str
    """RFC 3339."""
    why: str = ""
    conflict: int | None = None
    over: tuple[str | None, str | None] | None = None
    """What portal and CRM had then; None until they were compared."""

    def for_merge(self, *, ours: str | None, theirs: str | None) -> merge.Wanted:
        over_ours, over_theirs = self.over or (ours, theirs)
        return merge.Wanted(value=self.value, over_ours=over_ours, over_theirs=over_theirs)


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why a field is left alone on purpose."""

    kind: HoldKind
    """waiting: for a person to decide a conflict; it goes on by itself if the sides come to agree."""
    words: str
    by: str
    """The person, or Casebridge."""
    at: str
    """RFC 3339."""
    value: str | None = None
    """Of a refused one: the ticket's value; another one is tried again."""


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A side that set a field."""

    at: str
    """RFC 3339."""
    side: merge.Side
    value: str
    """A hash."""


@dataclass(frozen=True, kw_only=True)
class LinkState:
    """What is known of a ticket and its Case (see models.Link)."""

    ticket_id: uuid.UUID
    state: LinkStatus = "new"
    case_id: str | None = None
    case_number: str | None = None
    case_url: str | None = None
    base: dict[str, str | None] = field(default_factory=dict)
    pending_create: dict[str, str | None] | None = None
    pending_push: dict[str, list[str | None]] = field(default_factory=dict)
    pending_pull: PendingPull | None = None
    parked: dict[str, str] = field(default_factory=dict)
    pull_number: int = 0
    seen: str | None = None
    wanted: dict[str, Wanted] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    flips: dict[str, tuple[Flip, ...]] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()
    """Not stored from here: only people add to them."""
    orders_done: int = 0
    generation: int = 0
    extra_notes: dict[str, str | None] = field(default_factory=dict)
    notes_told: int = 0
    """Not stored from here: only the Notes' feed counts."""
    notes_read: int = 0
    notes_seen: str | None = None
    wrote: str | None = None
    """The Case's stamp after this run's own write; None if it wrote nothing."""


@dataclass(frozen=True, kw_only=True)
class ReplyWork:
    """A reply or internal note and, once mirrored, its Note."""

    reply: ReplyAdded | InternalNoteAdded
    note_id: str | None
    parked: str | None
    skipped: str | None = None
    pending: bool = False
    """Its Note may have been made already."""

    @property
    def id(self) -> uuid.UUID:
        return self.reply.note_id if isinstance(self.reply, InternalNoteAdded) else self.reply.reply_id


@dataclass(frozen=True, kw_only=True)
class ConflictFound:
    """A value that loses, kept with the one that wins."""

    field: str
    base: str | None
    ours: str | None
    theirs: str | None
    policy: merge.Winner
    winner: merge.Side | None
    """None: it waits for a person."""
    theirs_by: str
    theirs_at: datetime


@dataclass(frozen=True, kw_only=True)
class Did:
    """One line of the ticket's timeline."""

    direction: Literal["to_crm", "to_portal", "person"]
    action: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class ContactFound:
    """The requester's contact, or why there is none."""

    crm_id: str | None = None
    problem: str | None = None
    wait: bool = False
    """Another ticket's run is making it: look again soon."""


class Store(Protocol):
    """Where intent and results are kept. Each call is one durable step; it fails if the lane was lost."""

    def save(
        self,
        link: LinkState,
        *,
        did: Sequence[Did] = (),
        conflicts: Sequence[ConflictFound] = (),
        withdrawn: Sequence[str] = (),
        event: CaseChanged | None = None,
        forget_notes: Collection[uuid.UUID] = (),
    ) -> None:
        """`withdrawn`: fields whose waiting conflict ended by itself; `forget_notes`: replies whose Note is gone."""
        ...

    def hold(self) -> None:
        """Begin the lease anew: what took long so far is done, and what follows is not too late."""
        ...

    def note_intended(self, reply_id: uuid.UUID) -> None:
        """A Note is about to be made in a CRM that would make a second one."""
        ...

    def note_created(self, reply_id: uuid.UUID, note_id: str, *, did: Did) -> None: ...

    def note_parked(self, reply_id: uuid.UUID, reason: str) -> None: ...

    def send_notes(self, link: LinkState, notes: Sequence[NoteForCustomer]) -> None:
        """Give these to the portal, those that were not given before, and remember the link."""
        ...

    def forget_words(self) -> None:
        """Drop what tables of ours still have of a redacted ticket's words."""
        ...

    def ticket_of(self, case_id: str, *, names: str | None = None) -> str | None:
        """The number of another ticket that a Case is linked to.

        `names`: the number that stands in the Case. A ticket that is about to be linked to its Case counts too.
        """
        ...

    def label(self, kind: str, crm_id: str | None) -> str | None:
        """A directory record's name, for people."""
        ...

    def contact(self, ticket: TicketChanged) -> ContactFound:
        """The CRM contact of the requester, found or created."""
        ...

    def now(self) -> datetime: ...


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a comparison showed at its end."""

    state: Literal["in_sync", "waiting", "failed"]
    link: LinkState
    notes: int
    reason: str | None = None
    again_at: datetime | None = None
    """Look again then, if nothing happens before."""
