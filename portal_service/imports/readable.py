"""Bodies of old tickets as readable plain text: HTML becomes words with its links, line breaks and lists."""

import re
from html.parser import HTMLParser

import nh3

from portal_service.tickets.text import clean_body

_HTML = re.compile(
    r"</(?:p|div|span|a|b|i|u|em|strong|font|table|tr|td|ul|ol|li|h[1-6]|pre|code|blockquote|html|body)\s*>"
    r"|<(?:br|hr)\s*/?>|<(?:img|p|div)\s[^<>]*>|<!doctype html",
    re.IGNORECASE,
)
_BLOCKS = {"p", "div", "table", "tr", "ul", "ol", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "hr"}
_KEPT = _BLOCKS | {"a", "br", "li", "td", "th", "img"}
_SPACE = re.compile(r"[ \t\r\n\f\xa0]+")
_SCHEMES = {"http", "https", "mailto", "tel", "ftp"}


def readable(text: str) -> str:
    """Plain text as it is, HTML as plain text; both without characters that cannot be stored."""
    text = clean_body(text)
    return html_to_text(text) if _HTML.search(text) else text


def html_to_text(html: str) -> str:
    """The words of a piece of HTML, however broken it is. Scripts, styles and comments go, links and breaks stay."""
    # The sanitiser is an HTML5 parser: what it gives back is well-formed, which the simple reader below relies on.
    clean = nh3.clean(
        html,
        tags=_KEPT,
        clean_content_tags={"script", "style", "title", "noscript"},
        attributes={"a": {"href"}, "img": {"src", "alt"}},
        url_schemes=_SCHEMES,
        link_rel=None,
    )
    reader = _Reader()
    reader.feed(clean)
    reader.close()
    return clean_body(reader.text())


class _Reader(HTMLParser):
    """Writes down what it reads; white space as a browser shows it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._preformatted = 0

    def text(self) -> str:
        lines = [line.rstrip() for line in "".join(self._parts).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a":
            self._links.append((values.get("href", ""), len(self._parts)))
        elif tag == "img":
            self._image(values)
        elif tag == "br":
            self._parts.append("\n")
        elif tag in {"td", "th"}:
            self._cell()
        elif tag == "li":
            self._new_line()
            self._parts.append("- ")
        elif tag in _BLOCKS:
            self._new_line()
        self._preformatted += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self._preformatted -= tag == "pre"
        if tag == "a" and self._links:
            self._link(*self._links.pop())
        elif tag in _BLOCKS - {"div", "tr"}:
            self._new_line()
            self._parts.append("\n")
        elif tag in {"div", "li", "tr"}:
            self._new_line()

    def handle_data(self, data: str) -> None:
        if not self._preformatted:
            data = _SPACE.sub(" ", data)
            if self._at_line_start():
                data = data.lstrip(" ")
        if data:
            self._parts.append(data)

    def _link(self, address: str, begin: int) -> None:
        words = "".join(self._parts[begin:]).strip()
        bare = address.removeprefix("mailto:").removeprefix("tel:")
        if bare and bare.rstrip("/") not in words:
            self._parts.append(f" ({bare})" if words else bare)

    def _image(self, values: dict[str, str]) -> None:
        told = " ".join(filter(None, (values.get("alt"), values.get("src"))))
        if told:
            self._parts.append(f"[{told}]")

    def _cell(self) -> None:
        if not self._at_line_start():
            self._parts.append(" | ")

    def _new_line(self) -> None:
        if self._parts and not self._parts[-1].endswith(("\n", "- ")):
            self._parts.append("\n")

    def _at_line_start(self) -> bool:
        return not self._parts or self._parts[-1].endswith("\n")
