"""An HTTP server that answers as EspoCRM 9 was observed to do; see state.py for the switches of its surprises.

`faults` make single answers go wrong; `rights` are those of the API user's role.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from tests.crm_sync_service.espocrm.filters import RefusedError, parse_query
from tests.crm_sync_service.espocrm.routes import Routes
from tests.crm_sync_service.espocrm.schema import ME
from tests.crm_sync_service.espocrm.specials import Request
from tests.crm_sync_service.espocrm.state import QUIRKS, State

KEY = "the-api-key-of-the-simulator"
_MOST_FAILURES = 10
_FAILURE_PERIOD = 60.0
FaultKind = Literal["hang_up_before", "hang_up", "500_before", "500", "cut", "html", "502"]


@dataclass
class Fault:
    """What happens to the next `times` requests of this kind; "_before" and "html" without their effect."""

    kind: FaultKind
    method: str
    path: str
    times: int = 1


@dataclass
class Response:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class HungUpError(Exception):
    """Close the connection without an answer."""


class EspoSimulator:
    """One server on a port of its own, one table of records."""

    def __init__(
        self,
        *,
        quirks: frozenset[str] = QUIRKS,
        now: Callable[[], datetime] | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = State(quirks=quirks, now=now)
        self.rights: dict[str, Any] = {
            scope: {"create": "yes", "read": "all", "edit": "all", "delete": "all", "stream": "all"}
            for scope in ("Case", "Contact", "Account")
        }
        self.rights |= {"User": {"read": "all"}, "Note": {"create": "yes", "read": "own"}}
        self.rights |= {"GlobalStream": True, "Webhook": True}
        self.version = "9.2.7"
        self.assignment_permission = "all"
        self.internal_webhooks = True
        """Whether webhooks may go to addresses of the own network."""
        self.users: dict[str, str] = {KEY: ME}
        """User's id by API key; by credentials for people."""
        self.hmac_users: dict[str, tuple[str, str]] = {}
        """Secret key and user's id by API key."""
        self.maintenance = self.database_is_down = False
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self._seconds = seconds
        self._failures: list[float] = []
        self._routes = Routes(self)
        self.state.keep("User", ME, userName="casebridge", lastName="casebridge", type="api")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, kind: FaultKind, method: str, path: str, *, times: int = 1) -> None:
        """`path`: a regular expression for what follows /api/v1/."""
        self.faults.append(Fault(kind, method, path, times))

    def writes(self) -> list[str]:
        """Method and path of the requests that were to change something."""
        return [f"{request.method} {request.path}" for request in self.requests if request.method != "GET"]

    def person(self, name: str, *, first: str = "", last: str | None = None, **values: Any) -> str:
        return self.state.keep("User", name, userName=name, firstName=first, lastName=last or name, **values)

    def edit(self, case_id: str, *, by: str = "bob", **values: Any) -> None:
        """A person saves a Case in its page."""
        self.state.update("Case", case_id, values, by=by)

    def post(self, case_id: str, words: str, *, by: str = "bob", internal: bool = False) -> str:
        """A person writes into the stream of a Case."""
        values = {"post": words, "parentType": "Case", "parentId": case_id, "isInternal": internal}
        return str(self.state.create("Note", values, by=by)["id"])

    def locked_out(self) -> bool:
        recent = [at for at in self._failures if self._seconds() - at < _FAILURE_PERIOD]
        return self.state.has("lock_out") and len(recent) > _MOST_FAILURES

    def answer(self, request: Request) -> Response:
        fault = self._fault(request)
        self.requests.append(request)
        if fault == "hang_up_before":
            raise HungUpError
        if fault in {"500_before", "502"}:
            return Response(500 if fault == "500_before" else 502)
        if fault == "html":
            return Response(200, b"<!DOCTYPE html><title>Hello</title>", {"Content-Type": "text/html"})
        response = self._answer(request)
        if fault == "hang_up":
            raise HungUpError
        if fault == "500":
            return Response(500)
        if fault == "cut":
            response.headers["X-Cut"] = "1"
        return response

    def _fault(self, request: Request) -> FaultKind | None:
        with self.state.lock:
            for fault in self.faults:
                if fault.times and fault.method == request.method and re.fullmatch(fault.path, request.path):
                    fault.times -= 1
                    return fault.kind
        return None

    def _answer(self, request: Request) -> Response:
        if self.locked_out():
            return Response(403, headers={"Content-type": "text/html; charset=UTF-8"})
        if not request.is_api:
            return Response(404, b"router: no such path\n", {"Content-Type": "text/plain"})
        request.user = self._user(request)
        if request.user is None and request.path != "Settings":
            return self._unauthorised(request)
        try:
            self._refuse_all()
            request.values = _values(request)
            return _json(self._routes.handle(request))
        except RefusedError as error:
            body = b"" if error.body is None else json.dumps(error.body).encode()
            headers = {} if error.reason is None else {"X-Status-Reason": error.reason}
            return Response(error.status, body, {"Content-Type": "application/json", **headers})

    def _refuse_all(self) -> None:
        if self.maintenance:
            words = {"message": "The application currently is in maintenance mode."}
            raise RefusedError(503, "Application is in maintenance mode.", words)
        if self.database_is_down:
            raise RefusedError(500, None)

    def _user(self, request: Request) -> str | None:
        """The user whose credentials these are. A failed attempt counts towards the lock-out."""
        signature = request.headers.get("X-Hmac-Authorization")
        basic = request.headers.get("Authorization")
        key = request.headers.get("X-Api-Key")
        if signature:
            user = self._signed(request, signature)
        elif key is not None:
            user = self.users.get(key)
        elif basic is not None:
            user = self.users.get(basic)
        else:
            return None
        active = user if user and self.state.tables["User"].get(user, {"isActive": True})["isActive"] else None
        if active is None:
            self._failures.append(self._seconds())
        return active

    def _signed(self, request: Request, signature: str) -> str | None:
        try:
            key, _, digest = base64.b64decode(signature).partition(b":")
        except binascii.Error:
            return None
        secret, user = self.hmac_users.get(key.decode(), ("", ""))
        made = hmac.new(secret.encode(), f"{request.method} /{request.path}".encode(), hashlib.sha256)
        right = digest in {made.hexdigest().encode(), made.digest()}
        return user if secret and right else None

    def _unauthorised(self, request: Request) -> Response:
        headers = {"Content-type": "text/html; charset=UTF-8"}
        if request.method == "GET" and not {"X-Api-Key", "X-Hmac-Authorization", "Authorization"} & {*request.headers}:
            headers["WWW-Authenticate"] = 'Basic realm=""'
        return Response(401, headers=headers)


