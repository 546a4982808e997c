"""The connector of docs/howto/add-a-connector.md: short enough to read, and it keeps the contract."""

import importlib.util
import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from crm_sync_service.connectors.config import ConnectorKind
from crm_sync_service.connectors.conformance.commands import connector_group
from tests.contracts.tiny_crm import KEY, TinyCrm, create_app

DOCS = Path(__file__).parents[2] / "docs" / "howto"
EXAMPLE = DOCS / "example_connector.py"


@pytest.fixture
def crm():
    return TinyCrm()


@pytest.fixture
def url(crm):
    server = make_server("127.0.0.1", 0, create_app(crm), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def example():
    spec = importlib.util.spec_from_file_location("example_connector", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.KIND


def test_it_is_short():
    assert len(EXAMPLE.read_text().splitlines()) <= 150


def test_the_page_shows_it_and_names_what_it_needs():
    page = (DOCS / "add-a-connector.md").read_text()
    assert "example_connector.py" in page
    assert "casebridge connector check --config" in page


def test_it_keeps_the_contract(url, crm, tmp_path, monkeypatch):
    kind = example()
    assert isinstance(kind, ConnectorKind)
    monkeypatch.setattr("crm_sync_service.connection.find_kind", lambda _: kind)
    (tmp_path / "tiny.toml").write_text(f'kind = "tiny"\nurl = "{url}"\napi_key = "{KEY}"\naccount = "a-1"\n')
    result = CliRunner().invoke(connector_group, ["check", "--config", str(tmp_path / "tiny.toml"), "--json"])
    found = {row["name"]: (row["status"], row["words"]) for row in json.loads(result.stdout)["results"]}
    assert {name: row for name, row in found.items() if row[0] == "fails"} == {}
    assert {name for name, row in found.items() if row[0] == "degraded"} == {"hints"}
    assert result.exit_code == 0
    assert not [row for rows in crm.records.values() for row in rows.values() if not row["deleted"]]
