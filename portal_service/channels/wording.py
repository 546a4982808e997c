"""The words of the mails: one catalogue per language, one template each for HTML and text."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from portal_service.tickets.fields import assignee_name
from portal_service.tickets.models import Ticket

if TYPE_CHECKING:
    from portal_service.channels.mail_out import Recipient

_TEMPLATES = Path(__file__).parent / "templates"
_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=select_autoescape(enabled_extensions=("html",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, kw_only=True)
class Written:
    subject: str
    text: str
    html: str


def written(kind: str, recipient: "Recipient", words: Mapping[str, Any], *, url: str, ticket: Ticket | None) -> Written:
    """A mail in the recipient's language; moments among the words are told in his time zone."""
    language = recipient.language if recipient.language in languages() else "en"
    catalogue = _catalogue(language)
    sentences, common = catalogue[kind], catalogue["common"]
    about = {"number": ticket.number, "subject": ticket.subject} if ticket else {}
    given = {**about, "name": recipient.name, **_told(words, language, recipient.timezone)}
    context = {
        "language": language,
        "heading": sentences["heading"].format(**given),
        "lines": [line.format(**given) for line in _lines(sentences, given)],
        "key_label": sentences.get("key_label"),
        "key": words.get("key"),
        "quote": words.get("quote"),
        "note": words.get("note"),
        "files": words.get("files") or [],
        "common": common,
        "greeting": common["greeting"].format(**given),
        "footer": [line.format(**given) for line in common["footer" if ticket else "footer_plain"]],
        "button": sentences["button"].format(**given),
        "facts": _facts(catalogue, ticket, recipient) if ticket else [],
        "ticket": ticket,
        "url": url,
    }
    return Written(
        subject=f"[#{ticket.number}] {ticket.subject}" if ticket else sentences["subject"].format(**given),
        text=_environment.get_template("mail.txt").render(context),
        html=_environment.get_template("mail.html").render(context),
    )


@cache
def languages() -> frozenset[str]:
    return frozenset(path.stem for path in _TEMPLATES.glob("*.toml"))


@cache
def _catalogue(language: str) -> dict[str, Any]:
    return tomllib.loads((_TEMPLATES / f"{language}.toml").read_text(encoding="utf-8"))


def _lines(sentences: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The sentences that always stand there, then those whose word is known."""
    optional = [line for word, line in sentences.get("optional", {}).items() if given.get(word)]
    return [*sentences["lines"], *optional]


def _told(words: Mapping[str, Any], language: str, zone: str) -> dict[str, Any]:
    return {name: _moment(word, language, zone) if isinstance(word, datetime) else word for name, word in words.items()}


def _moment(moment: datetime, language: str, zone: str) -> str:
    """Date and time with the zone named: "22 Nov 2026, 13:40 CET"."""
    try:
        local = moment.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        local = moment
    return f"{format_datetime(local, 'd MMM y, HH:mm', tzinfo=local.tzinfo, locale=language)} {local.tzname()}"


def _facts(catalogue: Mapping[str, Any], ticket: Ticket, recipient: "Recipient") -> list[tuple[str, str]]:
    """What the ticket is at this moment, by label (S60)."""
    common = catalogue["common"]
    statuses = catalogue["status"] | ({} if recipient.staff else catalogue["customer_status"])
    facts = [(common["status"], statuses.get(ticket.status, ticket.status))]
    if recipient.staff:
        facts.append((common["requester"], ticket.contact.name if ticket.contact else common["nobody"]))
    return [*facts, (common["assignee"], assignee_name(ticket) or common["nobody"])]
