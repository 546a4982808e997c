"""Loops that are supervised, ports that are checked, children that follow their parent."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from shared import process
from shared.process import LoopGroup, PortTakenError, WatchedStop, backoff_seconds, check_port


def eventually(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def started(group: LoopGroup) -> threading.Thread:
    thread = threading.Thread(target=group.run)
    thread.start()
    return thread


def test_loops_run_until_told_to_stop(stop: threading.Event) -> None:
    begun: list[str] = []
    ended: list[str] = []

    def loop(name: str) -> process.Loop:
        def run(stop: threading.Event) -> None:
            begun.append(name)
            stop.wait()
            ended.append(name)

        return run

    thread = started(LoopGroup({"a": loop("a"), "b": loop("b")}, stop=stop))
    eventually(lambda: len(begun) == 2)
    stop.set()
    thread.join(5)
    assert sorted(ended) == ["a", "b"]


def test_a_loop_that_fails_is_started_again_and_harms_no_other(stop: threading.Event) -> None:
    tries: list[int] = []
    steady: list[int] = []

    def fails_once(stop: threading.Event) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("the first try goes wrong")
        stop.wait()

    def keeps_running(stop: threading.Event) -> None:
        steady.append(1)
        stop.wait()

    group = LoopGroup({"weak": fails_once, "strong": keeps_running}, stop=stop)
    thread = started(group)
    eventually(lambda: "the first try goes wrong" in group.failures().get("weak", ""))
    eventually(lambda: len(tries) == 2)
    eventually(lambda: not group.failures())
    stop.set()
    thread.join(5)
    assert steady == [1]


def test_a_loop_that_ends_by_itself_is_started_again(stop: threading.Event) -> None:
    runs: list[int] = []
    thread = started(LoopGroup({"short": lambda _stop: runs.append(1)}, stop=stop))
    eventually(lambda: len(runs) >= 2)
    stop.set()
    thread.join(5)


def test_a_loop_that_hangs_is_silent_and_one_that_waits_is_not(
    stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SILENCE_SECONDS", 0.2)
    release = threading.Event()

    def hangs(_stop: threading.Event) -> None:
        release.wait(10)

    group = LoopGroup({"hangs": hangs, "waits": lambda stop: stop.wait(60) and None}, stop=stop)
    thread = started(group)
    eventually(lambda: group.silent() == ["hangs"])
    stop.set()
    release.set()
    thread.join(5)


def test_looking_at_the_stop_event_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENCE_SECONDS", 0.1)
    watch = WatchedStop(threading.Event())
    eventually(watch.is_silent)
    assert not watch.is_set()
    assert not watch.is_silent()


def test_pauses_grow_and_end_at_half_a_minute() -> None:
    assert 0.3 < backoff_seconds(1) < 0.7
    assert 1.4 < backoff_seconds(3) < 2.6
    assert 22 < backoff_seconds(50) < 38


def test_an_occupied_port_is_named_with_its_setting() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} .* already in use.*PORTAL_PORT"):
            check_port("127.0.0.1", port, setting="PORTAL_PORT")
    check_port("127.0.0.1", port, setting="PORTAL_PORT")


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(PortTakenError, match="BIND_ADDRESS"):
        check_port("192.0.2.1", 8000, setting="PORTAL_PORT")


CHILD = """
import time
from shared.process import follow_parent
follow_parent()
print("following", flush=True)
time.sleep(60)
"""
PARENT = f"""
import os, subprocess, sys, time
from shared.process import parent_setting
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=os.environ | parent_setting(), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.faults
def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not is_running(child))


def is_running(pid: int) -> bool:
    """A child of a killed parent stays as a zombie until somebody collects it; that does not count."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 (may vanish while it is read)
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_child_whose_parent_is_gone_already_does_not_start() -> None:
    environment = os.environ | {"CASEBRIDGE_PARENT": "1"}
    result = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, timeout=30, check=False
    )
    assert result.returncode == 1
    assert b"following" not in result.stdout
