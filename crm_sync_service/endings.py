"""When one side is gone: a removed ticket, a deleted or merged Case, and a mirroring that a person ended (O10)."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from crm_sync_service.connectors.base import CaseRecord, Connector, GoneError, NewNote, NoteRecord, NotFoundError
from crm_sync_service.creation import CaseOpener
from crm_sync_service.links import Did, LinkState, Outcome, ReplyWork, Store
from crm_sync_service.mapping import CaseMapping, keyed, note_id_of
from crm_sync_service.notes import NoteWriter
from crm_sync_service.orders import with_case
from shared.events import TicketChanged

_MOST_MERGES = 5
"""A Case merged into one that was merged into another, and so on."""


@dataclass(frozen=True, kw_only=True)
class Endings:
    """What is still done for a ticket or a Case whose other side is gone."""

    crm: Connector
    mapping: CaseMapping
    store: Store

    @property
    def notes(self) -> NoteWriter:
        return NoteWriter(crm=self.crm, mapping=self.mapping, store=self.store)

    def take_leave(self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]) -> LinkState:
        """The ticket was removed: its Case stays and gets one Note that says so."""
        # No such Case: it is gone as well, or was never made, and nobody is left to tell.
        with suppress(NotFoundError):
            case = self._case_if_any(ticket, link)
            if case is not None:
                link = replace(link, case_id=case.id, case_number=case.number, case_url=case.url)
                link, _, _ = self.notes.write(ticket, link, replies)
                link = self.notes.write_extra(link, removal_note(ticket, link))
        link = replace(link, state="ticket_deleted", pending_create=None, pending_pull=None, pending_push={}, parked={})
        link = replace(link, wanted={}, holds={})
        self.store.save(link, did=[Did(direction="to_crm", action="removed", detail="the ticket was removed")])
        return link

    def _case_if_any(self, ticket: TicketChanged, link: LinkState) -> CaseRecord | None:
        if link.case_id is not None:
            return self.crm.get_case(link.case_id)
        if link.pending_create is None:
            return None
        opener = CaseOpener(crm=self.crm, mapping=self.mapping, store=self.store)
        return self.crm.find_case(opener.new_case(ticket, link))

    def take_back(self, ticket: TicketChanged, link: LinkState) -> LinkState:
        """The ticket was restored: its Case is mirrored again, from what both sides last shared, and a Note says so."""
        if link.case_id is None:
            return replace(link, state="new")
        return self.notes.write_extra(replace(link, state="linked"), restored_note(ticket, link))

    def follow(self, ticket: TicketChanged, link: LinkState, error: NotFoundError) -> LinkState | None:
        """The Case was merged into one that belongs to no ticket: that is this ticket's from now on (FAILURES 47)."""
        merged_into = error.merged_into if isinstance(error, GoneError) else None
        if merged_into is None:
            return None
        case, _ = self._claimed(ticket, merged_into)
        if case is None:
            return None
        link = replace(
            link,
            state="linked",
            case_id=case.id,
            case_number=case.number,
            case_url=case.url,
            base=self._base_after_merge(link, case),
            pending_create=None,
            pending_push={},
            notes_seen=None,
        )
        words = f"its Case was merged into {case.number or case.id}, which takes its place"
        self.store.save(link, did=[Did(direction="to_portal", action="case merged", detail=words)])
        return link

    def _base_after_merge(self, link: LinkState, case: CaseRecord) -> dict[str, str | None]:
        """What is empty in the Case that remains was not emptied by anybody: the ticket's value goes there."""
        theirs, base = self.mapping.theirs(case.fields), link.base or link.pending_create or {}
        return {name: None if theirs.get(name) is None else value for name, value in base.items()}

    def relink(
        self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork], case_id: str
    ) -> tuple[LinkState, Sequence[ReplyWork], str]:
        """Link to a Case that a person chose; returns what was done in words. Notes of ours there stay ours."""
        case, holder = self._claimed(ticket, case_id)
        if case is None:
            why = f"it belongs to ticket #{holder}" if holder else "the CRM has no such Case"
            return link, replies, f"cannot be linked to Case {case_id}: {why}"
        notes = self.crm.notes_of(case.id)
        there = {note.id for note in notes}
        extra: dict[str, str | None] = {key: note_id for key, note_id in link.extra_notes.items() if note_id in there}
        others = [note for note in notes if note.id not in {work.note_id for work in replies}]
        replies = [
            work if work.note_id in there else self._with_note_there(ticket, link, work, others) for work in replies
        ]
        link = replace(with_case(link, case.id), extra_notes=extra)
        return link, replies, f"linked to Case {case.number or case.id}"

    def _with_note_there(
        self, ticket: TicketChanged, link: LinkState, work: ReplyWork, others: list[NoteRecord]
    ) -> ReplyWork:
        """With the Note that the Case has of a reply from when it was this ticket's before; takes it from `others`."""
        note = self.mapping.note(ticket, work.reply, case_id="")
        ids = {note_id_of(keyed(str(work.id), number)) for number in range(link.generation + 1)}
        found = next((each for each in others if each.id in ids), None)
        found = found or next((each for each in others if (each.title, each.body) == (note.title, note.body)), None)
        if found is None:
            return replace(work, note_id=None)
        others.remove(found)
        did = Did(direction="to_crm", action="noted", detail=f"{note.title} (found in the Case)")
        self.store.note_created(work.id, found.id, did=did)
        return replace(work, note_id=found.id)

    def _claimed(self, ticket: TicketChanged, case_id: str) -> tuple[CaseRecord | None, str | None]:
        """A Case, or the one it was merged into, made to name its ticket.

        None if there is none any more, or if it is another ticket's, whose number is returned too.
        """
        case = self._survivor(case_id)
        if case is None:
            return None, None
        holder = self.store.ticket_of(case.id, names=case.fields.get("ticket_number"))
        if holder is not None:
            return None, holder
        once = self.mapping.once(ticket)
        wrong = {name: value for name, value in once.items() if case.fields.get(name) != value}
        if not wrong:
            return case, None
        version = case.version if self.crm.capabilities.conditional_update else None
        return self.crm.update_case(case.id, wrong, version=version), None

    def _survivor(self, case_id: str) -> CaseRecord | None:
        for _ in range(_MOST_MERGES):
            try:
                return self.crm.get_case(case_id)
            except GoneError as error:
                if error.merged_into is None:
                    return None
                case_id = error.merged_into
            except NotFoundError:
                return None
        return None

    def tombstone(self, link: LinkState, replies: Sequence[ReplyWork]) -> Outcome:
        """One side is gone for good: no field is compared any more."""
        notes = sum(1 for work in replies if work.note_id)
        if link.state in {"ticket_deleted", "redacted"}:
            return Outcome(state="in_sync", link=link, notes=notes)
        reason = link.parked.get("case") or f"{_case_words(link)} was deleted in the CRM"
        if link.state == "case_deleted":
            reason += "; the ticket is kept and no longer mirrored"
        return Outcome(state="failed", link=link, notes=notes, reason=reason)

    def bury(self, link: LinkState, error: NotFoundError) -> LinkState:
        """The Case was deleted in the CRM: never silently created again, never an endless retry."""
        merged = error.merged_into if isinstance(error, GoneError) else None
        what = f"was merged into {self._named(merged)}" if merged else "was deleted in the CRM"
        parked = {"case": f"{_case_words(link)} {what}"}
        link = replace(
            link, state="case_deleted", pending_create=None, pending_pull=None, pending_push={}, parked=parked
        )
        self.store.save(link, did=[Did(direction="to_portal", action="case deleted", detail=f"the Case {what}")])
        return link

    def _named(self, case_id: str) -> str:
        holder = self.store.ticket_of(case_id)
        return f"{case_id}, the Case of ticket #{holder}" if holder else case_id


