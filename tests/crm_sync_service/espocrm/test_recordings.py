"""The simulator answers as a real EspoCRM was recorded to."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.crm_sync_service.espocrm import recordings
from tests.crm_sync_service.espocrm.preparations import start
from tests.crm_sync_service.espocrm.simulator import running

RECORDINGS = Path(os.environ.get("ESPOCRM_RECORDINGS", Path(__file__).parents[4] / "shared" / "crm" / "espocrm.jsonl"))
LEAST_SHARE = 0.8


@pytest.mark.skipif(not RECORDINGS.exists(), reason=f"the recordings of a real EspoCRM are not at {RECORDINGS}")
def test_every_recorded_exchange_is_answered_alike():
    clock = [datetime(2026, 11, 22, tzinfo=UTC)]
    exchanges = recordings.read(RECORDINGS)
    with running(now=lambda: clock[0]) as simulator:
        start(simulator)
        result = recordings.replay(simulator, exchanges, lambda at: clock.__setitem__(0, at))
    share = result.claimed / result.total
    print(f"{result.claimed} of {result.total} recorded exchanges are covered ({share:.0%})")
    assert result.differences == {}
    assert share >= LEAST_SHARE
