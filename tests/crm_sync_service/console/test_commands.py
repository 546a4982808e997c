"""Adding people to the console from the command line."""

import pytest
from click.testing import CliRunner

from crm_sync_service.console.commands import console_user_command
from tests.crm_sync_service.console.conftest import Browser


@pytest.fixture
def run(database, settings, monkeypatch):
    monkeypatch.setenv("CASEBRIDGE_HOME", str(settings.common.home))
    monkeypatch.setenv("SYNC_DATABASE_URL", settings.database_url)

    def run_(*arguments, typed=None):
        return CliRunner().invoke(console_user_command, list(arguments), input=typed)

    return run_


def test_somebody_new_may_log_in(app, run):
    typed = "a long enough one\n" * 2
    answer = run("mila", "--name", "Mila Novak", "--role", "viewer", typed=typed)
    assert "mila may log in to the console as viewer" in answer.output
    assert Browser(app).log_in("Mila", "a long enough one").status_code == 302


def test_a_name_that_is_taken_or_a_weak_password_is_refused(run):
    taken = run("VIEWER", "--name", "V", "--role", "viewer", "--password", "a long enough one")
    weak = run("mila", "--name", "M", "--role", "viewer", "--password", "short")
    assert (taken.exit_code, weak.exit_code) == (1, 1)
    assert "already: choose another name" in taken.output
    assert "at least 12 characters" in weak.output


def test_somebody_changed_or_removed_is_logged_out_at_once(app, run, operator):
    answer = run("operator", "--change", "--role", "viewer", "--password", "another long one")
    assert "operator is changed: role, password; role viewer" in answer.output
    assert operator.get("/").status_code == 302
    assert Browser(app).log_in("operator").status_code == 401
    again = Browser(app)
    assert again.log_in("operator", "another long one").status_code == 302
    assert again.post("/retry", on="/").status_code == 403
    assert "can no longer log in" in run("operator", "--remove").output
    assert again.get("/").status_code == 302
    assert Browser(app).log_in("operator", "another long one").status_code == 401
    assert run("operator", "--remove").exit_code == 1
    assert run("viewer", "--change").exit_code == 1
