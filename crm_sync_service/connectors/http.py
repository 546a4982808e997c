"""HTTP as every connector uses it: bounded in time and size, no redirects, failures sorted, secrets kept out."""

import json
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from crm_sync_service.connectors.base import RateLimitedError, UnauthorisedError, UnreachableError
from crm_sync_service.connectors.config import ConfigError, ConnectorConfig
from crm_sync_service.connectors.deadline import DeadlineTransport, deadline_in

MAX_ANSWER_BYTES = 16 * 1024 * 1024
DEADLINE_SECONDS = 30.0
"""For one whole call, from connecting to the answer's last byte."""
_TIMEOUT = httpx.Timeout(connect=5, read=10, write=10, pool=10)
_DEFAULT_PAUSE = timedelta(seconds=10)
_LONGEST_PAUSE = timedelta(hours=1)
_SHORTEST_SECRET = 4
_STRUCK_OUT = "[redacted]"
_SHOWN = 300
_AGAIN = "nothing is lost, it is tried again; if it stays so, check"
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})
"""OpenSSL's verify codes for certificates that nobody known has signed."""


class TooLargeError(UnreachableError):
    """The answer was not read to its end; a list can be asked for in smaller pages."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A complete answer whose status concerns this one call: 2xx, or 4xx other than 401 and 429."""

    status: int
    data: Any
    """The JSON value; None for an empty body, and for one that is no JSON where the status is an error."""
    text: str
    """The body for messages to people: secrets struck out."""
    headers: Mapping[str, str]
    """By lower-case name."""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object; empty for an empty or unreadable body of an error. Raises UnreachableError."""
        if isinstance(self.data, dict):
            return self.data
        if self.data is None and (self.status == 204 or self.status >= 400):
            return {}
        raise UnreachableError(f"the CRM answered {self.status} with something that is no JSON object: {self.shown}")

    @property
    def rows(self) -> list[Any]:
        """The JSON array. Raises UnreachableError."""
        if isinstance(self.data, list):
            return self.data
        raise UnreachableError(f"the CRM answered {self.status} with something that is no JSON array: {self.shown}")

    @property
    def shown(self) -> str:
        """The beginning of the body, on one line."""
        return " ".join(self.text[:_SHOWN].split()) or "an empty body"


class JsonClient:
    """A pooled JSON client of one CRM."""

    def __init__(
        self,
        config: ConnectorConfig,
        *,
        headers: Mapping[str, str] | None = None,
        base: str = "",
        at: str | None = None,
        credential: str = "CRM_API_KEY",
    ) -> None:
        """`base`: what follows the address, such as "api/v1/". `at`: the address if the setting is not quite it.

        `credential`: the setting to check after a 401. Raises ConfigError.
        """
        config.check_url()
        self._url = f"{(at or config.url).rstrip('/')}/"
        self._credential = credential
        self._secrets = set(config.secrets())
        self._http = httpx.Client(
            base_url=f"{self._url}{base}",
            headers={"Accept": "application/json", **(headers or {})},
            transport=DeadlineTransport(ssl_context=trust(config), connections=config.connections),
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
        )

    def hide(self, secret: str) -> None:
        """Strike a secret out of messages, such as a token that was given out."""
        self._secrets.add(secret)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        sorted_by_caller: Collection[int] = (),
    ) -> Answer:
        """One exchange, with `body` as JSON or `form` as a web form, or with neither.

        `sorted_by_caller`: error statuses that are returned like any answer, as this CRM means something by them.
        Raises UnreachableError, RateLimitedError, UnauthorisedError.
        """
        request = self._http.build_request(method, path, params=params, json=body, data=form, headers=headers)
        try:
            status, answered, raw = self._exchange(request)
        except httpx.HTTPError as error:
            raise UnreachableError(self._redacted(_why(error, self._url))) from error
        text = self._redacted(raw.decode(errors="replace"))
        if status not in sorted_by_caller:
            self._sort(status, answered, text)
        if status == 404 and _is_page(answered, text):
            # Not the CRM's word: taken for one, a proxy in trouble would make every Case look deleted.
            raise UnreachableError(f"there is no API at {self._url}, only a web page: check CRM_API_URL")
        data = _parsed(status, answered, raw, text)
        return Answer(status=status, data=data, text=text, headers={k.lower(): v for k, v in answered.items()})

    def _exchange(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        with deadline_in(DEADLINE_SECONDS):
            response = self._http.send(request, stream=True)
            try:
                raw = bytearray()
                for chunk in response.iter_bytes():
                    raw += chunk
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise TooLargeError(f"the CRM's answer exceeds {MAX_ANSWER_BYTES:,} bytes")
                return response.status_code, response.headers, bytes(raw)
            finally:
                response.close()

    def _sort(self, status: int, headers: httpx.Headers, text: str) -> None:
        """Raise what concerns more than this one call."""
        words = f"the CRM answered {status}: {' '.join(text[:_SHOWN].split())}"
        if status == 429:
            raise RateLimitedError(words, retry_after=retry_after(headers.get("Retry-After"), now=datetime.now(UTC)))
        if status == 401:
            raise UnauthorisedError(f"the CRM refuses our key ({words}): check {self._credential}")
        if status == 503:
            raise UnreachableError(f"{words} (under maintenance or overloaded: nothing is lost, it is tried again)")
        if status >= 500:
            raise UnreachableError(words)
        if 300 <= status < 400:
            where = self._redacted(headers.get("Location", "nowhere"))
            raise UnreachableError(
                f"the CRM redirects to {where}: give its final address in CRM_API_URL, redirects are not followed"
            )

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, _STRUCK_OUT)
        return text

    def close(self) -> None:
        self._http.close()


def trust(config: ConnectorConfig) -> ssl.SSLContext:
    """Whose certificates are believed. Raises ConfigError."""
    context = httpx.create_ssl_context(trust_env=False)
    if config.ca_file is None:
        return context
    try:
        context.load_verify_locations(config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"CRM_CA_FILE={config.ca_file} cannot be used: {error}; give a file in PEM format") from error
    return context


def _why(error: httpx.HTTPError, url: str) -> str:
    """Why there is no answer, and what to do where a person can do something."""
    cause = _ssl_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        own = cause.verify_code in _UNKNOWN_ISSUER
        remedy = (
            "if it is your own, name the file of the authority that signed it in CRM_CA_FILE (ca_file)" if own else ""
        )
        return f"the certificate of {url} is not trusted ({cause.verify_message})" + (f": {remedy}" if own else "")
    if cause is not None:
        return f"no secure connection to {url} ({cause.reason or cause}): check whether it is http or https"
    words = str(error) or type(error).__name__
    if isinstance(error, httpx.RemoteProtocolError):
        return f"the answer of {url} was cut off ({words}): {_AGAIN} what stands before the CRM, such as a proxy"
    if isinstance(error, httpx.TimeoutException):
        return f"no answer from the CRM in time ({words}) at {url}: {_AGAIN} CRM_API_URL and the CRM's load"
    if isinstance(error, httpx.ConnectError):
        return f"no answer from the CRM: {words} at {url}: check CRM_API_URL, and that the CRM runs"
    return f"no answer from the CRM: {words} at {url}: {_AGAIN} CRM_API_URL, and whether it is http or https"


def _ssl_cause(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _parsed(status: int, headers: httpx.Headers, raw: bytes, text: str) -> Any:
    """The JSON value of a body. Raises UnreachableError for a success that is something else."""
    if not raw.strip():
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        if status >= 400:
            return None
        shown = " ".join(text[:_SHOWN].split())
        if _is_page(headers, text):
            raise UnreachableError(
                f"the CRM answered {status} with a web page instead of JSON: check that CRM_API_URL is the CRM's own "
                f"address and that it is not under maintenance: {shown}"
            ) from error
        raise UnreachableError(f"the CRM answered {status} with JSON that is cut off or broken: {shown}") from error


def _is_page(headers: httpx.Headers, text: str) -> bool:
    start = text.lstrip()
    return start.startswith("<") or ("html" in headers.get("Content-Type", "") and start[:1] not in {"", "{", "["})


def retry_after(value: str | None, *, now: datetime) -> timedelta:
    """The pause a Retry-After header asks for, as seconds or as a date; bounded, never negative."""
    if value is None:
        return _DEFAULT_PAUSE
    try:
        pause = timedelta(seconds=int(value))
    except (ValueError, OverflowError):
        try:
            pause = parsedate_to_datetime(value).astimezone(UTC) - now
        except ValueError:
            return _DEFAULT_PAUSE
    return min(max(pause, timedelta(0)), _LONGEST_PAUSE)
