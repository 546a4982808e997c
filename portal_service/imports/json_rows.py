"""JSON Lines: one object per line."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from portal_service.imports.errors import CannotImport
from portal_service.imports.rows import Row, bad_row, flatten, good_row

_LOOK_AHEAD = 1000
"""Rows whose names are taken as the file's columns, because an object leaves out what it does not have."""


class JsonRows:
    """The objects of the lines. Iterate once."""

    delimiter = None

    def __init__(self, lines: Iterable[str]) -> None:
        self._rows = _rows(lines)
        first = list(islice(self._rows, _LOOK_AHEAD))
        self._rows = chain(first, self._rows)
        self.columns = tuple(dict.fromkeys(name for row in first for name in row.values))
        if not self.columns:
            raise CannotImport("none of the first lines is a JSON object: JSON Lines has one on each line")

    def __iter__(self) -> Iterator[Row]:
        return self._rows


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _row(number, line)


def _row(number: int, line: str) -> Row:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return bad_row(number, line, f"it is no JSON: {error}")
    if not isinstance(record, dict):
        return bad_row(number, line, "it is no JSON object, which begins with { and ends with }")
    return good_row(number, line, flatten(record))
