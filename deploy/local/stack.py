"""Starts the processes of the local stack, starts again what dies, and stops all of it without leaving orphans."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import httpx
from rich.console import Console

from deploy.local.plan import Part, Plan
from shared.cli import CANNOT_WORK
from shared.process import backoff_seconds, parent_setting

_READY_SECONDS = 60.0
_STOP_SECONDS = 7.0
_STEADY_SECONDS = 30.0
_LARGEST_LOG_BYTES = 20 * 1024 * 1024
_LOOK_SECONDS = 0.2


class StackFailedError(Exception):
    """A process cannot work; the text says which and gives its last words."""


class Child:
    """One process, its log and how often it died lately."""

    def __init__(self, part: Part, *, environment: Mapping[str, str], logs: Path) -> None:
        self.part = part
        self.log = logs / f"{part.name}.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failed_in_a_row = 0
        self._start_at = 0.0

    def start(self) -> None:
        """In a session of its own, so that Ctrl+C reaches only the supervisor, which stops all in good order."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shared.cli", self.part.name],
                env={**os.environ, **self._environment, **parent_setting()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started = time.monotonic()

    def died(self) -> int | None:
        """The exit status of a process that ended since the last look."""
        if self._process is None or self._process.poll() is None:
            return None
        status = self._process.returncode
        _end_session(self._process.pid)
        self._process = None
        steady = time.monotonic() - self._started > _STEADY_SECONDS
        self._failed_in_a_row = 1 if steady else self._failed_in_a_row + 1
        self._start_at = time.monotonic() + backoff_seconds(self._failed_in_a_row)
        return status

    def start_if_due(self) -> None:
        _shorten(self.log)
        if self._process is None and time.monotonic() >= self._start_at:
            self.start()

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.part.url}/readyz", timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def tell_to_stop(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def make_sure_it_stopped(self, deadline: float) -> None:
        """Wait for the process, then end whatever is left of its session."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        _end_session(self._process.pid)
        self._process.wait()

    def last_words(self) -> str:
        """The end of its log, where the cause stands."""
        with self.log.open(encoding="utf-8", errors="replace") as log:
            return "".join(deque(_meaningful(log), maxlen=3)).strip()


class Stack:
    """All processes of a plan."""

    def __init__(self, plan: Plan, *, stop: threading.Event, console: Console) -> None:
        logs = plan.home / "logs"
        logs.mkdir(exist_ok=True)
        self._children = [Child(part, environment=plan.environment, logs=logs) for part in plan.parts]
        self._stop = stop
        self._console = console

    def start(self) -> None:
        """Start everything and wait until it is ready, or told to stop. Raises StackFailedError."""
        for child in self._children:
            child.start()
        waiting = list(self._children)
        deadline = time.monotonic() + _READY_SECONDS
        while waiting and not self._stop.wait(_LOOK_SECONDS):
            self._look_after(starting=True)
            for child in [child for child in waiting if child.is_ready()]:
                self._console.print(f"  [green]✓[/] {child.part.name}")
                waiting.remove(child)
            if time.monotonic() > deadline:
                raise StackFailedError("; ".join(_not_ready(child) for child in waiting))

    def watch(self) -> None:
        """Until told to stop, start again what dies."""
        while not self._stop.wait(_LOOK_SECONDS):
            self._look_after(starting=False)

    def shut_down(self) -> None:
        """Every process has seven seconds to end by itself."""
        for child in self._children:
            child.tell_to_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for child in self._children:
            child.make_sure_it_stopped(deadline)

    def _look_after(self, *, starting: bool) -> None:
        for child in self._children:
            status = child.died()
            if status is not None and not self._stop.is_set():
                self._tell_of_death(child, status, starting=starting)
            child.start_if_due()

    def _tell_of_death(self, child: Child, status: int, *, starting: bool) -> None:
        if starting and status == CANNOT_WORK:
            raise StackFailedError(f"{child.part.name} cannot work: {child.last_words()}")
        cause = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._console.print(f"[yellow]{child.part.name} {cause} and is started again; its log: {child.log}[/]")


def _end_session(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _not_ready(child: Child) -> str:
    return (
        f"{child.part.name} was not ready after {_READY_SECONDS:.0f} s; the end of {child.log}:\n{child.last_words()}"
    )


def _meaningful(log: TextIO) -> list[str]:
    return [line for line in log if line.strip()]


def _shorten(log: Path) -> None:
    """Keep one old log; the process goes on writing into the emptied file."""
    if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)
