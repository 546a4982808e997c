"""Single values of an export as this product knows them."""

import json
import re
from collections.abc import Mapping
from email.utils import parseaddr
from typing import Any

from portal_service.imports.errors import BadRow
from portal_service.imports.rows import plain_name
from shared.emails import is_email

# The words of Zendesk, Freshdesk, osTicket and their like, as `plain_name` gives them. Numbers mean something else
# in each of them, so they need the mapping file.
STATUS_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("new", "unassigned", "untouched"), "new"),
    **dict.fromkeys(
        ("open", "opened", "reopened", "inprogress", "active", "assigned", "hold", "onhold", "waitingonthirdparty"),
        "open",
    ),
    **dict.fromkeys(
        ("pending", "waitingoncustomer", "waitingforcustomer", "awaitingcustomer", "awaitingyourreply"), "pending"
    ),
    **dict.fromkeys(("solved", "resolved", "fixed"), "solved"),
    **dict.fromkeys(("closed", "completed", "done", "archived"), "closed"),
}
PRIORITY_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("low", "lowest", "minor"), "low"),
    **dict.fromkeys(("", "normal", "medium", "none"), "normal"),
    **dict.fromkeys(("high", "major"), "high"),
    **dict.fromkeys(("urgent", "critical", "emergency", "highest", "blocker"), "urgent"),
}
_TRUE = {"true", "yes", "1", "public", "y"}


def as_text(value: Any) -> str:
    """A value of a cell or of JSON as text; a list as its items with commas."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(filter(None, map(as_text, value)))
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False)


def as_bool(value: Any) -> bool:
    return plain_name(as_text(value)) in _TRUE


def choose(field: str, text: str, *, own: Mapping[str, str], known: Mapping[str, str]) -> str:
    """The value a word stands for: by the mapping file's words first, then by those known. Raises BadRow."""
    key = plain_name(text)
    chosen = own.get(key) or known.get(key)
    if chosen is None:
        raise BadRow(
            f"the {field} {text[:80]!r} is not known: say what it means under [{field}] in the file of --mapping"
        )
    return chosen


def split_address(text: str) -> tuple[str, str]:
    """Name and e-mail address of `Carol <carol@acme.example>`, of an address or of a name alone."""
    text = text.strip()
    if "@" not in text:
        return text, ""
    if is_email(text):
        return "", text
    name, address = parseaddr(text)
    return name.strip(), address.strip()


def list_from(value: Any) -> list[Any]:
    """The items of a JSON list, given as such or as the text of a cell. Raises BadRow.

    A text that is no JSON is one item.
    """
    if isinstance(value, list):
        return value
    text = as_text(value).strip()
    if not text:
        return []
    if not text.startswith(("[", "{")):
        return [text]
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"the comments are no JSON list: {error}", kind="the comments are no JSON list") from None
    return items if isinstance(items, list) else [items]


def tag_list(value: Any) -> str:
    """Tags with commas between them, however they were separated."""
    return ", ".join(filter(None, re.split(r"[,;\s]+", as_text(value).strip())))
