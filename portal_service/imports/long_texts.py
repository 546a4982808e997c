"""Texts longer than the portal and its events take: the beginning stays in place, the whole becomes a file."""

from portal_service.imports.oldticket import LongText
from portal_service.tickets.text import MAX_BODY, MAX_SUBJECT, body_error

_LOOK_BACK = 2_000
"""Characters from the end in which a line or a word may end."""


def fitted(text: str, *, file: str) -> LongText:
    """A text as it is, or its beginning with a last line that names the file with the whole of it."""
    if body_error(text) is None:
        return LongText(shown=text)
    note = f"\n\n[This text is longer than a ticket holds: all {len(text):,} characters are in the attached {file}]"
    end = MAX_BODY - len(note)
    while body_error(text[:end] + note):
        end = end * 9 // 10
    return LongText(shown=text[: _good_end(text, end)].rstrip() + note, whole=text)


def short_subject(subject: str) -> str:
    """A subject that fits; the caller keeps the whole of a longer one."""
    if len(subject) <= MAX_SUBJECT:
        return subject
    return subject[: MAX_SUBJECT - 1].rstrip() + "…"


def _good_end(text: str, end: int) -> int:
    """The last line break before `end`, else the last space, if one is near."""
    for mark in ("\n", " "):
        found = text.rfind(mark, end - _LOOK_BACK, end)
        if found > 0:
            return found
    return end
