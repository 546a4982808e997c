"""Lists of tickets as CSV for spreadsheets: what the page shows, all of it, and nothing a spreadsheet would run."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, tzinfo

from portal_service.tickets.fields import assignee_name
from portal_service.tickets.models import Ticket

_FORMULA = re.compile(r"\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet may take for the beginning of a formula, also behind space and in full width."""
BYTE_ORDER_MARK = "\ufeff"
"""Without it spreadsheets read accents wrong."""

Column = tuple[str, Callable[[Ticket], str]]


def csv_lines(columns: Sequence[Column], tickets: Iterable[Ticket]) -> Iterator[str]:
    """The file, line by line: the headings, then one ticket a line."""
    yield BYTE_ORDER_MARK + _line(heading for heading, _value in columns)
    for ticket in tickets:
        yield _line(value(ticket) for _heading, value in columns)


def harmless(text: str) -> str:
    """A value that no spreadsheet takes for a formula: an apostrophe in front makes it text."""
    return f"'{text}" if _FORMULA.match(text) else text


def moment_text(value: datetime | None, zone: tzinfo) -> str:
    """Date and time in the reader's zone with its offset, as spreadsheets and people read it."""
    return value.astimezone(zone).strftime("%Y-%m-%d %H:%M %z") if value else ""


def assignee_text(ticket: Ticket) -> str:
    return assignee_name(ticket) or ""


def _line(values: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow([harmless(value) for value in values])
    return line.getvalue()
