"""Comparing e-mail addresses (FAILURES 9): all of a contact's addresses count, whatever their case or spelling."""

import re
import unicodedata
from contextlib import suppress

_PART = r"[^@\s.<>(),;:\"\[\]\\]+"
_ADDRESS = re.compile(rf"{_PART}(\.{_PART})*@({_PART}\.)+{_PART}")


def email_key(address: str) -> str:
    """The same text for all spellings of one address: NFC, casefolded, the domain in its IDNA form."""
    local, _, domain = unicodedata.normalize("NFC", address.strip()).casefold().rpartition("@")
    # What is no domain name stays as it is: two equal texts still compare as equal.
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode("ascii")
    return f"{local}@{domain}"


def is_email(address: str) -> bool:
    """Whether this looks like one address; whether it exists only a mail can tell."""
    return len(address) <= 320 and _ADDRESS.fullmatch(address) is not None
