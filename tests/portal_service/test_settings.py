from pathlib import Path

import pytest
import trustme

from portal_service import site
from portal_service.settings import read_settings
from shared.settings import SettingsError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, portal_site: None) -> None:
    monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
    for name in ("SMTP_URL", "MAIL_FROM", "MAX_FILE_MB", "PORTAL_URL", "PORTAL_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_without_any_setting_everything_is_local(tmp_path: Path) -> None:
    settings = read_settings()
    assert settings.database_url == f"sqlite:///{tmp_path}/portal.db"
    assert settings.max_file_bytes == 25 * 1024 * 1024
    assert settings.files_root == tmp_path / "files"
    assert settings.mail_from == "Support <support@127.0.0.1>"


def test_links_are_made_with_the_settings_that_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_URL", "https://help.acme.example/")
    read_settings()
    assert site.current().ticket_url(1001) == "https://help.acme.example/tickets/1001"


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("SMTP_URL", "mail.example.com", "smtp://host:25"),
        ("SMTP_URL", "http://mail.example.com", "smtp://host:25"),
        ("SMTP_URL", "smtp://host:notaport", "smtp://host:25"),
        ("MAIL_FROM", "nobody", "Support <support@example.com>"),
        ("MAIL_FROM", "a@b.example\nBcc: c@d.example", "Support <support@example.com>"),
        ("MAX_FILE_MB", "0", "from 1"),
        ("MAX_FILE_MB", "many", "from 1"),
        ("PORTAL_WORKER_HEALTH_PORT", "70000", "65535"),
        ("PORTAL_DATABASE_URL", "mysql://x/y", "postgresql and sqlite"),
    ],
)
def test_a_wrong_setting_stops_the_process_with_advice(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=advice) as stopped:
        read_settings()
    assert name in str(stopped.value)


def test_a_password_goes_to_another_machine_only_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", "smtp://user:hunter2@mail.example.com")
    with pytest.raises(SettingsError, match="SMTP_ALLOW_PLAIN") as stopped:
        read_settings()
    assert "hunter2" not in str(stopped.value)
    monkeypatch.setenv("SMTP_ALLOW_PLAIN", "yes")
    assert read_settings().smtp_url == "smtp://user:hunter2@mail.example.com"
    monkeypatch.delenv("SMTP_ALLOW_PLAIN")
    for url in (
        "smtp://user:x@127.0.0.1",
        "smtps://user:x@mail.example.com",
        "smtp+starttls://user:x@mail.example.com",
    ):
        monkeypatch.setenv("SMTP_URL", url)
        assert read_settings().smtp_url == url


def test_the_mail_servers_authority_is_read_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_settings().smtp_ca_file is None
    pem = tmp_path / "ca.pem"
    for content in (None, "no certificate"):
        if content is not None:
            pem.write_text(content)
        monkeypatch.setenv("SMTP_CA_FILE", str(pem))
        with pytest.raises(SettingsError, match="SMTP_CA_FILE"):
            read_settings()
    trustme.CA().cert_pem.write_to_path(str(pem))
    assert read_settings().smtp_ca_file == pem


def test_a_wrong_mail_address_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", "smpt://user:hunter2@mail.example.com")
    with pytest.raises(SettingsError) as stopped:
        read_settings()
    assert "hunter2" not in str(stopped.value)
