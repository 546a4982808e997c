"""The overview: health, and each station of the way with its depth and its oldest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from crm_sync_service.console.broker_watch import BrokerView
from crm_sync_service.console.figures import Figures, read_activity, read_figures
from crm_sync_service.console.health import Health, assess
from crm_sync_service.console.speed import Speed, read_speed
from crm_sync_service.operations import Operations, read_operations
from shared.events import CRM_EVENTS, PORTAL_EVENTS

Direction = Literal["to_crm", "to_portal"]


@dataclass(frozen=True, kw_only=True)
class Station:
    """A place where changes may wait."""

    key: str
    direction: Direction
    name: str
    meaning: str
    depth: int | None
    """None: not known now."""
    oldest: datetime | None
    extra: str = ""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What the first page shows, and the API."""

    at: datetime
    health: Health
    figures: Figures
    broker: BrokerView
    stations: Sequence[Station]
    activity: Mapping[str, Mapping[str, int]]
    speed: Speed
    operations: Operations


def read_overview(session: Session, broker: BrokerView, *, now: datetime) -> Overview:
    figures = read_figures(session, now=now)
    operations = read_operations(session, now=now, runs=1)
    return Overview(
        at=now,
        health=assess(figures, broker, operations.alarms, now=now),
        figures=figures,
        broker=broker,
        stations=[*_to_crm(figures, broker), *_to_portal(figures, broker)],
        activity=read_activity(session, now=now),
        speed=read_speed(session, now=now),
        operations=operations,
    )


def _to_crm(figures: Figures, broker: BrokerView) -> Iterator[Station]:
    yield _queue(broker, PORTAL_EVENTS, "to_crm", "Events from the portal", "sent by the portal, not yet read here")
    yield Station(
        key="unreadable",
        direction="to_crm",
        name="Unreadable events",
        meaning="kept whole for a person",
        depth=figures.unreadable,
        oldest=figures.unreadable_oldest,
    )
    yield Station(
        key="lanes",
        direction="to_crm",
        name="Tickets to compare",
        meaning="one lane per ticket",
        depth=figures.waiting,
        oldest=figures.oldest_waiting,
        extra=f"{figures.running} running, {figures.retrying} tried again",
    )
    yield Station(
        key="parked",
        direction="to_crm",
        name="Parked tickets",
        meaning="stopped until a person helps",
        depth=figures.parked,
        oldest=None,
    )


def _to_portal(figures: Figures, broker: BrokerView) -> Iterator[Station]:
    yield Station(
        key="outbox",
        direction="to_portal",
        name="Outbox",
        meaning="stored here, not yet confirmed by the broker",
        depth=figures.outbox_unsent,
        oldest=figures.outbox_oldest,
    )
    yield _queue(broker, CRM_EVENTS, "to_portal", "Events to the portal", "confirmed, not yet read by the portal")


def _queue(broker: BrokerView, destination: str, direction: Direction, name: str, meaning: str) -> Station:
    found = next((queue for queue in broker.queues if queue.destination == destination), None)
    if found is None or not broker.works:
        return Station(
            key=destination,
            direction=direction,
            name=name,
            meaning=meaning,
            depth=None,
            oldest=None,
            extra=f"{found.waiting:,} when last seen" if found else "",
        )
    details = {"in a reader's hands": found.held, "dead letters": found.dead_letters, "readers": found.consumers}
    shown = [f"{number:,} {what}" for what, number in details.items() if number is not None]
    return Station(
        key=destination,
        direction=direction,
        name=name,
        meaning=meaning,
        depth=found.waiting,
        oldest=found.oldest,
        extra=", ".join(shown),
    )
