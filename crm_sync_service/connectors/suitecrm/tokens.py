"""OAuth2 tokens of SuiteCRM: got with the credentials, renewed before they end, by one thread for all.

Refresh tokens are left alone: using one revokes the access token that other calls carry at that moment.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from crm_sync_service.connectors.base import UnauthorisedError, UnreachableError
from crm_sync_service.connectors.config import ConfigError, ConnectorConfig
from crm_sync_service.connectors.http import Answer, JsonClient

API_PATHS = ("Api", "legacy/Api", "public/legacy/Api", "Api/index.php")
"""SuiteCRM 7, SuiteCRM 8 in two ways of being served, and a web server that rewrites nothing."""
_MARGIN_SECONDS = 60.0
_LONGEST_MARGIN = 0.2
"""Of a token's life."""
_WHERE = "Admin > OAuth2 Clients and Tokens"
ERRORS = (400, 401, 404, 405, 500)


@dataclass(frozen=True)
class Token:
    """A token, and the API that gave it."""

    api_path: str
    value: str
    renew_at: float
    """By the clock of `Tokens`, seconds."""


class Tokens:
    """The token that all calls share."""

    def __init__(
        self,
        http: JsonClient,
        config: ConnectorConfig,
        *,
        api_path: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigError."""
        self._http, self._clock = http, clock
        self._url = config.url
        self._request = _grant(config)
        self._paths = (api_path,) if api_path else API_PATHS
        self._lock = threading.Lock()
        self._token: Token | None = None

    def current(self) -> Token:
        """Raises UnauthorisedError, UnreachableError."""
        token = self._token
        if token is not None and self._clock() < token.renew_at:
            return token
        return self._renewed(token)

    def after_refusal(self, refused: Token) -> Token:
        """Another token than the one that was just refused. Raises UnauthorisedError, UnreachableError."""
        return self._renewed(refused)

    def _renewed(self, old: Token | None) -> Token:
        with self._lock:
            if self._token is None or self._token is old:
                self._token = self._get()
            return self._token

    def _get(self) -> Token:
        first: UnreachableError | None = None
        for path in self._paths:
            try:
                token = self._ask(path)
            except UnreachableError as error:
                if isinstance(error.__cause__, httpx.HTTPError):
                    raise
                first = first or error
                continue
            self._paths = (path,)
            return token
        raise first or UnreachableError(f"there is no SuiteCRM API at {self._url}")

    def _ask(self, path: str) -> Token:
        asked = self._clock()
        answer = self._http.call("POST", f"{path}/access_token", body=self._request, sorted_by_caller=ERRORS)
        if answer.status != 200 or not isinstance(answer.body.get("access_token"), str):
            raise _refusal(answer, self._url)
        value, life = answer.body["access_token"], _seconds(answer.body.get("expires_in"))
        self._http.hide(value)
        return Token(path, value, asked + life - min(_MARGIN_SECONDS, life * _LONGEST_MARGIN))


def _grant(config: ConnectorConfig) -> dict[str, str]:
    client = {"client_id": config.need("client_id"), "client_secret": config.need("client_secret")}
    if config.username and config.password:
        return {"grant_type": "password", **client, "username": config.username, "password": config.password}
    if config.username or config.password:
        raise ConfigError("CRM_USERNAME and CRM_PASSWORD go together: set both, or neither for client credentials")
    return {"grant_type": "client_credentials", **client}


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int) and value > 0 else 3600.0


_REFUSALS: tuple[tuple[str, str], ...] = (
    ("oauth2clients", f"SuiteCRM knows no OAuth2 client with this id: check CRM_CLIENT_ID ({_WHERE})"),
    (
        "invalid_client",
        (
            "SuiteCRM refuses the OAuth2 client: check CRM_CLIENT_SECRET, and that the client is made for this grant: "
            f"password if CRM_USERNAME is set, else client credentials ({_WHERE})"
        ),
    ),
    ("not authorized", "SuiteCRM refuses the user: make sure that it is active and may use the API"),
    ("password", "SuiteCRM refuses the user name or password: check CRM_USERNAME and CRM_PASSWORD"),
    ("user", "SuiteCRM refuses the user name or password: check CRM_USERNAME and CRM_PASSWORD"),
)
"""What a person does, by words of the answer in small letters; never the answer, which may repeat the password."""


def _refusal(answer: Answer, url: str) -> UnauthorisedError | UnreachableError:
    if answer.status in {404, 405}:
        return UnreachableError(
            f"there is no SuiteCRM API at {url}: give CRM_API_URL the address that opens SuiteCRM's log-in page, "
            "without index.php, and check that its web server passes /Api on"
        )
    given = (answer.body.get(name, "") for name in ("error", "error_description", "hint"))
    words = " ".join(map(str, given)).lower()
    for sign, remedy in _REFUSALS:
        if sign in words:
            return UnauthorisedError(remedy)
    if answer.status == 500 and "database" in answer.text[:300]:
        return UnreachableError("SuiteCRM answered 500: it cannot reach its database; nothing is lost")
    if answer.status == 500:
        return UnreachableError(
            "SuiteCRM answered 500 when asked for a token: look into its suitecrm.log, and check that the keys in "
            "Api/V8/OAuth2 are there and readable by the web server only"
        )
    if "error" not in answer.body:
        return UnreachableError(f"something else than SuiteCRM's API answers at {url} ({answer.status})")
    return UnauthorisedError(f"SuiteCRM gives no token ({answer.status}): check the OAuth2 client ({_WHERE})")
