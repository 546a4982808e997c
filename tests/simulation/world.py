"""One schedule: people write on both sides while the product's own sync service runs and fails, decided by a seed."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from crm_sync_service.connectors.base import RateLimitedError, UnreachableError
from crm_sync_service.decisions import decide
from crm_sync_service.lanes import LEASE, Claim
from crm_sync_service.links import ConflictFound
from crm_sync_service.mapping import keyed
from crm_sync_service.merge import Side
from crm_sync_service.runner import LaneRunner
from crm_sync_service.worker import SyncWorker
from shared.broker import BrokerUnavailableError
from shared.consumer import handle_batch
from shared.events import CRM_EVENTS, PORTAL_EVENTS, Event
from shared.relay import Relay, RelayStalledError
from tests.crm_sync_service.engine import START
from tests.simulation import memory_lanes
from tests.simulation.administrators import Administrators
from tests.simulation.bus import Bus
from tests.simulation.crm import SimulatedCrm
from tests.simulation.embedded import EmbeddedBus
from tests.simulation.history import History
from tests.simulation.memory import LinkRow, MemoryDatabase, MemoryInbox, MemoryOutbox, OutboxRow
from tests.simulation.memory_lanes import Lane
from tests.simulation.people import People
from tests.simulation.portal import PortalTicket, SimulatedPortal
from tests.simulation.profile import draw
from tests.simulation.telling import OneTurn, short, words_of_event

ROUNDS = (60, 3, 60, 10, 3, 60)
"""People's writes in each round. After few of them a mistake is not mended by the next write."""
_DUSK = 3
"""How often each process has its turn at the end of a round, when people hardly write any more."""
_PACES = (2, 2, 60)
"""Seconds."""
_LAST_BEFORE_AN_UPDATE = {"after commit", "before update_case"}
_LAST_BEFORE_A_CREATE = {"after commit", "before create_case", "before create_note"}
_QUIET_ROUNDS = 3
_CHOICES = 0.1
"""How often a person looks at the conflicts that wait."""
_ORDERS = 0.12
"""How often an administrator gives an order."""
_EVEN = 0.5
_MOST_ROUNDS = 40
_RETRIED_ROUNDS = 6
"""So long a person retries what was parked: the CRM may still be paused, and crashes still count."""
_QUIET_STEP = timedelta(seconds=35)

Trace = Callable[[str], None]


class CrashError(BaseException):
    """A process dies here; nothing in it may catch this."""


