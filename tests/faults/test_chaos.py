"""Kill anything at any moment, again and again: nothing lost, nothing doubled, both sides equal, no echo."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.chaos import checker
from tests.faults.chaos.damage import DAMAGE, planted
from tests.faults.chaos.history import Deed, read
from tests.faults.chaos.installation import PROCESSES, Installation
from tests.faults.chaos.run import GROUPS, Report, Size, count_late_writes, run, run_on

pytestmark = pytest.mark.faults

SHORT = Size(
    events=10_000, tickets=1_000, kills=10, broker_kills=2, database_kills=1, seconds=75, quiet_seconds=15, seed=2
)
EMBEDDED = Size(events=400, tickets=50, kills=3, seconds=25, quiet_seconds=5, seed=3, servers=False)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("chaos")
    with Installation(home, servers=True, skew=Random(SHORT.seed).choice((-300.0, 300.0))) as installation:
        yield installation


@pytest.fixture(scope="module")
def report(installation: Installation) -> Report:
    return run_on(installation, SHORT)


@pytest.fixture(scope="module")
def deeds(installation: Installation, report: Report) -> list[Deed]:
    """Of the finished run, in which nothing moves any more: damage would be mended."""
    for name in PROCESSES:
        if name != "crm":
            installation.kill(name)
    return list(read(*(installation.diary(name) for name in GROUPS)))


def told(report: Report) -> str:
    return json.dumps(report.as_json(), indent=2, ensure_ascii=False)[:6000]


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_ten_thousand_events_survive_kills_of_everything(report: Report) -> None:
    assert not any(report.verdict.values()), told(report)
    assert report.events >= 0.95 * SHORT.events
    assert min(report.kills[name] for name in PROCESSES) >= SHORT.kills
    assert report.faults["kill the broker"] == SHORT.broker_kills
    assert report.faults["kill the database"] == SHORT.database_kills
    assert report.conflicts > 0


@pytest.mark.rabbitmq
@pytest.mark.postgres
@pytest.mark.parametrize("damage", DAMAGE)
def test_the_checker_finds_damage(installation: Installation, deeds: list[Deed], damage: str) -> None:
    kind, _ = DAMAGE[damage]
    with planted(damage, installation):
        assert checker.check(installation, deeds).by_kind()[kind] != []
    assert checker.check(installation, deeds).by_kind()[kind] == []


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_the_checker_misses_what_people_were_promised(installation: Installation, deeds: list[Deed]) -> None:
    ticket = next(deed.ticket for deed in deeds if deed.kind == "ticket")
    promise: dict[str, Any] = {"side": "portal", "ticket": ticket, "acknowledged": True}
    never = Deed(kind="entry", token="words-that-nobody-stored", **promise)
    undone = Deed(kind="edit", field="account", value="An account that is not there", **promise)
    of_crm = Deed(**{**undone.__dict__, "side": "crm"})

    assert len(checker.check(installation, [*deeds, never]).lost) == 1
    assert len(checker.check(installation, [*deeds, undone, of_crm]).lost) == 1


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_a_write_after_the_end_is_counted(installation: Installation, deeds: list[Deed]) -> None:
    case = next(iter(checker.everything(installation, "/cases")))
    answer = {"low": "high"}.get(case["priority"], "low")

    def write(_: float) -> None:
        installation.crm("PATCH", f"/cases/{case['id']}", json={"priority": answer})

    assert count_late_writes(installation, 0.1, sleep=write) == 1


def test_the_embedded_default_survives_kills_and_a_full_disk(tmp_path: Path) -> None:
    report = run(EMBEDDED, tmp_path)
    assert not any(report.verdict.values()), told(report)
    assert min(report.kills[name] for name in PROCESSES) >= EMBEDDED.kills
    assert report.faults["disk full"] == 1
