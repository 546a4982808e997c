"""How moments, sizes and texts are written on the pages."""

from datetime import datetime

import nh3
from flask_babel import format_datetime, format_decimal, format_timedelta, get_locale, get_timezone
from flask_babel import gettext as _
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from portal_service.clocks.hours import Hours

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_TAGS = {"a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre", "strong", "table",
         "tbody", "td", "th", "thead", "tr", "ul"}  # fmt: skip
_UNITS = ("B", "kB", "MB", "GB")


def moment(value: datetime | None) -> Markup:
    """Date and time in the reader's zone, with the zone named."""
    if value is None:
        return _time(None, "")
    zone = value.astimezone(get_timezone()).tzname()
    return _time(value, f"{format_datetime(value, 'd MMM y, HH:mm')} {zone}")


def clock(value: datetime | None) -> Markup:
    """Date and time without the zone, for columns."""
    return _time(value, format_datetime(value, "d MMM y, HH:mm") if value else "")


def day(value: datetime) -> str:
    return str(format_datetime(value, "d MMM y"))


def ago(value: datetime | None, now: datetime) -> Markup:
    """How long ago in words, with the full moment in the title."""
    if value is None:
        return Markup()
    seconds = (value - now).total_seconds()
    if seconds > -45:
        return _time(value, _("just now"))
    return _time(value, format_timedelta(value - now, granularity="second", threshold=0.9, add_direction=True))


def _time(value: datetime | None, text: str) -> Markup:
    if value is None:
        return Markup('<span class="muted">–</span>')
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), format_datetime(value, "EEEE d MMMM y, HH:mm:ss zzzz"), text
    )


def size(count: int) -> str:
    """Bytes as people write them, in steps of 1024: "24 kB"."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{format_decimal(round(value, 1 if unit > 1 and value < 10 else 0))} {_UNITS[unit]}"


def ending(name: str) -> str:
    """The kind of a file as its name tells: "PDF"."""
    return name.rpartition(".")[2][:4].upper() if "." in name else "?"


def zone_name() -> str:
    return str(get_timezone()).replace("_", " ")


def office_hours(hours: Hours) -> str:
    """When the office is open, in the reader's language: "Monday – Friday, 09:00 – 17:30 (Europe/Amsterdam)"."""
    names = get_locale().days["stand-alone"]["wide"]
    days = " – ".join(dict.fromkeys((names[min(hours.days)], names[max(hours.days)])))
    return f"{days}, {hours.opens:%H:%M} – {hours.closes:%H:%M} ({hours.zone.key.replace('_', ' ')})"


def article_html(source: str) -> Markup:
    """Markdown of an article as safe HTML: no raw HTML, no images, no scripts, headings below the page's own."""
    html = _MARKDOWN.render(source).replace("<h1>", "<h2>").replace("</h1>", "</h2>")
    safe = nh3.clean(html, tags=_TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"})
    return Markup(safe)  # noqa: S704 (cleaned by an allow-list just above)


def initials(name: str) -> Markup:
    """One or two letters that stand for a person."""
    parts = name.split()
    return escape("".join(part[0] for part in (parts[:1] + parts[1:][-1:])).upper())