def sign(webhook_id: str, secret: str, body: bytes) -> dict[str, str]:
    """The headers of a delivery."""
    made = hmac.new(secret.encode(), body, hashlib.sha256)
    hexed = base64.b64encode(f"{webhook_id}:{made.hexdigest()}".encode()).decode()
    raw = base64.b64encode(webhook_id.encode() + b":" + made.digest()).decode()
    return {"Content-Type": "application/json", "Signature": hexed, "X-Signature": raw}


def _values(request: Request) -> dict[str, Any]:
    """The body's values; PHP's and Slim's ways with bodies they dislike."""
    kind = request.headers.get("Content-Type", "").split(";")[0]
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(request.body.decode()))
    if kind != "application/json" or not request.body:
        return {}
    try:
        values = json.loads(request.body.decode())
    except ValueError:
        raise RefusedError(500, None) from None
    if not isinstance(values, dict | list):
        raise RefusedError(400, "Body is not a JSON object.")
    return values if isinstance(values, dict) else {}


def _json(answer: tuple[int, Any]) -> Response:
    status, value = answer
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Response(status, body, {"Content-Type": "application/json"})


def _handler(simulator: EspoSimulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.partition("?")
            is_api = path.startswith("/api/v1/")
            request = Request(
                method=self.command,
                path=unquote(path.removeprefix("/api/v1/")),
                is_api=is_api,
                query=parse_query(query),
                headers=dict(self.headers.items()),
                body=body,
            )
            try:
                response = simulator.answer(request)
            except HungUpError:
                self.close_connection = True
                return
            self._send(response)

        def _send(self, response: Response) -> None:
            cut = response.headers.pop("X-Cut", None)
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body[: len(response.body) // 2] if cut else response.body)
            self.close_connection = self.close_connection or bool(cut)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def running(**options: Any):
    simulator = EspoSimulator(**options)
    try:
        yield simulator
    finally:
        simulator.close()
