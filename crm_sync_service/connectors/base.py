"""The connector contract: what Casebridge asks of a CRM, and how a CRM may refuse.

A connector holds no database, queue or web code. It speaks of Cases by the field names below, with the CRM's own
option keys and record ids as values, and sorts every failure into one of the errors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Literal, Protocol, TypeVar

Row = TypeVar("Row")

CaseField = Literal[
    "subject",
    "description",
    "status",
    "priority",
    "account",
    "contact",
    "product",
    "assignee",
    "ticket_number",
    "ticket_url",
]
CaseFields = Mapping[str, str | None]
"""Values by CaseField; records by id, options by key, None for empty."""
DirectoryKind = Literal["account", "contact", "user", "product"]
RecordKind = Literal["case", "note", "contact"]
FeedName = Literal["cases", "notes"]
DIRECTORY_KINDS: tuple[DirectoryKind, ...] = ("account", "contact", "user", "product")


class CrmError(Exception):
    """A call to the CRM did not do what was asked; the text has the CRM's own words."""


class UnreachableError(CrmError):
    """No usable answer: refused, timed out, 5xx, a maintenance page. A write's outcome is unknown."""


class RateLimitedError(CrmError):
    """The CRM asks for a pause."""

    def __init__(self, words: str, *, retry_after: timedelta) -> None:
        super().__init__(words)
        self.retry_after = retry_after


class UnauthorisedError(CrmError):
    """Our credentials or rights do not suffice: a person must act, meanwhile nothing is called."""


class ForbiddenError(UnauthorisedError):
    """We are known, but may not do this one kind of thing (403): only it stops, all else goes on."""


class InvalidError(CrmError):
    """The CRM will never take these values."""

    def __init__(self, words: str, *, fields: Mapping[str, str] | None = None) -> None:
        """`fields`: the CRM's words by CaseField, empty if it does not tell which."""
        super().__init__(words)
        self.fields = dict(fields or {})


class NotFoundError(CrmError):
    """There is no such record."""


class GoneError(NotFoundError):
    """The record was deleted, or merged into another."""

    def __init__(self, words: str, *, merged_into: str | None = None) -> None:
        super().__init__(words)
        self.merged_into = merged_into


class AlreadyExistsError(CrmError):
    """A record with this id or key exists: an earlier attempt succeeded."""

    def __init__(self, words: str, *, record_id: str | None = None) -> None:
        """`record_id`: the record that is there; None if the CRM does not tell."""
        super().__init__(words)
        self.record_id = record_id


class AmbiguousError(CrmError):
    """Several records carry a key that only one may have: a person must choose, nothing is guessed."""

    def __init__(self, words: str, *, record_ids: Sequence[str]) -> None:
        shown = ", ".join(record_id for record_id in record_ids if record_id not in words)
        super().__init__(f"{words} ({shown})" if shown else words)
        self.record_ids = tuple(record_ids)


class StaleError(CrmError):
    """A conditional update found a newer version: read again."""


def utf8_bytes(text: str) -> int:
    return len(text.encode())


def _every_character() -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """How the CRM stores text."""

    subject_length: int
    """Characters."""
    description_bytes: int
    """UTF-8 bytes."""
    note_title_length: int = 255
    """Characters."""
    note_bytes: int = 65_535
    """UTF-8 bytes."""
    size: Callable[[str], int] = utf8_bytes
    """The bytes a description or Note takes when stored; more than its own where characters need protection."""
    wide: Callable[[], bool] = _every_character
    """Whether characters above U+FFFF, such as emoji, can be kept; asked only when a text has one.

    Where they cannot, their names are written in brackets, and the ticket says so.
    """


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a CRM can do; the engine chooses its ways by these."""

    client_ids: bool
    """Creates take an id we choose and refuse it the second time."""
    unique_keys: bool
    """Creates refuse a second record with the same key, where the CRM chooses the ids."""
    conditional_update: bool
    """An update can name the version it was made for."""
    feed_overlap: timedelta
    """How far behind the newest stamp a change may still appear."""
    feed_shows_deletions: bool
    """Deleted and merged Cases appear in the feed; elsewhere only reading each Case tells."""
    notes_touch_case: bool
    """A Note changes its Case's stamp; elsewhere Notes are polled on their own."""
    webhooks: bool
    """The CRM can send hints of changes."""
    text: TextRules
    customer_notes: bool = False
    """People can mark a Note to be sent to the customer."""


