import re
import time
from html import unescape

import pytest

from portal_service.tickets.markdown import reply_html

_TAGS = re.compile(r"<[^>]*>")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("**bold** and *italic*", "<p><strong>bold</strong> and <em>italic</em></p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("# Big", "<h3>Big</h3>"),
        ("`x < y`", "<p><code>x &lt; y</code></p>"),
        ("see https://a.example/b?c=1", 'href="https://a.example/b?c=1" rel="nofollow noreferrer"'),
        ("[here](https://a.example)", '<a href="https://a.example" rel="nofollow noreferrer">here</a>'),
    ],
)
def test_markdown_is_shown(written: str, shown: str) -> None:
    assert shown in reply_html(written)


@pytest.mark.parametrize(
    "written",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "![tracked](https://evil.example/pixel.png)",
        '<a href="https://x.example" onclick="alert(1)">x</a>',
        "<javascript:alert(1)>",
        '[x](https://a.example "\\" onmouseover=alert(1)")',
        "<style>body{display:none}</style>",
        "<svg/onload=alert(1)>",
    ],
)
def test_nothing_in_it_can_do_harm(written: str) -> None:
    html = str(reply_html(written))
    tags = " ".join(_TAGS.findall(html)).lower()
    assert not re.search(r"<(script|img|style|svg|iframe)|\son\w+=|(href|src)=\"(javascript|data|vbscript):", tags)


@pytest.mark.parametrize(
    "written",
    [
        "\\\\server\\share\\_temp\\*.log",
        "C:\\Users\\[name]\\file",
        "[1]: https://a.example is where I found it",
        "Regards\n---\nCarol",
        "    indented\n        more",
        "a &lt; b &amp; c",
        "snake_case_name and 2 < 3 > 1",
        "1) first\n2) second",
        "<b>not bold</b>",
    ],
)
def test_no_word_of_what_was_written_is_lost(written: str) -> None:
    shown = unescape(_TAGS.sub(" ", str(reply_html(written))))
    for word in re.findall(r"[^\s\-]+", re.sub(r"(?m)^\d\) ", "", written)):
        assert word in shown, (word, shown)


def test_a_log_is_shown_as_it_is() -> None:
    log = "* not a list *\n" * 2000
    assert unescape(str(reply_html(log))) == f'<div class="verbatim">{log}</div>'


@pytest.mark.parametrize("piece", ["[", "*", "`", "> ", "![", "<", "_a", "- ", "[a](", "|a|\n|-|\n", "http://a."])
def test_no_text_keeps_a_page_waiting(piece: str) -> None:
    written = (piece * 20_000)[:20_000]
    started = time.process_time()
    reply_html(written)
    assert time.process_time() - started < 2
