"""A connector with a guard before it: each call is counted against the budget, what is forbidden rests."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import ParamSpec, TypeVar

from crm_sync_service.budget import Budget
from crm_sync_service.call_metrics import measured
from crm_sync_service.circuits import Circuits
from crm_sync_service.connectors.base import (
    CaseFields,
    CaseRecord,
    CaseStamp,
    Connector,
    CrmInfo,
    DirectoryEntry,
    DirectoryKind,
    FeedName,
    FeedPage,
    FieldInfo,
    ForbiddenError,
    Missing,
    NewCase,
    NewContact,
    NewNote,
    NoteRecord,
    NoteStamp,
    RecordKind,
    newest_stamp,
    rewrite_note,
)
from crm_sync_service.installation import Instance
from crm_sync_service.operation_settings import OperationSettings
from shared.clock import utc_now
from shared.database import Database

P = ParamSpec("P")
R = TypeVar("R")


class GuardedConnector:
    """Keeps `connectors.base.Connector`; may raise HoldError beside what the connector raises."""

    def __init__(self, inner: Connector, *, budget: Budget, circuits: Circuits, instance: Instance) -> None:
        self.name, self.capabilities = inner.name, inner.capabilities
        self.budget = budget
        self._inner, self._circuits, self._instance = inner, circuits, instance

    def _ask(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        capability = call.__name__
        self._circuits.check(capability)
        self.budget.spend()
        self._instance.check(self._inner)
        try:
            with measured(capability):
                answer = call(*args, **kwargs)
        except ForbiddenError as error:
            raise self._circuits.forbidden(capability, str(error)) from error
        self._circuits.allowed(capability)
        return answer

    def info(self) -> CrmInfo:
        """Not guarded: the probe of a CRM that was down must always be possible."""
        info = self._inner.info()
        self._instance.compare(info)
        return info

    def get_case(self, case_id: str) -> CaseRecord:
        return self._ask(self._inner.get_case, case_id)

    def create_case(self, new: NewCase) -> CaseRecord:
        return self._ask(self._inner.create_case, new)

    def find_case(self, new: NewCase) -> CaseRecord | None:
        return self._ask(self._inner.find_case, new)

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        return self._ask(self._inner.update_case, case_id, changes, version=version)

    def create_note(self, new: NewNote) -> str:
        return self._ask(self._inner.create_note, new)

    def find_note(self, new: NewNote) -> str | None:
        return self._ask(self._inner.find_note, new)

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        return self._ask(self._inner.notes_of, case_id)

    def rewrite_note(self, note_id: str, new: NewNote) -> None:
        self._ask(rewrite_note, self._inner, note_id, new)

    def changed_cases(self, since: str | None, *, page: str | None) -> FeedPage[CaseStamp]:
        return self._ask(self._inner.changed_cases, since, page=page)

    def changed_notes(self, since: str | None, *, page: str | None) -> FeedPage[NoteStamp]:
        return self._ask(self._inner.changed_notes, since, page=page)

    def newest_stamp(self, feed: FeedName) -> str | None:
        return self._ask(newest_stamp, self._inner, feed)

    def rewind(self, stamp: str, by: timedelta) -> str:
        return self._inner.rewind(stamp, by)

    def changed_directory(
        self, kind: DirectoryKind, since: str | None, *, page: str | None
    ) -> FeedPage[DirectoryEntry]:
        return self._ask(self._inner.changed_directory, kind, since, page=page)

    def contacts_by_email(self, address: str) -> Sequence[DirectoryEntry]:
        return self._ask(self._inner.contacts_by_email, address)

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        return self._ask(self._inner.create_contact, new)

    def remove(self, kind: RecordKind, record_id: str) -> None:
        self._ask(self._inner.remove, kind, record_id)

    def case_fields(self) -> Mapping[str, FieldInfo] | None:
        return self._ask(self._inner.case_fields)

    def missing(self) -> Sequence[Missing]:
        return self._ask(self._inner.missing)

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        return self._inner.hinted(topic, body, headers)

    def normalise(self, name: str, value: str | None) -> str | None:
        return self._inner.normalise(name, value)

    def close(self) -> None:
        self._inner.close()


def guard(database: Database, connector: Connector, operations: OperationSettings) -> GuardedConnector:
    """The connector with budget, circuits and the check of the CRM's instance before it."""
    return GuardedConnector(
        connector,
        budget=Budget(
            database=database,
            crm=connector.name,
            per_minute=operations.requests_per_minute,
            per_day=operations.requests_per_day,
            now=utc_now,
        ),
        circuits=Circuits(database=database, crm=connector.name, now=utc_now),
        instance=Instance(database=database, crm=connector.name, now=utc_now),
    )
