"""Mistakes that engines of this kind were found to make, each planted into the product's own code.

A mistake is what to put in the place of what; a simulation that stays content with one of them proves nothing.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch

from crm_sync_service import creation, inbox, mapping, worker
from crm_sync_service.connectors.base import AlreadyExistsError, CaseFields, CaseRecord, InvalidError, NewCase
from crm_sync_service.lanes import Claim, LaneLostError
from crm_sync_service.links import LinkState, PendingPull
from crm_sync_service.merge import UNMAPPED, Decision
from crm_sync_service.reconcile import Reconciler
from crm_sync_service.runner import LaneRunner
from shared.events import CaseChanged, Event, FieldChange, TicketChanged
from shared.relay import Relay
from tests.simulation import memory, memory_lanes
from tests.simulation.bus import Bus
from tests.simulation.crm import SimulatedCrm
from tests.simulation.feed_mistakes import FEED_MISTAKES
from tests.simulation.memory import Envelope, MemoryDatabase, MemoryInbox, MemoryOutbox, Replica
from tests.simulation.order_mistakes import ORDER_MISTAKES
from tests.simulation.portal import SimulatedPortal, value_of
from tests.simulation.profile import draw
from tests.simulation.transport_mistakes import TRANSPORT_MISTAKES

Patch = tuple[Any, str, Any]
_INDEX_LAG = timedelta(seconds=30)


# Creating.


def _any_id(*_: object) -> str:
    return str(uuid.uuid4())


def _search_first(self: Reconciler, ticket: TicketChanged, link: LinkState, ours: dict[str, str | None]) -> Any:
    """Ids of the CRM's own, and a search in its index, which lags, before creating."""
    if link.case_id is not None:
        return link, self.crm.get_case(link.case_id)
    crm: Any = self.crm
    found = [case for case in crm.live() if case.fields["ticket_number"] == str(ticket.number)]
    indexed = [case for case in found if case.modified_at < crm.surroundings.clock + crm.profile.skew - _INDEX_LAG]
    if indexed:
        case = self.crm.get_case(indexed[0].id)
    else:
        case = self.crm.create_case(
            NewCase(id=_any_id(), key=str(ticket.ticket_id), fields=self.mapping.new_case(ticket, ours))
        )
    return _linked(self, link, case, base=ours)


def _linked(self: Reconciler, link: LinkState, case: CaseRecord, *, base: CaseFields) -> tuple[LinkState, CaseRecord]:
    link = replace(link, state="linked", case_id=case.id, case_number=case.number, base=dict(base), seen=case.stamp)
    self.store.save(replace(link, pending_create=None))
    return replace(link, pending_create=None), case


def _new(self: Reconciler, ticket: TicketChanged, ours: dict[str, str | None]) -> NewCase:
    key = ticket.ticket_id
    return NewCase(id=mapping.case_id_of(key), key=str(key), fields=self.mapping.new_case(ticket, ours))


def _no_create_intent(self: Reconciler, ticket: TicketChanged, link: LinkState, ours: dict[str, str | None]) -> Any:
    """What is found after an unclear answer counts as made from the ticket of now."""
    if link.case_id is not None:
        return link, self.crm.get_case(link.case_id)
    new = NewCase(
        id=mapping.case_id_of(ticket.ticket_id), key=str(ticket.ticket_id), fields=self.mapping.new_case(ticket, ours)
    )
    try:
        case = self.crm.create_case(new)
    except AlreadyExistsError:
        case = self.crm.get_case(new.id)
    return _linked(self, link, case, base=ours)


def _adopt_blindly(self: Reconciler, ticket: TicketChanged, link: LinkState, ours: dict[str, str | None]) -> Any:
    """What is found after an unclear answer becomes the base."""
    if link.case_id is not None:
        return link, self.crm.get_case(link.case_id)
    new = NewCase(
        id=mapping.case_id_of(ticket.ticket_id), key=str(ticket.ticket_id), fields=self.mapping.new_case(ticket, ours)
    )
    try:
        case = self.crm.create_case(new)
    except AlreadyExistsError:
        case = self.crm.get_case(new.id)
    return _linked(self, link, case, base=self.mapping.theirs(case.fields))


_create_case, _create_note = SimulatedCrm.create_case, SimulatedCrm.create_note


