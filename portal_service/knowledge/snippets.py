"""What is shown of an article that was found: the part with the words, which are marked."""

import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from portal_service.knowledge.words import Word, terms_in, words_in

_LENGTH = 180
"""Characters of a snippet, about."""
_LEAD = 40
_MARKDOWN_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_MARKDOWN_SIGNS = re.compile(r"[*`#>|]+|^\s*(?:[-+]|\d+\.)\s+|-{3,}", re.MULTILINE)
_SPACE = re.compile(r"\s+")


def snippet(body: str, terms: frozenset[str], language: str) -> Markup:
    """The part of a text in Markdown that has most of the terms, which are marked; else its beginning."""
    text = plain(body)
    hits = [word for word in words_in(text) if terms_in(word.text, language) & terms]
    start, end = _around(text, _densest(hits))
    shown = mark(text[start:end], terms, language)
    return Markup("{}{}{}").format("… " if start else "", shown, " …" if end < len(text) else "")


def mark(text: str, terms: frozenset[str], language: str) -> Markup:
    """The text with the terms marked."""
    pieces: list[Markup | str] = []
    last = 0
    for word in words_in(text):
        if terms_in(word.text, language) & terms:
            pieces += [escape(text[last : word.start]), Markup("<mark>{}</mark>").format(text[word.start : word.end])]
            last = word.end
    return Markup("").join([*pieces, escape(text[last:])])


def plain(markdown: str) -> str:
    """Roughly what is read of a text in Markdown, on one line."""
    without_links = _MARKDOWN_LINK.sub(r"\1", markdown)
    return _SPACE.sub(" ", _MARKDOWN_SIGNS.sub(" ", without_links)).strip()


def _densest(hits: Sequence[Word]) -> int:
    """Where the stretch with most different hits begins."""
    best, place = 0, 0
    for number, first in enumerate(hits):
        near = {word.text for word in _until(hits[number:], first.start + _LENGTH - _LEAD)}
        if len(near) > best:
            best, place = len(near), first.start
    return place


def _until(hits: Sequence[Word], end: int) -> Iterable[Word]:
    return (word for word in hits if word.end <= end)


def _around(text: str, place: int) -> tuple[int, int]:
    """A stretch of about the right length around a place, from word to word."""
    start = max(0, place - _LEAD)
    if start:
        start = text.find(" ", start, place + 1) + 1 or place
    end = min(len(text), start + _LENGTH)
    if end < len(text):
        end = max(text.rfind(" ", start, end), start + 1)
    return start, end
