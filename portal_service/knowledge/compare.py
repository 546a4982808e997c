"""What differs between two versions of a text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

_WORDS = re.compile(r"\s+|[^\s]+")
_MOST_WORDS = 4_000
"""Longer changed parts are shown as wholes: comparing them word by word would take too long."""
_LEAST_ALIKE = 0.6


@dataclass(frozen=True)
class Piece:
    kind: Literal["same", "out", "in"]
    text: str


def differences(before: str, after: str) -> list[Piece]:
    """The later text with what went out and what came in; changed lines are compared word by word."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    pieces: list[Piece] = []
    for same, left, right in _blocks(old, new):
        if same:
            pieces.append(Piece("same", "".join(left)))
            continue
        old_words, new_words = _WORDS.findall("".join(left)), _WORDS.findall("".join(right))
        if len(old_words) + len(new_words) > _MOST_WORDS or not _alike(old_words, new_words):
            pieces += _changed("".join(left), "".join(right))
            continue
        for alike, out, come in _blocks(old_words, new_words):
            pieces += [Piece("same", "".join(out))] if alike else _changed("".join(out), "".join(come))
    return pieces


def _alike(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether enough words stayed for the change to be read word by word."""
    return SequenceMatcher(None, old, new, autojunk=False).ratio() >= _LEAST_ALIKE


def _blocks(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[bool, Sequence[str], Sequence[str]]]:
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        yield kind == "equal", old[i1:i2], new[j1:j2]


def _changed(out: str, come: str) -> list[Piece]:
    pieces = [Piece("out", out), Piece("in", come)]
    return [piece for piece in pieces if piece.text]
