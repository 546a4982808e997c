"""What EspoCRM does to text, and what it does not take."""

FORBIDDEN = {"<": "\uff1c", ">": "\uff1e", "=": "\uff1d"}
"""Names may not hold these three; their full-width twins read the same and stay as they are when they come back."""
NAME_LENGTH = 255
"""Characters; a longer name is refused, not cut."""
PERSON_NAME_LENGTH = 100
_SUBSTITUTES = str.maketrans(FORBIDDEN)


def clean(text: str) -> str:
    """Text as it can be stored and returned: one kind of line end, nothing that is no character."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return text.encode(errors="ignore").decode()


def one_line(text: str) -> str:
    return " ".join(clean(text).split("\n")).strip()


def case_name(text: str) -> str:
    return one_line(text).translate(_SUBSTITUTES)[:NAME_LENGTH].strip()


def person_name(name: str) -> tuple[str, str]:
    """First names and last name; the last one is never empty."""
    parts = one_line(name).translate(_SUBSTITUTES).rsplit(" ", 1)
    first, last = (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0])
    return first[:PERSON_NAME_LENGTH].strip(), last[:PERSON_NAME_LENGTH].strip() or "?"
