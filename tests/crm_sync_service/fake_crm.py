"""A CRM in memory that keeps the connector contract: client ids, versions, stamps that strictly grow, deleted and
merged records, refusals by field, and any failure one wants before or after any call.

What people do in the CRM is under `edit`, `delete_case`, `merge_case`, `write_note` and `keep`.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    Capabilities,
    CaseFields,
    CaseRecord,
    CaseStamp,
    CrmInfo,
    DirectoryEntry,
    DirectoryKind,
    FeedPage,
    GoneError,
    InvalidError,
    Missing,
    NewCase,
    NewContact,
    NewNote,
    NoteRecord,
    NoteStamp,
    NotFoundError,
    RecordKind,
    Row,
    StaleError,
    TextRules,
)
from crm_sync_service.connectors.config import default_mapping
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.mapping_file import read_mapping
from shared.clock import from_text, to_text
from shared.emails import email_key

When = Literal["before", "after"]
CASE_FIELDS = (
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
)
_RECORDS: dict[str, DirectoryKind] = {
    "account": "account",
    "contact": "contact",
    "product": "product",
    "assignee": "user",
}
VALUES = read_mapping(default_mapping("desk")).values
STATUSES, PRIORITIES = VALUES.status, VALUES.priority
_OPTIONS = {"status": set(STATUSES.values()), "priority": set(PRIORITIES.values())}
_API_USER = "Casebridge"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a connector method."""

    method: str
    key: str | None
    """The id of the record it is about."""
    details: dict[str, Any] = field(default_factory=dict)


Hook = Callable[[Call, When], None]


@dataclass(kw_only=True)
class _Case:
    id: str
    number: str
    fields: dict[str, str | None]
    modified_at: datetime
    modified_by: str
    version: int = 1
    deleted: bool = False
    merged_into: str | None = None


@dataclass(kw_only=True)
class _Record:
    entry: DirectoryEntry
    modified_at: datetime
    deleted: bool = False


