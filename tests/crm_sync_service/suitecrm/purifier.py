"""What SuiteCRM does to text: entities are decoded until none is left, then it is purified as HTML."""

import html
import re

import nh3

_ENTITY = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
_TAGS = {"a", "b", "i", "u", "em", "strong", "p", "br", "div", "span", "pre", "ul", "ol", "li", "img", "h1", "h2", "h3"}
_TAGS |= {"table", "tbody", "tr", "td", "th", "blockquote", "hr"}
_KNOWN = _TAGS | {"script", "style"}
_ANY_TAG = re.compile(r"</?([A-Za-z][^\s/>]*)[^>]*>")
_VOID = re.compile(r"<(br|hr|img)((?:\s[^>]*)?)>")


def decoded(text: str) -> str:
    """html_entity_decode, which wants a semicolon, over and over."""
    while True:
        after = _ENTITY.sub(lambda found: html.unescape(found.group(0)), text)
        if after == text:
            return text
        text = after


def purified(text: str) -> str:
    """HTML as it comes out of the purifier."""
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]", "", text)
    text = decoded(text).replace("\r\n", "\n").replace("\r", "\n").replace("&", "&amp;")
    while (fixed := re.sub(r"<(?=[^A-Za-z!/])", "&lt;", text)) != text:
        text = fixed
    text = _ANY_TAG.sub(lambda found: found.group(0) if found.group(1).lower() in _KNOWN else "", text)
    clean = nh3.clean(
        text,
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "img": {"src", "alt"}},
        clean_content_tags={"script", "style"},
        link_rel=None,
        strip_comments=True,
    )
    if "<tbody" not in text:
        clean = clean.replace("<tbody>", "").replace("</tbody>", "")
    return _VOID.sub(_void, clean).replace("&nbsp;", "\u00a0")


def _void(found: re.Match[str]) -> str:
    name, attributes = found.group(1), found.group(2)
    if name == "img" and " alt=" not in attributes:
        file = re.search(r'src="(?:[^"]*/)?([^"/]*)"', attributes)
        attributes += f' alt="{file.group(1) if file else ""}"'
    return f"<{name}{attributes} />"


def stored(text: str) -> str:
    """As it stands in the database."""
    return decoded(purified(text))


def shown_plain(text: str) -> str:
    """A name or a field of a Note in an answer; `&` stays as it is."""
    for raw, encoded in (("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#039;")):
        text = text.replace(raw, encoded)
    return text


def shown_rich(text: str) -> str:
    """A Case's description in an answer."""
    return purified(text)


def saved_by_editor(text: str) -> str:
    """What an account manager's save makes of a description, though only another field was changed."""
    if re.search(r"<(?:p|pre|div|ul|table)\b", text):
        return text
    lines = " ".join(html.escape(decoded(shown_rich(text)), quote=False).split())
    return f"<p>{lines}</p>"
