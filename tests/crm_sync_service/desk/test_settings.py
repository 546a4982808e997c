"""The desk's settings: a wrong one stops it, and says what would be right."""

import stat

import pytest

from crm_sync_service.desk.settings import read_settings
from shared.settings import SettingsError


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment in which nothing is set but the folder."""
    for name in (
        "CRM_API_KEY",
        "CRM_API_KEY_FILE",
        "CRM_FAULTS",
        "CRM_WEBHOOK_URL",
        "CRM_DATABASE_URL",
        "DATABASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
    return monkeypatch


def test_without_any_setting_it_makes_itself_a_key_and_a_database_in_its_folder(environment, tmp_path):
    settings = read_settings()
    assert settings.database_url == f"sqlite:///{tmp_path}/crm.db"
    assert settings.api_key == (tmp_path / "crm-api.key").read_text()
    assert stat.S_IMODE((tmp_path / "crm-api.key").stat().st_mode) == 0o600
    assert read_settings().api_key == settings.api_key
    assert (settings.faults_enabled, settings.webhook_url) == (False, None)


def test_settings_are_taken_from_the_environment_and_from_files(environment, tmp_path):
    (tmp_path / "key").write_text("a-key-kept-in-a-file\n")
    environment.setenv("CRM_API_KEY_FILE", str(tmp_path / "key"))
    environment.setenv("CRM_FAULTS", "1")
    environment.setenv("CRM_WEBHOOK_URL", "http://127.0.0.1:8001/hooks/crm/")
    environment.setenv("DATABASE_URL", "postgresql://casebridge@db.example/casebridge")
    settings = read_settings()
    assert settings.api_key == "a-key-kept-in-a-file"
    assert settings.faults_enabled
    assert settings.webhook_url == "http://127.0.0.1:8001/hooks/crm"
    assert settings.database_url == "postgresql+psycopg://casebridge@db.example/casebridge"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRM_API_KEY", "short"),
        ("CRM_API_KEY_FILE", "/does/not/exist"),
        ("CRM_FAULTS", "yes please"),
        ("CRM_WEBHOOK_URL", "console"),
        ("CRM_DATABASE_URL", "mysql://db.example/crm"),
    ],
)
def test_a_setting_that_cannot_work_is_named(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        read_settings()
