"""How an event's envelope becomes message headers and back: CloudEvents 1.0 attributes, whatever the broker."""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.clock import from_text, to_text
from shared.events import Message
from shared.ids import derived_id

CONTENT_TYPE = "application/json"
_PREFIX = "cloudEvents_"
"""Of the CloudEvents attributes, as their AMQP binding asks."""


def to_headers(message: Message) -> dict[str, str]:
    attributes = {
        "specversion": "1.0",
        "id": str(message.id),
        "source": message.source,
        "type": message.type,
        "subject": message.subject,
        "time": to_text(message.time),
    }
    return {**message.headers, **{_PREFIX + name: value for name, value in attributes.items()}}


def to_message(headers: Mapping[str, Any], body: str | bytes, *, destination: str, received: datetime) -> Message:
    """The envelope a broker delivered. Never fails: what a stranger sent is read as well as possible.

    Without a usable id the body gives one, so that the same stranger's message is kept once. `received` stands in
    for a missing time.
    """
    text = _text(body)
    return Message(
        id=_id(headers.get(_PREFIX + "id"), text),
        type=_text(headers.get(_PREFIX + "type", "")),
        destination=destination,
        subject=_text(headers.get(_PREFIX + "subject", "")),
        source=_text(headers.get(_PREFIX + "source", "")),
        time=_moment(headers.get(_PREFIX + "time"), received),
        body=text,
        headers={
            name: value
            for name, value in headers.items()
            if isinstance(value, str) and not name.startswith((_PREFIX, "x-"))
        },
    )


def _text(value: Any) -> str:
    """Text that every database stores: bytes are decoded, NUL (never valid in JSON text) is made visible."""
    text = value.decode("utf-8", errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return text.encode("utf-8", errors="backslashreplace").decode().replace("\0", "\\0")


def _id(value: Any, body: str) -> uuid.UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return derived_id("foreign-message", hashlib.sha256(body.encode()).hexdigest())


def _moment(value: Any, otherwise: datetime) -> datetime:
    try:
        return from_text(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise
