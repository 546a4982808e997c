"""The desk's rules for texts. What passes is stored verbatim, so that a reader gets back what was written."""

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from crm_sync_service.desk.models import EMAIL_LIMIT, NAME_LIMIT, TEXT_LIMIT, URL_LIMIT

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_CONTROL_OR_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
_LINK = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_CLOSERS = {")": "(", "]": "[", "}": "{"}


class TextError(ValueError):
    """A text the desk does not take; the words say why."""


def one_line(text: str, *, limit: int = NAME_LIMIT, required: bool = True) -> str:
    """A name or title: line breaks become spaces, ends are trimmed. Raises TextError."""
    line = re.sub(r"\r\n|\r|\n", " ", _storable(text)).strip()
    if required and not line:
        raise TextError("Give a text: it cannot be empty.")
    return _within(line, limit)


def long_text(text: str) -> str:
    """A description or body: CRLF becomes LF, all else stays. Raises TextError."""
    return _within(_storable(text).replace("\r\n", "\n"), TEXT_LIMIT)


def web_address(text: str) -> str:
    """An http(s) URL. Raises TextError."""
    try:
        parts = urlsplit(_storable(text))
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and not _CONTROL_OR_SPACE.search(text)
    except ValueError:
        usable = False
    if not usable:
        raise TextError("Give a web address that starts with http:// or https://.")
    return _within(text, URL_LIMIT)


def email_address(text: str) -> str:
    """An e-mail address as it is written, without spaces at its ends. Raises TextError."""
    address = _storable(text).strip()
    local, _, domain = address.rpartition("@")
    if not local or not domain or _CONTROL_OR_SPACE.search(address):
        raise TextError(f"{address[:80]!r} is not an e-mail address.")
    return _within(address, EMAIL_LIMIT)


def one_of(options: Mapping[str, str], key: str) -> str:
    """The key of an option. Raises TextError."""
    if key not in options:
        raise TextError(f"{key[:80]!r} is none of {', '.join(options)}.")
    return key


def search_key(*parts: object) -> str:
    """Casefolded words to search in; parts that are None are left out."""
    return " ".join(unicodedata.normalize("NFC", str(part)).casefold() for part in parts if part is not None)


def linked(text: str) -> Markup:
    """HTML of a plain text: everything escaped, web addresses clickable. Line breaks are left to the style sheet."""
    pieces: list[Markup] = []
    end = 0
    for match in _LINK.finditer(text):
        url = _without_closing_punctuation(match.group())
        pieces += [escape(text[end : match.start()]), _anchor(url)]
        end = match.start() + len(url)
    return Markup("").join([*pieces, escape(text[end:])])


def _anchor(url: str) -> Markup:
    return Markup('<a href="{0}" rel="noopener noreferrer nofollow" target="_blank">{0}</a>').format(url)


def _without_closing_punctuation(url: str) -> str:
    """A URL in a sentence does not own the full stop behind it, nor a bracket that it did not open."""
    while url:
        last = url[-1]
        unopened = last in _CLOSERS and url.count(last) > url.count(_CLOSERS[last])
        if last not in ".,;:!?'*_" and not unopened:
            break
        url = url[:-1]
    return url


def _storable(text: str) -> str:
    if _UNSTORABLE.search(text):
        raise TextError("It holds a NUL character or half of a surrogate pair, which cannot be stored.")
    return text


def _within(text: str, limit: int) -> str:
    if len(text) > limit:
        raise TextError(f"It has {len(text)} characters, but at most {limit} fit.")
    return text
