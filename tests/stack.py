"""The real processes, started as `casebridge ...` on free ports, to be killed at will."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from shared.settings import CommonSettings

CASEBRIDGE = Path(sys.executable).with_name("casebridge")
CRM_KEY = "the-key-of-the-test-stack-0123456789"
SECRET_KEY = "the-secret-of-the-test-stack-0123456789"
_START_SECONDS = 120


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Stack:
    """One installation in a folder of its own."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        portal, console, crm, portal_worker, sync_worker, smtp = free_ports(6)
        self.ports = {
            "portal": portal,
            "console": console,
            "crm": crm,
            "portal-worker": portal_worker,
            "sync-worker": sync_worker,
        }
        self.environment = {
            **os.environ,
            "CASEBRIDGE_HOME": str(home),
            "PORTAL_PORT": str(portal),
            "CONSOLE_PORT": str(console),
            "CRM_PORT": str(crm),
            "PORTAL_WORKER_HEALTH_PORT": str(portal_worker),
            "SYNC_WORKER_HEALTH_PORT": str(sync_worker),
            "SMTP_URL": f"smtp://127.0.0.1:{smtp}",
            "CRM_API_KEY": CRM_KEY,
            "SECRET_KEY": SECRET_KEY,
            **settings,
        }
        self.common = CommonSettings(
            home=home,
            broker_url=settings.get("BROKER_URL", f"embedded:///{home}/broker.db"),
            secret_key=SECRET_KEY,
            portal_url=self.url("portal"),
            console_url=self.url("console"),
            crm_url=self.url("crm"),
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return subprocess.run(
            [str(CASEBRIDGE), *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def prepare(self) -> None:
        for command in ("migrate", "demo-data"):
            done = self.run(command)
            assert done.returncode == 0, done.stdout + done.stderr

    def start(self, name: str, *, wait: bool = True, extra: Mapping[str, str] | None = None) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(CASEBRIDGE), name],
                env={**self.environment, **(extra or {})},
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if httpx.get(f"{self.url(name)}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, f"{name} did not get ready:\n{self.log(name)[-3000:]}"
            assert self._processes[name].poll() is None, f"{name} ended:\n{self.log(name)[-3000:]}"
            time.sleep(0.1)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    def is_running(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def kill(self, name: str) -> None:
        """kill -9 the process and, for gunicorn, its workers."""
        process = self._processes[name]
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Ask all to end, and make sure."""
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(12)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def crm(self, method: str, path: str, **options: object) -> httpx.Response:
        """A call of the bundled CRM's API."""
        headers = {"Authorization": f"Bearer {CRM_KEY}"}
        return httpx.request(method, f"{self.url('crm')}/api/v1{path}", headers=headers, timeout=10, **options)  # type: ignore[arg-type]

    def verify(self, *, within: float) -> str:
        """Run `casebridge verify` until it finds no difference; its output. Fails after `within` seconds."""
        deadline = time.monotonic() + within
        while True:
            done = self.run("verify")
            if done.returncode == 0:
                return done.stdout
            assert time.monotonic() < deadline, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
            time.sleep(1)
