"""Webhook hints: tell a listener which records have just changed, without ever holding up the save.

A hint may be lost or doubled; the change feed is what a reader relies on. Signed in the way of Standard Webhooks.
"""

import base64
import hashlib
import hmac
import json
import queue
import threading
import uuid
from collections.abc import Sequence

import httpx
import structlog

from shared.clock import utc_now
from shared.ids import new_id

_TIMEOUT_SECONDS = 1.0
_WAITING_MOST = 10_000

log = structlog.get_logger(__name__)


class Hints:
    """Sends from a thread of its own, which starts with the first hint so that a forked worker has one too."""

    def __init__(self, url: str, *, key: str) -> None:
        self._url = url
        self._key = key.encode()
        self._waiting: queue.Queue[uuid.UUID] = queue.Queue(_WAITING_MOST)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def send(self, ids: Sequence[uuid.UUID]) -> None:
        """Take note of what has changed; returns at once."""
        try:
            for record_id in dict.fromkeys(ids):
                self._waiting.put_nowait(record_id)
        except queue.Full:
            log.warning("hints_dropped", reason="the listener is too slow; it will find the changes in the feed")
        if ids:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="crm-hints", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        with httpx.Client(timeout=_TIMEOUT_SECONDS) as client:
            while True:
                self._post(client, [self._waiting.get(), *self._all_waiting()])

    def _all_waiting(self) -> list[uuid.UUID]:
        ids = []
        while not self._waiting.empty():
            ids.append(self._waiting.get_nowait())
        return ids

    def _post(self, client: httpx.Client, ids: Sequence[uuid.UUID]) -> None:
        body = json.dumps({"ids": [str(record_id) for record_id in dict.fromkeys(ids)]})
        headers = signed_headers(self._key, str(new_id()), int(utc_now().timestamp()), body)
        try:
            client.post(self._url, content=body, headers=headers).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("hint_failed", url=self._url, reason=str(error) or type(error).__name__)


def signed_headers(key: bytes, message_id: str, timestamp: int, body: str) -> dict[str, str]:
    """Standard Webhooks: an HMAC-SHA256 over id, timestamp (seconds since 1970) and body."""
    mac = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
