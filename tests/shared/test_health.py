"""What a worker answers about itself."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from shared import process
from shared.database import DatabaseUnavailableError
from shared.health import HealthAddress, HealthServer, run_loops
from shared.metrics import Gauge
from shared.process import LoopGroup, PortTakenError
from tests.shared.test_process import eventually


@pytest.fixture
def address() -> HealthAddress:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return HealthAddress(host="127.0.0.1", port=probe.getsockname()[1], setting="WORKER_HEALTH_PORT")


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


class Troubled:
    """A readiness that a test can take away."""

    def __init__(self) -> None:
        self.trouble = ""

    def __call__(self) -> None:
        if self.trouble:
            raise DatabaseUnavailableError(self.trouble)


def get(address: HealthAddress, path: str) -> httpx.Response:
    return httpx.get(f"http://{address.host}:{address.port}{path}", trust_env=False)


def test_a_worker_that_works(address: HealthAddress, stop: threading.Event) -> None:
    group = LoopGroup({"relay": lambda stop: stop.wait() and None}, stop=stop)
    gauges = [Gauge(name="casebridge_outbox_unsent", help="Unsent.", value=4)]
    with HealthServer(address, group=group, ready=Troubled(), gauges=lambda: gauges):
        assert get(address, "/healthz").json() == {"status": "ok"}
        assert get(address, "/readyz").json() == {"status": "ready"}
        assert "casebridge_outbox_unsent 4.0" in get(address, "/metrics").text
        assert get(address, "/other").status_code == 404


def test_not_ready_but_alive_while_the_database_is_gone(address: HealthAddress, stop: threading.Event) -> None:
    ready = Troubled()
    with HealthServer(address, group=LoopGroup({}, stop=stop), ready=ready):
        ready.trouble = "the portal database cannot be used: gone"
        answer = get(address, "/readyz")
        assert answer.status_code == 503
        assert "the portal database" in answer.json()["reason"]
        assert get(address, "/healthz").status_code == 200
        ready.trouble = ""
        assert get(address, "/readyz").status_code == 200


def test_a_loop_that_hangs_makes_the_worker_unhealthy(
    address: HealthAddress, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SILENCE_SECONDS", 0.2)
    group = LoopGroup({"inbox": lambda stop: stop.wait() and None}, stop=stop)
    with HealthServer(address, group=group, ready=Troubled()):
        # The group was never run: nothing looks at the stop event.
        eventually(lambda: get(address, "/healthz").status_code == 503)
        assert "inbox" in get(address, "/healthz").json()["reason"]


def test_a_loop_that_fails_again_and_again_is_told(address: HealthAddress, stop: threading.Event) -> None:
    def fails(_stop: threading.Event) -> None:
        raise RuntimeError("the broker said no")

    thread = threading.Thread(
        target=lambda: run_loops({"relay": fails}, stop=stop, health=address, ready=Troubled()), daemon=True
    )
    thread.start()
    eventually(lambda: _reason(address) == "relay failed and will be started again: RuntimeError: the broker said no")
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def _reason(address: HealthAddress) -> str | None:
    try:
        return str(get(address, "/readyz").json().get("reason"))
    except httpx.ConnectError:
        return None


def test_an_occupied_port_stops_the_worker_before_it_works(address: HealthAddress, stop: threading.Event) -> None:
    worked: list[int] = []
    with socket.socket() as holder:
        holder.bind((address.host, address.port))
        holder.listen()
        with pytest.raises(PortTakenError, match="WORKER_HEALTH_PORT"):
            run_loops({"relay": lambda _stop: worked.append(1)}, stop=stop, health=address, ready=Troubled())
    assert worked == []
