"""The embedded broker under the same schedules: the product's own transport, publisher and consumer over its own file.

Nothing of them is modelled. Only the clock is the schedule's, and a process that dies leaves what it held as a kill
does: no leave is taken, and its leases run out. Readers are several where the schedule is unordered, so that events
overtake each other as they can in reality and no other way.
"""

import os
import sqlite3
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch

from kombu.transport.virtual import base as kombu_base

from shared import broker as broker_module
from shared import broker_ops, consumer, embedded_transport, lease_table, topology
from shared.broker import Broker, Publisher
from shared.consumer import Consumer
from shared.events import Message
from shared.topology import DESTINATIONS
from tests.simulation.broker_file import Life, Table
from tests.simulation.profile import Profile
from tests.simulation.quiet import EngineFaultError, Quiet

_MEMORY_DISK = Path("/dev/shm")
"""A kill loses nothing that was written; only pulling the plug would."""
_OFTEN = 0.7
"""How often a reader looks again at once, as it does unless it is held up."""
_REOPENED = 0.1
"""How often nothing came before a reader opens its channel anew: the schedule looks in long steps, a reader always."""
_CLOCK_SET = 0.05
_POISONED = 0.1
"""How often a message is one that cannot be stored, in schedules in which disks fill up; for so many attempts:"""
_ATTEMPTS = 8
_MOST_BATCHES = 200

Handle = Callable[[Sequence[Any]], None]


class Schedule(Protocol):
    """What the broker's processes run into."""

    rng: Random
    profile: Profile
    calm: bool
    clock: Any

    def point(self, place: str) -> None: ...

    def may_die(self, place: str) -> None: ...

    def fault(self, words: str) -> None: ...

    def chance(self, probability: float) -> bool: ...


class _KilledError(BaseException):
    """Unwinds what a process had open when it was killed from outside."""


class _Reader:
    """A process that consumes one destination; its connection lasts from one turn to the next."""

    def __init__(self, bus: "EmbeddedBus", destination: str) -> None:
        self.bus, self.destination = bus, destination
        self.life = Life()
        self.busy = False
        self.stack: ExitStack | None = None
        self.channel: ExitStack | None = None
        self.consumer = Consumer(bus.broker, destination, self._handle)
        self.handle: Handle = bus.nobody
        self.handled = 0

    def turn(self, handle: Handle) -> int:
        """Consumer.run, until nothing more is at hand or the schedule goes on elsewhere."""
        self.handle, self.handled = handle, 0
        with self.bus.living(self.life):
            if self.stack is None:
                self._connect()
            try:
                for _ in range(_MOST_BATCHES):
                    before = self.handled
                    self._once()
                    if before == self.handled or not (self.bus.world.calm or self.bus.world.chance(_OFTEN)):
                        break
            except BaseException as error:
                self._disconnect(error)
                raise
        return self.handled

    def _connect(self) -> None:
        with ExitStack() as stack:
            self.connection = stack.enter_context(self.bus.broker.connected())
            self.stack = stack.pop_all()
        self._open_channel()

    def _open_channel(self) -> None:
        assert self.stack is not None
        self.consumer._forget()
        self.channel = self.stack.enter_context(ExitStack())
        channel = self.channel.enter_context(self.connection.open_channel())
        self.channel.enter_context(self.consumer._reading(self.connection, channel))

    def _once(self) -> None:
        """One round of Consumer._consume."""
        assert self.channel is not None
        if self.consumer._is_quiet() and self.bus.world.chance(_REOPENED):
            self.bus.seen["channel reopened"] += 1
            self.channel.close()
            self._open_channel()
        self.consumer._collect(self.connection)
        self.consumer._work(self.connection, self.bus.never)
        self.connection.beat()

    def _disconnect(self, error: BaseException) -> None:
        """Raises BrokerUnavailableError for what the broker's file did."""
        life, self.life = self.life, Life()
        stack, self.stack, self.channel = self.stack, None, None
        if not isinstance(error, Exception):
            life.end()
        self.consumer._forget()
        try:
            if stack is not None:
                stack.__exit__(type(error), error, error.__traceback__)
        finally:
            life.end()

    def _handle(self, messages: Sequence[Message]) -> None:
        self.bus.may_be_full("the database, before it stored a batch")
        self.bus.refuse_poison(messages)
        try:
            self.handle([self.bus.sent[message.destination, message.id] for message in messages])
        except Exception as error:
            raise EngineFaultError("a batch was refused") from error
        self.bus.may_be_full("the database, after it stored a batch")
        self.handled += len(messages)

    def kill(self) -> None:
        self._disconnect(_KilledError())


