"""The words of a redacted ticket leave the CRM and the sync service too, and do not come back (FAILURES 49).

The Case and our Notes stay, as the tombstones they are; what they said is overwritten. Notes that people wrote in the
CRM are theirs. An event that is delivered again changes nothing: the ticket's version is older, and the words of a
reply that comes late are dropped as it is read.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from crm_sync_service.connectors.base import CaseRecord, Connector, NewNote, NotFoundError, rewrite_note
from crm_sync_service.links import Did, LinkState, ReplyWork, Store
from crm_sync_service.mapping import CaseMapping
from shared.events import ReplyAdded, TicketChanged
from shared.redaction import REDACTED

_TEXT = "text:"
"""The keys of Notes with the full text of a long description begin like this."""


@dataclass(frozen=True, kw_only=True)
class Redaction:
    """Takes the words of one ticket out of its Case."""

    crm: Connector
    mapping: CaseMapping
    store: Store

    def carry_out(self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]) -> LinkState:
        """The link as it is then. Raises what the connector raises; then the next run begins again."""
        if link.case_id is not None:
            with suppress(NotFoundError):
                self._overwrite_case(ticket, self.crm.get_case(link.case_id))
                self._overwrite_notes(ticket, link, replies)
        self.store.forget_words()
        link = replace(
            link,
            state="redacted",
            base={},
            pending_create=None,
            pending_push={},
            pending_pull=None,
            parked={},
            wanted={},
            holds={},
            flips={},
        )
        words = "the ticket was redacted: its words are gone from its Case and its Notes"
        self.store.save(link, did=[Did(direction="to_crm", action="redacted", detail=words)])
        return link

    def _overwrite_case(self, ticket: TicketChanged, case: CaseRecord) -> None:
        """All of the description: what account managers wrote into it may repeat what the customer said."""
        ours = self.mapping.ours(ticket, contact_id=None)
        wanted = {name: value for name, value in self.mapping.new_case(ticket, ours).items() if name in _WORDS}
        changes = {name: value for name, value in wanted.items() if case.fields.get(name) != value}
        if changes:
            version = case.version if self.crm.capabilities.conditional_update else None
            self.crm.update_case(case.id, changes, version=version)

    def _overwrite_notes(self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]) -> None:
        case_id = link.case_id or ""
        for work in replies:
            if work.note_id is None or (isinstance(work.reply, ReplyAdded) and work.reply.crm_note_id):
                continue
            note = self.mapping.note(ticket, work.reply, case_id=case_id, generation=link.generation)
            self._overwrite(work.note_id, note)
        for key, note_id in link.extra_notes.items():
            if key.startswith(_TEXT) and note_id is not None:
                self._overwrite(note_id, _without_text(ticket, key, note_id, case_id=case_id))

    def _overwrite(self, note_id: str, note: NewNote) -> None:
        # Somebody has removed it: nothing is left to overwrite.
        with suppress(NotFoundError):
            rewrite_note(self.crm, note_id, note)


_WORDS = frozenset({"subject", "description", "contact"})


def _without_text(ticket: TicketChanged, key: str, note_id: str, *, case_id: str) -> NewNote:
    return NewNote(
        id=note_id,
        key=key,
        case_id=case_id,
        title=REDACTED,
        body=REDACTED,
        author="Casebridge",
        side="system",
        position=0,
        created_at=ticket.created_at,
    )
