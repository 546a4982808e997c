import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal_service.imports.readable import html_to_text, readable


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two &amp; three</p>", "One\n\nTwo & three"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<p>see <a href='https://x.example/?a=1&amp;b=2'>the log</a></p>", "see the log (https://x.example/?a=1&b=2)"),
        ("<a href='https://x.example/'>https://x.example</a>", "https://x.example"),
        ("<a href='javascript:alert(1)'>click</a>", "click"),
        ("<p>a</p><script>alert('x')</script><style>p{}</style><!-- b -->", "a"),
        ("<table><tr><td>1<td>2<tr><td>3</table>", "1 | 2\n3"),
        ("<img src='https://x.example/s.png' alt='screen'>", "[screen https://x.example/s.png]"),
        ("<p>never closed <b>bold", "never closed bold"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<p>مرحبا 👩‍👩‍👧 &#128512;</p>", "مرحبا 👩‍👩‍👧 😀"),
    ],
)
def test_html_becomes_what_a_person_reads(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize("text", ["a < b and c > d", "List<String> x", "&amp; stays", "1\n\n\n\n2  3"])
def test_plain_text_keeps_its_words_and_spaces(text: str) -> None:
    assert readable(text) == text


def test_characters_that_cannot_be_stored_are_left_out() -> None:
    assert readable("a\0b\x07c\r\nd") == "abc\nd"
    assert readable("<p>a\0&#0;&#7;b</p>").replace("\ufffd", "") == "ab"


@given(st.text(st.sampled_from("<>/abp r\"'=&;!-[]lius\n\0"), max_size=200))
def test_no_html_however_broken_stops_it(html: str) -> None:
    assert "\0" not in html_to_text(html)
