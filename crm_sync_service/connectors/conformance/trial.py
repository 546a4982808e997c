"""One run against a CRM: what it makes carries a mark of its own, and all of it goes away again."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from crm_sync_service.connectors.base import (
    AmbiguousError,
    CaseRecord,
    Connector,
    CrmError,
    FeedPage,
    GoneError,
    NewCase,
    NewContact,
    NewNote,
    NotFoundError,
    RecordKind,
    Row,
    UnauthorisedError,
    newest_stamp,
)
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.conformance.proxy import LossyProxy
from crm_sync_service.mapping import CaseMapping
from shared.ids import new_id

MARK = "Casebridge trial"
_MOST_PAGES = 5000
Status = Literal["holds", "degraded", "fails", "skipped"]


class VerdictError(Exception):
    """How a check ended, if it does not simply hold."""

    def __init__(self, status: Status, words: str) -> None:
        super().__init__(words)
        self.status: Status = status


def fails(words: str) -> VerdictError:
    return VerdictError("fails", words)


def degraded(words: str) -> VerdictError:
    return VerdictError("degraded", words)


def skipped(words: str) -> VerdictError:
    return VerdictError("skipped", words)


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A record that could not be removed."""

    kind: RecordKind
    record_id: str
    reason: str


class _Start:
    """The newest stamp of a feed when it was first asked for: reading a whole feed may take its time."""

    def __init__(self, read: Callable[[], str | None]) -> None:
        self._read = read
        self._known = False
        self._stamp: str | None = None

    def stamp(self) -> str | None:
        """None if the feed was empty."""
        if not self._known:
            self._stamp, self._known = self._read(), True
        return self._stamp


def pages(read: Callable[[str | None], FeedPage[Row]]) -> Iterator[FeedPage[Row]]:
    """All pages of a listing; fails if it has no end."""
    page = None
    for _ in range(_MOST_PAGES):
        answer = read(page)
        yield answer
        page = answer.next
        if page is None:
            return
    raise fails(f"a list has no end: {_MOST_PAGES} pages were read")


def _newest(read: Callable[[str | None], FeedPage[Any]]) -> str | None:
    return max((page.newest for page in pages(read) if page.newest), default=None)


class Trial:
    """A connector under trial, and everything that was made with it."""

    def __init__(
        self,
        *,
        config: ConnectorConfig,
        opener: Callable[[ConnectorConfig], tuple[Connector, CaseMapping]],
        proxy: LossyProxy,
        account: str | None = None,
    ) -> None:
        """`account`: the id of an account that Cases may be filed under. Raises ConfigError."""
        self.config = config
        self.crm, self.mapping = opener(config)
        self.proxy, self.account = proxy, account
        self.run = secrets.token_hex(4)
        self.started_at = datetime.now(UTC)
        self.cases_from, self.notes_from = _Start(self._all_cases), _Start(self._all_notes)
        self._opener = opener
        self._others: list[Connector] = []
        self._made: list[tuple[RecordKind, str]] = []
        self._tried: list[NewCase] = []

    def through_proxy(self) -> Connector:
        """Another connector to the same CRM, whose answers the proxy can lose."""
        return self.another(url=f"{self.proxy.url}{urlsplit(self.config.url).path}")

    def another(self, **changes: Any) -> Connector:
        """A connector with some settings changed."""
        config = {name: getattr(self.config, name) for name in self.config.__dataclass_fields__}
        connector, _ = self._opener(ConnectorConfig(**{**config, **changes}))
        self._others.append(connector)
        return connector

    def has(self, name: str) -> bool:
        """Whether the mapping file syncs a field."""
        return name in self.mapping.attributes

    def _all_cases(self) -> str | None:
        return newest_stamp(self.crm, "cases") or _newest(lambda page: self.crm.changed_cases(None, page=page))

    def _all_notes(self) -> str | None:
        return newest_stamp(self.crm, "notes") or _newest(lambda page: self.crm.changed_notes(None, page=page))

    def new_case(self, what: str, **fields: str | None) -> NewCase:
        """A Case nobody is told of: without assignee, contact and account, unless given."""
        case_id = str(new_id())
        values: dict[str, str | None] = {
            "subject": f"{MARK} {self.run}: {what}",
            "description": f"Made by `casebridge connector check` ({what}); it removes this itself.",
            "status": self.mapping.values.status.get("new"),
            "priority": self.mapping.values.priority.get("normal"),
            "account": None,
            "contact": None,
            "product": None,
            "assignee": None,
            "ticket_number": str(int(self.run, 16)),
            "ticket_url": "https://support.example.com/tickets/1",
            **fields,
        }
        values = {name: value for name, value in values.items() if self.has(name)}
        new = NewCase(id=case_id, key=str(new_id()), fields=values)
        self._tried.append(new)
        return new

    def create(self, what: str, **fields: str | None) -> CaseRecord:
        case = self.crm.create_case(self.new_case(what, **fields))
        self.made("case", case.id)
        return case

    def new_note(self, case_id: str, *, position: int = 1, **changes: Any) -> NewNote:
        values: dict[str, Any] = {
            "id": str(new_id()),
            "key": str(new_id()),
            "case_id": case_id,
            "title": f"Customer {MARK}: note {position}",
            "body": f"Note {position} of {MARK} {self.run}",
            "author": MARK,
            "side": "customer",
            "position": position,
            "created_at": datetime.now(UTC),
        }
        return NewNote(**(values | changes))

    def add_note(self, note: NewNote, crm: Connector | None = None) -> str:
        note_id = (crm or self.crm).create_note(note)
        self.made("note", note_id)
        return note_id

    def new_contact(self) -> NewContact:
        """Somebody at example.com, where no mail is ever delivered."""
        address = f"casebridge-trial-{self.run}-{secrets.token_hex(2)}@example.com"
        return NewContact(id=str(new_id()), name=f"Casebridge Trial{self.run}", emails=(address,))

    def made(self, kind: RecordKind, record_id: str) -> None:
        """Remember a record, to remove it in the end."""
        if (kind, record_id) not in self._made:
            self._made.append((kind, record_id))

    def clean_up(self) -> list[Leftover]:
        """Remove everything that carries our mark, the newest first; returns what could not be removed."""
        for new in self._tried:
            self._remember(new)
        left = []
        for kind, record_id in reversed(self._made):
            try:
                self.crm.remove(kind, record_id)
            except NotFoundError:
                continue
            except CrmError as error:
                left.append(Leftover(kind=kind, record_id=record_id, reason=str(error)))
        self._made = []
        return left

    def _remember(self, new: NewCase) -> None:
        """Cases whose creation ended unclear, or that exist twice."""
        try:
            found = self.crm.find_case(new)
        except AmbiguousError as error:
            for record_id in error.record_ids:
                self.made("case", record_id)
        except (GoneError, UnauthorisedError):
            return
        except CrmError:
            self.made("case", new.id)
        else:
            if found is not None:
                self.made("case", found.id)

    def close(self) -> None:
        for connector in (*self._others, self.crm):
            with suppress(Exception):
                connector.close()
