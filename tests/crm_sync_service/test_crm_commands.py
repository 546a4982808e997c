"""The commands about the CRM, as people call them, over a CRM in memory."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from crm_sync_service import crm_commands
from crm_sync_service.connectors.base import UnreachableError
from crm_sync_service.crm_commands import accept_crm_command, sync_directory_command
from crm_sync_service.installation import Instance, OtherCrmError
from crm_sync_service.models import Base
from shared.cli import command_names
from shared.clock import utc_now
from shared.database import Database
from tests.crm_sync_service.engine import START


@pytest.fixture
def database(open_database):
    return open_database("sqlite", Base.metadata)


@pytest.fixture
def run(database, crm, monkeypatch):
    """Runs a command over the CRM in memory; returns its exit status and what it printed."""
    monkeypatch.setattr(crm_commands, "read_settings", lambda: SimpleNamespace(database_url=""))
    monkeypatch.setattr(crm_commands, "open_crm", lambda _: (crm, crm.mapping()))
    monkeypatch.setattr(crm_commands, "open_database", lambda _: database)
    monkeypatch.setattr(Database, "check", lambda _: None)  # made without migrations

    def run_(command, *arguments):
        result = CliRunner().invoke(command, list(arguments))
        return result.exit_code, result.output

    return run_


def test_the_whole_directory_is_read_and_counted(run, crm):
    crm.keep("account", "acme", "Acme")
    crm.keep("product", "portal", "Portal Server")
    status, printed = run(sync_directory_command)
    assert status == 0
    assert printed.splitlines() == [
        "accounts: 1 read, 1 new or changed, 0 gone",
        "contacts: 0 read, 0 new or changed, 0 gone",
        "users: 0 read, 0 new or changed, 0 gone",
        "products: 1 read, 1 new or changed, 0 gone",
    ]
    assert "1 read, 0 new" in run(sync_directory_command)[1]


def test_a_crm_that_is_down_is_status_2(run, crm):
    crm.fail("changed_directory", UnreachableError("no answer from the CRM"))
    status, printed = run(sync_directory_command)
    assert status == 2
    assert "no answer from the CRM" in printed


def test_a_renamed_crm_is_accepted_only_when_asked_for(run, crm, database):
    instance = Instance(database=database, crm=crm.name, now=lambda: START)
    instance.check(crm)
    crm.info = lambda: SimpleNamespace(name="Fake CRM", version="1", instance="renamed")
    with pytest.raises(OtherCrmError):
        instance.compare(crm.info())
    assert run(accept_crm_command)[0] == 1, "it asks, and nobody said yes"
    assert run(accept_crm_command, "--yes") == (
        0,
        "From now on this database belongs to the Fake CRM that calls itself 'renamed'.\n",
    )
    Instance(database=database, crm=crm.name, now=utc_now).check(crm)


def test_the_command_line_has_them():
    assert {"sync-directory", "accept-crm", "reconcile"} <= command_names()
