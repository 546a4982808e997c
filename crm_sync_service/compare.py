"""A ticket beside its Case: every difference, found by reading both. Pure; independent of what the sync remembers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Literal

from crm_sync_service.connectors.base import CaseRecord, NoteRecord
from crm_sync_service.mapping import (
    CaseMapping,
    description,
    note_id_of,
    unmapped,
    words_of,
)
from crm_sync_service.merge import UNMAPPED
from shared.events import InternalNoteAdded, ReplyAdded, TicketChanged

Entry = ReplyAdded | InternalNoteAdded
_SHOWN = 160
_TITLE_WORDS = 30
_BEFORE = 40
"""Characters shown of two long texts, and how many of them before the place where they part."""


Kind = Literal[
    "field",
    "contact missing",
    "block damaged",
    "words altered",
    "Case missing",
    "Case deleted",
    "second Case",
    "stranger Case",
    "dangling Case",
    "Note missing",
    "extra Note",
    "Note altered",
    "order of Notes",
    "removal Note missing",
    "link dead",
]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that a ticket and the CRM do not agree on."""

    ticket: int | None
    field: str
    ticket_has: str
    case_has: str
    sentence: str = ""
    """Says it better than "ticket has, Case has" where that does not fit."""
    kind: Kind = "field"
    name: str | None = None
    """The synced field, of those that are one."""
    values: tuple[str | None, str | None] = dataclass_field(default=(None, None), repr=False)
    """Ours and theirs, whole."""
    reply_id: str | None = None
    """Whose Note is missing."""

    @property
    def tally(self) -> str:
        """What it is counted under."""
        return f"field: {self.field}" if self.kind == "field" else self.kind

    def as_json(self) -> dict[str, object]:
        """For programs: without the whole values."""
        return {
            "ticket": self.ticket,
            "kind": self.kind,
            "field": self.field,
            "ticket_has": self.ticket_has,
            "case_has": self.case_has,
            "sentence": self.sentence,
        }

    def __str__(self) -> str:
        place = f"#{self.ticket}" if self.ticket is not None else "CRM"
        if self.sentence:
            return f"{place} {self.sentence}"
        return f"{place} {self.field}: ticket has {self.ticket_has}, Case has {self.case_has}"


def compare_case(
    ticket: TicketChanged, case: CaseRecord, *, mapping: CaseMapping, contact_id: str | None
) -> Iterator[Difference]:
    """Every synced field, the customer's words and the managed block."""
    ours = mapping.ours(ticket, contact_id=contact_id)
    theirs = mapping.theirs(case.fields, known=[ours])
    strangers = unmapped(ticket)
    for name in mapping.policies:
        if name in strangers:
            yield _difference(ticket, name, strangers[name], theirs[name])
        elif ours[name] != theirs[name]:
            yield _field(ticket, name, ours[name], theirs[name])
    for name, value in mapping.once(ticket).items():
        if case.fields.get(name) != value:
            label = {"ticket_number": "ticket number", "ticket_url": "ticket link"}[name]
            yield _difference(ticket, label, value, case.fields.get(name))
    words, found = _words(ticket, ours["block"] or "", mapping), case.fields.get("description") or ""
    if " ".join(words.split()) not in " ".join(found.split()):
        yield replace(_difference(ticket, "description", words, words_of(found)), kind="words altered")


def _field(ticket: TicketChanged, name: str, ours: str | None, theirs: str | None) -> Difference:
    kind: Kind = "block damaged" if name == "block" else "field"
    if name == "contact" and theirs is None:
        kind = "contact missing"
    shown = _difference(ticket, "managed block" if name == "block" else name, ours, theirs)
    return replace(shown, kind=kind, name=name, values=(ours, theirs))


def _words(ticket: TicketChanged, block: str, mapping: CaseMapping) -> str:
    """What must be found of the customer's words in the description, as this CRM gives it back."""
    crm = mapping.connector
    text = description(ticket, block, rules=crm.capabilities.text)
    return words_of(crm.normalise("description", text) or "")


