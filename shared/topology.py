"""The queues: one per subscriber, a dead-letter queue beside each. A new destination is a line in DESTINATIONS."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shared.events import CRM_EVENTS, PORTAL_EVENTS

DESTINATIONS = (PORTAL_EVENTS, CRM_EVENTS)
DELIVERY_LIMIT = 20
"""A message that comes back more often than this (its readers die on it) goes to the dead-letter queue."""

Arguments = Mapping[str, str | int]


@dataclass(frozen=True)
class Topology:
    """Names and arguments of all queues. Two installations share a broker by different prefixes or virtual hosts."""

    prefix: str = "casebridge"

    def queue(self, destination: str) -> str:
        return f"{self.prefix}.{destination}"

    def dead_letter_queue(self, destination: str) -> str:
        return f"{self.prefix}.{destination}.dead"

    def queues(self) -> Iterator[tuple[str, Arguments]]:
        """Every queue with its arguments, a dead-letter queue before the queue that needs it."""
        for destination in DESTINATIONS:
            dead = self.dead_letter_queue(destination)
            yield dead, {"x-queue-type": "quorum"}
            yield (
                self.queue(destination),
                {
                    "x-queue-type": "quorum",
                    "x-delivery-limit": DELIVERY_LIMIT,
                    "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": dead,
                    # At-least-once dead lettering works only together with reject-publish.
                    "x-dead-letter-strategy": "at-least-once",
                    "x-overflow": "reject-publish",
                },
            )
