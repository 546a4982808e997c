"""Opening a ticket's Case: one Case, however often the attempt is repeated, by what the CRM can do to help.

Ids we choose, or keys that may exist only once: the CRM refuses a second one, whatever we do. With neither a repeated
attempt looks the key up before it creates again; that is weaker, as an index that lags behind may hide what is there.
Between that look and the creation the lease begins anew, so that nobody else takes the ticket over in between.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    CaseRecord,
    Connector,
    CrmError,
    InvalidError,
    NewCase,
    NewNote,
)
from crm_sync_service.links import Did, Hold, LinkState, Store
from crm_sync_service.mapping import CaseMapping, case_id_of, keyed
from shared.clock import to_text
from shared.events import TicketChanged
from shared.failpoints import failpoint

DROPPABLE = frozenset({"account", "contact", "product", "assignee", "status", "priority"})
"""Fields that a Case can do without for now (FAILURES 10, 37)."""

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class CaseOpener:
    """Creates the Case of a ticket that has none."""

    crm: Connector
    mapping: CaseMapping
    store: Store

    def open(self, ticket: TicketChanged, link: LinkState, ours: dict[str, str | None]) -> tuple[LinkState, CaseRecord]:
        """The Case as made by this or an earlier attempt. Raises InvalidError, AmbiguousError, GoneError."""
        tried = link.pending_create is not None
        if not tried:
            link = replace(link, pending_create=_first_values(link, ours))
            self.store.save(link)
        link, case, action = self._made(ticket, link, tried=tried)
        failpoint("reconcile.after_create")
        theirs, sent = self.mapping.theirs(case.fields, known=[ours]), link.pending_create or {}
        # What was not sent, or only travels to the CRM, is as the CRM chose: nobody else can have changed it yet. Of a
        # Case found later that is not so.
        known = theirs if action == "created" else {}
        left_out = {name for name, hold in link.holds.items() if hold.kind in {"refused", "skipped"}}
        if action == "created":
            left_out |= {name for name, policy in self.mapping.policies.items() if policy.direction == "to_crm"}
        link = replace(
            link,
            state="linked",
            case_id=case.id,
            case_number=case.number,
            case_url=case.url,
            base={name: known.get(name) if name in left_out else value for name, value in sent.items()},
            pending_create=None,
            seen=case.stamp,
            wrote=case.stamp,
            notes_seen=case.stamp,
        )
        did = [Did(direction="to_crm", action="created", detail=f"Case {case.number} {action}")]
        altered = self.mapping.altered(ticket)
        if altered:
            did.append(Did(direction="to_crm", action="altered", detail=altered))
        self.store.save(link, did=did)
        return link, case

    def _made(self, ticket: TicketChanged, link: LinkState, *, tried: bool) -> tuple[LinkState, CaseRecord, str]:
        """Every attempt sends what was stored: whichever of them arrived, that is what both sides shared."""
        new = self.new_case(ticket, link)
        if tried and (case := self.crm.find_case(new)) is not None:
            return link, case, "found after an unclear answer"
        if tried and needs_intent(self.crm):
            self.store.hold()
        failpoint("reconcile.before_create")
        while True:
            try:
                return link, self.crm.create_case(new), "created"
            except AlreadyExistsError as error:
                return link, self._existing(new, error), "found after an unclear answer"
            except InvalidError as error:
                link = self._without_refused(link, error)
                new = self.new_case(ticket, link)

    def new_case(self, ticket: TicketChanged, link: LinkState) -> NewCase:
        key = keyed(ticket.ticket_id, link.generation)
        return NewCase(id=case_id_of(key), key=key, fields=self.mapping.new_case(ticket, link.pending_create or {}))

    def _existing(self, new: NewCase, error: AlreadyExistsError) -> CaseRecord:
        if error.record_id is not None:
            return self.crm.get_case(error.record_id)
        return _shown(self.crm.find_case(new), error)

    def _without_refused(self, link: LinkState, error: InvalidError) -> LinkState:
        """Leave out what the CRM refuses of the fields a Case can do without.

        Raises the error if there is none: nothing was made, so the next attempt may send what the ticket has by then.
        """
        sent = link.pending_create or {}
        refused = {name: words for name, words in error.fields.items() if name in DROPPABLE and sent.get(name)}
        if not refused:
            self.store.save(replace(link, pending_create=None))
            raise error
        at = to_text(self.store.now())
        holds = {name: refusal(name, words, value=sent[name], at=at) for name, words in refused.items()}
        link = replace(link, pending_create={**sent, **dict.fromkeys(refused)}, holds={**link.holds, **holds})
        self.store.save(link)
        return link


def _first_values(link: LinkState, ours: dict[str, str | None]) -> dict[str, str | None]:
    """What people decided counts from the beginning."""
    decided = {name: wanted.value for name, wanted in link.wanted.items()}
    left_out = dict.fromkeys(name for name, hold in link.holds.items() if hold.kind == "skipped")
    return {name: value for name, value in {**ours, **decided, **left_out}.items() if name in ours}


def refusal(name: str, words: str, *, value: str | None, at: str) -> Hold:
    return Hold(kind="refused", words=f"the CRM refuses {name}: {words}", by="Casebridge", at=at, value=value)


def make_note(crm: Connector, new: NewNote, store: Store, *, tried: bool) -> str:
    """The id of the one Note with this id and key; `tried`: it may be there already.

    Raises InvalidError, AmbiguousError.
    """
    if tried and (note_id := crm.find_note(new)) is not None:
        return note_id
    if tried and needs_intent(crm):
        store.hold()
    failpoint("reconcile.before_note")
    try:
        note_id = crm.create_note(new)
    except AlreadyExistsError as error:
        note_id = error.record_id or (new.id if crm.capabilities.client_ids else _shown(crm.find_note(new), error))
    failpoint("reconcile.after_note")
    return note_id


def needs_intent(crm: Connector) -> bool:
    """Whether the CRM would make a second Note of one reply."""
    return not (crm.capabilities.client_ids or crm.capabilities.unique_keys)


def _shown(found: Found | None, error: AlreadyExistsError) -> Found:
    if found is None:
        raise CrmError(f"the CRM says that it has this record, but does not show it: {error}") from error
    return found
