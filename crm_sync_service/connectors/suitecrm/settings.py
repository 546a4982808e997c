"""What the SuiteCRM connector needs to know beyond address and credentials: the table `[connector]` of its mapping."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from crm_sync_service.connectors.base import Capabilities, CaseField, TextRules
from crm_sync_service.connectors.config import ConfigError, ConnectorConfig

_USUAL = "auto"
_BELOW = re.compile(r"(/Api(/V8.*|/access_token)?|/index\.php.*)?/*(#.*)?$")
STATUSES = {
    "Open_New": "New",
    "Open_Assigned": "Assigned",
    "Open_Pending Input": "Pending Input",
    "Closed_Closed": "Closed",
    "Closed_Rejected": "Rejected",
    "Closed_Duplicate": "Duplicate",
}
PRIORITIES = {"P1": "High", "P2": "Medium", "P3": "Low"}
FIELDS: Mapping[CaseField, str] = {
    "subject": "name",
    "description": "description",
    "status": "status",
    "priority": "priority",
    "account": "account_id",
    "contact": "contacts",
    "product": "product_c",
    "assignee": "assigned_user_id",
}
"""The attribute by CaseField; `contact` is the name of a link. Used where the mapping names none at all."""


@dataclass(frozen=True, kw_only=True)
class SuiteCrmSettings:
    """Names and option keys as this installation has them; the defaults are those of a delivered SuiteCRM."""

    fields: Mapping[str, str] = field(default_factory=lambda: {str(name): FIELDS[name] for name in FIELDS})
    """The attribute by CaseField; `contact` is the name of a link."""
    ticket_id_field: str = "portal_ticket_id_c"
    """Attribute of a Case that holds the ticket's id; "" for none."""
    message_id_field: str = "portal_message_id_c"
    """Attribute of a Note that holds the reply's id; "" for none."""
    main_contact_field: str = "contact_created_by_id"
    """Attribute of a Case that tells which of its linked contacts is the ticket's; "" for none."""
    customer_flag_field: str = "portal_flag"
    """Checkbox of a Note that sends it to the customer; "" if a Note of the CRM may never reach one."""
    api_path: str = ""
    """Where the API is below the address, such as "Api" or "legacy/Api"; "" looks in the usual places."""
    statuses: Mapping[str, str] = field(default_factory=lambda: dict(STATUSES))
    """Labels by option key. SuiteCRM stores any key and tells nobody which are right."""
    priorities: Mapping[str, str] = field(default_factory=lambda: dict(PRIORITIES))
    products: Mapping[str, str] = field(default_factory=dict)
    """Labels by option key of the product field; empty takes every key."""
    states: Mapping[str, str] = field(default_factory=dict)
    """The state to send with a status; by its first letters, Open or Closed, where it is not listed."""
    new_case: Mapping[str, str] = field(default_factory=dict)
    """Attributes that every new Case gets besides, such as {"type": "User"}."""
    overlap: timedelta = timedelta(minutes=5)
    """How long a save in SuiteCRM may take to appear with the time at which it began."""
    page_size: int = 200
    mails_checked: bool = False
    """An administrator has made sure that SuiteCRM mails no customer by itself."""

    def state_of(self, status: str) -> str | None:
        """The state that belongs to a status."""
        known = self.states.get(status)
        if known is not None:
            return known
        return next((state for state in ("Open", "Closed") if status.startswith(state)), None)

    def options_of(self, name: str) -> Mapping[str, str] | None:
        """Labels by key of an option field; None where any key goes."""
        return {"status": self.statuses, "priority": self.priorities, "product": self.products}.get(name) or None


def base_address(url: str) -> str:
    """Where SuiteCRM is, though people copy the address of its log-in page or of its API."""
    return _BELOW.sub("", url)


def read_settings(config: ConnectorConfig) -> SuiteCrmSettings:
    """Raises ConfigError for an option that is unknown or of the wrong kind."""
    options = dict(config.options)
    values: dict[str, Any] = {name: _text(name, options.pop(name)) for name in _TEXTS if name in options}
    values |= {name: _table(name, options.pop(name)) for name in _TABLES if name in options}
    if "mails_checked" in options:
        values["mails_checked"] = options.pop("mails_checked") is True
    if "overlap_seconds" in options:
        values["overlap"] = timedelta(seconds=_number("overlap_seconds", options.pop("overlap_seconds")))
    if "page_size" in options:
        values["page_size"] = _number("page_size", options.pop("page_size"))
    if options:
        raise ConfigError(f"[connector] {', '.join(options)}: unknown here; {', '.join(_KNOWN)} can be given")
    if config.fields:
        usual = {str(name): attribute for name, attribute in FIELDS.items()}
        values["fields"] = {
            name: usual.get(name, attribute) if attribute == _USUAL else attribute
            for name, attribute in config.fields.items()
        }
    return SuiteCrmSettings(**values)


_TEXTS = ("ticket_id_field", "message_id_field", "main_contact_field", "customer_flag_field", "api_path")
_TABLES = ("statuses", "priorities", "products", "states", "new_case")
_KNOWN = (*_TEXTS, *_TABLES, "overlap_seconds", "page_size", "mails_checked")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f'[connector] {name} must be a text in quotes, "" for none')
    return value.strip().strip("/")


def _table(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise ConfigError(f'[connector.{name}] must be lines of the form key = "text"')
    return dict(value)


def _number(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10_000:
        raise ConfigError(f"[connector] {name} must be a whole number from 1 to 10000")
    return value


def capabilities(settings: SuiteCrmSettings, *, size: Callable[[str], int], wide: Callable[[], bool]) -> Capabilities:
    return Capabilities(
        client_ids=True,
        unique_keys=False,
        conditional_update=True,
        feed_overlap=settings.overlap,
        feed_shows_deletions=False,
        notes_touch_case=False,
        webhooks=True,
        customer_notes=bool(settings.customer_flag_field),
        text=TextRules(subject_length=255, description_bytes=65_535, size=size, wide=wide),
    )
