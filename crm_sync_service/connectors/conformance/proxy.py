"""A proxy on this machine that forwards to the CRM and, when told to, loses what it should have passed on."""

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import httpx

Loss = Literal["request", "answer", "half the answer"]
_TIMEOUT_SECONDS = 60.0
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length", "host", "accept-encoding"}
)


class LossyProxy:
    """Speaks plain HTTP on loopback and the CRM's own protocol beyond."""

    def __init__(self, url: str, *, trust: ssl.SSLContext) -> None:
        """`url`: without a path, as every request brings its own."""
        self.lost = 0
        """How much was lost so far."""
        self._url = url
        self._upstream = httpx.Client(verify=trust, timeout=_TIMEOUT_SECONDS, trust_env=False)
        self._loss: Loss | None = None
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="lossy-proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def losing(self, what: Loss) -> Iterator[None]:
        """In the block the first write loses something; reads and log-ins never do."""
        with self._lock:
            self._loss = what
        try:
            yield
        finally:
            with self._lock:
                self._loss = None

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx.Response | None, Loss | None]:
        """The CRM's answer, if there is one, and what of it is to be lost."""
        loss = self._take_loss(method, path)
        if loss == "request":
            return None, loss
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            return self._upstream.request(method, f"{self._url}{path}", headers=kept, content=body), loss
        except httpx.HTTPError:
            return None, loss

    def _take_loss(self, method: str, path: str) -> Loss | None:
        with self._lock:
            if method in {"GET", "HEAD"} or "token" in path:
                return None
            loss, self._loss = self._loss, None
            self.lost += loss is not None
            return loss

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._upstream.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: LossyProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def handle_one_request(self) -> None:
        """One request a connection: what is closed without an answer was lost."""
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline or not self.parse_request():
            return
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer, loss = self.server.proxy.exchange(self.command, self.path, dict(self.headers), body)
        if answer is not None and loss != "answer":
            self._reply(answer, cut=loss is not None)

    def _reply(self, answer: httpx.Response, *, cut: bool) -> None:
        self.send_response_only(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.content[: len(answer.content) // 2] if cut else answer.content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""