def compare_notes(
    ticket: TicketChanged,
    entries: Sequence[Entry],
    notes: Sequence[NoteRecord],
    *,
    mapping: CaseMapping,
    written: Mapping[str, str],
) -> Iterator[Difference]:
    """One Note per reply with the right words, in order, and none of ours beside them.

    `written`: Note ids by reply id, where the CRM chose them itself. A reply that came from a Note of the CRM is that
    Note, which belongs to whoever wrote it.
    """
    theirs = {entry.crm_note_id for entry in entries if isinstance(entry, ReplyAdded)} - {None}
    entries = [entry for entry in entries if isinstance(entry, InternalNoteAdded) or entry.crm_note_id is None]
    expected = {written.get(_id(entry), note_id_of(_id(entry))): entry for entry in entries}
    by_id = {note.id: note for note in notes}
    for note_id, entry in expected.items():
        if note_id in by_id:
            yield from _compare_note(ticket, entry, by_id[note_id], mapping)
        else:
            missing = _difference(ticket, f"Note of reply {entry.position}", "a reply", None)
            yield replace(missing, kind="Note missing", reply_id=_id(entry))
    there = [expected[note.id].position for note in notes if note.id in expected]
    if there != sorted(there):
        order = _difference(ticket, "order of the Notes", str(sorted(there)), str(there))
        yield replace(order, kind="order of Notes")
    for note in notes:
        if note.id not in expected and note.id not in theirs and mapping.templates.is_ours(note.body or ""):
            extra = _difference(ticket, "Note", None, f"one too many: {note.title!r} ({note.id})")
            yield replace(extra, kind="extra Note")


def _compare_note(ticket: TicketChanged, entry: Entry, note: NoteRecord, mapping: CaseMapping) -> Iterator[Difference]:
    wanted, stored_as = mapping.note(ticket, entry, case_id=note.case_id), mapping.connector.normalise
    title, body = stored_as("subject", wanted.title) or "", stored_as("description", wanted.body) or ""
    if (note.title or "") != title and not _titled_otherwise(entry, note):
        yield replace(_difference(ticket, f"title of Note {entry.position}", title, note.title), kind="Note altered")
    if (note.body or "") != body and not _worded_otherwise(entry, note, mapping):
        yield replace(_difference(ticket, f"text of Note {entry.position}", body, note.body), kind="Note altered")


def _titled_otherwise(entry: Entry, note: NoteRecord) -> bool:
    """Whether a title names the author or begins with the words, as one by an earlier mapping file may."""
    title = _flat(note.title)
    return _flat(entry.author.name) in title or _flat(entry.body)[:_TITLE_WORDS] in title


def _worded_otherwise(entry: Entry, note: NoteRecord, mapping: CaseMapping) -> bool:
    """Whether a Note by an earlier mapping file says all there is to say: author, words, attachments, none altered."""
    said = [entry.author.name, entry.body, *(link.url for link in entry.attachments)]
    there, stored_as = _flat(note.body), mapping.connector.normalise
    whole = all(_flat(stored_as("description", text)) in there for text in said)
    return whole and not mapping.templates.is_ours(note.body or "")


def _flat(text: str | None) -> str:
    return " ".join((text or "").split())


def compare_removed(
    ticket: TicketChanged, notes: Sequence[NoteRecord], *, written: Mapping[str, str | None]
) -> Iterator[Difference]:
    """A removed ticket's Case must say so, once. `written`: ids of Notes that stand for no reply, by their key."""
    key = f"removal:{ticket.ticket_id}"
    wanted = {note_id for name, note_id in written.items() if name.startswith(key)} | {note_id_of(key)}
    if not wanted & {note.id for note in notes}:
        gone = _difference(ticket, "removal Note", f"been removed by {ticket.deleted_by}", None)
        yield replace(gone, kind="removal Note missing")


def _id(entry: Entry) -> str:
    return str(entry.note_id if isinstance(entry, InternalNoteAdded) else entry.reply_id)


def _difference(ticket: TicketChanged, field: str, ours: str | None, theirs: str | None) -> Difference:
    ours_shown, theirs_shown = where_they_part(ours, theirs)
    return Difference(ticket=ticket.number, field=field, ticket_has=ours_shown, case_has=theirs_shown)


def where_they_part(ours: str | None, theirs: str | None) -> tuple[str, str]:
    """Both values on one line; of long ones the part around the first difference."""
    pairs = enumerate(zip(ours or "", theirs or "", strict=False))
    first = next((place for place, (one, other) in pairs if one != other), min(len(ours or ""), len(theirs or "")))
    return _shown(ours, first), _shown(theirs, first)


def _shown(value: str | None, first: int) -> str:
    if not value:
        return "nothing"
    if value.startswith(UNMAPPED):
        return f'"{value.removeprefix(UNMAPPED)}", which the portal does not know'
    start = max(0, first - _BEFORE) if len(value) > _SHOWN else 0
    part = value[start : start + _SHOWN].replace("\n", "⏎")
    return f'"{"…" if start else ""}{part}{"…" if start + _SHOWN < len(value) else ""}"'
