"""Text as a CRM can take it: without what breaks storage or deceives readers, and cut where a limit asks for it."""

import re
from collections.abc import Callable

import regex

from crm_sync_service.connectors.base import utf8_bytes

Size = Callable[[str], int]

_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""C0 controls but tab, line feed and carriage return, and what is no character (FAILURES 41)."""
_LONE = re.compile(r"[\ud800-\udfff]")
_INVISIBLE = re.compile(r"[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Direction marks and characters without width: harmless in a text, a disguise in a name."""
_GRAPHEME = regex.compile(r"\X")
_FAR = 1000
"""Characters; no grapheme that people write is longer."""
_MOST_BYTES = 4
"""Of one character, at most."""


def clean(text: str) -> str:
    """Without characters that a database, JSON or XML refuses."""
    return _LONE.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub("", text))


def clean_name(text: str) -> str:
    """A name on one line, which cannot pretend to be another by direction marks or invisible characters."""
    return one_line(_INVISIBLE.sub("", clean(text)))


def one_line(text: str) -> str:
    return " ".join(text.split())


def cut(text: str, limit: int, *, mark: str, size: Size = utf8_bytes) -> str:
    """A text of at most `limit` bytes, with a visible mark if anything had to go. `size`: the bytes a text takes."""
    if size(text) <= limit:
        return text
    return f"{head(text, limit - size(f' {mark}'), size=size)} {mark}"


def head(text: str, limit: int, *, size: Size = utf8_bytes) -> str:
    """The longest beginning of at most `limit` bytes that ends between two characters as people see them."""
    kept = text[: max(0, limit)]
    while (over := size(kept) - limit) > 0 and kept:
        kept = kept[: -max(1, over // _MOST_BYTES)]
    return text[: _boundary(text, len(kept))]


def pieces(text: str, limit: int, *, size: Size = utf8_bytes) -> list[str]:
    """The whole text in pieces of at most `limit` bytes each; one empty piece for an empty text."""
    found = []
    while size(text) > limit:
        found.append(head(text, limit, size=size) or text[:1])
        text = text[len(found[-1]) :]
    return [*found, text]


def _boundary(text: str, at: int) -> int:
    """The last place at or before `at` where one character as people see it ends and the next begins."""
    if at >= len(text):
        return len(text)
    start = max((i for i in range(max(0, at - _FAR), at) if text[i].isascii()), default=max(0, at - _FAR))
    for grapheme in _GRAPHEME.finditer(text, start, min(len(text), at + _FAR)):
        if grapheme.end() == at:
            return at
        if grapheme.end() > at:
            return int(grapheme.start())
    return at
