"""A CRM in memory that chooses the ids itself: with external keys that it keeps unique, or with none of that."""

from dataclasses import replace
from itertools import count
from typing import Any

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    AmbiguousError,
    CaseRecord,
    DirectoryEntry,
    NewCase,
    NewContact,
    NewNote,
)
from tests.crm_sync_service.fake_crm import FakeCrm


class KeyedCrm(FakeCrm):
    """FakeCrm, but for what happens to the ids we propose."""

    def __init__(self, *, unique_keys: bool, **options: Any) -> None:
        super().__init__(**options)
        self.capabilities = replace(self.capabilities, client_ids=False, unique_keys=unique_keys)
        self.case_keys: dict[str, list[str]] = {}
        self.note_keys: dict[str, list[str]] = {}
        self._ids = count(1)

    def create_case(self, new: NewCase) -> CaseRecord:
        return super().create_case(replace(new, id=f"case-{next(self._ids)}"))

    def _refuse_second_case(self, new: NewCase) -> None:
        self._refuse_second(self.case_keys.get(new.key, []))

    def _case_made(self, new: NewCase) -> None:
        self.case_keys.setdefault(new.key, []).append(new.id)

    def find_case(self, new: NewCase) -> CaseRecord | None:
        with self._call("find_case", new.key):
            found = self._the_one(self.case_keys.get(new.key, []))
            return self._shown(self._live(found)) if found else None

    def create_note(self, new: NewNote) -> str:
        return super().create_note(replace(new, id=f"note-{next(self._ids)}"))

    def _refuse_second_note(self, new: NewNote) -> None:
        self._refuse_second(self.note_keys.get(new.key, []))

    def _note_made(self, new: NewNote) -> None:
        self.note_keys.setdefault(new.key, []).append(new.id)

    def find_note(self, new: NewNote) -> str | None:
        with self._call("find_note", new.key):
            return self._the_one(self.note_keys.get(new.key, []))

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        return super().create_contact(replace(new, id=f"contact-{next(self._ids)}"))

    def _refuse_second(self, found: list[str]) -> None:
        if self.capabilities.unique_keys and found:
            raise AlreadyExistsError("400: duplicate value", record_id=found[0])

    def _the_one(self, found: list[str]) -> str | None:
        if len(found) > 1:
            raise AmbiguousError("the CRM has several with one key", record_ids=found)
        return found[0] if found else None