@dataclass(frozen=True, kw_only=True)
class CrmInfo:
    """Who answers."""

    name: str
    version: str
    instance: str


@dataclass(frozen=True, kw_only=True)
class CaseRecord:
    """A Case as read."""

    id: str
    number: str | None
    url: str | None
    fields: CaseFields
    stamp: str
    """Changes with every change of the Case."""
    version: str | None
    """For a conditional update."""
    modified_by: str | None
    modified_at: datetime
    replaced: CaseFields = field(default_factory=dict)
    """In the answer to an update: what its fields held just before it, where the CRM tells that."""


@dataclass(frozen=True, kw_only=True)
class NewNote:
    """A Note to create under an id of ours, or under a key where the CRM chooses the id."""

    id: str
    key: str
    """The id of what it mirrors; no two Notes share it."""
    case_id: str
    title: str
    body: str
    author: str
    side: Literal["customer", "staff", "internal", "system"]
    position: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class NoteRecord:
    """A Note as read."""

    id: str
    case_id: str
    title: str
    body: str
    key: str | None = None
    """As given in NewNote; None for a Note that people wrote, or where the CRM keeps no key."""
    author: str | None = None
    created_at: datetime | None = None
    for_customer: bool = False
    """Somebody marked it to be sent to the customer."""


@dataclass(frozen=True, kw_only=True)
class CaseStamp:
    """A row of the change feed: only says where to look."""

    case_id: str
    stamp: str


@dataclass(frozen=True, kw_only=True)
class NoteStamp:
    """A row of the Notes' feed: only says where to look."""

    note_id: str
    case_id: str
    stamp: str


@dataclass(frozen=True, kw_only=True)
class FieldInfo:
    """A field of Cases as the CRM describes it."""

    type: str
    """The CRM's own word for it."""
    length: int | None = None
    """Characters; None if unlimited or not told."""
    options: Mapping[str, str] | None = None
    """Labels by key; None if it has none or the CRM does not tell."""
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Something that must be added or allowed on the CRM's side."""

    what: str
    remedy: str
    """What an administrator of the CRM does about it, in words."""
    fatal: bool = True
    """Nothing can be synced without it; otherwise something is only degraded."""


@dataclass(frozen=True, kw_only=True)
class DirectoryEntry:
    """An account, contact, user or product as read."""

    kind: DirectoryKind
    crm_id: str
    name: str
    active: bool
    emails: tuple[str, ...] = ()
    account_id: str | None = None
    merged_into: str | None = None


@dataclass(frozen=True, kw_only=True)
class FeedPage(Generic[Row]):
    """One page of a feed."""

    rows: Sequence[Row]
    newest: str | None
    """The largest stamp on the page; None if it is empty."""
    next: str | None
    """Give this to get the next page; None at the end."""


@dataclass(frozen=True, kw_only=True)
class NewContact:
    """A contact to create under an id of ours."""

    id: str
    name: str
    emails: tuple[str, ...]
    account_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewCase:
    """A Case to create under an id of ours, or under a key where the CRM chooses the id."""

    id: str
    key: str
    """The ticket's id; no two Cases share it."""
    fields: CaseFields = field(default_factory=dict)


