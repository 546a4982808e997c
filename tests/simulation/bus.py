"""The broker: keeps messages until they are acknowledged, delivers some twice and some late."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from shared.broker import BrokerUnavailableError
from tests.simulation.profile import Profile


class Bus:
    """Stands for shared.broker.Broker towards the relays, and for shared.consumer.Consumer towards the services."""

    def __init__(self, rng: Random, profile: Profile, point: Callable[[str], None]) -> None:
        self.rng, self.profile, self.point = rng, profile, point
        self.calm = False
        self.seen: Counter[str] = Counter()
        self.queues: dict[str, list[Any]] = defaultdict(list)

    def publisher(self) -> "Bus":
        return self

    def publish(self, messages: Sequence[Any], *, timeout: float = 30) -> set[Any]:
        """The ids confirmed. A message may be lost, or kept while its confirmation is lost."""
        confirmed = set()
        for message in messages:
            self.point("publishing")
            if self._unlucky():
                self._lose(message)
                break
            self.queues[message.destination].append(message)
            confirmed.add(message.id)
        return confirmed

    def close(self) -> None:
        pass

    def killed(self, destination: str) -> None:
        """What was handed over is forgotten only when it is handled: nothing to do."""

    def revive(self) -> int:
        """Nothing is given up here."""
        return 0

    def left(self) -> dict[str, int]:
        """What the queues still hold when all should be handled."""
        return {name: len(queue) for name, queue in self.queues.items() if queue}

    @contextmanager
    def running(self) -> Iterator[None]:
        yield

    def deliver(self, destination: str, handle: Callable[[Sequence[Any]], None]) -> int:
        """Hand over some messages and forget them once they are handled; returns how many."""
        queue = self.queues[destination]
        if not queue:
            return 0
        batch = self._batch(queue)
        self.handle_and_acknowledge(queue, batch, handle)
        return len(batch)

    def handle_and_acknowledge(
        self, queue: list[Any], batch: Sequence[Any], handle: Callable[[Sequence[Any]], None]
    ) -> None:
        """Consumer._do, then Consumer._acknowledge."""
        handle(batch)
        self.point("before acknowledging")
        self.acknowledge(queue, batch)

    def acknowledge(self, queue: list[Any], batch: Sequence[Any]) -> None:
        for message in batch:
            stays = not self.calm and self.rng.random() < self.profile.duplicate
            if not stays and message in queue:
                queue.remove(message)

    def _batch(self, queue: list[Any]) -> list[Any]:
        if self.calm:
            return list(queue)
        size = min(len(queue), self.rng.choice((1, 3, 50)))
        return self.rng.sample(queue, size) if self.profile.unordered else queue[:size]

    def _unlucky(self) -> bool:
        return not self.calm and self.rng.random() < self.profile.unconfirmed

    def _lose(self, message: Any) -> None:
        if self.rng.random() < 0.5:
            self.queues[message.destination].append(message)
        if self.rng.random() < 0.3:
            raise BrokerUnavailableError("the connection broke")