def removal_note(ticket: TicketChanged, link: LinkState) -> NewNote:
    times = _times_restored(link)
    key = keyed(f"removal:{ticket.ticket_id}{f':{times}' if times else ''}", link.generation)
    return NewNote(
        id=note_id_of(key),
        key=key,
        case_id=link.case_id or "",
        title=f"Ticket #{ticket.number} was removed from the portal by {ticket.deleted_by or 'somebody'}",
        body=f"Removed on {ticket.deleted_at:%Y-%m-%d %H:%M} UTC. This Case stays; its changes no longer "
        "reach the portal.",
        author=ticket.deleted_by or "Casebridge",
        side="system",
        position=ticket.reply_count + 1,
        created_at=ticket.deleted_at or ticket.changed_at,
    )


def restored_note(ticket: TicketChanged, link: LinkState) -> NewNote:
    key = keyed(f"restored:{ticket.ticket_id}:{_times_restored(link)}", link.generation)
    return NewNote(
        id=note_id_of(key),
        key=key,
        case_id=link.case_id or "",
        title=f"Ticket #{ticket.number} was restored in the portal by {ticket.changed_by}",
        body=f"Restored on {ticket.changed_at:%Y-%m-%d %H:%M} UTC. Changes of this Case reach the portal again.",
        author=ticket.changed_by,
        side="system",
        position=ticket.reply_count + 1,
        created_at=ticket.changed_at,
    )


def _times_restored(link: LinkState) -> int:
    return sum(key.startswith("restored:") for key, note_id in link.extra_notes.items() if note_id is not None)


def _case_words(link: LinkState) -> str:
    return f"Case {link.case_number}" if link.case_number else "its Case"
