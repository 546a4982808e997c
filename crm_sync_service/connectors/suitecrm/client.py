"""Calls of SuiteCRM's V8 API. Almost every refusal is a 400, so the English text tells what it means."""

import re
from collections.abc import Mapping
from typing import Any

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthorisedError,
    UnreachableError,
)
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.http import Answer, JsonClient
from crm_sync_service.connectors.suitecrm.tokens import ERRORS, Tokens

_SHOWN = 300
_TRY_AGAIN = frozenset({408, 409, 423, 425})
_EXISTS = re.compile(r"is already exist", re.IGNORECASE)
_NO_RECORD = re.compile(r"module with id \S+ is not found|is not related to", re.IGNORECASE)
_DENIED = re.compile(r"AccessDenied|Not Allowed|does not have access", re.IGNORECASE)
_NO_FIELD = re.compile(
    r"Property (\S+) in \S+ module is invalid|field in \S+ module is not found: (\S+)|Filter field (\S+) in"
)
_PATHS = re.compile(r"(?:/[\w.-]+){2,}")


class SuiteClient:
    """One SuiteCRM, with a token that is renewed as needed."""

    def __init__(self, config: ConnectorConfig, *, api_path: str = "") -> None:
        """Raises ConfigError."""
        self._http = JsonClient(config, headers={"Accept": "application/vnd.api+json, application/json"})
        self.tokens = Tokens(self._http, config, api_path=api_path)

    @property
    def api_path(self) -> str:
        """Where the API was found. Raises UnauthorisedError, UnreachableError."""
        return self.tokens.current().api_path

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self._call("GET", path, params=params)

    def save(self, method: str, module: str, attributes: Mapping[str, str], *, record_id: str | None) -> dict[str, Any]:
        """Create (POST) or change (PATCH) a record; its id stands outside the attributes, or nothing is stored."""
        data: dict[str, Any] = {"type": module, "attributes": dict(attributes)}
        if record_id is not None:
            data["id"] = record_id
        return self._call(method, "module", body={"data": data})

    def link(self, path: str, module: str, record_id: str) -> None:
        """`path` ends in the link's name: the way without it links something else."""
        self._call("POST", path, body={"data": {"type": module, "id": record_id}})

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def _call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        """The body of a success.

        Raises UnreachableError, RateLimitedError, UnauthorisedError, AlreadyExistsError, NotFoundError, InvalidError.
        """
        token = self.tokens.current()
        for attempt in (1, 2):
            answer = self._http.call(
                method,
                f"{token.api_path}/V8/{path}",
                params=params,
                body=body,
                headers={"Authorization": f"Bearer {token.value}"},
                sorted_by_caller=ERRORS,
            )
            if answer.status != 401:
                return _good(answer)
            if attempt == 1:
                token = self.tokens.after_refusal(token)
        raise UnauthorisedError("SuiteCRM refuses a token that it has just given: check its clock and its OAuth2 keys")

    def close(self) -> None:
        self._http.close()


def _good(answer: Answer) -> dict[str, Any]:
    if answer.status < 300:
        return answer.body
    detail = _detail(answer)
    if answer.status >= 500:
        raise UnreachableError(f"SuiteCRM failed (500: {detail}); nothing is lost, its suitecrm.log may tell more")
    if answer.status in {404, 405}:
        raise UnreachableError(f"SuiteCRM has no such call ({answer.status}: {detail}): it needs version 7.12 or later")
    if answer.status == 403:
        raise UnauthorisedError(f"a web server or firewall before SuiteCRM refuses the call (403: {detail})")
    if answer.status in _TRY_AGAIN or (answer.status == 400 and _is_unclear(answer, detail)):
        raise UnreachableError(
            f"SuiteCRM answered {answer.status} ({detail}): whether it was done shows when it is read again"
        )
    raise _sorted(f"{answer.status}: {detail}")


def _is_unclear(answer: Answer, detail: str) -> bool:
    """Broken JSON, and failures of the database, which may come after the record was stored."""
    return answer.data is None or "Database failure" in detail


def _sorted(detail: str) -> Exception:
    """What a 400 means."""
    if _EXISTS.search(detail):
        return AlreadyExistsError(detail)
    if _NO_RECORD.search(detail):
        return NotFoundError(f"{detail}: it was deleted or merged, or this user may not see it")
    if _DENIED.search(detail):
        return ForbiddenError(f"SuiteCRM denies access ({detail}): give the API's user a role that allows it")
    missing = _NO_FIELD.search(detail)
    if missing:
        name = next(group for group in missing.groups() if group)
        return UnauthorisedError(
            f"SuiteCRM has no field {name} ({detail}): install Casebridge's package for SuiteCRM, "
            "or take the field out of the mapping file"
        )
    return InvalidError(detail)


def _detail(answer: Answer) -> str:
    """The CRM's own words, without stack traces and paths of its server."""
    errors = answer.body.get("errors") if answer.data is not None else None
    detail = errors.get("detail") if isinstance(errors, Mapping) else None
    detail = detail or answer.body.get("message") or answer.shown
    failures = answer.body.get("error")
    if isinstance(failures, list) and failures and isinstance(failures[0], Mapping):
        detail = f"{detail}: {failures[0].get('message', '')}"
    return _PATHS.sub("…", " ".join(str(detail).split()))[:_SHOWN]
