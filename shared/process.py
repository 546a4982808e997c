"""Processes that run until they are told to stop: signals, supervised loops, ports, and following the parent."""

import ctypes
import errno
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType

import structlog

from shared import metrics

SILENCE_SECONDS = 30.0
"""A loop that has not looked at its stop event for so long hangs."""
_STOP_SECONDS = 5.0
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 60.0
_PARENT_SETTING = "CASEBRIDGE_PARENT"
_PR_SET_PDEATHSIG = 1

Loop = Callable[[threading.Event], None]

log = structlog.get_logger(__name__)


class PortTakenError(Exception):
    """A port cannot be listened on; the text says which, and which setting chooses another."""


def check_port(host: str, port: int, *, setting: str) -> None:
    """Raises PortTakenError unless a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise port_error(error, host=host, port=port, setting=setting) from None


def port_error(error: OSError, *, host: str, port: int, setting: str) -> PortTakenError:
    if error.errno == errno.EADDRINUSE:
        cause = f"port {port} on {host} is already in use: stop the program that holds it, or choose another port"
    elif error.errno == errno.EACCES:
        cause = f"port {port} on {host} is reserved for root: choose one above 1023"
    else:
        cause = (
            f"{host}:{port} cannot be listened on ({error.strerror or error}): check BIND_ADDRESS, or choose another"
        )
    return PortTakenError(f"{cause} with {setting}")


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM, Ctrl+C and the closing of the terminal set."""
    stop = threading.Event()

    def tell(number: int, _frame: FrameType | None) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    signal.signal(signal.SIGTERM, tell)
    signal.signal(signal.SIGINT, tell)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup stays in force
        signal.signal(signal.SIGHUP, tell)
    return stop


def parent_setting() -> dict[str, str]:
    """What a child's environment needs so that `follow_parent` ends it with this process."""
    return {_PARENT_SETTING: str(os.getpid())}


def follow_parent() -> None:
    """End this process when the one that started it ends, even by kill -9, if it asked for that.

    On Linux the kernel sends the signal; elsewhere nothing happens, and a killed supervisor leaves its children.
    """
    parent = os.environ.pop(_PARENT_SETTING, None)
    if parent is None or sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != int(parent):  # it ended while this process was starting
        sys.exit(1)


class WatchedStop(threading.Event):
    """The stop event as one loop sees it: every look at it is a sign of life."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop
        self._alive_until = 0.0
        self._sign_of_life(0)

    def is_set(self) -> bool:
        self._sign_of_life(0)
        return self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._sign_of_life(float("inf") if timeout is None else timeout)
        told = self._stop.wait(timeout)
        self._sign_of_life(0)
        return told

    def set(self) -> None:
        self._stop.set()

    def is_silent(self) -> bool:
        return time.monotonic() > self._alive_until

    def _sign_of_life(self, quiet_seconds: float) -> None:
        self._alive_until = time.monotonic() + quiet_seconds + SILENCE_SECONDS


class LoopGroup:
    """The loops of one worker process, each in a thread, started again with growing pauses when they fail.

    A loop takes the stop event, looks at it at least every `SILENCE_SECONDS`, and returns only once it is set.
    """

    def __init__(self, loops: Mapping[str, Loop], *, stop: threading.Event) -> None:
        self._loops = loops
        self._stop = stop
        self._watches = {name: WatchedStop(stop) for name in loops}
        self._failures: dict[str, str] = {}

    def run(self) -> None:
        """Returns once stop is set and the loops have ended, or have had five seconds to do so."""
        threads = [
            threading.Thread(target=self._keep_running, args=(name, loop), name=name, daemon=True)
            for name, loop in self._loops.items()
        ]
        for thread in threads:
            thread.start()
        self._stop.wait()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.warning("loop_did_not_stop", loop=thread.name)

    def silent(self) -> list[str]:
        """Loops that hang."""
        return [name for name, watch in self._watches.items() if watch.is_silent()]

    def failures(self) -> Mapping[str, str]:
        """Loops that wait to be started again, each with the cause in its own words."""
        return dict(self._failures)

    def _keep_running(self, name: str, loop: Loop) -> None:
        watch = self._watches[name]
        failed_in_a_row = 0
        while not watch.is_set():
            started = time.monotonic()
            cause = _run_once(name, loop, watch)
            if watch.is_set():
                return
            steady = time.monotonic() - started > _STEADY_SECONDS
            failed_in_a_row = 1 if steady else failed_in_a_row + 1
            self._failures[name] = cause
            metrics.loop_restarts.labels(name).inc()
            watch.wait(backoff_seconds(failed_in_a_row))
            self._failures.pop(name)


def _run_once(name: str, loop: Loop, watch: WatchedStop) -> str:
    """Run a loop until it ends; returns why it ended."""
    try:
        loop(watch)
    except Exception as error:  # whatever it was, the other loops go on and this one is started again
        log.exception("loop_failed", loop=name)
        return f"{type(error).__name__}: {error}"
    if not watch.is_set():
        log.error("loop_ended", loop=name)
    return "it ended although nobody told it to"


def backoff_seconds(failed_in_a_row: int) -> float:
    """Half a second, doubled with every failure up to half a minute, give or take a quarter."""
    return min(_LONGEST_PAUSE, 0.5 * 2.0 ** min(failed_in_a_row - 1, 10)) * random.uniform(0.75, 1.25)  # noqa: S311 (spreads load, keeps no secret)
