"""The rows that were not imported, for the administrator to correct and import again."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portal_service.imports.errors import BadRow, CannotImport
from portal_service.imports.rows import Row

_COLUMNS = ("line", "reason", "row")


class ErrorFile:
    """A CSV file with one bad row per row: its line, the reason and the row as it stands in the export."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.count = 0
        writer.writerow(_COLUMNS)

    def add(self, row: Row, error: BadRow) -> None:
        self.count += 1
        # csv cannot write a NUL everywhere; the picture of one says what stood there.
        self._writer.writerow((row.line, error.reason, row.raw.replace("\0", "␀")))


@contextmanager
def open_error_file(path: Path) -> Iterator[ErrorFile]:
    """The error file, gone at the end if there was nothing to say. Raises CannotImport when it cannot be written."""
    try:
        # utf-8-sig: spreadsheets read it right. surrogateescape: bytes that are no text stay as they were.
        stream = path.open("w", encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise CannotImport(
            f"the file for bad rows, {path}, cannot be written: {error.strerror}. Name another with --errors"
        ) from error
    file = ErrorFile(csv.writer(stream))
    try:
        yield file
    finally:
        stream.close()
        if not file.count:
            path.unlink()
