"""Replies as they are shown: what people wrote in the reply box may use Markdown; nothing in it can do harm."""

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

# Without the rules that swallow what people did not mean as Markdown: \\server\share, "[x]: y", a line of dashes below
# a sentence, indented words.
_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": True})
    .enable(["table", "strikethrough", "linkify"])
    .disable(["image", "reference", "escape", "entity", "lheading", "code"])
)
_WITH_SCHEME = {"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False}
if _MARKDOWN.linkify is not None:
    _MARKDOWN.linkify.set(_WITH_SCHEME)
_TAGS = {"a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
         "table", "tbody", "td", "th", "thead", "tr", "ul"}  # fmt: skip
_HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6"}
"""Below those of the page."""
_LONGEST = 20_000
"""Characters; a longer text is a log rather than a letter and is shown as it is."""


def reply_html(source: str) -> Markup:
    """Markdown as safe HTML: line breaks stay, no raw HTML, no pictures from elsewhere, links that tell nobody whence.

    Addresses of web pages become links also where nobody marked them.
    """
    if len(source) > _LONGEST:
        return Markup('<div class="verbatim">{}</div>').format(source)
    tokens = _MARKDOWN.parse(source)
    for token in tokens:
        token.tag = _HEADINGS.get(token.tag, token.tag) if token.type.startswith("heading") else token.tag
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    attributes = {"*": set[str](), "a": {"href"}, "ol": {"start"}}
    safe = nh3.clean(
        html, tags=_TAGS, attributes=attributes, url_schemes={"http", "https", "mailto"}, link_rel="nofollow noreferrer"
    )
    return Markup(safe)  # noqa: S704 (cleaned by an allow-list just above)


def plain_html(source: str) -> Markup:
    """A text that was not written as Markdown, with its line breaks."""
    return Markup('<div class="verbatim">{}</div>').format(escape(source))
