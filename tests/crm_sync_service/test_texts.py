"""Text as a CRM can take it (FAILURES 39, 41)."""

import regex
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_service.texts import clean, clean_name, cut, head, pieces

ANY = st.text(alphabet=st.characters(codec=None))
EMOJI = "👩‍👩‍👧‍👦🇳🇱é́ñ🏽कि"


@given(ANY)
def test_clean_text_can_be_stored_anywhere(text):
    cleaned = clean(text)
    assert cleaned.encode().decode() == cleaned
    assert not set(cleaned) & {chr(code) for code in range(32) if chr(code) not in "\t\n\r"}
    assert clean(cleaned) == cleaned


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"])))
def test_ordinary_text_stays_as_it_is(text):
    assert clean(text) == text


def test_a_name_cannot_be_disguised():
    assert clean_name("Sam\u202e sreteP\u2066 \u200bAdmin\x00\n") == "Sam sreteP Admin"


@given(st.text(alphabet=EMOJI + "ab \n", max_size=60), st.integers(min_value=0, max_value=120))
def test_a_text_is_cut_between_characters_as_people_see_them(text, limit):
    kept = head(text, limit)
    assert text.startswith(kept)
    assert len(kept.encode()) <= limit
    ends = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    assert len(kept) in ends


@given(ANY.map(clean), st.integers(min_value=40, max_value=90))
def test_pieces_are_the_whole_text(text, limit):
    parts = pieces(text, limit)
    assert "".join(parts) == text
    assert all(len(part.encode()) <= limit for part in parts)


@given(ANY.map(clean), st.integers(min_value=20, max_value=60))
def test_a_cut_is_visible_and_fits(text, limit):
    shown = cut(text, limit, mark="[cut]")
    assert len(shown.encode()) <= limit
    assert shown == text or shown.endswith(" [cut]")


def test_cutting_a_long_text_is_quick_and_keeps_nearly_all_of_it():
    text = "👩‍👩‍👧‍👦" * 10_000
    assert 65_535 - len(head(text, 65_535).encode()) < len("👩‍👩‍👧‍👦".encode())
