"""An export file as lines of text: its compression and its encoding are found from its bytes."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, BinaryIO, cast

from portal_service.imports.errors import CannotImport

MAX_LINE = 10_000_000
"""Characters; a longer line is given in pieces, which no row survives, but memory does."""
_HEAD_BYTES = 64 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BROKEN_BYTES = re.compile("[\udc80-\udcff]")
_BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened export."""

    stream: TextIOWrapper
    encoding: str
    size: int
    """Bytes on the disk."""
    raw: BinaryIO

    def lines(self) -> Iterator[str]:
        """The physical lines with their ends."""
        return iter(lambda: self.stream.readline(MAX_LINE), "")

    def position(self) -> int:
        """About how many of the bytes on the disk are read."""
        return min(self.raw.tell(), self.size)


@contextmanager
def open_source(path: Path, *, encoding: str | None = None) -> Iterator[Source]:
    """Open an export, gzip or not. Bytes that are no text become lone surrogates, so that they are found and kept.

    Raises CannotImport.
    """
    try:
        with path.open("rb") as raw:
            found = _known(encoding) if encoding else detect_encoding(_unpacked(raw))
            newline = _newline(_unpacked(raw).read(_HEAD_BYTES))
            raw.seek(0)
            stream = TextIOWrapper(
                cast("IO[bytes]", _unpacked(raw)), encoding=found, errors=error_handler(found), newline=newline
            )
            yield Source(stream=stream, encoding=found, size=path.stat().st_size, raw=raw)
    except _BROKEN_GZIP as error:
        raise CannotImport(f"{path} is a damaged or cut off gzip file ({error}): copy it again") from error
    except OSError as error:
        raise CannotImport(f"{path} cannot be read: {error.strerror or error}") from error


def detect_encoding(stream: BinaryIO) -> str:
    """The encoding of a text: by its byte order mark, else UTF-16 by its zeros, else UTF-8 or cp1252 by majority.

    A few broken lines do not make a UTF-8 file another: they are bad rows, and the others keep their letters.
    """
    head = stream.read(_HEAD_BYTES)
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    return _utf16_by_zeros(head) or _by_majority(head, stream)


def error_handler(encoding: str) -> str:
    """How bytes that are no text are read and written back: unchanged, where the encoding allows it."""
    return "replace" if encoding.replace("_", "-").startswith(("utf-16", "utf-32")) else "surrogateescape"


def has_broken_bytes(text: str) -> bool:
    """Whether bytes that are no text in the file's encoding stand here."""
    return _BROKEN_BYTES.search(text) is not None


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise CannotImport(f"there is no encoding {encoding!r}: give one like utf-8, utf-16 or cp1252") from None


def _unpacked(raw: BinaryIO) -> BinaryIO:
    raw.seek(0)
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw


def _newline(head: bytes) -> str:
    """What ends a line: as editors count lines, so that the lines of bad rows are found; CR alone on old Macs."""
    return "\r" if b"\r" in head and b"\n" not in head else "\n"


def _utf16_by_zeros(head: bytes) -> str | None:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    enough = len(head) / 5
    if odd > enough > even:
        return "utf-16-le"
    return "utf-16-be" if even > enough > odd else None


def _by_majority(head: bytes, stream: BinaryIO) -> str:
    good = bad = 0
    rest = head.rpartition(b"\n")[2]
    for line in _all_lines(head[: len(head) - len(rest)], rest, stream):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            good += 1
        except UnicodeDecodeError:
            bad += 1
    return "cp1252" if bad > good else "utf-8"


def _all_lines(head: bytes, rest: bytes, stream: BinaryIO) -> Iterator[bytes]:
    yield from head.splitlines()
    yield rest + stream.readline(MAX_LINE)
    yield from iter(lambda: stream.readline(MAX_LINE), b"")
