"""What administrators ask for in the console, at any time: the product's own decisions, repairs and pauses (O4, O7)."""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any, Protocol

from crm_sync_service import decisions, gate, repair
from crm_sync_service.compare import Difference
from crm_sync_service.decisions import DecisionError
from tests.crm_sync_service.fake_crm import PRIORITIES, STATUSES
from tests.simulation.crm import SimulatedCrm
from tests.simulation.history import PULLED, History
from tests.simulation.people import People
from tests.simulation.portal import PortalTicket, SimulatedPortal, value_of

_OPTIONS = {"status": list(STATUSES), "priority": list(PRIORITIES)}
_GOES_ON = 0.3
_LATER = 0.5
"""How often a repair comes some time after its comparison."""
_WHO: dict[str, str] = {"by": "Alex", "why": "a reason"}


class Office(Protocol):
    """What they find."""

    rng: Random
    clock: datetime
    portal: SimulatedPortal
    crm: SimulatedCrm
    people: People
    history: History
    bus: Any
    sync_database: Any

    def link_of(self, ticket_id: uuid.UUID) -> Any: ...

    def conflict_rows(self) -> Sequence[Any]: ...

    def say(self, words: str) -> None: ...


class Administrators:
    """`act` does one of them; what makes no sense is refused by the product and counted as such."""

    def __init__(self, world: Office) -> None:
        self.world = world
        self.seen: Counter[str] = Counter()
        self.stopped = False
        self.stops = 0
        """How often the CRM was stopped or let go on."""
        self.case_orders: dict[int, list[str]] = {}
        """By ticket, what was asked for about its Case."""
        self.found: tuple[PortalTicket, Sequence[Difference]] | None = None
        """By a comparison, and not repaired yet."""
        self._acts: dict[str, Callable[[PortalTicket], None]] = {
            "set": self._set,
            "skip": self._skip,
            "unskip": self._unskip,
            "release": self._release,
            "skip note": self._skip_note,
            "unskip note": self._unskip_note,
            "recreate": self._recreate,
            "relink": self._relink,
            "unlink": self._unlink,
            "retry": self._retry,
            "reverse": self._reverse,
            "repair": self._repair,
            "stop": self._stop,
            "go on": self._go_on,
            "revive": self._revive,
        }
        self._names = list(self._acts)

    def act(self) -> None:
        if not self.world.portal.tickets:
            return
        name = "go on" if self.stopped and self.world.rng.random() < _GOES_ON else self.world.rng.choice(self._names)
        ticket = self.world.rng.choice(self.world.portal.tickets)
        try:
            self._acts[name](ticket)
        except DecisionError as error:
            self.seen[f"{name} (refused)"] += 1
            self.world.say(f"person: {name} of ticket {ticket.index} is refused: {error}")

    def _do(self, name: str, ticket: PortalTicket, act: Callable[[Any], Any], note: Callable[[], None]) -> None:
        """`note` says what it means for the history, also if the console dies after its commit."""
        with self.world.sync_database.write() as session:
            act(session)
            self.seen[name] += 1
            self.world.history.changes += 3 + 2 * len(ticket.replies)
            self.world.say(f"person: {name} for ticket {ticket.index}")
            note()

    # Fields.

    def _set(self, ticket: PortalTicket) -> None:
        name = self.world.rng.choice(PULLED)
        people = self.world.people
        value = self.world.rng.choice(_OPTIONS[name]) if name in _OPTIONS else people.some_record(name)
        self._do(
            "set",
            ticket,
            lambda db: decisions.set_value(db, ticket.now.ticket_id, name, value, now=self.world.clock, **_WHO),
            lambda: self.world.history.ordered_value((ticket.index, name), value),
        )

    def _skip(self, ticket: PortalTicket) -> None:
        name = self.world.rng.choice(PULLED)
        self._do(
            "skip",
            ticket,
            lambda db: decisions.skip_field(db, ticket.now.ticket_id, name, now=self.world.clock, **_WHO),
            lambda: self.world.history.skip((ticket.index, name)),
        )

    def _unskip(self, ticket: PortalTicket) -> None:
        ticket = self._one_held(ticket, {"skipped"})
        name = self._held(ticket, {"skipped"})
        self._do(
            "unskip",
            ticket,
            lambda db: decisions.unskip_field(db, ticket.now.ticket_id, name, by="Alex", now=self.world.clock),
            lambda: self.world.history.unskip((ticket.index, name)),
        )

    def _release(self, ticket: PortalTicket) -> None:
        ticket = self._one_held(ticket, {"frozen", "refused"})
        name = self._held(ticket, {"frozen", "refused"})
        self._do(
            "release",
            ticket,
            lambda db: decisions.release_field(db, ticket.now.ticket_id, name, by="Alex", now=self.world.clock),
            lambda: None,
        )

    def _one_held(self, ticket: PortalTicket, kinds: set[str]) -> PortalTicket:
        """Another ticket, if a field of that one is held so."""
        rows = ((other, self.world.link_of(other.now.ticket_id)) for other in self.world.portal.tickets)
        held = [other for other, row in rows if row and any(hold.kind in kinds for hold in row.link.holds.values())]
        return self.world.rng.choice(held) if held else ticket

    def _held(self, ticket: PortalTicket, kinds: set[str]) -> str:
        """A field that is held so, or any."""
        row = self.world.link_of(ticket.now.ticket_id)
        held = [name for name, hold in row.link.holds.items() if hold.kind in kinds] if row else []
        return self.world.rng.choice(sorted(held) or PULLED)

    def _reverse(self, ticket: PortalTicket) -> None:
        rows = [row for row in self.world.conflict_rows() if row.ticket_id == ticket.now.ticket_id]
        if not rows:
            return
        conflict_id = self.world.rng.choice(rows).id
        done: list[Any] = []

        def note() -> None:
            row = done[0]
            value = row.theirs if row.winner == "portal" else row.ours
            self.world.history.ordered_value((ticket.index, row.field), value)

        self._do(
            "reverse",
            ticket,
            lambda db: done.append(decisions.reverse(db, conflict_id, now=self.world.clock, **_WHO)),
            note,
        )

    # Notes.

    def _skip_note(self, ticket: PortalTicket) -> None:
        if ticket.replies:
            reply_id = id_of(self.world.rng.choice(ticket.replies))
            self._do(
                "skip note",
                ticket,
                lambda db: decisions.skip_note(db, reply_id, now=self.world.clock, **_WHO),
                lambda: ticket.skipped.add(reply_id),
            )

    def _unskip_note(self, ticket: PortalTicket) -> None:
        if ticket.skipped:
            reply_id = self.world.rng.choice(sorted(ticket.skipped))
            self._do(
                "unskip note",
                ticket,
                lambda db: decisions.unskip_note(db, reply_id, by="Alex", now=self.world.clock),
                lambda: ticket.skipped.discard(reply_id),
            )

    # The Case.

    def _recreate(self, ticket: PortalTicket) -> None:
        now, ticket = self.world.clock, self._one_without_case(ticket)
        self._about_case(
            "recreate", ticket, lambda db: decisions.recreate_case(db, ticket.now.ticket_id, now=now, **_WHO)
        )

    def _one_without_case(self, ticket: PortalTicket) -> PortalTicket:
        """Another ticket, if that one has lost its Case."""
        rows = ((other, self.world.link_of(other.now.ticket_id)) for other in self.world.portal.tickets)
        lost = [other for other, row in rows if row and row.link.state in {"case_deleted", "unlinked"}]
        return self.world.rng.choice(lost) if lost else ticket

    def _relink(self, ticket: PortalTicket) -> None:
        case_id, now = self.world.rng.choice([*self.world.crm.cases, "no-such-case"]), self.world.clock
        self._about_case(
            "relink", ticket, lambda db: decisions.relink_case(db, ticket.now.ticket_id, case_id, now=now, **_WHO)
        )

    def _unlink(self, ticket: PortalTicket) -> None:
        now = self.world.clock
        self._about_case("unlink", ticket, lambda db: decisions.unlink_case(db, ticket.now.ticket_id, now=now, **_WHO))

    def _about_case(self, name: str, ticket: PortalTicket, act: Callable[[Any], Any]) -> None:
        def note() -> None:
            self.case_orders.setdefault(ticket.index, []).append(name)
            for field in (*PULLED, "subject", "block"):
                self.world.history.unsure((ticket.index, field))

        self._do(name, ticket, act, note)

    # All of it.

    def _retry(self, ticket: PortalTicket) -> None:
        self._do(
            "retry",
            ticket,
            lambda db: decisions.retry(db, [ticket.now.ticket_id], by="Alex", now=self.world.clock),
            lambda: None,
        )

    def _repair(self, ticket: PortalTicket) -> None:
        """Compares, or repairs what the comparison before found, which may be old by then."""
        if self.found is None or not self.found[1]:
            self.found = ticket, self._differences(ticket)
        if self.world.rng.random() < _LATER:
            return
        (ticket, differences), self.found = self.found, None
        if not differences or self.world.link_of(ticket.now.ticket_id) is None:
            return
        direction = self.world.rng.choice(repair.DIRECTIONS)
        done: list[bool] = []

        def unsure() -> None:
            for each in differences:
                self.world.history.unsure((ticket.index, each.name or ""))

        self._do(
            f"repair {direction}",
            ticket,
            lambda db: done.append(
                repair.repair(
                    db,
                    ticket.now.ticket_id,
                    differences,
                    direction=direction,
                    policies=self.world.crm.mapping().policies,
                    now=self.world.clock,
                )
            ),
            unsure,
        )
        self.seen["repair (lane was busy)"] += done == [False]

    def _differences(self, ticket: PortalTicket) -> Sequence[Difference]:
        row = self.world.link_of(ticket.now.ticket_id)
        case = self.world.crm.cases.get(row.link.case_id or "") if row else None
        theirs = self.world.crm.values_of(case) if case else {}
        return [
            Difference(ticket=ticket.now.number, field=name, ticket_has="", case_has="", name=name, values=values)
            for name in PULLED
            if case is not None and (values := (value_of(ticket.now, name), theirs[name]))[0] != values[1]
        ]

    def _stop(self, ticket: PortalTicket) -> None:
        name = self.world.crm.name
        self._do(
            "stop", ticket, lambda db: gate.stop(db, name, now=self.world.clock, **_WHO), lambda: self._turned(to=True)
        )

    def _go_on(self, ticket: PortalTicket) -> None:
        if not self.stopped:
            return
        name = self.world.crm.name
        self._do("go on", ticket, lambda db: gate.go_on(db, name, now=self.world.clock), lambda: self._turned(to=False))

    def _turned(self, *, to: bool) -> None:
        self.stopped, self.stops = to, self.stops + 1

    def _revive(self, _ticket: PortalTicket) -> None:
        self.world.bus.revive()

    def all_clear(self) -> None:
        """At the end of a round somebody lets the CRM be called again."""
        if self.stopped and self.world.portal.tickets:
            self._go_on(self.world.portal.tickets[0])


def id_of(reply: Any) -> uuid.UUID:
    found: uuid.UUID = getattr(reply, "reply_id", None) or reply.note_id
    return found
