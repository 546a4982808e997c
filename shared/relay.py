"""The relay: takes events from the outbox to the broker and marks sent only what the broker confirmed.

It may die at any line: what it had claimed is claimed again when the claim's lease ends, and publishing an event
twice is harmless. Whatever the broker cannot take stays in the outbox.
"""

import random
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError

from shared.broker import IN_FLIGHT, Broker, BrokerUnavailableError
from shared.clock import utc_now
from shared.database import Database
from shared.events import Message
from shared.failpoints import failpoint
from shared.outbox import Outbox
from shared.retry import backoff_delay
from shared.wakeup import Wakeup

CLAIM_LEASE = timedelta(seconds=10)
_LOOK_SECONDS = 1.0
"""How often the outbox is looked at although nothing woke the relay."""

log = structlog.get_logger(__name__)


class RelayStalledError(Exception):
    """The broker was reached but did not confirm everything; the rest waits in the outbox."""


class Relay:
    """Relays one outbox. For one thread; several processes may relay the same outbox."""

    def __init__(self, database: Database, outbox: Outbox, broker: Broker) -> None:
        self._database = database
        self._outbox = outbox
        self._broker = broker
        self._publisher = broker.publisher()

    def run_once(self, now: datetime) -> int:
        """Relay up to IN_FLIGHT waiting events; returns how many were sent.

        Raises BrokerUnavailableError or RelayStalledError when events had to stay, and SQLAlchemy's DBAPIError.
        """
        with self._database.write() as session:
            messages = self._outbox.claim(session, now=now, lease=CLAIM_LEASE, limit=IN_FLIGHT)
        if not messages:
            return 0
        failpoint("relay.after_claim")
        with self._giving_back(messages):
            confirmed = self._publisher.publish(messages)
        failpoint("relay.after_publish")
        self._mark(messages, confirmed, now=now)
        if len(confirmed) < len(messages):
            raise RelayStalledError(f"{len(messages) - len(confirmed)} of {len(messages)} events were not confirmed")
        return len(confirmed)

    def close(self) -> None:
        self._publisher.close()

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set, through failures of broker and database."""
        failures = 0
        with closing(Wakeup(self._database)) as wakeup, closing(self):
            while not stop.is_set():
                try:
                    sent = self.run_once(utc_now())
                except (BrokerUnavailableError, RelayStalledError, DBAPIError) as error:
                    failures += 1
                    delay = backoff_delay(failures, chance=random.random())  # noqa: S311 (no secret)
                    log.warning("relay.waiting", error=_text(error), failures=failures, retry_in=round(delay, 2))
                    stop.wait(delay)
                    continue
                if failures and sent:
                    log.info("relay.recovered", after_failures=failures)
                    failures = 0
                if sent < IN_FLIGHT:
                    wakeup.wait(_LOOK_SECONDS)

    @contextmanager
    def _giving_back(self, messages: Sequence[Message]) -> Iterator[None]:
        """Free the claims when nothing could be published, so that the next try need not wait for their lease."""
        try:
            yield
        except BrokerUnavailableError:
            with suppress(DBAPIError), self._database.write() as session:
                self._outbox.release(session, [message.id for message in messages])
            raise

    def _mark(self, messages: Sequence[Message], confirmed: set[uuid.UUID], *, now: datetime) -> None:
        failpoint("relay.before_mark_sent")
        with self._database.write() as session:
            if confirmed:
                self._outbox.mark_sent(session, confirmed, now=now)
            self._outbox.release(session, [message.id for message in messages if message.id not in confirmed])


def _text(error: Exception) -> str:
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)
