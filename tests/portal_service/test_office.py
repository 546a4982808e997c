"""Office hours and the emergency line (S57, S58)."""

from datetime import UTC, datetime

import pytest
from environs import Env

from portal_service.office import NO_PHONE, read_office
from shared.settings import SettingsError


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Env:
    monkeypatch.setenv("EMERGENCY_LINE", " 1-866-281-8350 ")
    monkeypatch.setenv("OFFICE_HOURS", "Mon-Fri 09:00-17:30 Europe/Amsterdam")
    return Env()


def test_hours_are_those_of_the_office_not_of_the_reader(env: Env) -> None:
    office = read_office(env)
    assert office.emergency_line == "1-866-281-8350"
    friday = datetime(2026, 11, 20, 16, 29, tzinfo=UTC)
    assert office.is_open(friday)
    assert not office.is_open(friday.replace(minute=30))
    assert not office.is_open(friday.replace(day=21, hour=12))
    assert not office.is_open(friday.replace(hour=7, minute=59))
    assert not NO_PHONE.is_open(friday)


def test_nothing_set_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EMERGENCY_LINE", "OFFICE_HOURS"):
        monkeypatch.delenv(name, raising=False)
    assert read_office(Env()) == NO_PHONE


def test_hours_that_cannot_be_stop_the_start(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFICE_HOURS", "nine to five")
    with pytest.raises(SettingsError, match="OFFICE_HOURS"):
        read_office(env)
