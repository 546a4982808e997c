"""`casebridge connect` with an EspoCRM: from an address and a key to webhooks, a directory and a round trip."""

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from crm_sync_service.connect import connect_command
from crm_sync_service.models import open_database
from tests.crm_sync_service.espocrm.simulator import KEY
from tests.crm_sync_service.espocrm.world import a_world


@pytest.fixture
def connect(tmp_path, monkeypatch):
    """Runs the command in an empty home, with these answers."""
    for name in ("CRM_API_KEY", "CRM_SECRET_KEY", "CRM_KIND", "CRM_API_URL", "DATABASE_URL", "CONSOLE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
    database = open_database(f"sqlite:///{tmp_path}/sync.db")
    database.upgrade()
    database.dispose()

    def run(url, typed):
        options = ["--env-file", str(tmp_path / ".env"), "--kind", "espocrm", "--url", url]
        with capture_logs():
            return CliRunner().invoke(connect_command, options, input=typed)

    return run


def test_from_address_and_key_to_a_round_trip(connect):
    with a_world() as world:
        done = connect(f"{world.crmside.url}/", f"{KEY}\n\ny\n")
        assert done.exit_code == 0, done.output
        assert "Reached EspoCRM 9.2.7" in done.output
        assert "Rights and fields: nothing is missing." in done.output
        assert "Mapping file: it fits the CRM." in done.output
        assert "Directory, contacts: 2 read" in done.output
        assert {row["event"] for row in world.state.live("Webhook")} == {"Case.update", "Case.delete"}
        assert world.count("Case") == 0, "the trial's Case is removed"


def test_what_is_missing_is_said_before_anything_is_made(connect, tmp_path):
    with a_world() as world:
        del world.state.custom["Case"]["portalTicketId"]
        world.crmside.rights["Case"]["read"] = "own"
        done = connect(world.crmside.url, f"{KEY}\n\ny\n")
        assert done.exit_code == 1
        assert "the API user may not read all Cases" in done.output
        assert "casebridge espocrm-package" in done.output
        assert world.crmside.writes() == []
        assert not (tmp_path / ".env").exists()


def test_a_wrong_key_is_one_sentence(connect):
    with a_world() as world:
        done = connect(world.crmside.url, "not-the-right-key\n\n")
        assert done.exit_code == 2
        assert "check CRM_API_KEY" in done.stderr
        assert "not-the-right-key" not in done.output
