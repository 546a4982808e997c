"""`casebridge bench sync` measures what it says, in a small size."""

import json

import pytest
from click.testing import CliRunner

from crm_sync_service.bench.command import bench
from crm_sync_service.bench.engine import BenchFailedError, Engine
from crm_sync_service.bench.free_crm import FreeCrm
from crm_sync_service.bench.measure import throughput
from crm_sync_service.bench.tickets import fill, new_ticket
from crm_sync_service.connectors.base import InvalidError
from tests.conftest import POSTGRES_URL


def test_throughput_counts_every_delivery_and_every_call(sync_database):
    engine = Engine(database=sync_database, crm=FreeCrm(), threads=2)
    fill(sync_database, 5, progress=lambda _: None)

    found = throughput(engine, tickets=10, first=1)

    assert min(found.creates, found.updates, found.burst) > 0
    # One ticket of ten gets 20 edits and 3 replies: one read, at most one update, three Notes.
    assert found.calls_per_event * 23 in {4, 5}
    assert len(engine.crm._cases) == 10


def test_a_lane_that_is_parked_ends_the_measurement(sync_database):
    class Refusing(FreeCrm):
        def create_case(self, new):
            raise InvalidError("never")

    engine = Engine(database=sync_database, crm=Refusing(), threads=2)
    engine.receive([new_ticket(1)])

    with pytest.raises(BenchFailedError, match="never"):
        engine.work_off()


@pytest.mark.parametrize("url", [None, pytest.param(POSTGRES_URL, marks=pytest.mark.postgres)])
def test_the_command_reports_everything(tmp_path, url):
    report = tmp_path / "report.json"
    arguments = ["sync", "--tickets", "8", "--links", "1010", "--seconds", "0.5", "--threads", "2"]

    done = CliRunner().invoke(
        bench, [*arguments, "--json", str(report), *(["--database-url", url] if url else [])], catch_exceptions=False
    )

    assert done.exit_code == 0, done.output
    assert set(json.loads(report.read_text())) == {
        "free CRM, 1,000 links",
        "free CRM, 1,010 links",
        "many links beside few",
        "latency idle (ms)",
        "latency at half the rate (ms)",
        "bundled CRM over HTTP",
        "latency idle, bundled CRM (ms)",
    }
    assert "ratio" in done.output
