"""The command line: trouble people can mend is one sentence and exit status 2; mistakes keep their traceback."""

import errno
import sqlite3
from collections.abc import Callable
from typing import Any

import click
import pytest
from environs import Env
from sqlalchemy.exc import OperationalError

from shared import cli
from shared.broker import BrokerUnavailableError
from shared.database import DatabaseUnavailableError
from shared.process import PortTakenError
from shared.settings import SettingsError


class Entry:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self._value = value

    def __lt__(self, other: "Entry") -> bool:
        return self.name < other.name

    def load(self) -> object:
        return self._value


Bring = Callable[..., None]


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Stands in for the installed services."""

    def bring(**groups: dict[str, object]) -> None:
        def entries(group: str) -> list[Entry]:
            kind = group.removeprefix("casebridge.")
            return [Entry(name, value) for name, value in groups.get(kind, {}).items()]

        monkeypatch.setattr(cli, "entry_points", entries)

    return bring


def command(name: str, do: Callable[[], Any]) -> click.Command:
    return click.Command(name, callback=do)


def fail_with(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_commands_of_all_services_are_one_command_line(bring: Bring, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    bring(
        commands={
            "portal": command("portal", lambda: said.append("portal")),
            "console": command("console", lambda: said.append("console")),
        }
    )
    assert cli.run(["console"]) == 0
    assert said == ["console"]
    assert cli.run(["--help"]) == 0
    assert {"portal", "console", "migrate", "demo-data"} <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SettingsError("PORTAL_PORT=0 is out of range"), "PORTAL_PORT=0 is out of range"),
        (DatabaseUnavailableError("the portal database cannot be used"), "the portal database cannot be used"),
        (BrokerUnavailableError("the broker cannot be reached"), "the broker cannot be reached"),
        (PortTakenError("port 8000 is already in use"), "port 8000 is already in use"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "stop the program that holds the port"),
        (OSError(errno.ENOSPC, "No space left on device", "/var/x.db"), "(/var/x.db): make room"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/var"), "give this user the right"),
        (OperationalError("INSERT", {}, sqlite3.OperationalError("disk I/O error")), "disk I/O error"),
    ],
)
def test_trouble_is_told_in_one_sentence(
    bring: Bring, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    bring(commands={"portal": command("portal", fail_with(error))})
    assert cli.run(["portal"]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


def test_a_setting_of_a_wrong_kind_is_trouble_too(
    bring: Bring, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_NUMBER", "many")
    bring(commands={"portal": command("portal", lambda: Env().int("SOME_NUMBER"))})
    assert cli.run(["portal"]) == 2
    assert "SOME_NUMBER" in capsys.readouterr().err


def test_a_mistake_in_the_program_keeps_its_traceback(bring: Bring) -> None:
    bring(commands={"portal": command("portal", fail_with(KeyError("x")))})
    with pytest.raises(KeyError):
        cli.run(["portal"])


def test_an_unknown_command_is_refused(bring: Bring, capsys: pytest.CaptureFixture[str]) -> None:
    bring()
    assert cli.run(["prtal"]) == 2
    assert "No such command" in capsys.readouterr().err


def test_the_status_of_a_command_is_passed_on(bring: Bring) -> None:
    bring(commands={"verify": command("verify", lambda: 1)})
    assert cli.run(["verify"]) == 1


def test_ctrl_c_ends_without_a_traceback(bring: Bring) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    bring(commands={"verify": command("verify", interrupted)})
    assert cli.run(["verify"]) == 130


def test_migrate_and_demo_data_reach_every_service(bring: Bring, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    bring(
        migrations={"portal": lambda: done.append("portal schema"), "sync": lambda: done.append("sync schema")},
        demo_data={"portal": lambda: done.append("portal demo")},
    )
    assert cli.run(["migrate"]) == 0
    assert cli.run(["demo-data"]) == 0
    assert done == ["portal schema", "sync schema", "portal demo"]
    assert "sync: up to date" in capsys.readouterr().out