class World:
    """Everything there is in one schedule."""

    def __init__(self, seed: int, *, trace: Trace | None = None) -> None:
        self.rng = Random(seed)
        self.profile = draw(self.rng, seed=seed)
        self.trace = trace
        self.clock: datetime = START
        self.calm = False
        # A write that nothing refuses and that comes later than its lease harms whatever the engine does.
        self.too_late = set() if self.profile.conditional else set(_LAST_BEFORE_AN_UPDATE)
        self.too_late |= _LAST_BEFORE_A_CREATE if self.profile.ids == "neither" else set()
        self.restless = bool(self.profile.meanwhile or self.profile.stalled)
        self.faults = 0
        self.depth = 0
        self.pace = timedelta(0)
        """The longest time between two steps."""
        self.history = History()
        self.bus = self.open_bus()
        self.crm = SimulatedCrm(self.profile, self.history, self)
        self.portal_database = MemoryDatabase(point=self.point)
        self.sync_database = self.open_database()
        self.portal = SimulatedPortal(self.rng, self.history, self.commit)
        self.people = People(self)
        self.office = Administrators(self)
        self.uncommitted: dict[int, list[OutboxRow]] = {}
        self.portal_relay = Relay(self.portal_database, MemoryOutbox(), self.bus)  # type: ignore[arg-type]
        self.start_sync()

    def open_bus(self) -> Any:
        if self.profile.transport == "embedded":
            return EmbeddedBus(self)
        return Bus(self.rng, self.profile, self.point)

    def restart_sync(self) -> None:
        """A sync worker process died."""
        self.bus.killed(PORTAL_EVENTS)
        self.relay.close()
        self.start_sync()

    def start_sync(self) -> None:
        """A new sync worker process."""
        self.relay = Relay(self.sync_database, self.sync_outbox(), self.bus)  # type: ignore[arg-type]
        self.runner = self.new_runner("first")
        self.worker = SyncWorker(
            database=self.sync_database,
            crm=self.crm,
            runner=self.runner,
            broker=self.bus,  # type: ignore[arg-type]
            poll_interval=timedelta(seconds=1),
            now=self.now,
        )

    def new_runner(self, owner: str) -> LaneRunner:
        return LaneRunner(
            database=self.sync_database,
            crm=self.crm,
            mapping=self.crm.mapping(),
            owner=owner,
            threads=1,
            now=self.now,
        )

    # What the sync service keeps; tests.simulation.sql has the same over its real tables.

    def open_database(self) -> Any:
        return MemoryDatabase(point=self.point)

    def sync_outbox(self) -> Any:
        return MemoryOutbox()

    def renew(self, claims: Sequence[Claim]) -> None:
        """LaneRunner.renew_leases."""
        memory_lanes.renew(self.sync_database, claims, now=self.clock)

    def retry_parked(self) -> None:
        """A person asks for another try of all that failed."""
        memory_lanes.retry(self.sync_database, list(self.sync_database.lanes), now=self.clock)

    def choose(self) -> int:
        """A person decides every conflict that waits, for either side; returns how many."""
        waiting = [row for row in self.conflict_rows() if row.state == "waiting"]
        for row in waiting:
            value = row.ours if self.rng.random() < _EVEN else row.theirs
            winner: Side = "portal" if value == row.ours else "crm"
            with self.deciding() as session:
                decide(session, row.id, winner=winner, by="Alex", now=self.clock)
            self.chose(row.ticket_id, row.field, value)
        return len(waiting)

    def conflict_rows(self) -> Sequence[Any]:
        rows: Sequence[Any] = self.sync_database.conflict_rows
        return rows

    @contextmanager
    def deciding(self) -> Iterator[Any]:
        """A transaction of the console that nothing interrupts."""
        yield self.sync_database

    def chose(self, ticket_id: uuid.UUID, name: str, value: str | None) -> None:
        index = self.portal.by_id[ticket_id].index
        self.history.chose((index, name), value)
        self.say(f"person: {name} of ticket {index} is to be {value!r}")

    def lane_of(self, ticket_id: uuid.UUID) -> Lane | None:
        lane: Lane | None = self.sync_database.lanes.get(ticket_id)
        return lane

    def link_of(self, ticket_id: uuid.UUID) -> LinkRow | None:
        row: LinkRow | None = self.sync_database.links.get(ticket_id)
        return row

    def conflicts(self) -> Sequence[tuple[uuid.UUID, ConflictFound]]:
        found: list[tuple[uuid.UUID, ConflictFound]] = self.sync_database.conflicts
        return found

    def unsent(self) -> int:
        """Events in the outbox of the sync service."""
        return len(self.sync_database.unsent)

    def is_current(self, key: str) -> bool:
        """Whether this is the key of the Case that a ticket has, or is to have, now."""
        ticket_id = uuid.UUID(key.split(":", maxsplit=1)[0])
        row = self.link_of(ticket_id)
        return row is None or keyed(ticket_id, row.link.generation) == key

    def event_of(self, message: Any) -> Event:
        event: Event = message.event
        return event

    def now(self) -> datetime:
        return self.clock

    def say(self, words: str) -> None:
        if self.trace:
            self.trace(f"{self.clock:%H:%M:%S.%f} {'  ' * self.depth}{words}")

    # What the product's code runs into.

    def point(self, place: str) -> None:
        """A process may die here, or something else may happen first."""
        if self.calm:
            return
        if self.restless and self.depth == 0:
            self.meanwhile(may_stall=place not in self.too_late)
        self.may_die(place)

    def may_die(self, place: str) -> None:
        if not self.calm and self.chance(self.profile.crash):
            self.fault(f"dies {place}")
            raise CrashError(place)

    def before_call(self, method: str, key: str | None, details: Mapping[str, Any]) -> None:
        if self.trace:
            self.say(f"CRM <- {method} {self.crm.number_of(key)} {short(details)}")
        if self.calm:
            return
        self.point(f"before {method}")
        if method == "update_case" and self.depth == 0 and self.chance(self.profile.overtaken):
            self.people.crm_write(to=key)
        if self.chance(self.profile.limited):
            self.fault("is asked for a pause")
            raise RateLimitedError("429", retry_after=timedelta(seconds=20))
        if self.chance(self.profile.lost_request):
            self.fault(f"{method} does not arrive")
            raise UnreachableError("the request was lost")

    def after_call(self, method: str) -> None:
        if self.calm:
            return
        if self.chance(self.profile.lost_answer):
            self.fault(f"the answer to {method} is lost")
            raise UnreachableError("the answer was lost")
        self.point(f"after {method}")

    def meanwhile(self, *, may_stall: bool) -> None:
        """During a step of a process the rest of the world does not wait."""
        self.depth += 1
        try:
            if self.chance(self.profile.meanwhile):
                running = self.runner
                self.step()
                self.renew(list(running._held))
            if may_stall and self.chance(self.profile.stalled):
                self.fault("stalls for longer than its lease")
                self.clock += LEASE + timedelta(seconds=1)
                self.serve("another worker", self.new_runner("second").run_until_idle)
        finally:
            self.depth -= 1

    def fault(self, words: str) -> None:
        self.faults += 1
        self.say(f"!! {words}")

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability

    # The processes.

    def serve(self, process: str, action: Callable[[], Any]) -> Any:
        """Let a process do one thing; it starts again if that kills it."""
        try:
            return action()
        except CrashError:
            self.restart_sync()
        except (BrokerUnavailableError, RelayStalledError) as error:
            self.fault(f"{process}: {error}")
        return 1

    def relay_portal(self) -> Any:
        return self.serve("portal relay", lambda: self.portal_relay.run_once(self.clock))

    def relay_sync(self) -> Any:
        return self.serve("sync relay", lambda: self.relay.run_once(self.clock))

    def deliver_to_sync(self) -> Any:
        return self.serve("inbox", lambda: self.bus.deliver(PORTAL_EVENTS, self._received))

    def _received(self, messages: Sequence[Any]) -> None:
        if self.trace:
            self.say(f"sync receives {[words_of_event(self.event_of(message)) for message in messages]}")
        self.worker.receive(messages)

    def deliver_to_portal(self) -> Any:
        return self.serve("portal", lambda: self.bus.deliver(CRM_EVENTS, self._portal_receives))

    def _portal_receives(self, messages: Sequence[Any]) -> None:
        if self.trace:
            self.say(f"portal receives {[words_of_event(self.event_of(message)) for message in messages]}")
        database: Any = self.portal_database
        inbox: Any = MemoryInbox()
        handle_batch(database, inbox, messages, self._portal_applies, self.clock)

    def _portal_applies(self, _session: Any, event: Event) -> None:
        self.portal.apply(event, now=self.clock)

    def look(self) -> Any:
        """SyncWorker.follow_crm looks only while the CRM answers, and survives that it does not."""
        if self.profile.orders:
            return self.serve("feed", self.obeying(lambda: self.worker.follow_crm(OneTurn())))
        return self.serve("feed", self.worker._look)

    def work(self) -> Any:
        return self.serve("lanes", self.obeying(self.runner.run_until_idle))

    def obeying(self, process: Callable[[], Any]) -> Callable[[], Any]:
        """Who begins while a person has stopped the CRM must not call it."""

        def watched() -> Any:
            calls, stops, stopped = self.crm.calls_made, self.office.stops, self.office.stopped
            try:
                return process()
            finally:
                if stopped and stops == self.office.stops and calls != self.crm.calls_made:
                    self.history.violated("stop", "the CRM was called although a person had stopped it")

        return watched

    def commit(self, ticket: PortalTicket, events: Sequence[Event]) -> None:
        """The portal's transaction ends with its outbox rows, now or after others that began later."""
        self.end_transaction(ticket.index)
        slow = not self.calm and self.chance(self.profile.slow_commit)
        add = partial(MemoryOutbox().add, self.portal_database, now=self.clock, visible=not slow)
        rows = [add(event) for event in events]
        if slow:
            self.uncommitted[ticket.index] = rows

    def end_transaction(self, index: int) -> None:
        for row in self.uncommitted.pop(index, ()):
            row.visible = True

    # Time.

    def step(self) -> bool:
        """One thing happens; returns whether a person did it."""
        if self.rng.random() < 0.5:
            self.pass_time()
            (self.people.portal_write if self.rng.random() < 0.5 else self.people.crm_write)()
            return True
        if self.profile.orders and self.chance(_ORDERS):
            self.serve("console", self.office.act)
        if self.profile.winner == "ask" and self.chance(_CHOICES):
            self.choose()
        self.pass_time()
        self.processes()[int(self.rng.random() * 6)]()
        return False

    def processes(self) -> tuple[Callable[[], Any], ...]:
        """In the order in which a change travels."""
        return (
            self.relay_portal,
            self.deliver_to_sync,
            self.look,
            self.work,
            self.relay_sync,
            self.deliver_to_portal,
        )

    def pass_time(self) -> None:
        self.clock += self.rng.random() * (timedelta(seconds=2) if self.depth else self.pace)
        if self.depth == 0 and self.chance(self.profile.downtime):
            self.clock += timedelta(seconds=self.rng.uniform(60, 900))
        if self.uncommitted and self.chance(0.2):
            self.end_transaction(next(iter(self.uncommitted)))

    def round(self, length: int) -> None:
        """People write while everything may go wrong, then hardly any more."""
        self.calm = self.bus.calm = False
        self.pace = timedelta(seconds=self.rng.choice(_PACES))
        writes = 0
        while writes < length and not self.history.violations:
            writes += self.step()
        for turn in range(_DUSK):
            if turn == 1 and self.chance(0.7):
                self.outage()
            for process in self.processes():
                self.pass_time()
                process()

    def outage(self) -> None:
        """Nothing of ours runs for minutes, while account managers go on; what they began last commits last."""
        for _ in range(self.rng.choice((1, 2, 4))):
            self.clock += timedelta(seconds=self.rng.choice((1, 20, 200, 200)))
            self.people.crm_write()
        if self.chance(self.profile.late):
            self.look()
            self.people.crm_write(late=1)

    def settle(self) -> None:
        """Nothing goes wrong any more, nobody writes, and a person has retried what was parked."""
        self.calm = self.bus.calm = True
        self.say("-- all is calm from here")
        for index in list(self.uncommitted):
            self.end_transaction(index)
        self.clock += LEASE * 2
        self.office.all_clear()
        quiet = 0
        for number in range(_MOST_ROUNDS):
            if number < _RETRIED_ROUNDS:
                self.retry_parked()
                self.bus.revive()
            quiet = 0 if self.busy() or self.choose() else quiet + 1
            if quiet == _QUIET_ROUNDS:
                return
        self.history.violated("I14", f"not idle after {_MOST_ROUNDS} calm rounds")

    def busy(self) -> bool:
        """One round of every process; returns whether any had work."""
        self.clock += _QUIET_STEP
        before = self.crm.calls_made - self.crm.feed_calls
        work = [process() for process in self.processes()]
        return any(work) or self.crm.calls_made - self.crm.feed_calls > before
