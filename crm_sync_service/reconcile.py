"""Make a ticket's Case equal to the ticket, and say what is different.

Work is recomputed by comparing, never replayed: ours (the replica), theirs (the Case as read now) and base (what
both were last seen to share). Intent is stored before every remote write, so that a crash or a lost answer at any
point is recognised afterwards. All input and output goes through `Store` and `Connector`, so a simulator can run
this very code.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from crm_sync_service import verdicts
from crm_sync_service.connectors.base import CaseRecord, Connector, InvalidError, NotFoundError, StaleError
from crm_sync_service.creation import CaseOpener, refusal
from crm_sync_service.endings import Endings
from crm_sync_service.flaps import with_move
from crm_sync_service.links import (
    ConflictFound,
    Did,
    LinkState,
    Outcome,
    PendingPull,
    ReplyWork,
    Store,
)
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.merge import Decision
from crm_sync_service.notes import NoteWriter
from crm_sync_service.orders import carry_out, open_orders
from crm_sync_service.redaction import Redaction
from shared.clock import to_text
from shared.events import CaseChanged, FieldChange, TicketChanged
from shared.failpoints import failpoint

PULL_ANSWER_TIME = timedelta(seconds=30)
"""After this long without an answer of the portal a CaseChanged is sent again."""
CONTACT_TIME = timedelta(seconds=5)
"""So long another ticket's run usually needs to make a contact."""
_STALE_RETRIES = 5

