"""The simulator answers as a real SuiteCRM 7.15 did, where its recorded exchanges are at hand."""

import json
from pathlib import Path

import pytest

from tests.crm_sync_service.suitecrm.replay import Replay, covered

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "crm" / "suitecrm.jsonl"
AT_LEAST = 0.8


@pytest.fixture(scope="module")
def exchanges():
    if not RECORDINGS.exists():
        pytest.skip(f"the recorded exchanges of a SuiteCRM are not there: {RECORDINGS}")
    lines = [json.loads(line) for line in RECORDINGS.read_text().split("\n") if line]
    recorded = [line for line in lines if "request" in line]
    return sorted(recorded, key=lambda line: line["response"]["headers"].get("Date", ""))


def test_every_covered_exchange_is_answered_as_recorded(exchanges):
    replay = Replay()
    played = [exchange for exchange in exchanges if covered(exchange)]
    found = {exchange["name"]: replay.differences(exchange) for exchange in played}
    print(f"covered: {len(played)} of {len(exchanges)} exchanges")
    assert {name: differences for name, differences in found.items() if differences} == {}
    assert len(played) >= AT_LEAST * len(exchanges)


@pytest.mark.parametrize("quirk", ["purify", "encode", "cut", "zero_seconds", "null_ignored", "generic_link"])
def test_without_a_quirk_the_simulator_answers_otherwise(exchanges, quirk):
    """Or the comparison could not fail."""
    replay = Replay()
    setattr(replay.simulator.quirks, quirk, False)
    if quirk == "generic_link":
        exchanges = [exchange for exchange in exchanges if exchange["name"].startswith("rel_")]
        assert _links_after_generic_adding(replay, exchanges)
        return
    assert any(replay.differences(exchange) for exchange in exchanges if covered(exchange))


def _links_after_generic_adding(replay, exchanges):
    adding = next(exchange for exchange in exchanges if exchange["name"] == "rel_add_contact")
    replay.differences(adding)
    return any(replay.simulator.tables.contacts.values())
