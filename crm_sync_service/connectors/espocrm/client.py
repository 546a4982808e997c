"""EspoCRM's answers: signed requests, refusals sorted by what they mean here, and the lock-out respected.

A 403 is mostly wrong data, a 409 has two meanings, a 500 may be a clash of unique keys, and an empty 403 without a
reason means that our address is locked out, whatever the key.
"""

import base64
import hashlib
import hmac
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from crm_sync_service.connectors.base import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    RateLimitedError,
    StaleError,
    UnauthorisedError,
    UnreachableError,
)
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.espocrm.settings import address
from crm_sync_service.connectors.http import Answer, JsonClient

LOCK_OUT = timedelta(seconds=60)
"""EspoCRM locks an address out until its failed log-ins are this old."""
_QUIET_SECONDS = 30.0
"""After a refused key nothing is sent for this long: more than ten tries a minute would lock the whole host out."""
_REASON = "x-status-reason"
_SORTED_HERE = frozenset({401, 403, 404, 405, 409, 500})
_LINK = re.compile(r"link: (\w+)\.?$|\(\w+:(\w+)\)")
_LINK_OF_TYPE = {"Account": "account", "Contact": "contact", "User": "assignedUser"}
_NO_SUCH_ATTRIBUTE = re.compile(r"Not existing attribute '(\w+)' in where")