class Connector(Protocol):
    """One CRM. Every method may raise UnreachableError, RateLimitedError and UnauthorisedError."""

    name: str
    capabilities: Capabilities

    def info(self) -> CrmInfo: ...

    def get_case(self, case_id: str) -> CaseRecord:
        """Raises NotFoundError, GoneError."""
        ...

    def create_case(self, new: NewCase) -> CaseRecord:
        """Raises AlreadyExistsError, InvalidError."""
        ...

    def find_case(self, new: NewCase) -> CaseRecord | None:
        """The Case that an earlier attempt with this id and key made. Raises AmbiguousError, GoneError."""
        ...

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        """The Case as stored. Raises StaleError, InvalidError, NotFoundError, GoneError."""
        ...

    def create_note(self, new: NewNote) -> str:
        """The Note's id. Raises AlreadyExistsError, InvalidError."""
        ...

    def find_note(self, new: NewNote) -> str | None:
        """The id of the Note that an earlier attempt with this id and key made. Raises AmbiguousError."""
        ...

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        """All Notes of a Case, in order."""
        ...

    def changed_cases(self, since: str | None, *, page: str | None) -> FeedPage[CaseStamp]:
        """Cases changed at or after a stamp, in an order that is stable under change; all of them if None.

        Deleted and merged ones too, where `feed_shows_deletions`.
        """
        ...

    def changed_notes(self, since: str | None, *, page: str | None) -> FeedPage[NoteStamp]:
        """Notes of Cases written or changed at or after a stamp, by whomever."""
        ...

    def rewind(self, stamp: str, by: timedelta) -> str:
        """The stamp that lies `by` before another."""
        ...

    def changed_directory(
        self, kind: DirectoryKind, since: str | None, *, page: str | None
    ) -> FeedPage[DirectoryEntry]: ...

    def contacts_by_email(self, address: str) -> Sequence[DirectoryEntry]:
        """Every live contact that has this address, whatever its case."""
        ...

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        """Raises AlreadyExistsError, InvalidError."""
        ...

    def remove(self, kind: RecordKind, record_id: str) -> None:
        """Delete a record that a trial made, or a redacted Note that cannot be rewritten. Raises NotFoundError."""
        ...

    def case_fields(self) -> Mapping[str, FieldInfo] | None:
        """The fields of a Case by the CRM's own names; None where the CRM does not tell."""
        ...

    def missing(self) -> Sequence[Missing]:
        """What this account may not do, or what has to be added to the CRM first; empty if all is well."""
        ...

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        """The Cases that a webhook's request names, by id. `topic`: the last part of the address it was sent to.

        `headers`: by lower-case name.
        Raises UnauthorisedError if the signature is not right, InvalidError if the body makes no sense.
        """
        ...

    def normalise(self, name: str, value: str | None) -> str | None:
        """The value as this CRM would store and return it. Pure."""
        ...

    def close(self) -> None: ...


class SkipsTheStart(Protocol):
    """A connector may have this, too: then a first look at a large CRM does not walk through all of it."""

    def newest_stamp(self, feed: FeedName) -> str | None:
        """The largest stamp in a feed now, for `rewind`; None if the feed is empty."""
        ...


class RewritesNotes(Protocol):
    """A connector may have this, too: then a redacted reply's Note stays and only its words go."""

    def rewrite_note(self, note_id: str, new: NewNote) -> None:
        """Let a Note say only what `new` says. Raises NotFoundError, InvalidError."""
        ...


def rewrite_note(connector: Connector, note_id: str, new: NewNote) -> None:
    """Let a Note say something else; it is removed where the CRM cannot do that. Raises NotFoundError, InvalidError."""
    rewrite: Callable[[str, NewNote], None] | None = getattr(connector, "rewrite_note", None)
    if rewrite is None:
        connector.remove("note", note_id)
    else:
        rewrite(note_id, new)


def newest_stamp(connector: Connector, feed: FeedName) -> str | None:
    """Where a feed ends now; None where that is not told, so that it is read from its beginning."""
    ask: Callable[[FeedName], str | None] | None = getattr(connector, "newest_stamp", None)
    return ask(feed) if ask else None
