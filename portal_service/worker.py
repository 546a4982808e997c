"""The portal's worker: publishes the outbox, applies the events of the sync service, sends mails, minds the clocks."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from portal_service.api.models import forget_answers
from portal_service.base import inbox, open_database, outbox
from portal_service.channels.mailer import Mailer
from portal_service.channels.models import OutgoingMail
from portal_service.channels.sending import BATCH, send_due
from portal_service.clocks.review import overdue_count
from portal_service.clocks.run import strike_due
from portal_service.clocks.settings import BY_DEFAULT, ClockSettings
from portal_service.crm.handlers import apply
from portal_service.crm.resend import forget_answered, resend_unanswered, unanswered_count
from portal_service.files import staging
from portal_service.files.storage import FolderStorage, Storage
from portal_service.knowledge import pace
from portal_service.people import one_time, registration, throttle, tokens
from portal_service.settings import PortalSettings
from portal_service.tickets import drafts
from shared.broker import Broker, open_broker
from shared.clock import utc_now
from shared.consumer import Consumer, handle_batch
from shared.database import Database, opened
from shared.events import CRM_EVENTS, Message
from shared.health import run_loops
from shared.metrics import Gauge, outbox_gauges, timestamp_gauge
from shared.relay import Relay

_MAIL_SECONDS = 0.5
_RESEND_SECONDS = 20.0
_CLOCK_SECONDS = 10.0
_HOUSEKEEPING_SECONDS = 3600.0
_KEEP_SENT = timedelta(days=7)
_KEEP_SEEN = timedelta(days=30)
_POOL = 8

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class PortalWorker:
    """One worker process; any number of them may share the portal's database."""

    database: Database
    broker: Broker
    mailer: Mailer
    clocks: ClockSettings = BY_DEFAULT
    now: Callable[[], datetime] = utc_now
    storage: Storage | None = None
    """Where uploads that nobody sent are deleted from; None leaves them."""

    def loops(self) -> Mapping[str, Callable[[threading.Event], None]]:
        """What the process does, by name; each loop ends soon after its event is set."""
        return {
            "relay": Relay(self.database, outbox, self.broker).run,
            "inbox": Consumer(self.broker, CRM_EVENTS, self.receive).run,
            "mail": self.send_mails,
            "clocks": self.mind_clocks,
            "resend": self.resend,
            "housekeeping": self.keep_house,
        }

    def receive(self, messages: Sequence[Message]) -> None:
        """Apply what the sync service tells, a batch in one transaction."""
        now = self.now()
        handle_batch(self.database, inbox, messages, partial(apply, now=now), now)

    def send_mails(self, stop: threading.Event) -> None:
        """Send what is due until `stop`; a busy database is asked again."""
        while not stop.is_set():
            try:
                sent = send_due(self.database, self.mailer, self.now())
            except DBAPIError as error:
                log.warning("mails_waiting", error=str(error.orig))
                sent = 0
            if sent < BATCH:
                stop.wait(_MAIL_SECONDS)

    def mind_clocks(self, stop: threading.Event) -> None:
        """Tell of late reviews, remind and close, until `stop`; a busy database is asked again."""
        while not stop.wait(_CLOCK_SECONDS):
            try:
                strike_due(self.database, self.clocks, self.now())
            except DBAPIError as error:
                log.warning("clocks_wait", error=str(error.orig))

    def resend(self, stop: threading.Event) -> None:
        """Send again, until `stop`, what the sync service has said nothing about; a busy database is asked again."""
        while not stop.wait(_RESEND_SECONDS):
            try:
                with self.database.write() as session:
                    numbers = resend_unanswered(session, now=self.now())
            except DBAPIError as error:
                log.warning("resend_waits", error=str(error.orig))
            else:
                if numbers:
                    log.warning("sent_again", tickets=numbers)

    def keep_house(self, stop: threading.Event) -> None:
        """Forget what was sent, seen or counted long ago."""
        while not stop.wait(_HOUSEKEEPING_SECONDS):
            now = self.now()
            with self.database.write() as session:
                outbox.forget_sent(session, before=now - _KEEP_SENT)
                inbox.forget_seen(session, before=now - _KEEP_SEEN)
                forget_answered(session, before=now - _KEEP_SEEN)
                throttle.forget(session, now=now)
                pace.forget(session, now=now)
                one_time.forget_expired(session, now=now)
                registration.forget_stale(session, now=now)
                tokens.forget_expired(session, now=now)
                forget_answers(session, now=now)
                drafts.forget_expired(session, now=now)
            if self.storage is not None:
                with self.database.write() as session:
                    staging.forget_expired(session, self.storage, now=now)

    def gauges(self) -> Iterable[Gauge]:
        """What waits, read when somebody asks."""
        yield from outbox_gauges(self.database, outbox)
        with self.database.read() as session:
            unsent = OutgoingMail.sent_at.is_(None)
            wait = unsent & OutgoingMail.failed_at.is_(None)
            waiting, oldest = session.execute(select(func.count(), func.min(OutgoingMail.created_at)).where(wait)).one()
            failed = session.scalar(select(func.count()).where(OutgoingMail.failed_at.is_not(None))) or 0
            unreadable = inbox.unreadable_count(session)
            unanswered = unanswered_count(session, now=self.now())
            unreviewed = overdue_count(session, self.clocks, now=self.now())
        yield Gauge(
            name="casebridge_tickets_without_receipt",
            help="Changed minutes ago, and the sync service has said nothing of it.",
            value=unanswered,
        )
        yield Gauge(name="casebridge_mails_waiting", help="Mails not yet handed to the mail server.", value=waiting)
        if oldest is not None:
            yield timestamp_gauge(
                "casebridge_mails_oldest_waiting_timestamp_seconds", "When the oldest waiting mail was written.", oldest
            )
        yield Gauge(name="casebridge_reviews_overdue", help="New tickets nobody opened in time.", value=unreviewed)
        yield Gauge(name="casebridge_mails_refused", help="Mails the mail server refused for good.", value=failed)
        yield Gauge(name="casebridge_unreadable_events", help="Events kept because they are unknown.", value=unreadable)


def run_worker(settings: PortalSettings, stop: threading.Event) -> None:
    """Work until `stop` is set. Raises DatabaseUnavailableError, BrokerUnavailableError and PortTakenError at start."""
    with opened(open_database(settings.database_url, pool_size=_POOL)) as database:
        database.check()
        worker = PortalWorker(
            database=database,
            broker=open_broker(settings.common),
            mailer=Mailer(settings.smtp_url, settings.mail_from, settings.smtp_ca_file),
            clocks=settings.clocks,
            storage=FolderStorage(settings.files_root),
        )
        run_loops(worker.loops(), stop=stop, health=settings.health, ready=database.check, gauges=worker.gauges)
