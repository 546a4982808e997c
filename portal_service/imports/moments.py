"""Dates as help desks write them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime

from portal_service.imports.errors import BadRow

_NAMED_UTC = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_SPACE_BEFORE_OFFSET = re.compile(r"\s+(?=[+-]\d{2}:?\d{2}$)")
_YEAR_LAST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:,?\s+(.+))?")
_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_NAMED_MONTHS = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y")
_UNREADABLE = "is no date this import can read: name its form as date_format in the file of --mapping"
_FIRST_YEAR = 1980


def parse_moment(text: str, *, zone: tzinfo, date_format: str | None = None) -> datetime:
    """The moment a text names, in UTC; without a zone of its own it is local time in `zone`.

    `date_format` (of strptime) is tried first. 03/05/2024 is refused unless a format tells the day from the month.
    Raises BadRow.
    """
    moment = _read(text.strip(), date_format)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise _bad(text) from None
    if moment.year < _FIRST_YEAR:
        raise BadRow(f"the date {text!r} lies before {_FIRST_YEAR}", kind=f"a date before {_FIRST_YEAR}")
    return moment


def _read(text: str, date_format: str | None) -> datetime:
    tries: tuple[Callable[[str], datetime | None], ...] = (_epoch, _iso, _year_last, _named_month, _mail)
    if date_format:
        tries = (lambda words: datetime.strptime(words, date_format), *tries)  # noqa: DTZ007 (the caller adds the zone)
    for read in tries:
        try:
            moment = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if moment is not None:
            return moment
    raise _bad(text)


def _bad(text: str) -> BadRow:
    return BadRow(f"{text!r} {_UNREADABLE}", kind=f"a date {_UNREADABLE}")


def _epoch(text: str) -> datetime | None:
    """Seconds or milliseconds since 1970."""
    if not re.fullmatch(r"\d{10}|\d{13}", text):
        return None
    return datetime.fromtimestamp(int(text[:10]), UTC)


def _iso(text: str) -> datetime | None:
    text = _NAMED_UTC.sub("+00:00", text)
    return datetime.fromisoformat(_SPACE_BEFORE_OFFSET.sub("", text).replace("/", "-"))


def _year_last(text: str) -> datetime | None:
    """05.03.2024 is day first, as everywhere dots are used; with slashes or dashes only if one number tells."""
    match = _YEAR_LAST.fullmatch(text)
    if match is None:
        return None
    first, mark, second, year, clock = match.groups()
    day, month = int(first), int(second)
    if mark != "." and day <= 12 and month <= 12 and day != month:
        raise BadRow(
            f"in {text!r} nothing tells the day from the month: "
            'give date_format = "%d/%m/%Y %H:%M", or as it is, in the file of --mapping',
            kind="a date where nothing tells the day from the month: give date_format in the file of --mapping",
        )
    if mark != "." and month > 12:
        day, month = month, day
    return _with_clock(datetime(int(year), month, day), clock)  # noqa: DTZ001 (the caller adds the zone)


def _named_month(text: str) -> datetime | None:
    date, clock = _split_clock(text)
    for form in _NAMED_MONTHS:
        try:
            return _with_clock(datetime.strptime(date, form), clock)  # noqa: DTZ007 (the caller adds the zone)
        except ValueError:
            continue
    return None


def _mail(text: str) -> datetime | None:
    """As in the head of a mail: Tue, 05 Mar 2024 14:22:10 +0100."""
    return parsedate_to_datetime(text)


def _split_clock(text: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"(.+?\d{4}),?\s+(?:at\s+)?(\d.*)", text)
    return (match[1], match[2]) if match else (text, None)


def _with_clock(date: datetime, clock: str | None) -> datetime:
    if clock is None:
        return date
    for form in _CLOCKS:
        try:
            return datetime.combine(date, datetime.strptime(clock.strip().upper(), form).time())  # noqa: DTZ007 (as above)
        except ValueError:
            continue
    raise ValueError(clock)