class _Sender:
    """The publisher of one relay, which starts again with its process."""

    def __init__(self, bus: "EmbeddedBus") -> None:
        self.bus = bus
        self.life, self.publisher = Life(), bus.broker.publisher()

    def publish(self, messages: Sequence[Any], *, timeout: float = 30) -> set[Any]:
        """The ids confirmed, as the outbox knows them."""
        envelopes = {self.bus.envelope(message).id: message.id for message in messages}
        try:
            with self.bus.living(self.life):
                confirmed = self.publisher.publish([self.bus.envelope(each) for each in messages], timeout=timeout)
        except Exception:
            raise
        except BaseException:
            self.close()
            raise
        return {envelopes[id_] for id_ in confirmed}

    def close(self) -> None:
        self.life.end()
        self.publisher.close()
        self.life, self.publisher = Life(), Publisher(self.bus.broker)


class EmbeddedBus:
    """Takes the place of tests.simulation.bus.Bus in a schedule."""

    def __init__(self, world: Schedule) -> None:
        self.world = world
        self.rng = Random(world.rng.random())
        self.seen: Counter[str] = Counter()
        self.sent: dict[tuple[str, uuid.UUID], Any] = {}
        self.never = SimpleNamespace(is_set=lambda: False)
        self.poison: dict[uuid.UUID, int] = {}
        """How often a message is still refused."""
        self.life = Life()
        self.slept = 0.0
        self.set_back = 0.0
        """Seconds the machine's clock is off."""
        self.delivery_limit = self.rng.choice((2, 20))
        self.senders: list[_Sender] = []
        folder = _MEMORY_DISK if os.access(_MEMORY_DISK, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="casebridge-simulation-", dir=folder)
        self.path = f"{self._folder.name}/broker.db"
        self._file: sqlite3.Connection | None = None
        """For a look from outside."""
        self.broker = Broker(f"embedded:///{self.path}")
        self.operations = broker_ops.open_operations(self.broker)
        readers = 2 if world.profile.unordered else 1
        self.readers = {name: [_Reader(self, name) for _ in range(readers)] for name in DESTINATIONS}

    @property
    def calm(self) -> bool:
        return self.world.calm

    @calm.setter
    def calm(self, _: bool) -> None:
        """The schedule's own counts."""

    # Towards relays and services.

    def publisher(self) -> _Sender:
        sender = _Sender(self)
        self.senders.append(sender)
        return sender

    def deliver(self, destination: str, handle: Handle) -> int:
        """A turn of one reader; returns how many messages were handled."""
        idle = [reader for reader in self.readers[destination] if not reader.busy]
        if not idle or not self._holds_any():
            return 0
        if not self.calm and self.world.chance(_CLOCK_SET):
            self.set_back = self.rng.choice((0.0, 5.0, -20.0, 900.0))
            self.seen["clock set"] += 1
        turns = idle if self.calm else [self.rng.choice(idle)]
        return sum(self._turn(reader, handle) for reader in turns)

    def _holds_any(self) -> bool:
        """Of either destination, in any state: asked first, as an empty turn costs ten times as much."""
        if self._file is None:
            with self.broker.connected():
                self._file = sqlite3.connect(self.path, isolation_level=None)
        return self._file.execute("SELECT 1 FROM messages LIMIT 1").fetchone() is not None

    def _turn(self, reader: _Reader, handle: Handle) -> int:
        reader.busy = True
        try:
            return reader.turn(handle)
        finally:
            reader.busy = False

    def killed(self, destination: str) -> None:
        """The process whose reader this is died of something else."""
        if not self.readers[destination][0].busy:
            self.readers[destination][0].kill()

    def nobody(self, _messages: Sequence[Any]) -> None:
        raise AssertionError("no service reads here")

    # What people and checks see of it.

    def revive(self) -> int:
        """A person puts back what the broker gave up; returns how many messages."""
        found = sum(self.operations.replay(destination) for destination in DESTINATIONS)
        self.seen["dead letters revived"] += found
        return found

    def left(self) -> dict[str, int]:
        """What the queues still hold, waiting, held or dead, when all should be handled."""
        states = self.operations.queues()
        counts = {state.queue: state.waiting + (state.held or 0) + state.dead_letters for state in states}
        return {queue: count for queue, count in counts.items() if count}

    # What the product's code runs into.

    def point(self, place: str) -> None:
        self.world.point(place)

    def may_die(self, place: str) -> None:
        self.world.may_die(place)

    def may_be_full(self, words: str) -> None:
        if not self.calm and self.world.chance(self.world.profile.unconfirmed / 3):
            self.world.fault(f"the disk is full: {words}")
            self.seen["disk full"] += 1
            raise sqlite3.OperationalError("database or disk is full")

    def refuse_poison(self, messages: Sequence[Message]) -> None:
        """Some message, now and then, that makes storing it fail again and again while others pass."""
        if self.calm or not self.world.profile.unconfirmed:
            return
        for message in messages:
            if message.id not in self.poison:
                self.poison[message.id] = _ATTEMPTS * (self.rng.random() < _POISONED)
            if self.poison[message.id]:
                self.poison[message.id] -= 1
                self.world.fault("a message cannot be stored")
                raise sqlite3.OperationalError("string or blob too big")

    @contextmanager
    def living(self, life: Life) -> Iterator[None]:
        """The file's tables opened inside belong to this process."""
        before, self.life = self.life, life
        try:
            yield
        finally:
            self.life = before

    def envelope(self, message: Any) -> Message:
        """The same for every copy. Its body is not looked at here: tests.shared and SqlWorld pack events."""
        if isinstance(message, Message):
            packed = message
        else:
            packed = Message(
                id=uuid.UUID(int=message.id),
                type=message.type,
                destination=message.destination,
                subject="ticket",
                source="simulation",
                time=self.world.clock,
                body="{}",
            )
        self.sent[packed.destination, packed.id] = message
        return packed

    # The clock.

    def time(self) -> float:
        seconds: float = self.world.clock.timestamp()
        return seconds - self.set_back

    def monotonic(self) -> float:
        seconds: float = self.world.clock.timestamp()
        return seconds + self.slept

    def sleep(self, seconds: float) -> None:
        """Nobody waits; whoever sleeps once finds that half a second has passed."""
        self.slept += max(seconds, 0.5)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, the transport's clock, chance and tables are the schedule's."""
        with ExitStack() as stack:
            for target, values in self._patches():
                stack.enter_context(patch.multiple(target, **values))
            try:
                yield
            finally:
                self._close()

    def _patches(self) -> Sequence[tuple[Any, dict[str, Any]]]:
        log = Quiet()
        return (
            (kombu_base, {"monotonic": self.monotonic, "sleep": self.sleep}),
            (lease_table, {"time": self}),
            (embedded_transport, {"time": self, "LeaseTable": lambda path: Table(path, self)}),
            (broker_module, {"log": log}),
            (consumer, {"time": self, "random": self.rng, "log": log}),
            (topology, {"DELIVERY_LIMIT": self.delivery_limit}),
        )

    def _close(self) -> None:
        for reader in (reader for readers in self.readers.values() for reader in readers):
            reader.kill()
        for sender in self.senders:
            sender.close()
        if self._file is not None:
            self._file.close()
        self._folder.cleanup()
