"""Starts processes within milliseconds: a process that has imported everything and forks.

What is forked runs the same command, `casebridge NAME`, with its own environment in a session of its own. Starting
Python afresh for each of hundreds of restarts would cost more than all they do.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from shared import cli, failpoints
from tests.faults.chaos import load


class Nursery:
    """The forking process, as the one that asks it sees it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, name: str, *, environment: Mapping[str, str], home: Path, skew: float = 0, **work: Any) -> int:
        """Run `casebridge name` or, with `work`, the people of that name in `load`; returns the process's id.

        `skew`: seconds that the clock of the bundled CRM is ahead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"name": name, "environment": dict(environment), "home": str(home), "skew": skew, "work": work}
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _serve() -> None:
    for group in ("commands", "migrations", "demo_data", "ticket_source"):
        for entry in entry_points(group=f"casebridge.{group}"):
            entry.load()
    # The dead are buried by the kernel; nobody here waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    born = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        born.append(pid)
        print(pid, flush=True)
    for pid in born:  # nobody is left to end them, however the one who asked for them ended
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _become(order: Mapping[str, Any]) -> None:
    """Be the process that was asked for, to its end."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.chdir(order["home"])
        _write_to(Path(order["home"]) / f"{order['name']}.log")
        os.environ.clear()
        os.environ.update(order["environment"])
        failpoints.arm(os.environ.get(failpoints.SETTING, ""))
        if order["skew"]:
            _set_clocks(order["skew"])
        sys.argv = ["casebridge", order["name"]]
        status = getattr(load, order["name"])(**order["work"]) or 0 if order["work"] else cli.run([order["name"]])
    except BaseException as error:  # noqa: BLE001 (nothing may return into the parent's loop)
        with suppress(Exception):
            traceback.print_exception(error)
    finally:
        os._exit(status)


def _write_to(log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)


def _set_clocks(seconds: float) -> None:
    """Let the bundled CRM think it is later, or earlier, than it is."""
    for name, module in list(sys.modules.items()):
        if name.startswith("crm_sync_service.desk.") and hasattr(module, "utc_now"):
            right = module.utc_now
            module.utc_now = lambda right=right: right() + timedelta(seconds=seconds)  # type: ignore[attr-defined]


if __name__ == "__main__":
    _serve()
