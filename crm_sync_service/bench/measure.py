"""The measurements themselves; each gives plain numbers."""

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from statistics import quantiles

from sqlalchemy import MetaData

from crm_sync_service.bench.engine import Engine, memory
from crm_sync_service.bench.tickets import burst, edited, new_ticket, replied
from crm_sync_service.connectors.base import Connector, NewCase
from crm_sync_service.inbox import apply_all
from crm_sync_service.mapping import CaseMapping, case_id_of, note_for
from crm_sync_service.models import inbox as seen
from shared.broker import Broker
from shared.clock import utc_now
from shared.consumer import Consumer, handle_together
from shared.database import Database
from shared.events import PORTAL_EVENTS, Event, Message, TicketChanged
from shared.outbox import Outbox
from shared.relay import Relay

BURST_EDITS, BURST_REPLIES = 20, 3


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """How many deliveries a second one process makes."""

    creates: float
    """New Cases a second."""
    updates: float
    """Changes of a ticket a second, one waiting at a time."""
    cpu: float
    """Milliseconds of processor time for one such change: what is left where the machine has other work, too."""
    burst: float
    """Events a second where 20 edits and 3 replies of a ticket wait together."""
    calls_per_event: float
    """Of the CRM, in that burst."""
    grown: float
    """MiB of memory that the process has more at the end than after the creates."""


def throughput(engine: Engine, *, tickets: int, first: int) -> Throughput:
    """`first`: the number of the first ticket, so that none meets one of an earlier measurement."""
    made = [new_ticket(first + index) for index in range(tickets)]
    engine.receive(made)
    creates = tickets / engine.work_off()
    after_creates = memory()
    engine.receive([edited(ticket) for ticket in made])
    cpu_before = time.process_time()
    updates = tickets / engine.work_off()
    cpu = 1000 * (time.process_time() - cpu_before) / tickets
    busy = made[: max(1, tickets // 10)]
    events = [event for ticket in busy for event in burst(edited(ticket), edits=BURST_EDITS, replies=BURST_REPLIES)[1]]
    engine.meter.calls.clear()
    engine.receive(events)
    together = len(events) / engine.work_off()
    calls = engine.meter.calls.total() / len(events)
    return Throughput(
        creates=creates, updates=updates, cpu=cpu, burst=together, calls_per_event=calls, grown=memory() - after_creates
    )


@dataclass(frozen=True, kw_only=True)
class BesideDirect:
    """The engine over a CRM, and the same calls made without it by as many threads."""

    engine: float
    """Tickets a second, each a new Case, then an update with a Note."""
    direct: float

    @property
    def ratio(self) -> float:
        return self.engine / self.direct


def beside_direct(engine: Engine, *, tickets: int, first: int) -> BesideDirect:
    """Both in turns, so that a machine that grows slower is slow for both."""
    turns, through, direct = 4, 0.0, 0.0
    share = max(1, tickets // turns)
    for turn in range(turns):
        start = first + turn * 2 * share
        through += _through_engine(engine, [new_ticket(start + index) for index in range(share)])
        direct += _direct(engine, [new_ticket(start + share + index) for index in range(share)])
    return BesideDirect(engine=turns * share / through, direct=turns * share / direct)


def _through_engine(engine: Engine, made: Sequence[TicketChanged]) -> float:
    engine.receive(made)
    seconds = engine.work_off()
    engine.receive([event for ticket in made for event in (edited(ticket), replied(ticket, 1))])
    return seconds + engine.work_off()


def _direct(engine: Engine, made: Sequence[TicketChanged]) -> float:
    crm, mapping = engine.crm, engine.runner.mapping
    began = time.monotonic()
    for step in (_create_directly, _update_directly):
        with ThreadPoolExecutor(engine.threads) as pool:
            list(pool.map(lambda ticket, step=step: step(crm, mapping, ticket), made))
    return time.monotonic() - began


def _create_directly(crm: Connector, mapping: CaseMapping, ticket: TicketChanged) -> None:
    ours = mapping.ours(ticket, contact_id=None)
    crm.create_case(
        NewCase(id=case_id_of(ticket.ticket_id), key=str(ticket.ticket_id), fields=mapping.new_case(ticket, ours))
    )


def _update_directly(crm: Connector, mapping: CaseMapping, ticket: TicketChanged) -> None:
    case = crm.get_case(case_id_of(ticket.ticket_id))
    after = mapping.values.to_crm("priority", edited(ticket).priority)
    crm.update_case(case.id, {"priority": after}, version=case.version)
    crm.create_note(note_for(replied(ticket, 1), case_id=case.id))


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds from the portal's commit to the CRM's answer, and those without the CRM's own time."""

    p50: float
    p95: float
    p99: float
    own_p50: float
    own_p95: float
    own_p99: float

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> "Latency":
        whole, own = ([1000 * value for value in values] for values in zip(*pairs, strict=True))
        return cls(**_percentiles(whole, ""), **_percentiles(own, "own_"))


def _percentiles(values: Sequence[float], prefix: str) -> dict[str, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return {f"{prefix}p50": cuts[49], f"{prefix}p95": cuts[94], f"{prefix}p99": cuts[98]}


class Pipeline:
    """Outbox, relay, broker, inbox and lanes, as between two processes, in threads of one."""

    def __init__(self, engine: Engine, *, portal: Database, broker: Broker) -> None:
        metadata = MetaData()
        self._outbox = Outbox(metadata, source="portal")
        self._engine, self._portal = engine, portal
        metadata.create_all(portal.engine)
        self._loops = (
            Relay(portal, self._outbox, broker).run,
            Consumer(broker, PORTAL_EVENTS, self._receive).run,
        )

    def _receive(self, messages: Sequence[Message]) -> None:
        now = utc_now()
        handle_together(self._engine.database, seen, messages, partial(apply_all, now=now), now)
        self._engine.runner.doorbell.set()

    def latency(self, *, count: int, per_second: float, first: int) -> Latency:
        """Of new tickets that come at random moments, so many a second."""
        stop, rng = threading.Event(), random.Random(first)  # noqa: S311 (no secret)
        threads = [threading.Thread(target=loop, args=(stop,)) for loop in self._loops]
        for thread in threads:
            thread.start()
        try:
            with self._engine.running():
                self._commit(new_ticket(first))
                self._await(1)
                committed = {}
                for index in range(count):
                    time.sleep(rng.expovariate(per_second))
                    ticket = new_ticket(first + 1 + index)
                    committed[case_id_of(ticket.ticket_id)] = self._commit(ticket)
                return self._collected(committed)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _commit(self, event: Event) -> float:
        with self._portal.write() as session:
            self._outbox.add(session, event, now=utc_now())
        return time.monotonic()

    def _await(self, count: int) -> None:
        while len(self._engine.meter.arrived) < count:
            time.sleep(0.01)

    def _collected(self, committed: dict[str, float]) -> Latency:
        arrived = self._engine.meter.arrived
        deadline = time.monotonic() + 120
        while any(case_id not in arrived for case_id in committed) and time.monotonic() < deadline:
            time.sleep(0.05)
        times = [(arrived[case_id], began) for case_id, began in committed.items()]
        return Latency.of([(at - began, at - began - spent) for (at, spent), began in times])


def numbers(result: object) -> dict[str, float]:
    """A measurement for a report in JSON."""
    return {name: round(value, 2) for name, value in asdict(result).items()}  # type: ignore[call-overload]
