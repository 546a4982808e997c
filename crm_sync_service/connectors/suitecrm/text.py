"""Text as SuiteCRM keeps it: everything is taken for HTML and purified, and comes back encoded.

`<word>` is thrown away, escaped or not, and `&name;` is decoded. A zero-width space after such a `<` or `&` keeps
both; it is put in here before writing and taken out after reading, so that nobody else sees it.
"""

import hashlib
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

GUARD = "\N{ZERO WIDTH SPACE}"
_UNSTORABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_OPENING = re.compile(r"<(?![ \t\n0-9=?])")
"""Followed by anything else, or by nothing, it may begin a tag."""
_ENTITY = re.compile(rf"&(?=#|[A-Za-z][A-Za-z0-9]*;|{GUARD})")
_ENCODED = re.compile(rf"(&lt;|<|&amp;|&){GUARD}|&(?:lt|gt|quot|amp|apos|#0*39);")
_TAG = re.compile(r"</?[A-Za-z][^>]*>")
_TOKEN = re.compile(
    rf"(?P<tag></?(?P<name>[A-Za-z][A-Za-z0-9]*)[^>]*>)\n?|(?:&lt;|<|&amp;|&){GUARD}|&(?:#[0-9]+|#[xX][0-9a-fA-F]+|\w+);|.",
    re.DOTALL,
)
_ENDS_LINE = frozenset({"br", "div", "tr", "/div", "/tr", "/li", "/ul", "/ol", "/pre"})
_ENDS_PARAGRAPH = frozenset({"/p", "/h1", "/h2", "/h3", "/h4", "/h5", "/h6", "/blockquote", "/table"})


def clean(text: str) -> str:
    """Without what SuiteCRM would alter or drop for good."""
    return _UNSTORABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    return clean(text).replace("\n", " ").strip()


def encode(text: str) -> str:
    """A clean text, written so that the purifier leaves it as it is."""
    return _ENTITY.sub(f"&{GUARD}", _OPENING.sub(f"<{GUARD}", text))


def decode(stored: str) -> str:
    """A name, a Note or another plain field as people mean it; `&copy` in an address is no entity."""
    return _ENCODED.sub(_decoded, stored)


def _decoded(found: re.Match[str]) -> str:
    return html.unescape(found.group(1) or found.group(0))


@dataclass(frozen=True)
class _Piece:
    """Some characters of a description as people see them, and where they stand in what is stored."""

    text: str
    begin: int
    end: int


def _pieces(stored: str) -> Iterator[_Piece]:
    rich = is_rich(stored)
    for found in _TOKEN.finditer(stored):
        whole = found.group(0)
        if found["tag"] and rich:
            yield _Piece(_break(found["tag"], found["name"].lower()), found.start(), found.end())
        elif whole[0] == "&":
            yield _Piece(html.unescape(whole.removesuffix(GUARD)), found.start(), found.end())
        else:
            yield _Piece(whole.removesuffix(GUARD) or GUARD, found.start(), found.end())


def _break(tag: str, name: str) -> str:
    kind = f"/{name}" if tag.startswith("</") else name
    if kind in _ENDS_PARAGRAPH:
        return "\n\n"
    return "\n" if kind in _ENDS_LINE else ""


def is_rich(stored: str) -> bool:
    """Whether the editor of SuiteCRM's pages made HTML of a description; what we write never holds a tag."""
    return _TAG.search(stored) is not None


def decode_rich(stored: str) -> str:
    """A description as people see it, whether we wrote it or an account manager saved it in the editor."""
    text = "".join(piece.text for piece in _pieces(stored))
    return text.rstrip("\n") if is_rich(stored) else text


def splice(stored: str, wanted: str) -> str:
    """What to store so that a description reads as wanted: only what differs is replaced, markup around it stays."""
    if not is_rich(stored):
        return encode(wanted)
    pieces = list(_pieces(stored))
    begins = [piece.begin for piece in pieces for _ in piece.text]
    ends = [piece.end for piece in pieces for _ in piece.text]
    now = "".join(piece.text for piece in pieces)
    wanted += now[len(now.rstrip("\n")) :]
    head = _common(now, wanted)
    tail = _common(now[head:][::-1], wanted[head:][::-1])
    begin = begins[head] if head < len(now) else len(stored)
    end = ends[len(now) - tail - 1] if len(now) - tail > head else begin
    return f"{stored[:begin]}{encode(wanted[head : len(wanted) - tail])}{stored[end:]}".rstrip("\n")


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike, up to a space."""
    length = next(
        (place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
        min(len(one), len(other)),
    )
    if length == len(one) == len(other):
        return length
    return max(one.rfind(" ", 0, length), one.rfind("\n", 0, length)) + 1


def fit(text: str, characters: int) -> str:
    """A text whose stored form has at most so many characters, with a visible mark if anything had to go."""
    if len(encode(text)) <= characters:
        return text
    while (over := len(encode(f"{text}\N{HORIZONTAL ELLIPSIS}")) - characters) > 0:
        text = text[:-over].rstrip()
    return f"{text}\N{HORIZONTAL ELLIPSIS}"


def stored_bytes(text: str) -> int:
    """UTF-8 bytes that a text takes in the database."""
    return len(encode(clean(text)).encode())


def cut(text: str, limit: int, *, mark: str) -> str:
    """A text that takes at most `limit` bytes, with a visible mark if anything had to go."""
    if stored_bytes(text) <= limit:
        return text
    room = limit - stored_bytes(f" {mark}")
    while (over := stored_bytes(text) - room) > 0:
        text = text[: -max(1, over // 4)]
    return f"{text} {mark}"


def digest(*values: str | None) -> str:
    """A short mark that changes with any of the values."""
    joined = "\x1f".join("\0" if value is None else value for value in values)
    return hashlib.sha256(joined.encode()).hexdigest()[:20]
