"""CSV as people's programs write it. A broken row costs itself, never the rows after it."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from portal_service.imports.errors import CannotImport
from portal_service.imports.rows import Row, bad_row, good_row, plain_name

DELIMITERS = (",", ";", "\t", "|")
_MAX_CHARS = 10_000_000
_MAX_LINES = 20_000
"""Of one row; a quotation mark that was never closed must not swallow the file."""
_NEVER_CLOSED = "a quotation mark opens a field and is never closed"

csv.field_size_limit(_MAX_CHARS + 1)


class CsvRows:
    """The rows under a header line. Iterate once."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Reads the header. Raises CannotImport when there is none."""
        self._lines = iter(lines)
        self._again: deque[str] = deque()
        self._line = 1
        """Number of the line that is read next."""
        first = self._header_line()
        self.delimiter = find_delimiter(first)
        self._again.appendleft(first)
        self.columns = self._header()

    def __iter__(self) -> Iterator[Row]:
        broken: list[str] = []
        problem = ""
        while taken := self._take():
            start = self._line
            cells, fault = self._cells(taken)
            if not cells and (broken or len(taken) > 1):
                # The end of a broken row is not where its quotation marks say: look for the next line that begins
                # a whole row, and count the lines up to it as part of the broken one.
                problem = problem or fault
                broken.append(taken[0])
                self._give_back(taken)
                continue
            if broken:
                yield bad_row(start - len(broken), "".join(broken), problem)
                broken, problem = [], ""
            self._line += len(taken)
            if cells is None:
                yield bad_row(start, taken[0], fault)
            elif any(cells):
                yield good_row(start, "".join(taken), dict(zip(self.columns, cells, strict=False)))
        if broken:
            yield bad_row(self._line - len(broken), "".join(broken), problem)

    def _header_line(self) -> str:
        for line in self._lines:
            if line.strip() and not line.casefold().startswith("sep="):
                return line
            self._line += 1
        raise CannotImport("the file is empty: it needs a line with the names of the columns and rows under it")

    def _header(self) -> tuple[str, ...]:
        taken = self._take()
        names = next(csv.reader(taken, delimiter=self.delimiter))
        self._line += len(taken)
        columns = tuple(name.strip().lstrip("\ufeff") for name in names)
        if not any(plain_name(column) for column in columns):
            raise CannotImport("the first line names no columns: it has to, for example id,subject,description,status")
        return tuple(_numbered(columns))

    def _take(self) -> list[str]:
        """The lines of the next row as far as its quotation marks say; an empty line is a row."""
        taken: list[str] = []
        inside, size = False, 0
        while len(taken) < _MAX_LINES and size < _MAX_CHARS:
            line = self._again.popleft() if self._again else next(self._lines, "")
            if not line:
                break
            taken.append(line)
            size += len(line)
            inside = ends_inside(line, delimiter=self.delimiter, inside=inside)
            if not inside:
                break
        return taken

    def _give_back(self, taken: Sequence[str]) -> None:
        self._line += 1
        self._again.extendleft(reversed(taken[1:]))

    def _cells(self, taken: Sequence[str]) -> tuple[list[str] | None, str]:
        """The cells of a row, or None and what is wrong with it."""
        try:
            read = list(csv.reader(taken, delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            return None, _explained(str(error))
        cells = read[0] if read else []
        while len(cells) > len(self.columns) and not cells[-1]:
            cells.pop()
        if len(read) > 1 or (cells and len(cells) != len(self.columns)):
            return None, f"it has {len(cells)} columns where the header has {len(self.columns)}"
        return cells, ""


def find_delimiter(header: str) -> str:
    """The delimiter that gives the header line the most columns."""
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter))))


def ends_inside(line: str, *, delimiter: str, inside: bool) -> bool:
    """Whether a quoted field is still open at the end of a line that began inside one or not."""
    position = 0
    if not inside and line.startswith('"'):
        inside, position = True, 1
    while True:
        position = line.find('"' if inside else f'{delimiter}"', position)
        if position < 0:
            return inside
        if not inside:
            inside, position = True, position + 2
        elif line[position + 1 : position + 2] == '"':
            position += 2
        else:
            inside, position = False, position + 1


def _numbered(columns: Sequence[str]) -> Iterator[str]:
    """Columns of one name stay apart: `Email` and `Email (2)`."""
    seen: dict[str, int] = {}
    for column in columns:
        seen[column] = seen.get(column, 0) + 1
        yield column if seen[column] == 1 else f"{column} ({seen[column]})"


def _explained(words: str) -> str:
    if "unexpected end" in words:
        return _NEVER_CLOSED
    if "expected after" in words:
        return "a quotation mark inside a quoted field is not doubled"
    if "new-line character" in words:
        return "a line break stands outside quotation marks"
    return f"it is no CSV: {words}"
