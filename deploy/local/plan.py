"""What the local stack starts, on which ports, and what people are told about it."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from environs import Env

from shared.process import PortTakenError, check_port
from shared.settings import SettingsError, port, read_common

HOST = "127.0.0.1"
DEMO_PASSWORD = "casebridge-demo"  # noqa: S105 (printed for everybody who tries the product)
_PUBLIC = {"PORTAL_PORT": 8000, "CONSOLE_PORT": 8001, "CRM_PORT": 8002, "MAILS_PORT": 8025}
_INTERNAL = {"MAILS_SMTP_PORT": 1025, "PORTAL_WORKER_HEALTH_PORT": 8010, "SYNC_WORKER_HEALTH_PORT": 8012}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the stack."""

    name: str
    """Its command, and the name of its log."""
    port: int
    """Where it answers `/readyz`."""
    page: str = ""
    """What a person finds at its address; empty for processes without pages."""
    log_in: str = ""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A stack that can be started: its ports were free a moment ago."""

    home: Path
    parts: Sequence[Part]
    environment: Mapping[str, str]
    """What the processes get beside the environment of this one."""
    smtp_port: int


def home_of(env: Env) -> Path:
    """Raises SettingsError for any setting that all processes share."""
    return read_common(env).home


def read_plan(env: Env, home: Path) -> Plan:
    """Raises SettingsError and PortTakenError, before anything is started."""
    ports = {name: port(env, name, default) for name, default in _PUBLIC.items()}
    for name, number in ports.items():
        check_port(HOST, number, setting=name)
    for name, default in _INTERNAL.items():
        ports[name] = _internal_port(env, name, default, taken=set(ports.values()))
    _check_distinct(ports)
    return Plan(
        home=home,
        parts=_parts(ports),
        environment={
            "CASEBRIDGE_HOME": str(home),
            "BIND_ADDRESS": HOST,
            "EMERGENCY_LINE": os.environ.get("EMERGENCY_LINE", "1-866-281-8350"),
            "OFFICE_HOURS": os.environ.get("OFFICE_HOURS", "Mon-Fri 09:00-17:30 Europe/Amsterdam"),
            "SMTP_URL": os.environ.get("SMTP_URL", f"smtp://{HOST}:{ports['MAILS_SMTP_PORT']}"),
            # The bundled CRM says at once what changed, so that nobody waits for the next look at its feed.
            "CRM_WEBHOOK_URL": f"http://{HOST}:{ports['CONSOLE_PORT']}/hooks/desk/changed",
            **{name: str(number) for name, number in ports.items()},
        },
        smtp_port=ports["MAILS_SMTP_PORT"],
    )


def _parts(ports: Mapping[str, int]) -> list[Part]:
    return [
        Part(
            name="portal",
            port=ports["PORTAL_PORT"],
            page="Support portal",
            log_in="carol, sam, alex",
        ),
        Part(name="portal-worker", port=ports["PORTAL_WORKER_HEALTH_PORT"]),
        Part(
            name="crm",
            port=ports["CRM_PORT"],
            page="CRM with the Cases",
            log_in="anna, bram, alex",
        ),
        Part(name="sync-worker", port=ports["SYNC_WORKER_HEALTH_PORT"]),
        Part(
            name="console",
            port=ports["CONSOLE_PORT"],
            page="Sync console",
            log_in="alex",
        ),
        Part(name="mails", port=ports["MAILS_PORT"], page="Mails it would send", log_in="nobody"),
    ]


def _internal_port(env: Env, name: str, default: int, *, taken: set[int]) -> int:
    """A port nobody types: the one that is set, which must be free, else the usual one, else any free one."""
    number = port(env, name, default)
    try:
        check_port(HOST, number, setting=name)
    except PortTakenError:
        if name in os.environ:
            raise
        return _free_port()
    return number if name in os.environ or number not in taken else _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _check_distinct(ports: Mapping[str, int]) -> None:
    by_number: dict[int, str] = {}
    for name, number in ports.items():
        other = by_number.setdefault(number, name)
        if other != name:
            raise SettingsError(f"{other} and {name} are both {number}: give each its own port")
