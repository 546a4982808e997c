"""What people type, made safe to store without altering their words."""

import json
import re
from urllib.parse import urlsplit

from portal_service.messages import message

MAX_SUBJECT = 255
MAX_BODY = 60_000
"""Characters of a description, a reply or an internal note."""
_MAX_BODY_BYTES = 180_000
"""As JSON in an event; with everything else it stays below the event's limit."""
MAX_DETAILS = 4_000
"""Characters of all recommended information together."""
MAX_LINK = 2_000

REQUIRED = message("Please fill this in.")
SUBJECT_TOO_LONG = message("This is too long: please use at most 255 characters.")
BODY_TOO_LONG = message("This is too long: please use at most 60,000 characters, or attach it as a file.")
DETAILS_TOO_LONG = message("This is too long: please move the long part to the description.")
BAD_LINK = message("Please give a full web address that starts with http:// or https://, at most 2,000 characters.")

# Everything below the space except tab and line feed, lone surrogates, and DEL: no database or CRM takes them all.
_UNSTORABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
# U+0085 too: it ends a line for Python's mail headers, so a subject with it could never be mailed.
_BREAKS = re.compile(r"\s*[\r\n\x85\u2028\u2029]+\s*")


def clean_body(text: str) -> str:
    """The words verbatim, line breaks as line feeds, without characters that cannot be stored."""
    return _UNSTORABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_line(text: str) -> str:
    """One line without space around it."""
    return _UNSTORABLE.sub("", _BREAKS.sub(" ", text)).strip()


def body_error(text: str) -> str | None:
    """What is wrong with the length of a text, as a message key."""
    if len(text) > MAX_BODY or len(json.dumps(text, ensure_ascii=False).encode()) > _MAX_BODY_BYTES:
        return BODY_TOO_LONG
    return None


def link_error(url: str) -> str | None:
    """What is wrong with a URL a customer gave (S29), as a message key."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    return None if usable and len(url) <= MAX_LINK and " " not in url else BAD_LINK
