"""Health and metrics of a process that serves no pages: a small HTTP server in a thread of its own."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import structlog

from shared import metrics
from shared.process import SILENCE_SECONDS, Loop, LoopGroup, port_error

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class HealthAddress:
    """Where a worker answers about itself; `setting` is the one that chooses the port."""

    host: str
    port: int
    setting: str


def run_loops(
    loops: Mapping[str, Loop],
    *,
    stop: threading.Event,
    health: HealthAddress,
    ready: Callable[[], None],
    gauges: metrics.GaugeReader = tuple,
) -> None:
    """The life of a worker process: run its loops, supervised, and answer about them, until stop is set.

    `ready` raises an exception with a sentence while the worker cannot do its work, e.g. `database.check`.
    Raises PortTakenError when the health port is taken.
    """
    group = LoopGroup(loops, stop=stop)
    with HealthServer(health, group=group, ready=ready, gauges=gauges):
        group.run()


class HealthServer(AbstractContextManager["HealthServer"]):
    """Answers `/healthz`, `/readyz` and `/metrics` while its `with` block runs."""

    def __init__(
        self,
        address: HealthAddress,
        *,
        group: LoopGroup,
        ready: Callable[[], None],
        gauges: metrics.GaugeReader = tuple,
    ) -> None:
        """Raises PortTakenError."""
        handler = type(
            "Handler", (_Handler,), {"group": group, "ready": staticmethod(ready), "gauges": staticmethod(gauges)}
        )
        try:
            self._server = ThreadingHTTPServer((address.host, address.port), handler)
        except OSError as error:
            raise port_error(error, host=address.host, port=address.port, setting=address.setting) from None
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    group: LoopGroup
    ready: Callable[[], None]
    gauges: metrics.GaugeReader
    timeout = 5
    server_version = "casebridge"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one question."""
        answers = {"/healthz": self._health, "/readyz": self._readiness, "/metrics": self._metrics}
        answer = answers.get(self.path.partition("?")[0])
        if answer is None:
            self._send(HTTPStatus.NOT_FOUND, {"status": "not here", "ask": sorted(answers)})
        else:
            answer()

    def _health(self) -> None:
        """Red only when a loop hangs: what waits for a broker or a CRM must not be restarted for it."""
        silent = self.group.silent()
        if silent:
            reason = f"no sign of life for {SILENCE_SECONDS:.0f} s from: {', '.join(silent)}"
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "hangs", "reason": reason})
        else:
            self._send(HTTPStatus.OK, {"status": "ok"})

    def _readiness(self) -> None:
        failures = self.group.failures()
        reason = "; ".join(f"{name} failed and will be started again: {why}" for name, why in failures.items())
        try:
            self.ready()
        except Exception as error:  # noqa: BLE001 (any cause is an answer here, and must be one)
            reason = str(error)
        if reason:
            log.warning("not_ready", reason=reason)
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready", "reason": reason})
        else:
            self._send(HTTPStatus.OK, {"status": "ready"})

    def _metrics(self) -> None:
        self._send_bytes(HTTPStatus.OK, metrics.exposition(self.gauges), content_type=metrics.CONTENT_TYPE)

    def _send(self, status: HTTPStatus, answer: dict[str, Any]) -> None:
        self._send_bytes(status, json.dumps(answer).encode() + b"\n", content_type="application/json")

    def _send_bytes(self, status: HTTPStatus, body: bytes, *, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (name given by the base class)
        """Probes come every few seconds; they are not worth a line."""
