"""The CRM in memory with the habits of real ones: coarse or late stamps, a clock of its own, and lost answers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from crm_sync_service.connectors.base import CaseFields, CaseRecord, FeedPage, NewCase, NewNote, NoteRecord, Row
from crm_sync_service.mapping import (
    BLOCK_BEGIN,
    DEFAULT_POLICIES,
    OPTION_FIELDS,
    CaseMapping,
    block_of,
    words_of,
)
from crm_sync_service.merge import Policy
from shared.clock import to_text
from tests.crm_sync_service.fake_crm import CASE_FIELDS, Call, FakeCrm, _Case
from tests.crm_sync_service.keyed_crm import KeyedCrm
from tests.simulation.history import PULLED, History
from tests.simulation.profile import Profile

API_USER = "Casebridge"
_FEED = {"changed_cases", "changed_notes", "changed_directory", "info"}


class Surroundings(Protocol):
    """What happens around a call."""

    clock: datetime

    def before_call(self, method: str, key: str | None, details: Mapping[str, Any]) -> None: ...

    def after_call(self, method: str) -> None: ...

    def is_current(self, key: str) -> bool:
        """Whether this is the key that the ticket's Case is to have now."""
        ...


class SimulatedCrm(KeyedCrm):
    """FakeCrm or KeyedCrm, which keep the connector contract, with answers and stamps left to the schedule."""

    def __init__(self, profile: Profile, history: History, surroundings: Surroundings) -> None:
        self.profile, self.history, self.surroundings = profile, history, surroundings
        super().__init__(unique_keys=profile.ids == "keys", conditional_update=profile.conditional, page_size=2)
        self.capabilities = replace(self.capabilities, client_ids=profile.ids == "ours")
        self._kind: type[FakeCrm] = FakeCrm if profile.ids == "ours" else KeyedCrm
        self.lag = timedelta(0)
        """How long ago the transaction that commits now took its stamp."""
        self.read: dict[str, int] = {}
        """The version of each Case that the sync service saw last."""
        self.words: dict[int, str] = {}
        """By ticket, what account managers last wrote around the block."""
        self.current: dict[int, str] = {}
        """By ticket, the Case that is mirrored, as far as the CRM can see."""
        self.key_of: dict[str, str] = {}
        """Of every Case that Casebridge made."""
        self.written_on: dict[str, str] = {}
        """By Note of ours, the Case it was written for; a merge moves it to another."""
        self.adoptions = 0
        self.by_hand = 0
        self.calls_made = 0
        self.feed_calls = 0
        self.notes_by_managers = 0
        self._map = self.mapping()

    def mapping(self) -> CaseMapping:
        policies = {name: Policy(direction="both", winner=self.profile.winner) for name in PULLED}
        return replace(super().mapping(), policies={**DEFAULT_POLICIES, **policies})

    def create_case(self, new: NewCase) -> CaseRecord:
        return self._kind.create_case(self, new)

    def _refuse_second_case(self, new: NewCase) -> None:
        self._kind._refuse_second_case(self, new)

    def find_case(self, new: NewCase) -> CaseRecord | None:
        found = self._kind.find_case(self, new)
        if found is not None:
            self.read[found.id] = self.cases[found.id].version
        return found

    def create_note(self, new: NewNote) -> str:
        return self._kind.create_note(self, new)

    def _refuse_second_note(self, new: NewNote) -> None:
        self._kind._refuse_second_note(self, new)

    def find_note(self, new: NewNote) -> str | None:
        return self._kind.find_note(self, new)

    @contextmanager
    def _call(self, method: str, key: str | None = None, **details: Any) -> Iterator[Call]:
        self.calls_made += 1
        self.feed_calls += method in _FEED
        self.surroundings.before_call(method, key, details)
        yield Call(method=method, key=key)
        if key in self.cases:
            if method == "create_case":
                self._created(self.cases[key])
            self.read[key] = self.cases[key].version
        self.surroundings.after_call(method)

    def _tick(self) -> datetime:
        moment = self.surroundings.clock + self.profile.skew - self.lag
        grain = self.profile.grain
        return moment.replace(microsecond=0, second=moment.second - moment.second % grain) if grain else moment

    def _page(self, rows: Sequence[tuple[datetime, Any]], since: str | None, page: str | None) -> FeedPage[Row]:
        """In the order of stamp and id, as stamps need not be unique."""
        keyed = sorted((f"{to_text(moment)} {row.case_id}", row) for moment, row in rows)
        first = page or since or ""
        after = [(key, row) for key, row in keyed if (key > first if page else key >= first)]
        shown = after[: self._page_size]
        last = shown[-1][0] if shown else None
        newest = max((key.split(" ", 1)[0] for key, _ in shown), default=None)
        return FeedPage(rows=[row for _, row in shown], newest=newest, next=last if len(after) > len(shown) else None)

    def _change(self, case: _Case, changes: CaseFields, *, by: str) -> bool:
        ours = by == API_USER
        wanted = {
            name: value
            for name, value in (self._checked(changes) if ours else changes).items()
            if case.fields[name] != value
        }
        unseen = not self.profile.conditional and self.read.get(case.id) != case.version
        if ours and not wanted and not unseen:
            self.history.violated("echo", f"a write to Case {case.number} changes nothing: {sorted(changes)}")
        before = dict(case.fields)
        case.fields.update(wanted)
        if wanted or (ours and self.profile.touched_by_nothing):
            self._touch(case, by)
        if ours and "ticket_number" in wanted:
            self._adopted(case)
        (self._pushed if ours else self._edited)(case, before, wanted, unseen)
        return bool(wanted)

    def _refusal(self, name: str, value: str) -> str | None:
        if name in {"account", "product", "assignee"} and value.startswith("unknown-"):
            return f"There is no {name} with the id {value}."
        return super()._refusal(name, value)

    def _created(self, case: _Case) -> None:
        ticket = ticket_of(case)
        values = self._map.theirs(case.fields)
        for name in (*PULLED, "subject", "block"):
            self.history.created((ticket, name), values[name])
        if self.surroundings.is_current(self.key_of[case.id]):
            self.current[ticket] = case.id
            self.words[ticket] = words_of(case.fields["description"] or "")

    def _case_made(self, new: NewCase) -> None:
        super()._case_made(new)
        self.key_of[new.id] = new.key

    def _note_made(self, new: NewNote) -> None:
        super()._note_made(new)
        self.written_on[new.id] = new.case_id

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        """Read for one reason only: a person has linked a ticket to this Case, which may name it already."""
        found = super().notes_of(case_id)
        self._adopted(self.cases[case_id])
        return found

    def _adopted(self, case: _Case) -> None:
        """Casebridge has put another ticket's number into a Case: its own link follows."""
        ticket = ticket_of(case)
        self.current[ticket] = case.id
        self.words[ticket] = words_of(case.fields["description"] or "")
        for name, value in self.values_of(case).items():
            self.history.adopted((ticket, name), value)
        self.adoptions += 1

    def _pushed(self, case: _Case, before: CaseFields, wanted: CaseFields, unseen: bool) -> None:
        ticket = ticket_of(case)
        if self.current.get(ticket) != case.id:
            return  # by a worker that an order overtook
        was, now = self._map.theirs(before), self._map.theirs(case.fields)
        for name in was:
            if was[name] != now[name]:
                self.history.pushed((ticket, name), before=was[name], after=now[name], unseen=unseen)
        if unseen and "description" in wanted:
            self.words[ticket] = words_of(case.fields["description"] or "")

    def _edited(self, case: _Case, before: CaseFields, wanted: CaseFields, _unseen: bool) -> None:
        ticket = ticket_of(case)
        linked = self.current.get(ticket) == case.id
        for name, value in wanted.items():
            if not linked:
                self.history.by_managers[ticket, name].add(self._ours(name, value))
            elif name == "description":
                self._described(ticket, before["description"] or "", value or "")
            else:
                self.history.crm_wrote((ticket, name), self._ours(name, value))
        self.history.changes += 1

    def _ours(self, name: str, value: str | None) -> str | None:
        return self._map.values.from_crm(name, value) if name in OPTION_FIELDS else value

    def _described(self, ticket: int, before: str, after: str) -> None:
        self.words[ticket] = words_of(after)
        if block_of(after) != block_of(before):
            self.history.crm_wrote((ticket, "block"), block_of(after))

    def late_edit(self, case_id: str, *, lag: timedelta, by: str, **changes: str | None) -> None:
        """An account manager's change that took its stamp `lag` ago and commits now."""
        self.lag = lag
        self.edit(case_id, by=by, **changes)
        self.lag = timedelta(0)

    def make_by_hand(self, *, by: str = "Anna Visser", **fields: str | None) -> _Case:
        """An account manager makes a Case that no ticket knows of."""
        self.by_hand += 1
        case = _Case(
            id=f"by-hand-{self.by_hand}",
            number=f"C-{next(self._numbers):05}",
            fields=dict.fromkeys(CASE_FIELDS) | {"status": "new", "priority": "medium", **fields},
            modified_at=self._tick(),
            modified_by=by,
        )
        self.cases[case.id] = case
        return case

    def number_of(self, key: str | None) -> str | None:
        return self.cases[key].number if key in self.cases else key

    def live(self) -> list[_Case]:
        return [case for case in self.cases.values() if not case.deleted]

    def values_of(self, case: _Case) -> dict[str, str | None]:
        """A Case's fields in the portal's terms."""
        return self._map.theirs(case.fields)

    def write_note(self, case_id: str, body: str, *, by: str = "Anna Visser", title: str = "") -> str:
        """As FakeCrm does, with an id that the seed decides."""
        self.notes_by_managers += 1
        note_id = super().write_note(case_id, body, by=by, title=title)
        note = replace(self.notes.pop(note_id), id=f"by-hand-{self.notes_by_managers}")
        self.notes[note.id] = note
        return note.id


def ticket_of(case: _Case) -> int:
    """The index of the ticket a Case was made for."""
    return int(case.fields["ticket_number"] or 0) - 1001


def around(text: str, *, before: str, after: str) -> str:
    """A description with other words around its block."""
    block = block_of(text)
    return "\n".join(filter(None, (before, block, after)))


def spoiled(text: str, *, away: bool) -> str:
    """A description whose managed block was taken out or written into."""
    if away:
        return words_of(text)
    return text.replace(BLOCK_BEGIN, f"{BLOCK_BEGIN}\nwritten in by hand", 1)


__all__ = ["API_USER", "CASE_FIELDS", "SimulatedCrm", "Surroundings", "around", "spoiled", "ticket_of"]
