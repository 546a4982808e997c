"""The rows of an export file, CSV or JSON Lines."""

from collections.abc import Iterable, Iterator
from itertools import chain

from portal_service.imports.csv_rows import CsvRows
from portal_service.imports.errors import CannotImport
from portal_service.imports.json_rows import JsonRows

Rows = CsvRows | JsonRows


def read_rows(lines: Iterable[str]) -> Rows:
    """The rows, in the format the first character tells. Raises CannotImport."""
    lines = iter(lines)
    before = list(_up_to_first_words(lines))
    first = before[-1].lstrip("\ufeff \t") if before else ""
    if first.startswith("["):
        raise CannotImport(
            "the file is one JSON list: write one object per line instead, for example with `jq -c '.[]' FILE`"
        )
    return (JsonRows if first.startswith("{") else CsvRows)(chain(before, lines))


def _up_to_first_words(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if line.strip():
            return
