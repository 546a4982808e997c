"""Salesforce's REST API: log-in by client credentials, queries, composite requests, errors sorted, calls counted.

The library simple-salesforce is not used: it stands on `requests`, which bounds neither the time nor the size of a
whole answer and follows redirects with the token.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    RateLimitedError,
    UnauthorisedError,
    UnreachableError,
)
from crm_sync_service.connectors.config import ConfigError, ConnectorConfig
from crm_sync_service.connectors.http import Answer, JsonClient

API_VERSION = "62.0"
_SORTED_HERE = frozenset({300, 401})
_BUDGET_PAUSE = timedelta(minutes=15)
_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")
_DUPLICATE_OF = re.compile(r"record with id: (\w{15,18})")
_LOCKED = frozenset({"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT"})
_FORBIDDEN = re.compile(r"INSUFFICIENT_ACCESS|NO_ACCESS|CANNOT_.*_ENTITY|API_DISABLED|FUNCTIONALITY_NOT_ENABLED")


class SalesforceApi:
    """One organisation of Salesforce. Safe to use from several threads."""

    def __init__(
        self, config: ConnectorConfig, *, version: str, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`share`: the part of the organisation's daily calls that may be used up before we pause.

        Raises ConfigError.
        """
        if not 0 < share <= 1:
            raise ConfigError(f"api_share={share} under [connector] cannot be: give a number above 0 and up to 1")
        self._credentials = {
            "grant_type": "client_credentials",
            "client_id": config.need("client_id"),
            "client_secret": config.need("client_secret"),
        }
        self._http = JsonClient(config, headers={"Sforce-Auto-Assign": "FALSE"}, credential="CRM_CLIENT_SECRET")
        self._base = f"services/data/v{version}/"
        self._share, self._clock = share, clock
        self._paused_until = 0.0
        self._token: str | None = None
        self._user = ""
        self._lock = threading.Lock()
        self.usage: tuple[int, int] | None = None
        """Calls of the last 24 hours and how many there may be, as Salesforce last said."""

    @property
    def base(self) -> str:
        """The beginning of every path."""
        return f"/{self._base}"

    def close(self) -> None:
        self._http.close()

    def own_user(self) -> str:
        """The id of the user that the client acts as."""
        self._log_in(None)
        return self._user

    def query(self, soql: str) -> list[dict[str, Any]]:
        """The rows of one query, deleted ones too; it must bound their number itself."""
        body = self.call("GET", f"queryAll?q={quote(soql)}").body
        rows = list(body["records"])
        while not body["done"]:
            # Salesforce cuts batches short where rows are long.
            body = self.call("GET", str(body["nextRecordsUrl"]).removeprefix(self.base)).body
            rows += body["records"]
        return rows

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """A successful answer. Raises what the contract names."""
        self._keep_budget()
        token = self._log_in(None)
        answer = self._send(method, path, body, token)
        if answer.status == 401:
            answer = self._send(method, path, body, self._log_in(token))
        if answer.status == 401:
            raise UnauthorisedError(f"Salesforce refuses a token it has just given out: {answer.shown}")
        if answer.status >= 300:
            raise sorted_error(answer.status, answer.data, answer.shown)
        return answer

    def composite(self, *requests: Mapping[str, Any]) -> list[Any]:
        """The bodies of several requests that count as one call; all of them happen, or none."""
        body = {"allOrNone": True, "compositeRequest": list(requests)}
        answers = self.call("POST", "composite", body).body["compositeResponse"]
        failed = [each for each in answers if each["httpStatusCode"] >= 300]
        if failed:
            # The others only say that they were undone.
            cause = next((each for each in failed if _code(each["body"]) != "PROCESSING_HALTED"), failed[0])
            raise sorted_error(cause["httpStatusCode"], cause["body"], str(cause["body"])[:300])
        return [each["body"] for each in answers]

    def _send(self, method: str, path: str, body: Any, token: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        answer = self._http.call(
            method, f"{self._base}{path}", body=body, headers=headers, sorted_by_caller=_SORTED_HERE
        )
        self._count(answer.headers.get("sforce-limit-info", ""))
        return answer

    def _log_in(self, worn: str | None) -> str:
        """A token; a new one if the last is `worn`."""
        with self._lock:
            if self._token is None or self._token == worn:
                self._token = None
                answer = self._http.call("POST", "services/oauth2/token", form=self._credentials)
                if answer.status >= 300:
                    raise UnauthorisedError(
                        f"Salesforce refuses the log-in ({answer.shown}): check CRM_CLIENT_ID and CRM_CLIENT_SECRET, "
                        "and that CRM_API_URL is your My Domain address, like https://company.my.salesforce.com"
                    )
                self._token = str(answer.body["access_token"])
                self._user = str(answer.body.get("id", "")).rpartition("/")[2]
                self._http.hide(self._token)
            return self._token

    def _count(self, header: str) -> None:
        found = _USAGE.search(header)
        if found is None:
            return
        used, most = int(found[1]), int(found[2])
        self.usage = used, most
        if used >= most * self._share:
            self._paused_until = self._clock() + _BUDGET_PAUSE.total_seconds()

    def _keep_budget(self) -> None:
        left = self._paused_until - self._clock()
        if left > 0 and self.usage is not None:
            used, most = self.usage
            raise RateLimitedError(
                f"{used:,} of the {most:,} API calls of a day are used, the rest is left to other programs",
                retry_after=timedelta(seconds=left),
            )


def _code(body: Any) -> str:
    first = body[0] if isinstance(body, list) and body else body
    return str(first.get("errorCode", "")) if isinstance(first, dict) else ""


def sorted_error(status: int, body: Any, shown: str) -> Exception:
    """What a refusal means. Fields are named as Salesforce does."""
    errors: Sequence[Mapping[str, Any]] = [e for e in body if isinstance(e, dict)] if isinstance(body, list) else []
    code, words = _code(body), "; ".join(str(error.get("message", "")) for error in errors) or shown
    said = f"Salesforce says {code or status}: {words}"
    if code in _LOCKED:
        return UnreachableError(f"{said} (it is tried again)")
    if code == "ENTITY_IS_DELETED":
        return GoneError(said)
    if code.startswith("DUPLICATE_"):
        known = _DUPLICATE_OF.search(words)
        return AlreadyExistsError(said, record_id=known[1] if known else None)
    if status == 403 or _FORBIDDEN.search(code):
        over = code == "REQUEST_LIMIT_EXCEEDED"
        return RateLimitedError(said, retry_after=_BUDGET_PAUSE) if over else ForbiddenError(f"{said}: allow it")
    if status == 404:
        return NotFoundError(said)
    fields = {name: str(error.get("message", "")) for error in errors for name in error.get("fields") or ()}
    return InvalidError(said, fields=fields)


def literal(text: str) -> str:
    """A text within a query."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
