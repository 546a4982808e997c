"""`casebridge mapping preview`: what a changed file would do to real pairs, and that applying it does just that."""

import json

import pytest
from click.testing import CliRunner

from crm_sync_service import mapping_commands
from crm_sync_service.connectors.config import ConnectorConfig, default_mapping
from crm_sync_service.lanes import mark_due
from crm_sync_service.mapping_file import parse_mapping
from crm_sync_service.mapping_preview import preview_mapping
from crm_sync_service.models import open_database
from crm_sync_service.settings import SyncSettings
from shared.health import HealthAddress
from shared.settings import CommonSettings
from tests.crm_sync_service.engine import Engine, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm

DESK = default_mapping("desk").read_text()


def mapping(crm, *changes):
    text = DESK
    for change in changes:
        assert change[0] in text
        text = text.replace(*change)
    return parse_mapping(text).case_mapping(crm)


def preview(engine, *changes, limit=None):
    return preview_mapping(
        engine.database, engine.crm, now=mapping(engine.crm), changed=mapping(engine.crm, *changes), limit=limit
    )


@pytest.fixture
def pairs(engine):
    """Three tickets with their Cases, and one that waits for its Case."""
    for number in (1, 2, 3):
        engine.receive(new_ticket(number=number, category="Paper"))
    engine.settle()
    engine.receive(new_ticket(number=4))
    return engine


def test_the_same_file_does_nothing(pairs):
    found = preview(pairs)
    assert (found.pairs, found.of, found.creates, found.updates, found.diffs) == (3, 3, 1, 0, [])


def test_a_changed_block_names_every_case_it_would_write(pairs):
    written = len(pairs.crm.writes)
    found = preview(pairs, ("Category: {category}", "Rubriek: {category}"))
    assert (found.updates, found.reads, found.writes) == (3, 3, 4)
    assert found.by_field == {"block": 3}
    before, _, after = str(found.diffs[0]).partition(" → ")
    assert "Category: " in before
    assert "Rubriek: " in after
    assert "Rubriek: Paper" in found.diffs[0].after
    assert len(pairs.crm.writes) == written


@pytest.mark.parametrize(
    ("change", "writes"), [(("Category: {category}", "Rubriek: {category}"), 3), (("internal = ", "internal= "), 0)]
)
def test_applying_does_what_was_shown(engine, change, writes):
    tickets = [new_ticket(number=number, category="Paper") for number in (1, 2, 3)]
    engine.receive(*tickets)
    engine.settle()
    found = preview(engine, change)
    before = len(engine.crm.writes)
    engine.runner.mapping = mapping(engine.crm, change)
    with engine.database.write() as session:
        mark_due(session, [ticket.ticket_id for ticket in tickets], now=engine.clock)
    engine.settle()
    assert (found.updates, len(engine.crm.writes) - before) == (writes, writes)
    assert preview(engine, change).diffs == []


def test_a_changed_option_shows_before_and_after(pairs):
    found = preview(pairs, ('new = "new"', 'new = "assigned"'), ('open = "assigned"', 'open = "new"'))
    assert [str(diff) for diff in found.diffs] == [
        f'#{number} status of the ticket: "new" → "open"' for number in (3, 2, 1)
    ]
    assert found.pulls == 3


def test_only_as_many_are_read_as_asked_for(pairs):
    found = preview(pairs, ("Category: {category}", "Rubriek: {category}"), limit=2)
    assert (found.pairs, found.of, found.updates) == (2, 3, 2)


def test_a_case_that_is_gone_is_counted(pairs):
    pairs.crm.delete_case(next(iter(pairs.crm.cases)))
    assert preview(pairs).gone == 1


def test_what_waits_anyway_is_not_blamed_on_the_file(pairs):
    case = next(iter(pairs.crm.cases))
    pairs.crm.edit(case, priority="critical")
    assert preview(pairs, ("Category: {category}", "Rubriek: {category}")).by_field == {"block": 3}


def test_the_command_tells_it_in_words(tmp_path, monkeypatch):
    database = open_database(f"sqlite:///{tmp_path}/sync.db")
    database.upgrade()
    engine = Engine(database, FakeCrm())
    engine.receive(new_ticket(number=1, category="Paper"))
    engine.settle()
    common = CommonSettings(
        home=tmp_path, broker_url="embedded:///x", secret_key="s" * 40, portal_url="x", console_url="x", crm_url="x"
    )
    settings = SyncSettings(
        common=common,
        database_url=f"sqlite:///{tmp_path}/sync.db",
        crm_kind="desk",
        crm=ConnectorConfig(url="http://127.0.0.1:1", api_key="x"),
        crm_mapping=None,
        threads=1,
        poll_interval=None,
        health=HealthAddress(host="127.0.0.1", port=0, setting="x"),
    )
    monkeypatch.setattr(mapping_commands, "read_settings", lambda: settings)
    monkeypatch.setattr(
        mapping_commands,
        "open_connector",
        lambda _kind, _config, path: (engine.crm, parse_mapping(path.read_text()).case_mapping(engine.crm)),
    )
    monkeypatch.setattr(mapping_commands, "open_crm", lambda _settings: (engine.crm, engine.crm.mapping()))
    (tmp_path / "map.toml").write_text(DESK.replace("Category: {category}", "Rubriek: {category}"))
    run = CliRunner().invoke(mapping_commands.mapping_group, ["preview", "--file", str(tmp_path / "map.toml")])
    assert run.exit_code == 0, run.output
    assert "0 creates (tickets that have no Case yet), 1 updates of Cases" in run.output
    assert "1 reads and 1 writes" in run.output
    arguments = ["preview", "--file", str(tmp_path / "map.toml"), "--json"]
    assert json.loads(CliRunner().invoke(mapping_commands.mapping_group, arguments).output)["by_field"] == {"block": 1}
    database.dispose()
