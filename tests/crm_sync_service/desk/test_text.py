"""Texts: links in descriptions, and what a search understands."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_service.desk import text


@pytest.mark.parametrize(
    ("written", "links"),
    [
        ("see https://a.example/x?y=1&z=2.", ["https://a.example/x?y=1&z=2"]),
        ("(https://a.example/Errors_(2026)), then", ["https://a.example/Errors_(2026)"]),
        ("http://a.example, http://b.example!", ["http://a.example", "http://b.example"]),
        ("HTTPS://A.EXAMPLE", ["HTTPS://A.EXAMPLE"]),
        ("javascript:alert(1) data:text/html,x ftp://a.example file:///etc", []),
        ("no links here", []),
        ("https://", []),
    ],
)
def test_only_web_addresses_become_links_and_without_the_punctuation_behind_them(written, links):
    html = text.linked(written)
    assert [re.sub("&amp;", "&", link) for link in re.findall('href="([^"]*)"', html)] == links


def test_what_looks_like_html_stays_text():
    html = text.linked('<script>alert(1)</script> & <a href="https://a.example/" onclick="x">y</a>')
    assert "<script" not in html
    assert html.count("<a ") == 1
    assert 'href="https://a.example/"' in html
    assert "onclick=&#34;x&#34;" in html


def test_links_open_apart_and_tell_nobody_where_they_came_from():
    assert 'rel="noopener noreferrer nofollow"' in text.linked("https://a.example")


@given(st.text(alphabet=st.sampled_from(list("ab<>\"'&()[].,:/ \nhttps")), max_size=80))
def test_taking_the_tags_out_again_gives_the_text_as_it_was_written(written):
    html = text.linked(written)
    bare = re.sub(r"</?a[^>]*>", "", html)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&#34;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        bare = bare.replace(entity, character)
    assert bare == written


@given(st.text(max_size=60))
def test_storing_a_text_again_changes_nothing_more(written):
    for rule in (text.long_text, lambda value: text.one_line(value, required=False)):
        try:
            stored = rule(written)
        except text.TextError:
            continue
        assert rule(stored) == stored


@pytest.mark.parametrize(
    "address", ["ftp://a.example", "//a.example", "http://", "http://[::1", "https://a b.example", "a"]
)
def test_what_is_no_web_address_is_refused(address):
    with pytest.raises(text.TextError, match="https://"):
        text.web_address(address)