def _exists_is_fatal(create: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def refuse(self: Any, new: Any) -> Any:
        try:
            return create(self, new)
        except AlreadyExistsError as error:
            raise InvalidError(str(error)) from error

    return refuse


# Merging and writing.


def _last_writer_wins(
    self: Reconciler, ticket: TicketChanged, link: LinkState, case: CaseRecord, ours: dict[str, str | None]
) -> dict[str, Decision]:
    """No base: the later change of the whole record wins."""
    theirs = self.mapping.theirs(case.fields)
    verdict: Any = "pull" if case.modified_at > ticket.changed_at else "push"
    pulled = {"status", "priority", "account", "product", "assignee"}
    return {
        name: Decision(verdict="agree", base=value, value=value)
        if value == theirs[name]
        else Decision(
            verdict=verdict if name in pulled else "push",
            base=link.base.get(name),
            value=theirs[name] if name in pulled and verdict == "pull" else value,
            conflict=True,
        )
        for name, value in ours.items()
        if not (theirs[name] or "").startswith(UNMAPPED) and link.pending_pull is None
    }


def _write_all(self: Reconciler, case: CaseRecord, changes: dict[str, str | None]) -> CaseRecord:
    """The record as it was read goes back with the changes."""
    fields = self.mapping.update(changes, description_now=case.fields.get("description") or "")
    others = {name: value for name, value in case.fields.items() if name not in fields}
    return self.crm.update_case(case.id, {**others, **fields}, version=None)


def _base_before_push(original: Callable[..., Any]) -> Callable[..., Any]:
    def push(self: Reconciler, link: LinkState, case: CaseRecord, ours: Any, decisions: dict[str, Decision]) -> Any:
        changes = {name: ours[name] for name, decision in decisions.items() if decision.verdict == "push"}
        if changes:
            self.store.save(replace(link, base={**link.base, **changes}, pending_push={}))
            after = self._write(case, changes)
            return self._written(link, changes, before=case, after=after), after
        return original(self, link, case, ours, decisions)

    return push


def _no_push_intent(original: Callable[..., Any]) -> Callable[..., Any]:
    def save(self: Any, link: LinkState, **rest: Any) -> None:
        original(self, replace(link, pending_push={}), **rest)

    return save


_note_agreement = Reconciler._note_agreement


def _echo_write(
    self: Reconciler,
    ticket: TicketChanged,
    link: LinkState,
    decisions: dict[str, Decision],
    case: CaseRecord,
    ours: dict[str, str | None],
) -> LinkState:
    """What was pulled is pushed back once the portal has it."""
    theirs = self.mapping.theirs(case.fields)
    for name, decision in list(decisions.items()):
        if decision.verdict == "agree" and theirs[name] != link.base.get(name):
            decisions[name] = Decision(verdict="push", base=decision.base, value=ours[name])
    return _note_agreement(self, ticket, link, decisions, case, ours)


_written = Reconciler._written


def _echo_emit(self: Reconciler, link: LinkState, changes: Any, *, before: CaseRecord, after: CaseRecord) -> LinkState:
    """What was pushed is told to the portal as the CRM's change."""
    link = _written(self, link, changes, before=before, after=after)
    if link.pending_pull is not None or not changes.keys() & {"status", "priority"}:
        return link
    told = [(name, value) for name, value in changes.items() if name in {"status", "priority"}]
    event = CaseChanged(
        ticket_id=link.ticket_id,
        pull_number=link.pull_number + 1,
        changes=tuple(
            FieldChange(field=name, before=link.base[name], after=value, after_label=None)  # type: ignore[arg-type]
            for name, value in told
        ),
        changed_by="Casebridge",
        changed_at=after.modified_at,
    )
    pull = PendingPull(event=event, sent_at=self.store.now())
    link = replace(link, pull_number=event.pull_number, pending_pull=pull)
    self.store.save(link, event=event)
    return link


def _only_the_block(_text: str, block: str) -> str:
    return block


# Lanes and messages.


def _no_fence(session: MemoryDatabase, held: Claim, **_: Any) -> Any:
    return session.lanes[held.ticket_id]


def _drop(self: LaneRunner, held: Claim, cause: str) -> None:
    database: Any = self.database
    with database.write() as session:
        memory_lanes.finish(session, held, now=self.now(), again_at=None)


def _acknowledge_first(self: Bus, queue: list[Any], batch: Sequence[Any], handle: Callable[[Any], None]) -> None:
    self.acknowledge(queue, batch)
    self.point("after acknowledging")
    handle(batch)


def _remember_first(self: worker.SyncWorker, messages: Sequence[Any]) -> None:
    """The inbox remembers events in a transaction of its own, before they are applied."""
    database: Any = self.database
    with database.write() as session:
        fresh = MemoryInbox().new_among(session, messages, now=self.now())
    with database.write() as session:
        for message in fresh:
            inbox.apply(session, message.event, now=self.now())


def _mark_first(self: Relay, now: datetime) -> int:
    database: Any = self._database
    with database.write() as session:
        messages: Any = self._outbox.claim(session, now=now, lease=timedelta(seconds=10), limit=500)
        self._outbox.mark_sent(session, [message.id for message in messages], now=now)
    self._publisher.publish(messages)
    return len(messages)


def _above_the_last(
    self: MemoryOutbox, session: MemoryDatabase, *, now: datetime, lease: timedelta, limit: int
) -> list[Envelope]:
    """Rows after the last one sent, where positions are handed out before their transactions commit."""
    sent = [row.message.id for row in session.outbox if row.message.id not in session.unsent]
    last = max(sent, default=-1)
    return [row.message for row in session.unsent.values() if row.visible and row.message.id > last]


def _keep_whatever_comes(session: Any, event: TicketChanged, *, now: datetime) -> None:
    replica = session.get(Replica, event.ticket_id)
    if replica is None:
        session.add(Replica(ticket_id=event.ticket_id, version=event.version, number=event.number, body=event))
    else:
        replica.version, replica.body = event.version, event


# The portal.


def _no_compare(self: SimulatedPortal, event: Event, *, now: datetime) -> None:
    if isinstance(event, CaseChanged):
        ticket = self.by_id[event.ticket_id].now
        present = {change.field: value_of(ticket, change.field) for change in event.changes}
        event = replace(event, changes=tuple(replace(c, before=present[c.field]) for c in event.changes))
    _apply(self, event, now=now)


_apply = SimulatedPortal.apply


# Ours: each was in the engine until a simulation found it.


def _only_agreement_ends_doubt(
    self: Reconciler,
    ticket: TicketChanged,
    link: LinkState,
    decisions: dict[str, Decision],
    case: CaseRecord,
    ours: dict[str, str | None],
) -> LinkState:
    after = _note_agreement(self, ticket, link, decisions, case, ours)
    doubt = {
        name: sent for name, sent in link.pending_push.items() if name not in decisions or _differs(decisions[name])
    }
    return replace(after, pending_push=doubt)


def _differs(decision: Decision) -> bool:
    return decision.verdict != "agree"


_case = Reconciler._case


def _create_from_now(self: Reconciler, ticket: TicketChanged, link: LinkState, ours: dict[str, str | None]) -> Any:
    """The first attempt's values become the base, whatever the last attempt sent."""
    if link.pending_create is None:
        return _case(self, ticket, link, ours)
    new_case = self.mapping.new_case
    with patch.object(mapping.CaseMapping, "new_case", lambda _, ticket, __: new_case(ticket, ours)):
        return _case(self, ticket, link, ours)


def _without_fence(change: Callable[..., None]) -> Callable[..., None]:
    def lenient(session: MemoryDatabase, held: Claim, **values: Any) -> None:
        with suppress(LaneLostError):
            change(session, held, **values)

    return lenient


MISTAKES: Mapping[str, Sequence[Patch]] = {
    "random_id": [(creation, "case_id_of", _any_id)],
    "search_lag": [(Reconciler, "_case", _search_first)],
    "random_note": [(mapping, "note_id_of", _any_id)],
    "exists_fatal": [
        (SimulatedCrm, "create_case", _exists_is_fatal(_create_case)),
        (SimulatedCrm, "create_note", _exists_is_fatal(_create_note)),
    ],
    "no_intent": [(Reconciler, "_case", _no_create_intent)],
    "adopt_base_blind": [(Reconciler, "_case", _adopt_blindly)],
    "two_way_lww": [(Reconciler, "_decide", _last_writer_wins)],
    "full_record": [(Reconciler, "_write", _write_all)],
    "base_before_push": [(Reconciler, "_push", _base_before_push(Reconciler._push))],
    "no_push_intent": [(memory.MemoryStore, "save", _no_push_intent(memory.MemoryStore.save))],
    "echo_write": [(Reconciler, "_note_agreement", _echo_write)],
    "echo_emit": [(Reconciler, "_written", _echo_emit)],
    "words_overwritten": [(mapping, "with_block", _only_the_block)],
    "no_lock": [(memory_lanes, "check_fence", _no_fence)],
    "drop_on_error": [(LaneRunner, "_fail", _drop)],
    "ack_first": [(Bus, "handle_and_acknowledge", _acknowledge_first)],
    "inbox_first": [(worker.SyncWorker, "receive", _remember_first)],
    "mark_before_publish": [(Relay, "run_once", _mark_first)],
    "outbox_highwater": [(MemoryOutbox, "claim", _above_the_last)],
    "event_carries_state": [(memory, "keep_state", _keep_whatever_comes)],
    "pull_no_cas": [(SimulatedPortal, "apply", _no_compare)],
    "others_overlooked": [(Reconciler, "_others_wrote", lambda *_: False)],
    "created_from_now": [(Reconciler, "_case", _create_from_now)],
    "doubt_without_end": [(Reconciler, "_note_agreement", _only_agreement_ends_doubt)],
    "lost_lane_tells": [
        (memory_lanes, "fail", _without_fence(memory_lanes.fail)),
        (memory_lanes, "give_back", _without_fence(memory_lanes.give_back)),
    ],
    "late_reply_forgotten": [(Reconciler, "_late_replies", Reconciler._tombstone)],
    **FEED_MISTAKES,
    **TRANSPORT_MISTAKES,
    **ORDER_MISTAKES,
}


def seeds_for(name: str, seeds: Iterable[int]) -> Iterator[int]:
    """Those of the seeds in which a mistake can do anything at all."""
    for seed in seeds:
        profile = draw(Random(seed), seed=seed)
        idle = (name in TRANSPORT_MISTAKES and profile.transport == "memory") or (
            name in ORDER_MISTAKES and not profile.orders
        )
        if not idle:
            yield seed


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Inside, the engine makes this mistake."""
    with ExitStack() as stack:
        for target, attribute, value in MISTAKES[name]:
            stack.enter_context(patch.object(target, attribute, value))
        yield
