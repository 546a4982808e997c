"""Hours in which time counts, such as "Mon-Fri 09:00-17:00 Europe/Amsterdam"."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.settings import SettingsError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"(\w{3})(?:-(\w{3}))? (\d\d:\d\d)-(\d\d:\d\d) (\S+)")


@dataclass(frozen=True, kw_only=True)
class Hours:
    """Every day of `days` (0 is Monday) from `opens` to `closes`, by the clocks of a time zone."""

    days: frozenset[int]
    opens: time
    closes: time
    """Midnight is the end of the day."""
    zone: ZoneInfo

    def after(self, moment: datetime, span: timedelta) -> datetime:
        """When so much of the open hours has passed since `moment`."""
        if self == ALWAYS:
            return moment + span
        day = moment.astimezone(self.zone).date()
        while True:
            start = max(self._at(day, self.opens), moment)
            end = (
                self._at(day + timedelta(days=1), self.closes) if self.closes == time() else self._at(day, self.closes)
            )
            if day.weekday() in self.days and start < end:
                if start + span <= end:
                    return start + span
                span -= end - start
            day += timedelta(days=1)

    def _at(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, tzinfo=self.zone).astimezone(UTC)


ALWAYS = Hours(days=frozenset(range(7)), opens=time(), closes=time(), zone=ZoneInfo("UTC"))


def read_hours(name: str, text: str) -> Hours:
    """The hours somebody set; nothing means always. Raises SettingsError."""
    if not text.strip():
        return ALWAYS
    try:
        return _read(text)
    except (ValueError, ZoneInfoNotFoundError):
        raise SettingsError(
            f"{name}={text!r} cannot be: give hours like Mon-Fri 09:00-17:00 Europe/Amsterdam, or nothing for always"
        ) from None


def _read(text: str) -> Hours:
    """Raises ValueError and ZoneInfoNotFoundError."""
    found = _FORM.fullmatch(" ".join(text.split()))
    if found is None:
        raise ValueError(text)
    first, last = (_DAYS.index(day.lower()) for day in (found[1], found[2] or found[1]))
    opens, closes = time.fromisoformat(found[3]), time.fromisoformat(found[4].replace("24:00", "00:00"))
    if first > last or opens >= closes > time():
        raise ValueError(text)
    return Hours(days=frozenset(range(first, last + 1)), opens=opens, closes=closes, zone=ZoneInfo(found[5]))
