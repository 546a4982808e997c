"""The settings about the CRM: which connector, with what, and one sentence when it cannot be."""

from importlib.metadata import EntryPoint

import pytest

from crm_sync_service.connectors import registry
from crm_sync_service.connectors.config import ConnectorKind, default_mapping
from crm_sync_service.connectors.desk import DeskConnector
from crm_sync_service.crm import open_crm
from crm_sync_service.settings import read_settings
from shared.settings import SettingsError

KEY = "the-key-of-the-crm"
THIRD_PARTY = ConnectorKind(name="acme", title="Acme CRM", open=DeskConnector, mapping=default_mapping("desk"))


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
    for name in ("CRM_KIND", "CRM_API_URL", "CRM_URL", "CRM_PORT", "CRM_API_KEY", "CRM_MAPPING", "CRM_ALLOW_HTTP"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_without_any_setting_it_is_the_bundled_crm(tmp_path):
    settings = read_settings()
    assert settings.crm.url == "http://127.0.0.1:8002"
    assert settings.crm.api_key == (tmp_path / "crm-api.key").read_text()
    crm, mapping = open_crm(settings)
    assert crm.name == "desk"
    assert mapping.values.status["pending"] == "pending_input"
    crm.close()


def test_every_credential_can_be_a_file(environment, tmp_path):
    (tmp_path / "secret").write_text(f"{KEY}\n")
    for name in ("API_KEY", "CLIENT_SECRET", "PASSWORD", "SECRET_KEY", "WEBHOOK_SECRET"):
        environment.setenv(f"CRM_{name}_FILE", str(tmp_path / "secret"))
    crm = read_settings().crm
    assert {crm.api_key, crm.client_secret, crm.password, crm.secret_key, crm.webhook_secret} == {KEY}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"CRM_KIND": "espocrm"}, "CRM_API_URL is not set: give the address of your espocrm"),
        ({"CRM_KIND": "sugar"}, "CRM_KIND=.sugar. is unknown"),
        ({"CRM_KIND": "sugar", "CRM_API_URL": "https://x.example"}, "CRM_KIND='sugar' is unknown: .*desk, espocrm"),
        ({"CRM_API_URL": "crm.example"}, "CRM_API_URL='crm.example' is not a web address"),
        ({"CRM_API_URL": "http://crm.example"}, "plain HTTP to another machine"),
        ({"CRM_ALLOW_HTTP": "yes"}, "CRM_ALLOW_HTTP='yes' is neither 1 nor 0"),
        ({"CRM_CA_FILE": "/no/such.pem"}, "CRM_CA_FILE=/no/such.pem cannot be used"),
        ({"CRM_MAPPING": "/no/such.toml"}, "mapping file /no/such.toml cannot be read: No such file"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(environment, values, words):
    for name, value in values.items():
        environment.setenv(name, value)
    with pytest.raises(SettingsError, match=words):
        open_crm(read_settings())


def third_party(environment, target):
    entry = EntryPoint("acme", target, registry.GROUP)
    environment.setattr(registry, "entry_points", lambda *, group: [entry] if group == registry.GROUP else [])
    environment.setenv("CRM_KIND", "acme")
    environment.setenv("CRM_API_URL", "https://crm.acme.example")
    environment.setenv("CRM_API_KEY", KEY)


def test_another_package_can_bring_a_connector(environment):
    third_party(environment, f"{__name__}:THIRD_PARTY")
    crm, _ = open_crm(read_settings())
    assert isinstance(crm, DeskConnector)
    crm.close()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no.such.module:KIND", "'acme' .* cannot be loaded: No module named 'no'"),
        ("crm_sync_service.crm:open_crm", "is no ConnectorKind: ask its author"),
    ],
)
def test_a_connector_that_is_broken_is_one_sentence(environment, target, words):
    third_party(environment, target)
    with pytest.raises(SettingsError, match=words):
        open_crm(read_settings())


def test_a_missing_credential_is_named(environment):
    third_party(environment, "crm_sync_service.connectors.desk:KIND")
    environment.delenv("CRM_API_KEY")
    with pytest.raises(SettingsError, match="CRM_API_KEY is not set"):
        open_crm(read_settings())
