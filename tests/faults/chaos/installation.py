"""One installation that can be killed piece by piece, with proxies where its network can be disturbed."""

import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from deploy.servers import HOST, PrivatePostgreSQL, PrivateRabbitMQ, private_postgres, private_rabbitmq_server
from tests.faults.chaos.disk import SmallDisk, small_disk
from tests.faults.chaos.nursery import Nursery
from tests.proxy import Proxy
from tests.stack import CRM_KEY, SECRET_KEY, Stack, free_ports

PROCESSES = ("portal", "portal-worker", "sync-worker", "crm")


class Installation(Stack):
    """On servers of its own, or on the embedded default."""

    def __init__(self, home: Path, *, servers: bool, skew: float) -> None:
        self._closing = ExitStack()
        self.nursery = Nursery()
        self.postgres: PrivatePostgreSQL | None = None
        self.rabbitmq: PrivateRabbitMQ | None = None
        self.disk: SmallDisk | None = None
        self.broker_proxy: Proxy | None = None
        self.skew = skew
        settings = {"CRM_FAULTS": "1"}
        (crm_port,) = free_ports(1)
        self.crm_proxy = Proxy(HOST, crm_port)
        settings |= {"CRM_PORT": str(crm_port), "CRM_API_URL": f"http://{HOST}:{self.crm_proxy.port}"}
        if servers:
            settings |= self._start_servers()
        super().__init__(home, **settings)
        self.ports["crm"] = crm_port
        self._pids: dict[str, int] = {}
        self.kills: Counter[str] = Counter()
        self._http = httpx.Client(timeout=10, trust_env=False)

    def _start_servers(self) -> dict[str, str]:
        self.disk = self._closing.enter_context(small_disk())
        self.postgres = self._closing.enter_context(private_postgres(self.disk.folder / "server"))
        self.rabbitmq = self._closing.enter_context(private_rabbitmq_server())
        self.broker_proxy = Proxy(HOST, self.rabbitmq.port)
        return {
            "DATABASE_URL": self.postgres.url.replace("+psycopg", ""),
            "BROKER_URL": f"amqp://guest:guest@{HOST}:{self.broker_proxy.port}/%2F",
        }

    def database_url(self, service: str) -> str:
        """Of portal, sync or crm."""
        return self.postgres.url if self.postgres else f"sqlite:///{self.home}/{service}.db"

    def start(self, name: str, *, wait: bool = True, extra: Mapping[str, str] | None = None) -> None:
        self._pids[name] = self.nursery.start(
            name,
            environment={**self.environment, **(extra or {})},
            home=self.home,
            skew=self.skew if name == "crm" else 0,
        )
        if wait:
            self.wait_ready(name)

    def employ(self, name: str, **work: Any) -> None:
        """Let some people of `load` begin their work."""
        common = {"secret_key": SECRET_KEY, "url": self.url("portal"), "diary": str(self.diary(name))}
        self._pids[name] = self.nursery.start(name, environment=self.environment, home=self.home, **{**common, **work})

    def diary(self, name: str) -> Path:
        return self.home / f"{name}.diary"

    def wait_ready(self, name: str) -> None:
        deadline = time.monotonic() + 120
        while not self.is_ready(name):
            assert time.monotonic() < deadline, f"{name} did not get ready:\n{self.log(name)[-3000:]}"
            assert self.is_running(name), f"{name} ended:\n{self.log(name)[-3000:]}"
            time.sleep(0.05)

    def is_ready(self, name: str) -> bool:
        with suppress(httpx.HTTPError):
            return self._http.get(f"{self.url(name)}/readyz", timeout=2).status_code == 200
        return False

    def is_running(self, name: str) -> bool:
        return name in self._pids and Path(f"/proc/{self._pids[name]}").exists()

    def pid(self, name: str) -> int:
        return self._pids[name]

    def kill(self, name: str) -> None:
        while self.is_running(name):  # it may be so young that it does not lead its session yet
            self.signal(name, signal.SIGKILL)
            time.sleep(0.002)
        self.kills[name] += 1

    def signal(self, name: str, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._pids[name], number)

    def stop(self) -> None:
        for name in self._pids:
            self.signal(name, signal.SIGKILL)
        self._http.close()
        self.nursery.close()
        for proxy in filter(None, (self.broker_proxy, self.crm_proxy)):
            proxy.close()
        self._closing.close()

    def crm(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {CRM_KEY}"}
        return self._http.request(method, f"{self.url('crm')}/api/v1{path}", headers=headers, **options)

    def prepare(self) -> None:
        """Schemas and demo data. A process that finds none of them does not start."""
        for name in ("migrate", "demo-data"):
            self.start(name, wait=False)
            while self.is_running(name):
                time.sleep(0.05)

    def set_faults(self, plan: Mapping[str, Any]) -> bool:
        """Whether the bundled CRM was there to be told."""
        with suppress(httpx.HTTPError):
            return self.crm("PUT", "/faults", json=dict(plan)).status_code == 200
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
