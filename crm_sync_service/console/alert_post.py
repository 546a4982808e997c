"""Sending alerts, by mail and to a URL, from one console process at a time."""

import os
import smtplib
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError

from crm_sync_service import loop_lease
from crm_sync_service.alarms import alarms, clear_alarm, raise_alarm
from crm_sync_service.console.alert_settings import AlertSettings
from crm_sync_service.console.alerts import Message, due_messages, note_told, note_troubles
from crm_sync_service.console.broker_watch import BrokerWatch
from crm_sync_service.console.figures import read_figures
from crm_sync_service.console.health import assess, troubles_of
from shared import smtp
from shared.clock import to_text, utc_now
from shared.database import Database

TICK_SECONDS = 15.0
UNSENT = "alerts_unsent"
_LEASE = timedelta(seconds=60)
_TIMEOUT_SECONDS = 10.0

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class AlertPost:
    """Looks at the health as the overview shows it, and tells people what lasts."""

    database: Database
    watch: BrokerWatch
    settings: AlertSettings
    console_url: str
    now: Callable[[], datetime] = utc_now
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    def start(self) -> None:
        """In a thread that ends with the process; does nothing if nobody wants to be told."""
        if self.settings.wanted:
            threading.Thread(target=self._run, args=(threading.Event(),), name="alerts", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(TICK_SECONDS):
            try:
                self.tick()
            except SQLAlchemyError as error:
                log.warning("alerts_wait", error=str(error))

    def tick(self) -> int:
        """Look once; returns how many messages were sent."""
        now = self.now()
        broker = self.watch.look()
        with self.database.write() as session:
            if not loop_lease.take(session, "alerts", owner=self.owner, now=now, span=_LEASE):
                return 0
            known = [alarm for alarm in alarms(session) if alarm.name != UNSENT]
            health = assess(read_figures(session, now=now), broker, known, now=now)
            note_troubles(session, troubles_of(health), now=now)
            messages = due_messages(session, now=now)
        if not messages:
            return 0
        problem = self._send(messages)
        with self.database.write() as session:
            if problem is None:
                note_told(session, messages, now=now)
                clear_alarm(session, UNSENT)
            else:
                raise_alarm(session, UNSENT, f"Alerts could not be sent: {problem}", now=now, level="warn")
        return len(messages) if problem is None else 0

    def _send(self, messages: Sequence[Message]) -> str | None:
        """Why they could not be sent; None if they were. Sent again by all ways if one of them failed."""
        try:
            if self.settings.mail:
                self._mail(messages)
            if self.settings.url:
                self._call(self.settings.url, messages)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("alert_mail_not_sent", error=str(error))
            return f"the mail server said: {error}. Check SMTP_URL and ALERT_MAIL"
        except httpx.HTTPError as error:
            # Its text holds the whole address, and chat services put their key into it.
            log.warning("alert_url_not_called", error=type(error).__name__, status=_status_of(error))
            return "the address in ALERT_URL did not take them. Check it"
        return None

    def _mail(self, messages: Sequence[Message]) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"] = self.settings.sender, ", ".join(self.settings.mail)
        mail["Subject"] = _subject(messages)
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(words_of(messages, console_url=self.console_url))
        with smtp.connect(self.settings.smtp_url) as server:
            server.send_message(mail)

    def _call(self, url: str, messages: Sequence[Message]) -> None:
        body = {
            "text": words_of(messages, console_url=self.console_url),
            "console": self.console_url,
            "alerts": [
                {"cause": each.cause, "state": each.state, "text": each.text, "since": to_text(each.since)}
                for each in messages
            ],
        }
        httpx.post(url, json=body, timeout=_TIMEOUT_SECONDS, follow_redirects=False).raise_for_status()


def _status_of(error: httpx.HTTPError) -> int | None:
    return error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None


def _subject(messages: Sequence[Message]) -> str:
    first = messages[0]
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    words = first.text if first.state == "needs a person" else f"Well again: {first.cause}"
    return f"[Casebridge] {' '.join(words.split())[:120]}{more}"


def words_of(messages: Sequence[Message], *, console_url: str) -> str:
    """What somebody reads at night: what is wrong, since when, and where to look."""
    lines = []
    for each in messages:
        since = f"{each.since:%Y-%m-%d %H:%M} UTC"
        if each.state == "needs a person":
            lines.append(f"{each.text}. Since {since}.")
        else:
            lines.append(f"Well again: {each.cause}. It began at {since}: {each.text}.")
    return "\n\n".join([*lines, f"Look here: {console_url}", ""])
