"""The settings of the second step and of the company log-in, read from the environment."""

from pathlib import Path

import pytest

from portal_service.settings import read_settings
from shared.settings import SettingsError

NAMES = ("TWO_FACTOR_FOR_STAFF", "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_NAME", "OIDC_SIGN_UP")
GIVEN = {"OIDC_ISSUER": "https://id.acme.example/realms/a", "OIDC_CLIENT_ID": "us", "OIDC_CLIENT_SECRET": "s"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, portal_site: None) -> None:
    monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_both_are_off_unless_they_are_turned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings()
    assert (settings.two_factor_for_staff, settings.sso) == (False, None)
    monkeypatch.setenv("TWO_FACTOR_FOR_STAFF", "yes")
    assert read_settings().two_factor_for_staff


def test_the_company_log_in_needs_issuer_id_and_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    sso = read_settings().sso
    assert sso is not None
    assert (sso.issuer, sso.name, sso.sign_up) == (GIVEN["OIDC_ISSUER"], "id.acme.example", False)
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("OIDC_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("OIDC_NAME", "Acme ID")
    sso = read_settings().sso
    assert sso is not None
    assert (sso.client_secret, sso.name) == ("from a file", "Acme ID")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_ISSUER", "http://id.acme.example"),
        ("OIDC_ISSUER", "id.acme.example"),
        ("OIDC_CLIENT_ID", ""),
        ("OIDC_CLIENT_SECRET", ""),
        ("OIDC_SIGN_UP", "perhaps"),
        ("TWO_FACTOR_FOR_STAFF", "perhaps"),
    ],
)
def test_a_wrong_setting_stops_the_process(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for given, right in GIVEN.items():
        monkeypatch.setenv(given, right)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        read_settings()
