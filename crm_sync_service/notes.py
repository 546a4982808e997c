"""One Note per reply, in order; Notes with what a Case has no room for; and Notes of the CRM for the customer (S91)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crm_sync_service.connectors.base import CaseRecord, Connector, InvalidError, NewNote, NoteRecord
from crm_sync_service.creation import make_note, needs_intent
from crm_sync_service.links import Did, LinkState, ReplyWork, Store
from crm_sync_service.mapping import BLOCK_BEGIN, CaseMapping, keyed, note_id_of, storable
from crm_sync_service.texts import clean, cut, pieces
from shared.events import NoteForCustomer, TicketChanged

_HEADING = 200
"""Bytes kept free for the heading of a Note with a part of a long description."""
_MOST_FOR_CUSTOMER = 60_000
"""Bytes: what the portal takes as a reply."""
_CUT = "… [cut: the whole Note is in the CRM]"
_SURELY_FITS = 12
"""A description of a twelfth as many characters as there is room for needs no closer look."""


@dataclass(frozen=True, kw_only=True)
class NoteWriter:
    """The Notes of one Case."""

    crm: Connector
    mapping: CaseMapping
    store: Store

    def write(
        self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]
    ) -> tuple[LinkState, int, list[str]]:
        """How many replies are Notes, and what could not be written; a Note refused stops no other.

        Raises NotFoundError if it turns out that the Case is gone.
        """
        count, problems = 0, []
        for work in replies:
            if work.note_id is None and work.skipped is None and work.parked is None:
                note_id, problem = self._write(ticket, link, work)
                work = replace(work, note_id=note_id, parked=problem)  # noqa: PLW2901 (as it is now)
            count += work.note_id is not None
            if work.note_id is None:
                problems.append(_problem(work))
        link, problem = self._write_texts(ticket, link)
        return link, count, [*problems, *filter(None, [problem])]

    def _write(self, ticket: TicketChanged, link: LinkState, work: ReplyWork) -> tuple[str | None, str | None]:
        case_id = link.case_id or ""
        note = self.mapping.note(ticket, work.reply, case_id=case_id, generation=link.generation)
        if needs_intent(self.crm) and not work.pending:
            self.store.note_intended(work.id)
        try:
            note_id = make_note(self.crm, note, self.store, tried=work.pending)
        except InvalidError as error:
            if "case_id" in error.fields:
                self.crm.get_case(case_id)
            self.store.note_parked(work.id, str(error))
            return None, str(error)
        altered = self.mapping.altered_note(note, work.reply.body)
        detail = f"{note.title} ({altered})" if altered else note.title
        self.store.note_created(work.id, note_id, did=Did(direction="to_crm", action="noted", detail=detail))
        return note_id, None

    def _write_texts(self, ticket: TicketChanged, link: LinkState) -> tuple[LinkState, str | None]:
        """The whole of a description that the Case has no room for."""
        for note in text_notes(self.mapping, ticket, case_id=link.case_id or "", generation=link.generation):
            try:
                link = self.write_extra(link, note)
            except InvalidError as error:
                return link, f"the CRM refuses a Note with the full text: {error}"
        return link, None

    def write_extra(self, link: LinkState, note: NewNote) -> LinkState:
        """A Note that stands for no reply, once. Raises InvalidError."""
        if link.extra_notes.get(note.key) is not None:
            return link
        tried = note.key in link.extra_notes
        if needs_intent(self.crm) and not tried:
            link = replace(link, extra_notes={**link.extra_notes, note.key: None})
            self.store.save(link)
        note_id = make_note(self.crm, note, self.store, tried=tried)
        link = replace(link, extra_notes={**link.extra_notes, note.key: note_id})
        self.store.save(link, did=[Did(direction="to_crm", action="noted", detail=note.title)])
        return link

    def read(self, ticket: TicketChanged, link: LinkState, case: CaseRecord, replies: Sequence[ReplyWork]) -> LinkState:
        """Give the portal what people marked for the customer, if there is news of Notes: one read per change."""
        if not self.crm.capabilities.customer_notes or not self._has_news(link, case):
            return link
        notes = self.crm.notes_of(case.id)
        link = replace(link, notes_read=link.notes_told, notes_seen=case.stamp)
        ours = self._ours(ticket, link, replies)
        marked = [note for note in notes if note.for_customer and not ours & {note.id, note.key} and note.body.strip()]
        self.store.send_notes(link, [_for_customer(ticket, case, note, crm=self.crm.name) for note in marked])
        return link

    def _has_news(self, link: LinkState, case: CaseRecord) -> bool:
        if self.crm.capabilities.notes_touch_case:
            return link.notes_seen != case.stamp
        return link.notes_read != link.notes_told

    def _ours(self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]) -> set[str | None]:
        """Ids and keys of all Notes that we wrote or may have written: never read back (FAILURES 15)."""
        generations = range(link.generation + 1)
        keys = {keyed(str(work.id), number) for work in replies for number in generations}
        keys |= {*link.extra_notes, *(keyed(f"removal:{ticket.ticket_id}", number) for number in generations)}
        written = {work.note_id for work in replies} | set(link.extra_notes.values())
        return (keys | {note_id_of(key) for key in keys} | written) - {None}


def text_notes(mapping: CaseMapping, ticket: TicketChanged, *, case_id: str, generation: int) -> list[NewNote]:
    """Notes with the whole of a description that was cut; none if the Case has room for it."""
    limits = mapping.connector.capabilities.text
    if len(ticket.description) < limits.description_bytes // _SURELY_FITS:
        return []
    words = storable(ticket.description, limits)
    block = mapping.ours(ticket, contact_id=None).get("block") or ""
    if limits.size(f"{words}\n\n{block}") + words.count(BLOCK_BEGIN) <= limits.description_bytes:
        return []
    parts = pieces(words, limits.note_bytes - _HEADING, size=limits.size)
    return [
        _text_note(ticket, part, number, len(parts), case_id=case_id, generation=generation)
        for number, part in enumerate(parts, 1)
    ]


def _text_note(ticket: TicketChanged, part: str, number: int, parts: int, *, case_id: str, generation: int) -> NewNote:
    key = keyed(f"text:{ticket.ticket_id}:{number}", generation)
    title = f"Full text of ticket #{ticket.number}, part {number} of {parts}"
    return NewNote(
        id=note_id_of(key),
        key=key,
        case_id=case_id,
        title=title,
        body=f"{title}\n\n{part}",
        author=ticket.contact.name if ticket.contact else "Casebridge",
        side="system",
        position=0,
        created_at=ticket.created_at,
    )


def _for_customer(ticket: TicketChanged, case: CaseRecord, note: NoteRecord, *, crm: str) -> NoteForCustomer:
    return NoteForCustomer(
        ticket_id=ticket.ticket_id,
        crm_note_id=note.id,
        body=cut(clean(note.body), _MOST_FOR_CUSTOMER, mark=_CUT),
        author=note.author or crm,
        created_at=note.created_at or case.modified_at,
    )


def _problem(work: ReplyWork) -> str:
    if work.skipped is not None:
        return f"reply {work.reply.position} becomes no Note: {work.skipped}"
    return f"the CRM refuses the Note of reply {work.reply.position}: {work.parked}"
