"""Sending what is due: claimed by one worker at a time, tried again with growing pauses, given up in the end.

A mail is claimed, sent outside any transaction, then marked. A worker killed between the last two leaves a mail that
the server took and nobody marked: it goes out once more after five minutes, under the same Message-ID.
"""

import smtplib
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from portal_service.channels.mailer import Mailer
from portal_service.channels.models import OutgoingMail, SuppressedAddress
from shared.database import Database
from shared.emails import email_key
from shared.failpoints import failpoint

log = structlog.get_logger()

BATCH = 20
GIVE_UP = timedelta(days=5)
"""So long a mail that the server puts off is tried (RFC 5321, 4.5.4.1: four or five days)."""
_LEASE = timedelta(minutes=5)
_BATCH_SECONDS = 120.0
"""After that the rest of a batch goes back: a slow server must not keep it beyond the lease."""
_LONGEST_PAUSE = timedelta(hours=1)
_OUTAGE_PAUSE = timedelta(seconds=30)
_LEAST_ATTEMPTS = 20
"""Nothing is given up for its age alone: the server may have been away for days."""
_NO_SUCH_MAILBOX = (b"5.1.1", b"5.1.2", b"5.1.3", b"5.1.6", b"5.1.10")
"""Answers (RFC 3463) after which an address gets no more mails."""

Refusal = smtplib.SMTPRecipientsRefused | smtplib.SMTPResponseException | smtplib.SMTPNotSupportedError | ValueError


def send_due(database: Database, mailer: Mailer, now: datetime) -> int:
    """Send mails whose time has come, at most BATCH; returns how many were handed to the server."""
    mails = _claim(database, now)
    if not mails:
        return 0
    try:
        server = mailer.connect()
    except OSError as error:
        _wait_for_server(database, mails, error, now)
        return 0
    return _Round(database, mailer, now).send(server, mails)


def try_again(session: Session, mail: OutgoingMail, *, now: datetime) -> None:
    """Send a mail that was given up once more; its address is suppressed no longer."""
    lift(session, email_key(mail.recipient))
    mail.failed_at, mail.attempts, mail.due_at = None, 0, now


def lift(session: Session, key: str) -> None:
    """Let an address have mails again."""
    session.execute(delete(SuppressedAddress).where(SuppressedAddress.key == key))


def is_kept(mail: OutgoingMail) -> bool:
    """Whether its words are still there, so that it can be sent."""
    return bool(mail.text)


def given_up(session: Session, *, limit: int) -> Sequence[OutgoingMail]:
    """Newest first."""
    query = select(OutgoingMail).where(OutgoingMail.failed_at.is_not(None)).order_by(OutgoingMail.failed_at.desc())
    return session.scalars(query.limit(limit)).all()


def put_off(session: Session, *, limit: int) -> Sequence[OutgoingMail]:
    """Mails that were tried in vain and wait for their next time, the oldest first."""
    query = _unsent().where(OutgoingMail.error.is_not(None)).order_by(OutgoingMail.created_at)
    return session.scalars(query.limit(limit)).all()


def given_up_since(moment: datetime) -> Select[int]:
    """How many; to be read with other numbers."""
    return select(func.count()).select_from(OutgoingMail).where(OutgoingMail.failed_at >= moment)


class _Round:
    """One batch over one connection, which is opened anew when the server drops it."""

    def __init__(self, database: Database, mailer: Mailer, now: datetime) -> None:
        self._database = database
        self._mailer = mailer
        self._now = now
        self._ends = time.monotonic() + _BATCH_SECONDS

    def send(self, server: smtplib.SMTP, mails: Sequence[OutgoingMail]) -> int:
        sent = 0
        waiting = iter(mails)
        try:
            for mail in waiting:
                if server.sock is None:
                    server = self._mailer.connect()
                try:
                    sent += self._send(server, mail)
                except OSError as error:
                    # Nobody knows whether the server took it: the same mail once more is better than none.
                    _put_off(self._database, mail, error, self._now)
                    server.close()
                if time.monotonic() > self._ends:
                    break
            _give_back(self._database, waiting, self._now)
        except OSError as error:
            _wait_for_server(self._database, [mail, *waiting], error, self._now)
        finally:
            with suppress(OSError):
                server.quit()
        return sent

    def _send(self, server: smtplib.SMTP, mail: OutgoingMail) -> bool:
        try:
            server.send_message(self._mailer.compose(mail))
        except (
            smtplib.SMTPRecipientsRefused,
            smtplib.SMTPResponseException,
            smtplib.SMTPNotSupportedError,
            ValueError,
        ) as error:
            _refused(self._database, mail, error, self._now)
            return False
        except OSError:
            raise
        except Exception as error:
            # A mail nobody can write must not keep back the others.
            log.exception("mail_cannot_be_written", mail_id=str(mail.id))
            _give_up(self._database, mail, error, self._now)
            return False
        failpoint("mail.after_send")
        _mark(self._database, mail.id, sent_at=self._now, error=None, **_forgotten(mail))
        return True


