"""Real processes of the product, on free ports and a folder of their own."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

PORTS = (
    "PORTAL_PORT",
    "CONSOLE_PORT",
    "CRM_PORT",
    "MAILS_PORT",
    "MAILS_SMTP_PORT",
    "PORTAL_WORKER_HEALTH_PORT",
    "SYNC_WORKER_HEALTH_PORT",
)
Casebridge = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a process of a fresh installation gets; nothing of the developer's own settings."""
    return _inherited() | {"CASEBRIDGE_HOME": str(tmp_path / "home")} | free_ports()


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}


def free_ports() -> dict[str, str]:
    """All are held until all are found, so that no two are the same."""
    probes = [socket.socket() for _ in PORTS]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = {name: str(probe.getsockname()[1]) for name, probe in zip(PORTS, probes, strict=True)}
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="session")
def migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with empty databases of the newest schema, to be copied."""
    home = tmp_path_factory.mktemp("migrated") / "home"
    command = [sys.executable, "-m", "shared.cli", "migrate"]
    subprocess.run(command, env=_inherited() | {"CASEBRIDGE_HOME": str(home)}, capture_output=True, check=True)
    return home


@pytest.fixture
def migrated(migrated_once: Path, environment: Mapping[str, str]) -> None:
    """The databases of this test's folder have the newest schema."""
    shutil.copytree(migrated_once, environment["CASEBRIDGE_HOME"])


@pytest.fixture
def casebridge(environment: Mapping[str, str], tmp_path: Path) -> Casebridge:
    """Runs one command to its end."""

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shared.cli", *arguments],
            env={**environment, **changes},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
