from datetime import timedelta

import pytest
from environs import Env

from portal_service.clocks.settings import ClockSettings, read_clocks
from shared.settings import SettingsError

NAMES = ("REVIEW_MINUTES", "REVIEW_HOURS", "REMINDER_DAYS", "CLOSE_DAYS")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_five_minutes_seven_days_and_fourteen() -> None:
    assert read_clocks(Env()) == ClockSettings(
        review=timedelta(minutes=5), reminder=timedelta(days=7), close=timedelta(days=14)
    )


def test_each_clock_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REVIEW_MINUTES", "REMINDER_DAYS", "CLOSE_DAYS"):
        monkeypatch.setenv(name, "0")
    assert read_clocks(Env()) == ClockSettings(review=None, reminder=None, close=None)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("REVIEW_MINUTES", "soon", "whole number"),
        ("REMINDER_DAYS", "-1", "whole number"),
        ("REMINDER_DAYS", "14", "not before CLOSE_DAYS"),
        ("CLOSE_DAYS", "1000", "whole number"),
        ("REVIEW_HOURS", "9 to 5", "Mon-Fri"),
    ],
)
def test_a_wrong_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=advice) as stopped:
        read_clocks(Env())
    assert name in str(stopped.value)


def test_the_notice_is_never_longer_than_the_days_between() -> None:
    assert ClockSettings().notice == timedelta(days=3)
    assert ClockSettings(reminder=timedelta(days=1), close=timedelta(days=2)).notice == timedelta(days=1)
    assert ClockSettings(reminder=None).notice == timedelta()