def _claim(database: Database, now: datetime) -> list[OutgoingMail]:
    with database.read() as session:
        if session.scalar(_due(now).with_only_columns(OutgoingMail.id).limit(1)) is None:
            return []
    with database.write() as session:
        mails = list(session.scalars(_due(now).limit(BATCH).with_for_update(skip_locked=True)))
        for mail in mails:
            mail.due_at = now + _LEASE
            mail.attempts += 1
        return mails


def _unsent() -> Select[OutgoingMail]:
    return select(OutgoingMail).where(OutgoingMail.sent_at.is_(None), OutgoingMail.failed_at.is_(None))


def _due(now: datetime) -> Select[OutgoingMail]:
    return _unsent().where(OutgoingMail.due_at <= now).order_by(OutgoingMail.due_at, OutgoingMail.created_at)


def _refused(database: Database, mail: OutgoingMail, error: Refusal, now: datetime) -> None:
    too_old = now - mail.created_at >= GIVE_UP and mail.attempts >= _LEAST_ATTEMPTS
    if not (_is_final(error) or too_old):
        _put_off(database, mail, error, now)
        return
    _give_up(database, mail, error, now)
    if isinstance(error, smtplib.SMTPRecipientsRefused) and _is_no_mailbox(error):
        with database.write() as session:
            session.merge(SuppressedAddress(key=email_key(mail.recipient), reason=_words(error), since=now))


def _give_up(database: Database, mail: OutgoingMail, error: Exception, now: datetime) -> None:
    log.warning("mail_given_up", mail_id=str(mail.id), error=_words(error))
    _mark(database, mail.id, failed_at=now, error=_words(error), **_forgotten(mail))


def _is_final(error: Refusal) -> bool:
    """Whether trying again cannot help: no address, or a 5xx answer (RFC 5321) to anything but the sender's address."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPSenderRefused):
        return False
    return error.smtp_code >= 500 if isinstance(error, smtplib.SMTPResponseException) else True


def _is_no_mailbox(error: smtplib.SMTPRecipientsRefused) -> bool:
    return all(
        code >= 500 and words.split(maxsplit=1)[:1] in ([known] for known in _NO_SUCH_MAILBOX)
        for code, words in error.recipients.values()
    )


def _words(error: Exception) -> str:
    """What the server said, as a sentence for the page."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {words.decode(errors='replace')}" for code, words in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    return str(error) or type(error).__name__


def _put_off(database: Database, mail: OutgoingMail, error: Exception, now: datetime) -> None:
    pause = min(timedelta(seconds=10 * 2 ** min(mail.attempts, 10)), _LONGEST_PAUSE)
    log.warning("mail_put_off", mail_id=str(mail.id), error=_words(error), seconds=pause.total_seconds())
    _mark(database, mail.id, due_at=now + pause, error=_words(error))


def _wait_for_server(database: Database, mails: Sequence[OutgoingMail], error: Exception, now: datetime) -> None:
    """No mail is to blame: all that is due rests a while, and none of it comes nearer to being given up."""
    log.warning("mail_server_away", error=_words(error))
    claimed = OutgoingMail.id.in_([mail.id for mail in mails])
    waiting = update(OutgoingMail).where(OutgoingMail.sent_at.is_(None), OutgoingMail.failed_at.is_(None))
    with database.write() as session:
        session.execute(waiting.where(claimed).values(error=_words(error), attempts=OutgoingMail.attempts - 1))
        session.execute(waiting.where(claimed | (OutgoingMail.due_at <= now)).values(due_at=now + _OUTAGE_PAUSE))


def _give_back(database: Database, mails: Iterator[OutgoingMail], now: datetime) -> None:
    for mail in mails:
        _mark(database, mail.id, due_at=now, attempts=mail.attempts - 1)


def _forgotten(mail: OutgoingMail) -> dict[str, str]:
    """What is no longer kept of a mail that will not be sent again."""
    return {"text": "", "html": ""} if mail.secret else {}


def _mark(database: Database, mail_id: uuid.UUID, **values: Any) -> None:
    with database.write() as session:
        session.execute(update(OutgoingMail).where(OutgoingMail.id == mail_id).values(**values))
