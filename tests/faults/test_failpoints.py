"""A process dies at each named place in the code, with work of every kind before it: nothing is lost or doubled."""

import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import create_engine, text

import crm_sync_service
import portal_service
import shared
from shared.failpoints import SETTING
from tests.faults.chaos import checker
from tests.faults.chaos.history import Diary, read
from tests.faults.chaos.installation import PROCESSES, Installation
from tests.faults.chaos.load import Agents, Group, Managers, Work
from tests.faults.chaos.run import begin, converge

pytestmark = pytest.mark.faults

_WORKERS = {
    "relay": ("portal-worker", "sync-worker"),
    "consumer": ("portal-worker", "sync-worker"),
    "mail": ("portal-worker",),
}
_ELSEWHERE = {"import"}
"""Its places are passed by a command, which tests/portal_service/imports/test_command.py kills."""
_WITHIN = 60.0


def places() -> list[tuple[str, str]]:
    """Every named place of the source and each process that passes it, all of one process after the other."""
    names: set[str] = set()
    for package in (crm_sync_service, portal_service, shared):
        for folder in package.__path__:
            for file in Path(folder).rglob("*.py"):
                names.update(re.findall(r'failpoint\("([^"]+)"\)', file.read_text(encoding="utf-8")))
    kinds = {name: name.partition(".")[0] for name in names}
    found = [
        (name, process)
        for name, kind in kinds.items()
        if kind not in _ELSEWHERE
        for process in _WORKERS.get(kind, ("sync-worker",))
    ]
    return sorted(found, key=lambda each: (each[1], each[0]))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("failpoints"), servers=False, skew=0) as installation:
        begin(installation)
        yield installation


class Mailbox:
    """A mail server that takes everything and remembers how often each mail came."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd)
        self.came.update(re.findall(rb"(?im)^Message-ID:\s*(\S+)", envelope.content)[0].decode().split())
        return "250 taken"


@pytest.fixture
def mailbox(installation: Installation) -> Iterator[Mailbox]:
    server = urlsplit(installation.environment["SMTP_URL"])
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname=server.hostname, port=server.port)
    controller.start()
    yield mailbox
    controller.stop()


@pytest.fixture
def people(installation: Installation) -> Iterator[tuple[Agents, Managers]]:
    with ExitStack() as diaries:
        yield _people(Agents, installation, "portal", diaries), _people(Managers, installation, "crm", diaries)


def _people(kind: type[Group], installation: Installation, service: str, diaries: ExitStack) -> Any:
    path = installation.diary(service)
    work = Work(
        seconds=0,
        tickets=0,
        changes=0,
        seed=1,
        secret_key="s" * 40,
        diary=str(path),
        url=installation.url("portal"),
        database_url=installation.database_url(service),
    )
    group = kind(work=work, rng=random.Random(1), diary=diaries.enter_context(closing(Diary(path))))
    group.come_in()
    return group


def test_a_process_that_dies_at_any_place_loses_and_doubles_nothing(
    installation: Installation, people: tuple[Agents, Managers], mailbox: Mailbox
) -> None:
    """One death after the other, each in the process that takes over what the one before left."""
    for process, its_places in groupby(places(), key=lambda each: each[1]):
        installation.kill(process)
        for place, _ in its_places:
            installation.start(process, wait=False, extra={SETTING: f"{place}=exit:1"})
            _work_until_it_dies(installation, people, place, process)
        installation.start(process, wait=False)
    waited = converge(installation, _WITHIN)
    deeds = list(read(installation.diary("portal"), installation.diary("crm")))
    assert checker.check(installation, deeds).all() == []
    assert waited < _WITHIN
    deaths = sum(process == "portal-worker" for _, process in places())
    assert _mails(installation) == set(mailbox.came)
    assert mailbox.came.total() - len(mailbox.came) <= deaths


def _mails(installation: Installation) -> set[str]:
    """Message-IDs of all mails, once none waits; those that dead workers had claimed would for five minutes."""
    engine = create_engine(installation.database_url("portal"))
    deadline = time.monotonic() + _WITHIN
    with engine.begin() as connection:
        connection.execute(text("UPDATE outgoing_mails SET due_at = created_at WHERE sent_at IS NULL"))
    while True:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT message_id, sent_at FROM outgoing_mails")).all()
        if all(row.sent_at for row in rows):
            engine.dispose()
            return {row.message_id for row in rows}
        assert time.monotonic() < deadline, "mails wait to be sent"
        time.sleep(0.2)


def _work_until_it_dies(installation: Installation, people: tuple[Agents, Managers], place: str, process: str) -> None:
    agents, managers = people
    deadline = time.monotonic() + _WITHIN
    while installation.is_running(process):
        assert time.monotonic() < deadline, f"{process} never came to {place}"
        agents.submit()
        agents.change()
        managers.change()
        time.sleep(0.2)


def test_every_process_with_loops_of_its_own_has_places() -> None:
    assert {process for _, process in places()} == {"portal-worker", "sync-worker"} <= set(PROCESSES)
