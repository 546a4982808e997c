"""What `make screenshots` pictures: every page of the four applications, and each by an address that exists."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from flask import Flask

from crm_sync_service.console.app import create_app as create_console
from crm_sync_service.desk.app import create_app as create_crm
from crm_sync_service.desk.settings import read_settings as read_crm
from crm_sync_service.settings import read_settings as read_sync
from deploy.local.mails.app import create_app as create_mails
from deploy.local.mails.store import MailStore
from deploy.screen_list import NOT_PAGES, SHOTS, Service, missing
from portal_service.app import create_app as create_portal
from portal_service.settings import read_settings as read_portal
from shared.settings import read_common, read_env


def _mails(home: Path) -> Flask:
    store = MailStore(home)
    return create_mails(read_common(read_env()), store, smtp_address="", page_url="http://127.0.0.1:1")


APPLICATIONS: Mapping[Service, Callable[[Path], Flask]] = {
    "PORTAL": lambda _: create_portal(read_portal()),
    "CONSOLE": lambda _: create_console(read_sync()),
    "CRM": lambda _: create_crm(read_crm()),
    "MAILS": _mails,
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
    monkeypatch.setenv("SMTP_URL", "smtp://127.0.0.1:1")
    return tmp_path


def _rules(app: Flask) -> set[str]:
    return {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}


@pytest.mark.parametrize("service", APPLICATIONS)
def test_every_page_is_pictured_or_named_as_none(service: Service, home: Path) -> None:
    rules = _rules(APPLICATIONS[service](home))
    assert missing(service, rules) == [], "add it to deploy/screen_list.py, or say in NOT_PAGES what it is"
    new = {"/brand-new", "/brand/new/<int:number>"}
    assert set(missing(service, rules | new)) == new
    for reason in NOT_PAGES[service]:
        assert any(re.fullmatch(reason, rule) for rule in rules), f"{reason} is no address any more"


def test_each_picture_has_a_name_of_its_own() -> None:
    names = [shot.name for shot in SHOTS]
    assert len(set(names)) == len(names)
