from datetime import UTC, datetime, timedelta

import pytest

from portal_service.clocks.hours import ALWAYS, read_hours
from shared.settings import SettingsError

WORK = read_hours("REVIEW_HOURS", "Mon-Fri 09:00-17:00 Europe/Amsterdam")


def utc(day: int, hour: int, minute: int = 0, *, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("came", "minutes", "due"),
    [
        (utc(20, 9), 5, utc(20, 9, 5)),
        (utc(20, 6), 5, utc(20, 8, 5)),  # before opening, which is 8 o'clock UTC in winter
        (utc(20, 15, 58), 5, utc(23, 8, 3)),  # a Friday, two minutes before closing
        (utc(21, 12), 5, utc(23, 8, 5)),  # a Saturday
        (utc(20, 9), 24 * 60, utc(25, 9)),  # three working days of eight hours
        (utc(23, 10, month=10), 8 * 60, utc(26, 11, month=10)),  # over the end of summer time
    ],
    ids=["open", "early", "late", "weekend", "days", "summer time"],
)
def test_only_open_hours_count(came: datetime, minutes: int, due: datetime) -> None:
    assert WORK.after(came, timedelta(minutes=minutes)) == due


def test_without_hours_every_hour_counts() -> None:
    assert read_hours("REVIEW_HOURS", " ") == ALWAYS
    assert ALWAYS.after(utc(21, 23), timedelta(hours=2)) == utc(22, 1)


def test_a_day_may_last_until_midnight() -> None:
    late = read_hours("REVIEW_HOURS", "Sun 20:00-24:00 UTC")
    assert late.after(utc(22, 23, 50), timedelta(minutes=20)) == utc(29, 20, 10)


@pytest.mark.parametrize(
    "text",
    ["9 to 5", "Mon-Fri 09:00-17:00", "Fri-Mon 09:00-17:00 UTC", "Mon-Fri 17:00-09:00 UTC", "Mon 09:00-17:00 Mars/Base",
     "Xyz 09:00-17:00 UTC", "Mon 25:00-26:00 UTC", "Mon 09:00-09:00 UTC"],
)  # fmt: skip
def test_what_are_no_hours_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match=r"REVIEW_HOURS=.*Europe/Amsterdam"):
        read_hours("REVIEW_HOURS", text)
