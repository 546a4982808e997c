"""Hints from EspoCRM: checking what it signed, and asking it to send them.

A delivery is an array of partial records without event, time or order, repeatable by whoever saw it: it only says
"read this Case again".
"""

import base64
import binascii
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from crm_sync_service.connectors.base import ForbiddenError, InvalidError, UnauthorisedError
from crm_sync_service.connectors.espocrm.client import EspoClient
from crm_sync_service.connectors.espocrm.feeds import rows_of
from crm_sync_service.connectors.espocrm.query import listing
from crm_sync_service.connectors.espocrm.records import Row

EVENTS = ("Case.update", "Case.delete")
_REFRESH_SECONDS = 60.0
_LONGEST_ID = 64


class Webhooks:
    """The webhooks of our API user, and their secrets."""

    def __init__(self, client: EspoClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Row] = {}
        self._read_at: float | None = None

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        """Ids of the Cases in a delivery. Raises UnauthorisedError, InvalidError."""
        lower = {name.lower(): value for name, value in headers.items()}
        webhook_id, given = _signature(lower)
        webhook = self._webhook(webhook_id)
        secret = str(webhook.get("secretKey") or "").encode()
        digest = hmac.new(secret, body, hashlib.sha256)
        genuine = hmac.compare_digest(given, digest.hexdigest().encode()) or hmac.compare_digest(given, digest.digest())
        if not secret or not genuine:
            raise UnauthorisedError("the signature of a webhook of EspoCRM is not right")
        if webhook.get("event") != topic:
            raise UnauthorisedError(
                f"a webhook of EspoCRM for {webhook.get('event')} was sent to the address of {topic}"
            )
        ids = _ids(body)
        return ids if topic.startswith("Case.") else ()

    def register(self, url: str) -> Sequence[str]:
        """One webhook per event under `url`; words per event, or why there are none."""
        try:
            there = self._read()
            return [self._ensure(event, f"{url.rstrip('/')}/{event}", there) for event in EVENTS]
        except ForbiddenError as error:
            return [f"Webhooks: {error}. Until then changes are found at the next look instead of at once."]

    def _ensure(self, event: str, url: str, there: Sequence[Row]) -> str:
        same = [row for row in there if row.get("event") == event and row.get("url") == url]
        kept = next((row for row in same if row.get("isActive") and row.get("skipOwn")), None)
        for row in same:
            if row is not kept:
                self._client.send("DELETE", f"Webhook/{row['id']}")
        if kept is not None:
            return f"{event}: EspoCRM sends it to {url} already"
        try:
            self._client.send("POST", "Webhook", body={"event": event, "url": url, "skipOwn": True})
        except InvalidError as error:
            remedy = "an internal one must stand in webhookAllowedAddressList of EspoCRM's data/config.php"
            return f"{event}: EspoCRM does not take the address {url} ({error}); {remedy}"
        with self._lock:
            self._read_at = None
        return f"{event}: EspoCRM will send it to {url}"

    def _webhook(self, webhook_id: str) -> Row:
        """Read again for an unknown one, but not more than once a minute, whoever sends us nonsense."""
        with self._lock:
            known = self._known.get(webhook_id)
            may_read = self._read_at is None or self._clock() - self._read_at >= _REFRESH_SECONDS
        if known is None and may_read:
            self._read()
            known = self._known.get(webhook_id)
        if known is None:
            raise UnauthorisedError("a webhook names an id that our API user has no webhook for in EspoCRM")
        return known

    def _read(self) -> list[Row]:
        with self._lock:
            self._read_at = self._clock()
        rows = rows_of(self._client.get("Webhook", listing()))
        for row in rows:
            self._client.hide(str(row.get("secretKey") or ""))
        with self._lock:
            self._known = {str(row["id"]): row for row in rows}
        return rows


def _signature(headers: Mapping[str, str]) -> tuple[str, bytes]:
    """Webhook's id and digest: in hex in the header Signature, as bytes in the older X-Signature."""
    text = headers.get("signature") or headers.get("x-signature")
    if not text:
        raise UnauthorisedError("a webhook has no header Signature")
    try:
        webhook_id, _, digest = base64.b64decode(text, validate=True).partition(b":")
        return webhook_id.decode("ascii")[:_LONGEST_ID], digest
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UnauthorisedError("the header Signature of a webhook cannot be read") from error


def _ids(body: bytes) -> list[str]:
    try:
        records = json.loads(body)
        ids = [record["id"] for record in records]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidError("a webhook of EspoCRM has no list of records with ids") from error
    if not all(isinstance(record_id, str) and record_id for record_id in ids):
        raise InvalidError("a webhook of EspoCRM has a record without an id")
    return list(dict.fromkeys(ids))