class DuplicateError(InvalidError):
    """The duplicate check found records that are alike."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(f"the duplicate check of EspoCRM found {len(rows)} records that are alike")
        self.rows = rows


class ServerFailedError(UnreachableError):
    """Status 500 without a word: a clash of unique keys, bad data, or a fault."""


class EspoClient:
    """The REST API of one EspoCRM."""

    def __init__(self, config: ConnectorConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that never go back. Raises ConfigError."""
        self._key = config.need("api_key")
        self._secret = config.secret_key
        self._url = address(config.url)
        self._http = JsonClient(replace(config, url=self._url), base="api/v1/")
        self._clock = clock
        self._quiet_until = 0.0
        self._quiet: UnauthorisedError | RateLimitedError | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        self._http.close()

    def hide(self, secret: str) -> None:
        self._http.hide(secret)

    def get(self, path: str, params: Mapping[str, str] | None = None, **headers: str) -> Answer:
        return self.send("GET", path, params=params, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A successful answer.

        Raises DuplicateError, StaleError, InvalidError (its fields named as EspoCRM does), NotFoundError,
        ServerFailedError, UnreachableError, RateLimitedError, UnauthorisedError.
        """
        self._keep_quiet()
        answer = self._http.call(
            method,
            path,
            params=params,
            body=body,
            headers={**self._credentials(method, path), **(headers or {})},
            sorted_by_caller=_SORTED_HERE,
        )
        if answer.status < 300:
            return answer
        self._refuse(answer)
        raise InvalidError(f"EspoCRM refuses: {_words(answer)}")

    def _credentials(self, method: str, path: str) -> dict[str, str]:
        """The key, or a signature of method and path; EspoCRM signs neither query nor body."""
        if not self._secret:
            return {"X-Api-Key": self._key}
        digest = hmac.new(self._secret.encode(), f"{method} /{path}".encode(), hashlib.sha256).hexdigest()
        return {"X-Hmac-Authorization": base64.b64encode(f"{self._key}:{digest}".encode()).decode()}

    def _keep_quiet(self) -> None:
        with self._lock:
            left = self._quiet_until - self._clock()
            error = self._quiet
        if left <= 0 or error is None:
            return
        if isinstance(error, RateLimitedError):
            raise RateLimitedError(str(error), retry_after=timedelta(seconds=left))
        raise UnauthorisedError(str(error))

    def _be_quiet(self, error: UnauthorisedError | RateLimitedError, seconds: float) -> None:
        with self._lock:
            self._quiet, self._quiet_until = error, self._clock() + seconds

    def _refuse(self, answer: Answer) -> None:
        """Raise what an error means, if this is told by more than its status."""
        refusals = {
            400: self._refuse_400,
            401: self._refuse_401,
            403: self._refuse_403,
            404: self._refuse_404,
            409: self._refuse_409,
        }
        if refuse := refusals.get(answer.status):
            refuse(answer)
        if answer.status == 405:
            raise UnreachableError(f"there is no EspoCRM API at {self._url}: check CRM_API_URL")
        if answer.status == 413:
            raise InvalidError("the web server before EspoCRM refuses a request of this size (413)")
        if answer.status == 500:
            raise ServerFailedError(f"EspoCRM failed (500): {answer.shown}; its own log in data/logs says why")

    def _refuse_401(self, _: Answer) -> None:
        unknown = UnauthorisedError(
            "EspoCRM refuses the API key (401): check CRM_API_KEY (and CRM_SECRET_KEY, which is only for HMAC "
            "authentication), and that the API user is active"
        )
        self._be_quiet(unknown, _QUIET_SECONDS)
        raise unknown

    def _refuse_403(self, answer: Answer) -> None:
        if _REASON not in answer.headers:
            self._refuse_foreign_403(answer)
        label, data = _translation(answer)
        words = _words(answer)
        if label in {"cannotRelateNonExisting", "cannotRelateForbidden", "noLinkAccess"}:
            name = _link(answer.headers[_REASON], data)
            raise InvalidError(_relation_words(label, name, words), fields={name: words} if name else None)
        if "Assignment failure" in words:
            remedy = "its role needs Assignment Permission: all"
            raise InvalidError(f"the API user may not assign Cases ({remedy})", fields={"assignedUser": words})
        if "Max size" in words or "Not supported event" in words or "not available for Webhooks" in words:
            raise InvalidError(f"EspoCRM refuses: {words}")
        raise ForbiddenError(f"the API user lacks a right in EspoCRM: {words}; correct its role")

    def _refuse_foreign_403(self, answer: Answer) -> None:
        """EspoCRM gives a reason for each refusal, even an empty one; only its lock-out has none."""
        if answer.text.strip():
            raise InvalidError(
                f"something before EspoCRM, such as a firewall, refuses this request (403): {answer.shown}"
            )
        locked = RateLimitedError(
            "EspoCRM has locked this machine's address out for a minute after failed log-ins (403): "
            "find what uses a wrong key from here",
            retry_after=LOCK_OUT,
        )
        self._be_quiet(locked, LOCK_OUT.total_seconds())
        raise locked

    def _refuse_404(self, answer: Answer) -> None:
        reason = answer.headers.get(_REASON)
        if reason is None:
            raise UnreachableError(f"there is no EspoCRM API at {self._url}: check CRM_API_URL ({answer.shown})")
        if "Controller" in reason:
            raise ForbiddenError(f"this EspoCRM lacks a part that is needed: {reason}")
        raise NotFoundError(f"EspoCRM: {reason or 'no such record'}")

    def _refuse_409(self, answer: Answer) -> None:
        reason = answer.headers.get(_REASON, "")
        if reason == "modified":
            raise StaleError("the Case was changed by somebody else meanwhile")
        if reason == "duplicate" and isinstance(answer.data, list):
            raise DuplicateError([row for row in answer.data if isinstance(row, dict)])

    def _refuse_400(self, answer: Answer) -> None:
        if found := _NO_SUCH_ATTRIBUTE.search(answer.headers.get(_REASON, "")):
            raise UnauthorisedError(
                f"EspoCRM has no field {found[1]}: install the extension that `casebridge espocrm-package` makes"
            )
        label, data = _translation(answer)
        if label == "validationFailure" and data.get("field"):
            name = str(data["field"])
            words = _VALIDATION_WORDS.get(str(data.get("type")), f"it fails the check {data.get('type')!r}")
            raise InvalidError(f"EspoCRM refuses {name}: {words}", fields={name: words})


_VALIDATION_WORDS = {
    "required": "it may not be empty",
    "maxLength": "it is too long",
    "pattern": "it has characters that are not allowed there",
    "valid": "it is none of the allowed options",
    "emailAddress": "it is no e-mail address",
}


def _translation(answer: Answer) -> tuple[str, Mapping[str, Any]]:
    found = answer.data.get("messageTranslation") if isinstance(answer.data, dict) else None
    if not isinstance(found, dict):
        return "", {}
    data = found.get("data")
    return str(found.get("label") or ""), data if isinstance(data, dict) else {}


def _words(answer: Answer) -> str:
    return f"{answer.status} {answer.headers.get(_REASON) or ''}".strip()


def _link(reason: str, data: Mapping[str, Any]) -> str:
    """The link of the Case that a refusal is about; "" if it cannot be told."""
    if found := _LINK.search(reason):
        return found[1] or found[2]
    return str(data.get("link") or "") or _LINK_OF_TYPE.get(str(data.get("foreignEntityType")), "")


def _relation_words(label: str, name: str, words: str) -> str:
    what = name or "record"
    if label == "cannotRelateNonExisting":
        return f"the {what} does not exist in EspoCRM any more ({words})"
    if label == "noLinkAccess":
        return f"the API user may not use this {what}: give its role access ({words})"
    return f"the {what} cannot be used: deactivated, or out of the API user's sight ({words})"
