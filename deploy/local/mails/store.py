"""Caught mails, one file each in the home folder, so they survive a restart and any mail program can open them."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import lru_cache
from pathlib import Path

from shared.ids import new_id

_NAME = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}")
_RECIPIENTS = "X-Envelope-To"


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A file inside a mail; `position` counts the mail's attachments from 0."""

    position: int
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A caught mail as its page shows it."""

    name: str
    caught_at: datetime
    sender: str
    recipients: str
    """Header To, or the envelope's recipients where there is none."""
    subject: str
    headers: Sequence[tuple[str, str]]
    text: str
    html: str
    attachments: Sequence[Attachment]

    def matches(self, words: str) -> bool:
        """Whether sender, recipients, subject or text contain all words, in any case."""
        everything = f"{self.sender} {self.recipients} {self.subject} {self.text}".lower()
        return all(word in everything for word in words.lower().split())


class MailStore:
    """A folder of mails, named so that sorting by name sorts by time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def add(self, content: bytes, *, recipients: Sequence[str], now: datetime) -> str:
        """Keep a mail for good, then return its name. Raises OSError when the disk is full."""
        name = f"{now.astimezone(UTC):%Y%m%dT%H%M%S%f}-{new_id().hex[:8]}"
        unfinished = self._folder / f"{name}.part"
        try:
            with unfinished.open("wb") as file:
                file.write(f"{_RECIPIENTS}: {', '.join(recipients)}\r\n".encode() + content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._path(name))
        finally:
            unfinished.unlink(missing_ok=True)
        return name

    def names(self) -> list[str]:
        """Newest first."""
        return sorted((path.stem for path in self._folder.glob("*.eml") if _NAME.fullmatch(path.stem)), reverse=True)

    def find(self, words: str) -> Iterator[Mail]:
        """The mails that contain all words, newest first."""
        for name in self.names():
            mail = self.get(name)
            if mail is not None and mail.matches(words):
                yield mail

    def get(self, name: str) -> Mail | None:
        source = self.source(name)
        return None if source is None else _read(name, source)

    def source(self, name: str) -> bytes | None:
        """The mail as it was received."""
        if not _NAME.fullmatch(name):
            return None
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def clear(self) -> None:
        for name in self.names():
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.eml"


@lru_cache(maxsize=500)
def _read(name: str, source: bytes) -> Mail:
    message = message_from_bytes(source, policy=policy.default)
    return Mail(
        name=name,
        caught_at=datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC),
        sender=str(message["From"] or ""),
        recipients=str(message["To"] or message[_RECIPIENTS] or ""),
        subject=str(message["Subject"] or "(no subject)"),
        headers=[(key, str(value)) for key, value in message.items()],
        text=_body(message, "plain"),
        html=_body(message, "html"),
        attachments=[_attachment(position, part) for position, part in enumerate(message.iter_attachments())],
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    try:
        return payload.decode(part.get_content_charset("utf-8"), errors="replace")
    except LookupError:  # a character set nobody knows
        return payload.decode("utf-8", errors="replace")


def _attachment(position: int, part: EmailMessage) -> Attachment:
    payload = part.get_payload(decode=True)
    return Attachment(
        position=position,
        name=part.get_filename() or f"attachment-{position + 1}",
        content_type=part.get_content_type(),
        content=payload if isinstance(payload, bytes) else part.as_bytes(),
    )
