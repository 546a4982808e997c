"""`casebridge up`: everything starts, what dies comes back, and nothing is left behind however it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.deploy.conftest import Casebridge

pytestmark = pytest.mark.faults

PAGES = ("PORTAL_PORT", "CONSOLE_PORT", "CRM_PORT", "MAILS_PORT")
_START_SECONDS = 120


class RunningStack:
    """A local stack and what it printed."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = environment
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "shared.cli", "up"],
                env=dict(environment),
                cwd=folder,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_until_it_runs(self) -> None:
        eventually(lambda: "Casebridge is running" in self.output or self.process.poll() is not None, _START_SECONDS)
        assert self.process.poll() is None, self.output

    def members(self) -> set[int]:
        """Every process that was started with this stack's settings."""
        mark = f"CASEBRIDGE_HOME={self.environment['CASEBRIDGE_HOME']}".encode()
        return {pid for pid in _processes() if mark in _environment_of(pid).split(b"\0")}

    def children(self) -> set[int]:
        return self.members() - {self.process.pid}

    def end(self) -> None:
        for pid in self.members():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _processes() -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        yield int(folder.name)


def _environment_of(pid: int) -> bytes:
    """Empty for processes that ended, zombies included."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def eventually(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture
def stack(environment: dict[str, str], tmp_path: Path) -> Iterator[RunningStack]:
    stack = RunningStack(environment, tmp_path)
    try:
        stack.wait_until_it_runs()
        yield stack
    finally:
        stack.end()


def test_it_starts_introduces_itself_and_stops(stack: RunningStack, casebridge: Casebridge) -> None:
    for setting in PAGES:
        url = f"http://127.0.0.1:{stack.environment[setting]}"
        assert url in stack.output
        assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
        assert httpx.get(url, trust_env=False, follow_redirects=True).status_code == 200
    assert "casebridge-demo" in stack.output

    second = casebridge("up")
    assert second.returncode == 2
    assert f"already runs in {stack.environment['CASEBRIDGE_HOME']} (process {stack.process.pid})" in second.stderr

    started = time.monotonic()
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(20) == 0
    assert time.monotonic() - started < 11
    assert stack.members() == set()
    assert "Your data is kept" in stack.output


def test_what_dies_is_started_again(stack: RunningStack) -> None:
    url = f"http://127.0.0.1:{stack.environment['CRM_PORT']}/readyz"
    victims = {pid for pid in stack.children() if _command_of(pid)[3] == "crm"}
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: "crm was killed by signal 9 and is started again" in re.sub(r"\s+", " ", stack.output), 20)
    eventually(lambda: _answers(url), 60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_killed_supervisor_leaves_no_orphan(stack: RunningStack) -> None:
    assert len(stack.children()) >= 6
    stack.process.kill()
    stack.process.wait()
    eventually(lambda: not stack.members(), 15)
