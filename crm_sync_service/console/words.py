"""Times, ages and counts as people read them."""

from datetime import datetime, timedelta

_DAY = timedelta(days=1)


def clock(moment: datetime, *, now: datetime) -> str:
    """A moment with its zone; the date only where it is not today's."""
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S} UTC" if abs(now - moment) < timedelta(hours=1) else f"{moment:%H:%M} UTC"
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def age(span: timedelta) -> str:
    """A span in its largest one or two units; never negative."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if span < _DAY:
        return _two(seconds // 3600, "h", seconds % 3600 // 60, "min")
    return _two(seconds // 86400, "d", seconds % 86400 // 3600, "h")


def ago(span: timedelta) -> str:
    """How long something is past."""
    return "just now" if span < timedelta(seconds=1) else f"{age(span)} ago"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 ticket", "2,000 tickets"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
