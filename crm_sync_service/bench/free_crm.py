"""CRMs to measure against: one that costs nothing, and a meter before any other."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    Capabilities,
    CaseFields,
    CaseRecord,
    CaseStamp,
    Connector,
    CrmInfo,
    DirectoryEntry,
    DirectoryKind,
    FeedPage,
    FieldInfo,
    Missing,
    NewCase,
    NewContact,
    NewNote,
    NoteRecord,
    NoteStamp,
    NotFoundError,
    RecordKind,
    TextRules,
)

P = ParamSpec("P")
R = TypeVar("R")
_START = datetime(2026, 1, 1, tzinfo=UTC)
_EMPTY: FeedPage[CaseStamp] = FeedPage(rows=(), newest=None, next=None)


class FreeCrm:
    """Keeps `connectors.base.Connector` in memory: what remains of a delivery's time is Casebridge's own."""

    name = "free"
    capabilities = Capabilities(
        client_ids=True,
        unique_keys=False,
        conditional_update=True,
        feed_overlap=timedelta(seconds=120),
        feed_shows_deletions=True,
        notes_touch_case=False,
        webhooks=False,
        text=TextRules(subject_length=255, description_bytes=65_535),
    )

    def __init__(self) -> None:
        self._cases: dict[str, CaseRecord] = {}
        self._notes: set[str] = set()
        self._lock = threading.Lock()

    def info(self) -> CrmInfo:
        return CrmInfo(name="free", version="1", instance="bench")

    def get_case(self, case_id: str) -> CaseRecord:
        if case_id not in self._cases:
            raise NotFoundError("there is no such Case")
        return self._cases[case_id]

    def create_case(self, new: NewCase) -> CaseRecord:
        with self._lock:
            if new.id in self._cases:
                raise AlreadyExistsError("it is there")
            case = CaseRecord(
                id=new.id,
                number=str(len(self._cases) + 1),
                url=f"http://crm.example/{new.id}",
                fields=dict(new.fields),
                stamp="1",
                version="1",
                modified_by="Casebridge",
                modified_at=_START,
            )
            self._cases[new.id] = case
            return case

    def find_case(self, new: NewCase) -> CaseRecord | None:
        return self._cases.get(new.id)

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        with self._lock:
            case = self.get_case(case_id)
            after = str(int(case.stamp) + 1)
            case = replace(case, fields={**case.fields, **changes}, stamp=after, version=after)
            self._cases[case_id] = case
            return case

    def create_note(self, new: NewNote) -> str:
        self._notes.add(new.id)
        return new.id

    def find_note(self, new: NewNote) -> str | None:
        return new.id if new.id in self._notes else None

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        return ()

    def changed_cases(self, since: str | None, *, page: str | None) -> FeedPage[CaseStamp]:
        return _EMPTY

    def changed_notes(self, since: str | None, *, page: str | None) -> FeedPage[NoteStamp]:
        return FeedPage(rows=(), newest=None, next=None)

    def rewind(self, stamp: str, by: timedelta) -> str:
        return stamp

    def changed_directory(
        self, kind: DirectoryKind, since: str | None, *, page: str | None
    ) -> FeedPage[DirectoryEntry]:
        return FeedPage(rows=(), newest=None, next=None)

    def contacts_by_email(self, address: str) -> Sequence[DirectoryEntry]:
        return ()

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        return DirectoryEntry(kind="contact", crm_id=new.id, name=new.name, active=True, emails=new.emails)

    def remove(self, kind: RecordKind, record_id: str) -> None:
        self._cases.pop(record_id, None)

    def case_fields(self) -> Mapping[str, FieldInfo] | None:
        return None

    def missing(self) -> Sequence[Missing]:
        return ()

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        return ()

    def normalise(self, name: str, value: str | None) -> str | None:
        return value

    def close(self) -> None:
        pass


@dataclass(kw_only=True)
class Meter:
    """What a connector was asked for, and how long it took to answer."""

    calls: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    """Of all calls together, also of those that ran at the same time."""
    arrived: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By Case, when its last write was answered and how long the calls of that run took, on the monotonic clock."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _case_seconds: dict[str, float] = field(default_factory=dict)

    def measured(self, call: Callable[P, R], key: str, *args: P.args, **kwargs: P.kwargs) -> R:
        began = time.monotonic()
        try:
            return call(*args, **kwargs)
        finally:
            self._note(call.__name__, key, began)

    def _note(self, method: str, key: str, began: float) -> None:
        now = time.monotonic()
        with self._lock:
            self.calls[method] += 1
            self.seconds += now - began
            spent = self._case_seconds.get(key, 0.0) + now - began
            self._case_seconds[key] = spent
            if method in {"create_case", "update_case", "create_note"}:
                self.arrived[key] = (now, spent)
                self._case_seconds.pop(key)


class MeteredCrm:
    """A connector whose calls about Cases are measured."""

    def __init__(self, inner: Connector, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def get_case(self, case_id: str) -> CaseRecord:
        return self._meter.measured(self._inner.get_case, case_id, case_id)

    def create_case(self, new: NewCase) -> CaseRecord:
        return self._meter.measured(self._inner.create_case, new.id, new)

    def find_case(self, new: NewCase) -> CaseRecord | None:
        return self._meter.measured(self._inner.find_case, new.id, new)

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        return self._meter.measured(self._inner.update_case, case_id, case_id, changes, version=version)

    def create_note(self, new: NewNote) -> str:
        return self._meter.measured(self._inner.create_note, new.case_id, new)

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        return self._meter.measured(self._inner.notes_of, case_id, case_id)