Values = dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Reconciles one ticket at a time; holds no state between two."""

    crm: Connector
    mapping: CaseMapping
    store: Store

    @property
    def _endings(self) -> Endings:
        return Endings(crm=self.crm, mapping=self.mapping, store=self.store)

    @property
    def _notes(self) -> NoteWriter:
        return NoteWriter(crm=self.crm, mapping=self.mapping, store=self.store)

    def run(self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]) -> Outcome:
        """Compare and mend. Raises what the connector raises; what was stored before stays true."""
        if ticket.redacted_at is not None or (link.state == "ticket_deleted" and ticket.deleted_at is not None):
            return self._after_the_end(ticket, link, replies)
        link, replies = self._carry_out_orders(ticket, link, replies)
        if link.state in {"case_deleted", "unlinked"}:
            return self._tombstone(link, replies)
        if ticket.deleted_at is not None:
            return self._tombstone(self._endings.take_leave(ticket, link, replies), replies)
        try:
            return self._mirror(ticket, link, replies)
        except NotFoundError as error:
            moved = self._endings.follow(ticket, link, error)
            if moved is not None:
                return self.run(ticket, moved, replies)
            return self._tombstone(self._endings.bury(link, error), replies)

    def _mirror(self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]) -> Outcome:
        if link.state == "ticket_deleted":
            link = self._endings.take_back(ticket, link)
        contact = self.store.contact(ticket)
        ours = self.mapping.ours(ticket, contact_id=contact.crm_id)
        if contact.problem or contact.wait:
            # Nothing is known of it, which is not the same as knowing that there is nobody.
            ours.pop("contact", None)
        link, case = self._case(ticket, link, ours)
        link = self._settle_pull(ticket, link)
        link, case, waits = self._fields(ticket, link, case, ours)
        link, notes, problems = self._notes.write(ticket, link, replies)
        link = self._notes.read(ticket, link, case, replies)
        problems = [*filter(None, [contact.problem]), *link.parked.values(), *problems]
        return self._outcome(link, notes, problems, waits=waits, contact_waits=contact.wait)

    def _carry_out_orders(
        self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]
    ) -> tuple[LinkState, Sequence[ReplyWork]]:
        """Do what people asked for since the last run."""
        orders, before, did = open_orders(link), replies, []
        for order in orders:
            link = carry_out(link, order)
            if order.do == "recreate":
                replies = [replace(work, note_id=None, parked=None, pending=False) for work in replies]
            elif order.do == "relink":
                link, replies, words = self._endings.relink(ticket, link, replies, order.value or "")
                did.append(Did(direction="to_crm", action="relinked", detail=words))
        if orders:
            pairs = zip(before, replies, strict=True)
            gone = [work.id for was, work in pairs if work.note_id is None and was.note_id is not None]
            self.store.save(link, did=did, forget_notes=gone)
        return link, replies

    def _case(self, ticket: TicketChanged, link: LinkState, ours: Values) -> tuple[LinkState, CaseRecord]:
        """The Case as it is now, created if there is none."""
        if link.case_id is not None:
            return link, self.crm.get_case(link.case_id)
        return CaseOpener(crm=self.crm, mapping=self.mapping, store=self.store).open(ticket, link, ours)

    def _settle_pull(self, ticket: TicketChanged, link: LinkState) -> LinkState:
        """Take note of the portal's answer to the last CaseChanged."""
        pull = link.pending_pull
        if pull is None or ticket.pull_number < pull.event.pull_number:
            return link
        ours, at = self.mapping.ours(ticket, contact_id=None), to_text(self.store.now())
        told: Values = {change.field: change.after for change in pull.event.changes}
        shared = {name: value for name, value in told.items() if ours.get(name) == value}
        # What the portal has instead somebody set there, before or after it took what it was told.
        flips = {
            name: with_move(link.flips.get(name, ()), "portal", ours.get(name), at=at)
            for name in told.keys() - shared.keys()
        }
        # A later change of the CRM has come in between: what a person decided before it is history.
        wanted = {name: each for name, each in link.wanted.items() if name not in shared or each.value == shared[name]}
        return replace(
            link, base={**link.base, **shared}, flips={**link.flips, **flips}, wanted=wanted, pending_pull=None
        )

    def _fields(
        self, ticket: TicketChanged, link: LinkState, case: CaseRecord, ours: Values
    ) -> tuple[LinkState, CaseRecord, bool]:
        """Push and pull what differs; returns also the Case as it is then, and whether the portal has to answer."""
        for _ in range(_STALE_RETRIES):
            link = verdicts.with_overs(link, ours, self.mapping.theirs(case.fields))
            decisions = self._decide(ticket, link, case, ours)
            link, decisions = self._freeze(link, decisions, case, ours)
            before, link = link, self._note_agreement(ticket, link, decisions, case, ours)
            self._ask(before, link, decisions, case, ours)
            try:
                link, after = self._push(link, case, ours, decisions)
            except StaleError:
                case = self.crm.get_case(case.id)
                continue
            if case.stamp == link.notes_seen:
                link = replace(link, notes_seen=after.stamp)
            if (
                self._others_wrote(case, after, decisions)
                or link.wanted.keys() - before.wanted.keys()
                or _differs_from_now_on(link, decisions, ours)
            ):
                case = after
                continue
            link = self._pull(ticket, link, after, decisions, ours)
            return link, after, link.pending_pull is not None
        raise StaleError(f"Case {link.case_number} keeps changing while it is written")

    def _others_wrote(self, before: CaseRecord, after: CaseRecord, decisions: dict[str, Decision]) -> bool:
        """Whether our write's answer shows a change that is not ours, by a person or by a rule of the CRM.

        Its stamp counts as seen, so the change feed would not tell of it.
        """
        was, now = self.mapping.theirs(before.fields), self.mapping.theirs(after.fields)
        pushed = {name for name, decision in decisions.items() if decision.pushes}
        return any(was[name] != now[name] for name in was.keys() - pushed)

    def _decide(self, ticket: TicketChanged, link: LinkState, case: CaseRecord, ours: Values) -> dict[str, Decision]:
        return verdicts.judge(self.mapping, ticket, link, case, ours)

    def _freeze(
        self, link: LinkState, decisions: dict[str, Decision], case: CaseRecord, ours: Values
    ) -> tuple[LinkState, dict[str, Decision]]:
        """Stop fields that two parties set back and forth (O3)."""
        at, theirs = to_text(self.store.now()), self.mapping.theirs(case.fields)
        link, decisions, frozen = verdicts.without_flapping(link, decisions, ours=ours, theirs=theirs, at=at)
        if frozen:
            did = [Did(direction="to_crm", action="frozen", detail=link.holds[name].words) for name in frozen]
            self.store.save(link, did=did)
        return link, decisions

    def _note_agreement(
        self, ticket: TicketChanged, link: LinkState, decisions: dict[str, Decision], case: CaseRecord, ours: Values
    ) -> LinkState:
        """Remember what both sides now share, and which values of the CRM have no counterpart."""
        at = to_text(self.store.now())
        return verdicts.agreed(self.mapping, ticket, link, decisions, case, ours=ours, at=at)

    def _ask(
        self, before: LinkState, link: LinkState, decisions: dict[str, Decision], case: CaseRecord, ours: Values
    ) -> None:
        """Let people know of conflicts that wait for them, and of those that ended by themselves."""
        questions = self._conflicts(decisions, case, ours, winner=None)
        withdrawn = [name for name, hold in before.holds.items() if hold.kind == "waiting" and name not in link.holds]
        if questions or withdrawn:
            self.store.save(link, conflicts=questions, withdrawn=withdrawn)

    def _push(
        self, link: LinkState, case: CaseRecord, ours: Values, decisions: dict[str, Decision]
    ) -> tuple[LinkState, CaseRecord]:
        """Write the fields the portal changed, and only those."""
        changes = {name: decision.value for name, decision in decisions.items() if decision.pushes}
        if not changes:
            return link, case
        sent = {name: [*link.pending_push.get(name, []), value] for name, value in changes.items()}
        link = replace(link, pending_push={**link.pending_push, **sent})
        self.store.save(link, conflicts=self._conflicts(decisions, case, ours, winner="portal"))
        failpoint("reconcile.before_push")
        try:
            after = self._write(case, changes)
        except InvalidError as error:
            return self._push_what_is_valid(link, case, ours, decisions, error)
        failpoint("reconcile.after_push")
        stored = self.mapping.theirs(after.fields, known=[ours])
        # Both sides have what was decided, or what the portal was changed to since then. It is stored with the new
        # base: a decision that outlived it would count the portal's next change as a conflict with this one.
        met = {name for name in changes if stored[name] == ours[name]}
        link = replace(link, wanted={name: each for name, each in link.wanted.items() if name not in met})
        return self._written(link, changes, before=case, after=after), after

    def _write(self, case: CaseRecord, changes: Values) -> CaseRecord:
        version = case.version if self.crm.capabilities.conditional_update else None
        fields = self.mapping.update(changes, description_now=case.fields.get("description") or "")
        return self.crm.update_case(case.id, fields, version=version)

    def _push_what_is_valid(
        self,
        link: LinkState,
        case: CaseRecord,
        ours: Values,
        decisions: dict[str, Decision],
        error: InvalidError,
    ) -> tuple[LinkState, CaseRecord]:
        """Park the fields the CRM refuses, in its own words, and write the others."""
        at = to_text(self.store.now())
        told = {("block" if name == "description" else name): words for name, words in error.fields.items()}
        holds = {
            name: refusal(name, told[name], value=ours[name], at=at)
            for name, decision in decisions.items()
            if decision.pushes and name in told
        }
        if not holds:
            raise error
        link = replace(
            link,
            holds={**link.holds, **holds},
            parked={**link.parked, **{name: hold.words for name, hold in holds.items()}},
            pending_push={name: values for name, values in link.pending_push.items() if name not in holds},
        )
        rest = {name: decision for name, decision in decisions.items() if name not in holds}
        self.store.save(link)
        return self._push(link, case, ours, rest)

    def _written(self, link: LinkState, changes: Values, *, before: CaseRecord, after: CaseRecord) -> LinkState:
        """Compare what was stored with what was sent: only equal values become base."""
        was, stored = self.mapping.theirs(before.fields), self.mapping.theirs(after.fields)
        altered = {name for name, value in changes.items() if stored[name] != value}
        detail = "; ".join(_change_words(name, was[name], value) for name, value in changes.items())
        overwritten = verdicts.overwritten(self.mapping, changes, before=before, after=after, crm=self.crm.name)
        at = to_text(self.store.now())
        link = replace(
            link,
            base={**link.base, **{name: stored[name] for name in changes}},
            pending_push={name: values for name, values in link.pending_push.items() if name not in changes},
            parked={**link.parked, **{name: f"the CRM stores {name} differently" for name in altered}},
            wanted={**link.wanted, **verdicts.brought_back(overwritten, stored, at=at)},
            seen=after.stamp,
            wrote=after.stamp,
        )
        self.store.save(link, did=[Did(direction="to_crm", action="updated", detail=detail)], conflicts=overwritten)
        return link

    def _pull(
        self,
        ticket: TicketChanged,
        link: LinkState,
        case: CaseRecord,
        decisions: dict[str, Decision],
        ours: Values,
    ) -> LinkState:
        """Tell the portal what account managers changed; one message is outstanding at a time."""
        now = self.store.now()
        if link.pending_pull is not None:
            if now - link.pending_pull.sent_at >= PULL_ANSWER_TIME:
                link = replace(link, pending_pull=replace(link.pending_pull, sent_at=now))
                self.store.save(link, event=link.pending_pull.event if link.pending_pull else None)
            return link
        wanted = {name: decision.value for name, decision in decisions.items() if decision.pulls}
        if not wanted:
            return link
        event = CaseChanged(
            ticket_id=ticket.ticket_id,
            pull_number=max(link.pull_number, ticket.pull_number) + 1,
            changes=tuple(self._change(ticket, name, before=ours[name], after=value) for name, value in wanted.items()),
            changed_by=self._author(link, wanted, case),
            changed_at=case.modified_at,
        )
        link = replace(link, pull_number=event.pull_number, pending_pull=PendingPull(event=event, sent_at=now))
        detail = "; ".join(_change_words(name, ours[name], value) for name, value in wanted.items())
        conflicts = self._conflicts(decisions, case, ours, winner="crm")
        did = [Did(direction="to_portal", action="pulled", detail=detail)]
        self.store.save(link, did=did, conflicts=conflicts, event=event)
        failpoint("reconcile.after_pull")
        return link

    def _author(self, link: LinkState, changes: Values, case: CaseRecord) -> str:
        """Who the ticket's history names: the person who decided, or else who saved the Case last."""
        decided = {link.wanted[name].by for name in changes if name in link.wanted}
        return (
            decided.pop()
            if len(decided) == 1 and changes.keys() <= link.wanted.keys()
            else case.modified_by or self.crm.name
        )

    def _change(self, ticket: TicketChanged, name: Any, *, before: str | None, after: str | None) -> FieldChange:
        kind = {"assignee": "user"}.get(name, name)
        return FieldChange(
            field=name,
            before=self.mapping.at_portal(ticket, name) or before,
            after=after,
            after_label=self.store.label(kind, after),
        )

    def _conflicts(
        self, decisions: dict[str, Decision], case: CaseRecord, ours: Values, *, winner: Any
    ) -> list[ConflictFound]:
        return verdicts.conflicts_of(self.mapping, decisions, case, ours, winner=winner, crm=self.crm.name)

    def _after_the_end(self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]) -> Outcome:
        """Words of a redacted ticket that come late are forgotten where they are stored."""
        if link.state == "redacted":
            self.store.forget_words()
        if link.state == "redacted" or ticket.redacted_at is None:
            return self._late_replies(ticket, link, replies)
        if link.state in {"new", "linked"}:
            link = self._endings.take_leave(ticket, link, replies)
        redaction = Redaction(crm=self.crm, mapping=self.mapping, store=self.store)
        return self._tombstone(redaction.carry_out(ticket, link, replies), replies)

    def _late_replies(self, ticket: TicketChanged, link: LinkState, replies: Sequence[ReplyWork]) -> Outcome:
        """The ticket is removed, but replies from before that may arrive after it."""
        with suppress(NotFoundError):
            if link.case_id is not None:
                link, _, _ = self._notes.write(ticket, link, replies)
        return self._tombstone(link, replies)

    def _tombstone(self, link: LinkState, replies: Sequence[ReplyWork]) -> Outcome:
        return self._endings.tombstone(link, replies)

    def _outcome(
        self, link: LinkState, notes: int, problems: Sequence[str], *, waits: bool, contact_waits: bool
    ) -> Outcome:
        again_at = self.store.now() + PULL_ANSWER_TIME if waits else None
        if contact_waits:
            again_at = self.store.now() + CONTACT_TIME
        if problems:
            return Outcome(state="failed", link=link, notes=notes, reason="; ".join(problems), again_at=again_at)
        if waits or contact_waits:
            what = "a change made in the CRM is on its way to the ticket" if waits else "the contact is being made"
            return Outcome(state="waiting", link=link, notes=notes, reason=what, again_at=again_at)
        return Outcome(state="in_sync", link=link, notes=notes)


def _differs_from_now_on(link: LinkState, decisions: dict[str, Decision], ours: Values) -> bool:
    """Whether the Case was just given a value that the ticket, as a person decided, is not to have: to be listed."""
    return any(
        each.verdict == "push" and name in link.wanted and each.value != ours[name] for name, each in decisions.items()
    )


def _change_words(name: str, before: str | None, after: str | None) -> str:
    if name == "block":
        return "managed block of the description"
    return f"{name}: {before or 'empty'} → {after or 'empty'}"
