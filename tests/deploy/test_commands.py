"""A wrong setting, an occupied port or a missing database stops a process at its start, with one clear sentence."""

import socket
from collections.abc import Mapping

import pytest

from tests.deploy.conftest import Casebridge

SERVERS = {
    "portal": "PORTAL_PORT",
    "console": "CONSOLE_PORT",
    "crm": "CRM_PORT",
    "mails": "MAILS_PORT",
    "portal-worker": "PORTAL_WORKER_HEALTH_PORT",
    "sync-worker": "SYNC_WORKER_HEALTH_PORT",
    "up": "PORTAL_PORT",
}


@pytest.mark.parametrize(
    ("command", "name", "value", "words"),
    [
        ("portal", "PORTAL_PORT", "eighty", "PORTAL_PORT='eighty' is not a number"),
        ("portal", "BROKER_URL", "http://broker", "BROKER_URL starts with 'http'"),
        ("portal-worker", "SECRET_KEY", "short", "SECRET_KEY is too short"),
        ("portal-worker", "DATABASE_URL", "mysql://host/db", "only postgresql and sqlite"),
        ("sync-worker", "CRM_KIND", "filofax", "CRM_KIND='filofax' is unknown"),
        ("console", "CONSOLE_URL", "console", "CONSOLE_URL='console' is not a web address"),
        ("crm", "LOG_LEVEL", "loud", "LOG_LEVEL='LOUD' is not a level"),
        ("up", "CRM_PORT", "99999", "CRM_PORT=99999 is out of range"),
        ("up", "WEB_THREADS", "0", "WEB_THREADS='0' cannot be"),
    ],
)
def test_a_wrong_setting_stops_the_process(
    casebridge: Casebridge, command: str, name: str, value: str, words: str
) -> None:
    result = casebridge(command, **{name: value})
    assert result.returncode != 0
    assert words in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("command", SERVERS)
def test_an_occupied_port_is_named_with_its_setting(
    casebridge: Casebridge, environment: Mapping[str, str], command: str
) -> None:
    setting = SERVERS[command]
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(environment[setting])))
        holder.listen()
        result = casebridge(command)
    assert result.returncode == 2
    assert f"port {environment[setting]} on 127.0.0.1 is already in use" in result.stderr
    assert setting in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["portal", "portal-worker", "sync-worker", "console", "crm"])
def test_a_database_that_was_never_migrated_is_told(casebridge: Casebridge, command: str) -> None:
    result = casebridge(command)
    assert result.returncode == 2
    assert "run `casebridge migrate`" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("command", ["migrate", "demo-data"])
def test_migrations_and_demo_data_can_be_repeated(casebridge: Casebridge, command: str) -> None:
    first, second = casebridge(command), casebridge(command)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout


def test_two_processes_cannot_share_a_port(casebridge: Casebridge, environment: Mapping[str, str]) -> None:
    result = casebridge("up", CRM_PORT=environment["PORTAL_PORT"])
    assert result.returncode == 2
    assert "give each its own port" in result.stderr
