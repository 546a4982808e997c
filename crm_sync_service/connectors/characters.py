"""Characters above U+FFFF, such as emoji, where a CRM's database keeps only three bytes of a character."""

import re
import unicodedata

PROBE = "\N{FIRE}"
_WIDE = re.compile("[\U00010000-\U0010ffff]")
_FLAG_LETTER = "REGIONAL INDICATOR SYMBOL LETTER "


def has_wide(text: str) -> bool:
    """Whether a database of three bytes a character would refuse a text, or lose some of it."""
    return _WIDE.search(text) is not None


def named(text: str) -> str:
    """With the name of each such character in its place, in brackets."""
    return _WIDE.sub(_name, text)


def _name(found: re.Match[str]) -> str:
    character = found.group(0)
    name = unicodedata.name(character, f"U+{ord(character):X}")
    return f"[{name.removeprefix(_FLAG_LETTER).lower()}]"
