"""Requests of our logic hook inside SuiteCRM: signed, fresh, and naming a Case."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from crm_sync_service.connectors.base import InvalidError, UnauthorisedError

SIGNATURE_HEADER = "X-Casebridge-Signature"
TIMESTAMP_HEADER = "X-Casebridge-Timestamp"
TOLERANCE = timedelta(minutes=5)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over the time in seconds, a dot and the body."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def cases_named(body: bytes, headers: Mapping[str, str], *, secret: str | None, now: datetime) -> Sequence[str]:
    """Raises UnauthorisedError, InvalidError."""
    given = {name.lower(): value for name, value in headers.items()}
    timestamp = given.get(TIMESTAMP_HEADER.lower(), "")
    if not secret:
        raise UnauthorisedError("CRM_WEBHOOK_SECRET is not set: no webhook can be checked")
    signed = given.get(SIGNATURE_HEADER.lower(), "").encode()
    if not hmac.compare_digest(signature(secret, timestamp, body).encode(), signed):
        raise UnauthorisedError("the signature of a webhook is not right: compare CRM_WEBHOOK_SECRET with the package")
    if not timestamp.isdecimal() or abs(now.timestamp() - int(timestamp[:12])) > TOLERANCE.total_seconds():
        raise UnauthorisedError("a webhook is older than five minutes, or the clocks of the two machines differ")
    return _case_ids(body)


def _case_ids(body: bytes) -> Sequence[str]:
    try:
        event = json.loads(body)
        case_id = event["case_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidError("a webhook names no Case") from error
    if not isinstance(case_id, str):
        raise InvalidError("a webhook names no Case")
    return [case_id] if case_id else []
