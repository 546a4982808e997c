"""How the synchronisation is, in words first. Green is only said where a comparison said so (SPEC O11)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from crm_sync_service.console.broker_watch import BrokerView
from crm_sync_service.console.figures import CrmLine, Figures
from crm_sync_service.console.words import age, ago, clock, counted
from crm_sync_service.operation_models import Alarm
from shared.events import PORTAL_EVENTS

WORKER_SILENT = timedelta(seconds=20)
FEED_STALE = timedelta(seconds=60)
SLOW = timedelta(seconds=60)
_CASES = "cases"

Level = Literal["ok", "warn", "bad"]
_ORDER: dict[Level, int] = {"bad": 0, "warn": 1, "ok": 2}


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One thing to know; `page` is the endpoint with more about it."""

    level: Level
    text: str
    page: str | None = None
    cause: str = ""
    """Names what somebody must be told of, if it lasts; empty for all else."""
    size: int = 1
    """How many tickets or things it is about."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """What to read first, and what else there is to know."""

    headline: Sentence
    others: tuple[Sentence, ...]

    @property
    def level(self) -> Level:
        return self.headline.level


def assess(figures: Figures, broker: BrokerView, alarms: Sequence[Alarm] = (), *, now: datetime) -> Health:
    """The worst first. "In sync" is the headline only if nothing else is to be said."""
    found = [*_alarms(alarms), *_troubles(figures, broker, now=now)]
    troubles = sorted(found, key=lambda sentence: _ORDER[sentence.level])
    if troubles:
        return Health(headline=troubles[0], others=(*troubles[1:], _share(figures)))
    return Health(headline=_all_well(figures, now=now), others=())


def troubles_of(health: Health) -> list[Sentence]:
    """What somebody must be told of, if it lasts."""
    return [sentence for sentence in (health.headline, *health.others) if sentence.cause]


def _troubles(figures: Figures, broker: BrokerView, *, now: datetime) -> Iterator[Sentence]:
    yield from _workers(figures, now=now)
    for crm in figures.crms:
        yield from _crm(crm, figures, now=now)
    yield from _broker(broker, figures, now=now)
    yield from _feed(figures, now=now)
    yield from _persons(figures, broker)
    yield from _waiting(figures, broker, now=now)


def _alarms(alarms: Sequence[Alarm]) -> Iterator[Sentence]:
    for alarm in alarms:
        page = "drift.runs" if alarm.name == "drift" else None
        level: Level = "bad" if alarm.level == "bad" else "warn"
        yield Sentence(level=level, text=alarm.text.rstrip("."), page=page, cause=f"alarm {alarm.name}")


def _workers(figures: Figures, *, now: datetime) -> Iterator[Sentence]:
    if not figures.workers:
        text = "No sync worker has run yet: start `casebridge sync-worker`"
    elif now - figures.workers[0].seen_at > WORKER_SILENT:
        last = clock(figures.workers[0].seen_at, now=now)
        text = f"No sync worker has shown progress since {last}; {_waits(figures)}: start `casebridge sync-worker`"
    else:
        return
    yield Sentence(level="bad", text=text, cause="worker")


def _crm(crm: CrmLine, figures: Figures, *, now: datetime) -> Iterator[Sentence]:
    if crm.state == "reachable":
        return
    since, words = clock(crm.since, now=now), f" ({crm.reason.rstrip('.')})" if crm.reason else ""
    if crm.stopped_by:
        why = (crm.reason or "").removeprefix(f"{crm.stopped_by}: ").rstrip(".")
        told = f" ({why})" if why else ""
        text = f"{crm.stopped_by} paused the synchronisation at {since}{told}; {_waits(figures)}"
        yield Sentence(level="warn", text=text)
    elif crm.state == "paused":
        until = f", until {clock(crm.until, now=now)}" if crm.until else ""
        yield Sentence(level="warn", text=f"The CRM asked for a pause at {since}{until}{words}; {_waits(figures)}")
    else:
        text = f"CRM unreachable since {since}{words}; {_waits(figures)}"
        yield Sentence(level="bad", text=text, cause=f"CRM {crm.crm}")


def _waits(figures: Figures) -> str:
    if figures.waiting == 0:
        return "no ticket waits"
    verb = "waits" if figures.waiting == 1 else "wait"
    return f"{counted(figures.waiting, 'ticket')} {verb}, nothing is lost"


def _broker(broker: BrokerView, figures: Figures, *, now: datetime) -> Iterator[Sentence]:
    if broker.error is None or broker.failing_since is None:
        return
    since = clock(broker.failing_since, now=now)
    waits = f"{counted(figures.outbox_unsent, 'event')} of ours wait in the outbox, nothing is lost"
    text = f"Broker unreachable since {since} ({broker.error.rstrip('.')}); {waits}"
    yield Sentence(level="bad", text=text, cause="broker")


def _feed(figures: Figures, *, now: datetime) -> Iterator[Sentence]:
    polled = [line.polled_at for line in figures.feeds if line.feed == _CASES]
    stopped = any(crm.state != "reachable" for crm in figures.crms) or not figures.workers
    if polled and not stopped and now - polled[0] > FEED_STALE:
        yield Sentence(
            level="warn",
            text=f"Nobody has looked for changes in the CRM since {clock(polled[0], now=now)}; "
            "what account managers change is not carried over",
            cause="feed",
        )


def _persons(figures: Figures, broker: BrokerView) -> Iterator[Sentence]:
    dead = sum(queue.dead_letters for queue in broker.queues)
    for cause, size, level, text, page in (
        ("conflicts", figures.conflicts_waiting, "warn", _conflicts(figures.conflicts_waiting), "conflicts.inbox"),
        ("failures", figures.need_person, "bad", _need_person(figures.need_person), "pages.failures"),
        ("contacts", figures.contacts_waiting, "warn", _contacts(figures.contacts_waiting), "contacts.waiting"),
        ("deleted Cases", figures.cases_deleted, "warn", _deleted(figures.cases_deleted), "pages.failures"),
        ("unreadable events", figures.unreadable, "bad", _unreadable(figures.unreadable), "pages.unreadable"),
        ("dead letters", dead, "bad", _dead(dead), "pages.unreadable"),
    ):
        if size:
            worst: Level = "bad" if level == "bad" else "warn"
            yield Sentence(level=worst, text=text, page=page, cause=cause, size=size)


def _conflicts(number: int) -> str:
    return f"{counted(number, 'conflict')} {'waits' if number == 1 else 'wait'} for a decision"


def _need_person(number: int) -> str:
    return f"{counted(number, 'ticket')} {'needs' if number == 1 else 'need'} a person"


def _contacts(number: int) -> str:
    verb = "belongs" if number == 1 else "belong"
    return f"{counted(number, 'address', 'addresses')} {verb} to several contacts: choose one"


def _deleted(number: int) -> str:
    has = "ticket has" if number == 1 else "tickets have"
    return f"{number:,} {has} no Case any more: it was deleted in the CRM"


def _unreadable(number: int) -> str:
    return f"{counted(number, 'event')} could not be read and {_is(number)} kept for you"


def _dead(number: int) -> str:
    return f"{counted(number, 'message')} {_is(number)} in the broker's dead-letter queues"


def _waiting(figures: Figures, broker: BrokerView, *, now: datetime) -> Iterator[Sentence]:
    if figures.retrying:
        verb = "is" if figures.retrying == 1 else "are"
        text = f"{counted(figures.retrying, 'ticket')} failed and {verb} tried again"
        yield Sentence(level="warn", text=text, page="pages.failures")
    reachable = all(crm.state == "reachable" for crm in figures.crms)
    if figures.waiting and reachable:
        since = figures.oldest_waiting or now
        level: Level = "warn" if now - since > SLOW else "ok"
        verb = "has" if figures.waiting == 1 else "have"
        text = f"{counted(figures.waiting, 'ticket')} {verb} changes under way, the oldest for {age(now - since)}"
        yield Sentence(level=level, text=text)
    if figures.outbox_oldest and broker.works and now - figures.outbox_oldest > SLOW:
        text = (
            f"{counted(figures.outbox_unsent, 'event')} to the portal not sent for {age(now - figures.outbox_oldest)}"
        )
        yield Sentence(level="warn", text=text)
    incoming = sum(queue.waiting for queue in broker.queues if queue.destination == PORTAL_EVENTS)
    if incoming:
        text = f"{counted(incoming, 'event')} of the portal {'waits' if incoming == 1 else 'wait'} to be read"
        yield Sentence(level="ok", text=text)


def _share(figures: Figures) -> Sentence:
    text = f"{figures.in_sync:,} of {counted(figures.tickets, 'ticket')} {_is(figures.tickets)} in sync"
    return Sentence(level="ok", text=text)


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _all_well(figures: Figures, *, now: datetime) -> Sentence:
    if figures.tickets == 0:
        return Sentence(level="ok", text="No ticket has come from the portal yet; everything is ready")
    if figures.in_sync + figures.unlinked + figures.on_purpose < figures.tickets:
        return Sentence(level="warn", text=_share(figures).text)
    polled = [line.polled_at for line in figures.feeds if line.feed == _CASES]
    looked = f", asked the CRM for changes {ago(now - polled[0])}" if polled else ""
    compared = f", last compared {ago(now - figures.last_compared)}" if figures.last_compared else ""
    if figures.unlinked or figures.on_purpose:
        left = _left_alone(figures)
        text = f"{figures.in_sync:,} of {counted(figures.tickets, 'ticket')} {_is(figures.in_sync)} in sync{compared}"
        return Sentence(level="ok", text=f"{text}{looked}; {left} by a person's decision")
    all_ = "The only ticket is" if figures.tickets == 1 else f"All {counted(figures.tickets, 'ticket')} are"
    return Sentence(level="ok", text=f"{all_} in sync{compared}{looked}")


def _left_alone(figures: Figures) -> str:
    parts = [f"{figures.unlinked:,} {_is(figures.unlinked)} not mirrored"] if figures.unlinked else []
    parts += [f"{figures.on_purpose:,} {_is(figures.on_purpose)} left different"] if figures.on_purpose else []
    return " and ".join(parts)