class FakeCrm:
    """Keeps `connectors.base.Connector`; safe to use from several threads."""

    name = "fake"

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        conditional_update: bool = True,
        known_records_only: bool = False,
        page_size: int = 200,
        description_bytes: int = 65_535,
        note_bytes: int = 65_535,
        customer_notes: bool = False,
        tells_replaced: bool = False,
    ) -> None:
        """`known_records_only`: refuse ids that `keep` was never told of, as a real CRM does.

        `tells_replaced`: an update's answer has what its fields held just before it.
        """
        self.capabilities = Capabilities(
            client_ids=True,
            unique_keys=False,
            conditional_update=conditional_update,
            feed_overlap=timedelta(seconds=120),
            feed_shows_deletions=True,
            notes_touch_case=False,
            webhooks=False,
            text=TextRules(subject_length=255, description_bytes=description_bytes, note_bytes=note_bytes),
            customer_notes=customer_notes,
        )
        self.for_customer: dict[str, datetime] = {}
        """Notes that people marked to be sent to the customer, and when."""
        self.calls: list[Call] = []
        self.writes: list[Call] = []
        """Calls that changed something."""
        self.hooks: list[Hook] = []
        self.hidden: set[str] = set()
        """Cases whose changes the feed does not show yet, though they are stored."""
        self.cases: dict[str, _Case] = {}
        self.notes: dict[str, NewNote] = {}
        self.records: dict[tuple[DirectoryKind, str], _Record] = {}
        self._now = now or (lambda: datetime.now(UTC))
        self._stamp = datetime.min.replace(tzinfo=UTC)
        self._numbers = count(1)
        self._known_records_only = known_records_only
        self._tells_replaced = tells_replaced
        self._page_size = page_size
        self._lock = threading.RLock()

    def mapping(self) -> CaseMapping:
        return CaseMapping(connector=self, values=VALUES)

    def fail(self, method: str, error: Exception, *, when: When = "before", times: int = 1) -> None:
        """Let the next `times` calls of a method ("*": of any) fail, before or after they took effect."""
        left = count(times, -1)

        def hook(call: Call, moment: When) -> None:
            if moment == when and method in {call.method, "*"} and next(left) > 0:
                raise error

        self.hooks.append(hook)

    def called(self, method: str) -> int:
        return sum(1 for call in self.calls if call.method == method)

    @contextmanager
    def _call(self, method: str, key: str | None = None, **details: Any) -> Iterator[Call]:
        """Hooks run outside the lock, so that one may itself use the CRM."""
        call = Call(method=method, key=key, details=details)
        self.calls.append(call)
        for hook in list(self.hooks):
            hook(call, "before")
        with self._lock:
            yield call
        for hook in list(self.hooks):
            hook(call, "after")

    def info(self) -> CrmInfo:
        with self._call("info"):
            return CrmInfo(name="Fake CRM", version="1", instance="fake")

    def get_case(self, case_id: str) -> CaseRecord:
        with self._call("get_case", case_id):
            return self._shown(self._live(case_id))

    def create_case(self, new: NewCase) -> CaseRecord:
        with self._call("create_case", new.id, **new.fields) as call:
            self._refuse_second_case(new)
            fields = dict.fromkeys(CASE_FIELDS) | self._checked(new.fields)
            if not fields["subject"]:
                raise InvalidError("422: A Case needs a name.", fields={"subject": "A Case needs a name."})
            fields["status"], fields["priority"] = fields["status"] or "new", fields["priority"] or "medium"
            case = _Case(
                id=new.id,
                number=f"C-{next(self._numbers):05}",
                fields=fields,
                modified_at=self._tick(),
                modified_by=_API_USER,
            )
            self.cases[new.id] = case
            self._case_made(new)
            self.writes.append(call)
            return self._shown(case)

    def _refuse_second_case(self, new: NewCase) -> None:
        if new.id in self.cases:
            raise AlreadyExistsError(f"409: There is a Case with the id {new.id}.")

    def _case_made(self, new: NewCase) -> None:
        """In the same transaction."""

    def find_case(self, new: NewCase) -> CaseRecord | None:
        with self._call("find_case", new.id):
            return self._shown(self._live(new.id)) if new.id in self.cases else None

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        with self._call("update_case", case_id, **changes) as call:
            case = self._live(case_id)
            if version is not None and version != str(case.version):
                raise StaleError(f"412: The Case has version {case.version}, not {version}.")
            replaced = {name: case.fields[name] for name in changes} if self._tells_replaced else {}
            if self._change(case, changes, by=_API_USER):
                self.writes.append(call)
            return replace(self._shown(case), replaced=replaced)

    def create_note(self, new: NewNote) -> str:
        with self._call("create_note", new.id) as call:
            self._refuse_second_note(new)
            if new.case_id not in self.cases or self.cases[new.case_id].deleted:
                words = "There is no Case with this id."
                raise InvalidError(f"422: {words}", fields={"case_id": words})
            self._refuse_unstorable({"title": new.title, "body": new.body})
            self.notes[new.id] = replace(
                new, title=_one_line(new.title), body=new.body.replace("\r\n", "\n"), author=_one_line(new.author)
            )
            self._note_made(new)
            self.writes.append(call)
            return new.id

    def _refuse_second_note(self, new: NewNote) -> None:
        if new.id in self.notes:
            raise AlreadyExistsError(f"409: There is a note with the id {new.id}.")

    def _note_made(self, new: NewNote) -> None:
        """In the same transaction."""

    def find_note(self, new: NewNote) -> str | None:
        with self._call("find_note", new.id):
            return new.id if new.id in self.notes else None

    def rewrite_note(self, note_id: str, new: NewNote) -> None:
        with self._call("rewrite_note", note_id) as call:
            if note_id not in self.notes:
                raise NotFoundError(f"404: There is no note with the id {note_id}.")
            author = _one_line(new.author)
            self.notes[note_id] = replace(self.notes[note_id], title=new.title, body=new.body, author=author)
            self.writes.append(call)

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        with self._call("notes_of", case_id):
            self._live(case_id)
            notes = [note for note in self.notes.values() if note.case_id == case_id]
            notes.sort(key=lambda note: (note.position, note.created_at, note.id))
            return [
                NoteRecord(
                    id=n.id,
                    case_id=n.case_id,
                    title=n.title,
                    body=n.body,
                    author=n.author,
                    created_at=n.created_at,
                    for_customer=n.id in self.for_customer,
                )
                for n in notes
            ]

    def changed_cases(self, since: str | None, *, page: str | None) -> FeedPage[CaseStamp]:
        with self._call("changed_cases", since, page=page):
            rows = [
                (case.modified_at, CaseStamp(case_id=case.id, stamp=_stamp(case)))
                for case in self.cases.values()
                if case.id not in self.hidden
            ]
            return self._page(rows, since, page)

    def changed_notes(self, since: str | None, *, page: str | None) -> FeedPage[NoteStamp]:
        with self._call("changed_notes", since, page=page):
            changed = [(self.for_customer.get(note.id, note.created_at), note) for note in self.notes.values()]
            rows = [(at, NoteStamp(note_id=note.id, case_id=note.case_id, stamp=to_text(at))) for at, note in changed]
            return self._page(rows, since, page)

    def rewind(self, stamp: str, by: timedelta) -> str:
        return to_text(from_text(stamp) - by)

    def changed_directory(
        self, kind: DirectoryKind, since: str | None, *, page: str | None
    ) -> FeedPage[DirectoryEntry]:
        with self._call("changed_directory", kind, since=since, page=page):
            rows = [(r.modified_at, r.entry) for (row_kind, _), r in self.records.items() if row_kind == kind]
            return self._page(rows, since, page)

    def contacts_by_email(self, address: str) -> Sequence[DirectoryEntry]:
        with self._call("contacts_by_email", address):
            wanted = email_key(address)
            contacts = [r.entry for (kind, _), r in self.records.items() if kind == "contact" and r.entry.active]
            return [entry for entry in contacts if wanted in {email_key(email) for email in entry.emails}]

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        with self._call("create_contact", new.id) as call:
            if ("contact", new.id) in self.records:
                raise AlreadyExistsError(f"409: There is a contact with the id {new.id}.")
            if self._known_records_only and new.account_id and ("account", new.account_id) not in self.records:
                raise InvalidError("422: There is no such account.", fields={"account": "There is no such account."})
            entry = DirectoryEntry(
                kind="contact",
                crm_id=new.id,
                name=_one_line(new.name),
                active=True,
                emails=new.emails,
                account_id=new.account_id,
            )
            self.records["contact", new.id] = _Record(entry=entry, modified_at=self._tick())
            self.writes.append(call)
            return entry

    def remove(self, kind: RecordKind, record_id: str) -> None:
        if kind == "case":
            self.delete_case(record_id)
        elif kind == "note":
            del self.notes[record_id]
        else:
            del self.records["contact", record_id]

    def case_fields(self) -> None:
        return None

    def missing(self) -> Sequence[Missing]:
        return ()

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        raise InvalidError("the CRM in memory sends no webhooks")

    def normalise(self, name: str, value: str | None) -> str | None:
        if value is None:
            return None
        text = value.replace("\r\n", "\n").replace("\0", "")
        if name == "subject":
            text = _one_line(text)[: self.capabilities.text.subject_length]
        return text or None

    def close(self) -> None:
        pass

    def edit(self, case_id: str, *, by: str = "Anna Visser", **changes: str | None) -> None:
        """An account manager saves a Case."""
        with self._lock:
            self._change(self._live(case_id), changes, by=by)

    def delete_case(self, case_id: str, *, by: str = "Anna Visser") -> None:
        with self._lock:
            case = self._live(case_id)
            case.deleted = True
            self._touch(case, by)

    def merge_case(self, case_id: str, *, into: str, by: str = "Anna Visser") -> None:
        """Move a Case's Notes to another one and leave a pointer."""
        with self._lock:
            case, kept = self._live(case_id), self._live(into)
            for note in [note for note in self.notes.values() if note.case_id == case_id]:
                self.notes[note.id] = replace(note, case_id=into)
            self._touch(kept, by)
            case.deleted, case.merged_into = True, into
            self._touch(case, by)

    def write_note(self, case_id: str, body: str, *, by: str = "Anna Visser", title: str = "") -> str:
        """An account manager writes a Note."""
        with self._lock:
            self._live(case_id)
            note_id = str(uuid.uuid4())
            self.notes[note_id] = NewNote(
                id=note_id,
                key=note_id,
                case_id=case_id,
                title=title,
                body=body,
                author=by,
                side="internal",
                position=max((n.position for n in self.notes.values() if n.case_id == case_id), default=0),
                created_at=self._now(),
            )
            return note_id

    def mark_for_customer(self, note_id: str) -> None:
        """An account manager ticks "Send to customer"."""
        with self._lock:
            self.for_customer[note_id] = self._tick()

    def keep(
        self,
        kind: DirectoryKind,
        crm_id: str,
        name: str,
        *,
        emails: tuple[str, ...] = (),
        account_id: str | None = None,
        active: bool = True,
        merged_into: str | None = None,
    ) -> DirectoryEntry:
        """Somebody adds or changes an account, contact, user or product."""
        with self._lock:
            entry = DirectoryEntry(
                kind=kind,
                crm_id=crm_id,
                name=name,
                active=active and merged_into is None,
                emails=emails,
                account_id=account_id,
                merged_into=merged_into,
            )
            self.records[kind, crm_id] = _Record(entry=entry, modified_at=self._tick())
            return entry

    def fields_of(self, case_id: str) -> dict[str, str | None]:
        """A Case's fields as stored, without a call."""
        return dict(self.cases[case_id].fields)

    def _live(self, case_id: str) -> _Case:
        case = self.cases.get(case_id)
        if case is None:
            raise NotFoundError(f"404: There is no Case with the id {case_id}.")
        if case.deleted:
            raise GoneError("410: This Case was deleted.", merged_into=case.merged_into)
        return case

    def _change(self, case: _Case, changes: CaseFields, *, by: str) -> bool:
        """Whether anything differed; what is already so changes nothing, not even the version."""
        wanted = {name: value for name, value in self._checked(changes).items() if case.fields[name] != value}
        if not wanted:
            return False
        case.fields.update(wanted)
        self._touch(case, by)
        return True

    def _touch(self, case: _Case, by: str) -> None:
        case.version, case.modified_at, case.modified_by = case.version + 1, self._tick(), by

    def _tick(self) -> datetime:
        self._stamp = max(self._now(), self._stamp + timedelta(microseconds=1))
        return self._stamp

    def _checked(self, fields: CaseFields) -> dict[str, str | None]:
        """The values as stored. Raises InvalidError with the words for every field refused."""
        unknown = set(fields) - set(CASE_FIELDS)
        assert not unknown, f"not fields of a Case: {unknown}"
        self._refuse_unstorable(fields)
        wrong = {name: words for name, value in fields.items() if value and (words := self._refusal(name, value))}
        if wrong:
            raise InvalidError(f"422: {'; '.join(wrong.values())}", fields=wrong)
        return {name: _stored(name, value) for name, value in fields.items()}

    def _refusal(self, name: str, value: str) -> str | None:
        text = self.capabilities.text
        if name in _OPTIONS and value not in _OPTIONS[name]:
            return f"{value!r} is none of {', '.join(sorted(_OPTIONS[name]))}."
        if name == "subject" and len(_one_line(value)) > text.subject_length:
            return f"It has {len(value)} characters, but at most {text.subject_length} fit."
        if name == "description" and len(value.encode()) > text.description_bytes:
            return f"It has {len(value.encode())} bytes, but at most {text.description_bytes} fit."
        if name in _RECORDS and self._known_records_only:
            record = self.records.get((_RECORDS[name], value))
            if record is None or not record.entry.active:
                return f"There is no {_RECORDS[name]} with the id {value}."
        return None

    def _refuse_unstorable(self, fields: CaseFields) -> None:
        wrong = {name: "It holds a NUL character." for name, value in fields.items() if value and "\0" in value}
        if wrong:
            raise InvalidError("422: It holds a NUL character.", fields=wrong)

    def _shown(self, case: _Case) -> CaseRecord:
        return CaseRecord(
            id=case.id,
            number=case.number,
            url=f"http://crm.example/cases/{case.id}",
            fields={name: value or None for name, value in case.fields.items()},
            stamp=_stamp(case),
            version=str(case.version),
            modified_by=case.modified_by,
            modified_at=case.modified_at,
        )

    def _page(self, rows: list[tuple[datetime, Row]], since: str | None, page: str | None) -> FeedPage[Row]:
        """At or after `since`, in the order of the stamps, which are unique; `page` is the last stamp shown."""
        rows.sort(key=lambda row: row[0])
        if page is not None:
            rows = [row for row in rows if to_text(row[0]) > page]
        elif since is not None:
            rows = [row for row in rows if to_text(row[0]) >= since]
        shown = rows[: self._page_size]
        newest = to_text(shown[-1][0]) if shown else None
        return FeedPage(
            rows=[row for _, row in shown], newest=newest, next=newest if len(rows) > self._page_size else None
        )


def _stamp(case: _Case) -> str:
    return f"{to_text(case.modified_at)} v{case.version}{' deleted' if case.deleted else ''}"


def _stored(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    return _one_line(value) if name == "subject" else value.replace("\r\n", "\n")


def _one_line(text: str) -> str:
    return text.replace("\r\n", " ").replace("\r", " ").replace("\n", " ").strip()
