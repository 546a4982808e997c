"""A SuiteCRM 7.15 of the tests, over HTTP, with the quirks that were observed on a real one.

It answers what a sync client calls: tokens, records, lists, relationships and descriptions of fields. Each quirk is
a switch of `Quirks`; what people do in SuiteCRM's pages is in `Tables`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from tests.crm_sync_service.suitecrm.module_api import Api
from tests.crm_sync_service.suitecrm.refusals import DATABASE_DOWN, RefusalError, json_answer, refused_token
from tests.crm_sync_service.suitecrm.tables import API_USER, Quirks, Tables
from tests.crm_sync_service.suitecrm.token_api import TokenApi

CLIENT, SECRET = "11111111-1111-4111-8111-111111111111", "the-secret-of-the-client"
PASSWORD_CLIENT, PASSWORD = "22222222-2222-4222-8222-222222222222", "the-password-of-syncbot"


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    query: str
    body: Any


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


Fault = Callable[[Request, Response], Response]


@dataclass
class Simulator:
    """One SuiteCRM; give `url` to a connector."""

    quirks: Quirks = field(default_factory=Quirks)
    api_path: str = "/Api"
    url: str = ""
    clock: Callable[[], float] = time.monotonic
    """Seconds, for the ends of tokens."""
    database_down: bool = False
    maintenance: bool = False
    denied: dict[str, set[str]] = field(default_factory=dict)
    """Rights that the API's user lacks, by module."""
    asked: list[Asked] = field(default_factory=list)
    faults: deque[tuple[str, Fault]] = field(default_factory=deque)
    """Applied to the answers of the next requests with these methods, after they were carried out."""

    def __post_init__(self) -> None:
        self.tables = Tables(quirks=self.quirks)
        self.tokens = TokenApi(
            clients={CLIENT: (SECRET, "client_credentials"), PASSWORD_CLIENT: (SECRET, "password")},
            passwords={"syncbot": PASSWORD},
            clock=self._seconds,
        )
        self.api = Api(self.tables, self.denied)
        self.tables.keep("Users", "1", last_name="Administrator", user_name="admin")
        self.tables.keep("Users", API_USER, first_name="Sync", last_name="Bot", user_name="syncbot")

    def _seconds(self) -> float:
        return self.clock()

    def writes(self, method: str = "PATCH") -> list[Asked]:
        return [asked for asked in self.asked if asked.method == method and "access_token" not in asked.path]

    @Request.application
    def __call__(self, request: Request) -> Response:
        body = request.get_json(silent=True) if request.is_json else None
        self.asked.append(Asked(request.method, request.path, request.query_string.decode(), body))
        answer = self._answer(request, body)
        if self.faults and self.faults[0][0] == request.method and "access_token" not in request.path:
            return self.faults.popleft()[1](request, answer)
        return answer

    def _answer(self, request: Request, body: Any) -> Response:
        if self.maintenance:
            return Response("<html><h1>SuiteCRM is under maintenance</h1></html>", 503, content_type="text/html")
        if not request.path.startswith(f"{self.api_path}/"):
            return Response("<html><h1>404</h1></html>", 404, content_type="text/html")
        if self.database_down:
            return Response(DATABASE_DOWN, 500, content_type="text/html; charset=UTF-8")
        path = request.path.removeprefix(f"{self.api_path}/")
        if path == "access_token":
            return self.tokens.answer(body if isinstance(body, dict) else request.form.to_dict())
        return self._answer_with_token(request, path.removeprefix("V8/"), body)

    def _answer_with_token(self, request: Request, path: str, body: Any) -> Response:
        hint = self.tokens.refusal(request.headers.get("Authorization", ""))
        if hint:
            return refused_token(hint)
        try:
            return self.api.answer(request, path, body)
        except RefusalError as refusal:
            return refusal.answer()

    @contextmanager
    def served(self) -> Iterator["Simulator"]:
        server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def cut_off(_request: Request, answer: Response) -> Response:
    """The connection ends in the middle of the body."""
    text = answer.get_data(as_text=True)
    return Response(text[: len(text) // 2], answer.status_code, content_type="application/json")


def web_page(_request: Request, _answer: Response) -> Response:
    return Response("<!doctype html><title>Sign in</title>", 200, content_type="text/html")


def broken_json(_request: Request, _answer: Response) -> Response:
    """What the loser of two creates with one id may get."""
    words = "Database failure. Please refer to suitecrm.log for details."
    whole = json_answer({"errors": {"status": 400, "title": None, "detail": words}}, 400).get_data(as_text=True)
    return Response(f"{whole}{words}", 400, content_type="application/vnd.api+json")


def failed(_request: Request, _answer: Response) -> Response:
    """It was done, but the answer says it was not."""
    error = {
        "type": "Error",
        "message": "Call to undefined in /srv/crm/secret/path.php",
        "trace": ["#0 /srv/crm/x.php"],
    }
    return json_answer({"message": "Slim Application Error", "error": [error]}, 500, kind="application/json")
