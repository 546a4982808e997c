"""What is particular about one EspoCRM: names of its custom fields, and where people open it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_sync_service.connectors.config import ConfigError, ConnectorConfig

AUTO = "auto"
"""Take the first of the usual names that exists in the CRM's own metadata."""
DEFAULT_FIELDS: Mapping[str, str] = {
    "subject": "name",
    "description": "description",
    "status": "status",
    "priority": "priority",
    "account": "accountId",
    "contact": "contactId",
    "assignee": "assignedUserId",
    "product": AUTO,
    "ticket_number": AUTO,
    "ticket_url": AUTO,
}
USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "product": ("product", "cProduct"),
    "ticket_number": ("portalTicketNumber", "cPortalTicketNumber"),
    "ticket_url": ("portalTicketUrl", "cPortalTicketUrl"),
    "ticket_id": ("portalTicketId", "cPortalTicketId"),
    "reply_id": ("portalReplyId", "cPortalReplyId"),
}
"""A field made in EspoCRM's pages gets the prefix c, one made by a file has the plain name."""
_OPTIONS = frozenset({"ticket_id_field", "reply_id_field", "customer_mark", "products", "public_url"})
_BEHIND_ADDRESS = re.compile(r"/(api/v1/?)?(#.*)?$")


@dataclass(frozen=True, kw_only=True)
class EspoCrmSettings:
    """How one EspoCRM is set up."""

    url: str
    """Without "/api/v1"."""
    public_url: str
    """Where people open the CRM."""
    fields: Mapping[str, str] = field(default_factory=lambda: DEFAULT_FIELDS)
    """Attribute of a Case by CaseField; AUTO for product, ticket_number and ticket_url."""
    ticket_id_field: str = AUTO
    reply_id_field: str = AUTO
    customer_mark: str = "#send-to-customer"
    """A Post whose first word is this goes to the customer; "" if none ever may."""
    products: tuple[str, ...] = ()
    """Products to offer besides those found on Cases."""

    @classmethod
    def read(cls, config: ConnectorConfig) -> "EspoCrmSettings":
        """Raises ConfigError."""
        options = dict(config.options)
        if unknown := sorted(set(options) - _OPTIONS):
            raise ConfigError(
                f"[connector] {unknown[0]} is unknown for EspoCRM: give one of {', '.join(sorted(_OPTIONS))}"
            )
        url = address(config.url)
        return cls(
            url=url,
            public_url=address(_text(options, "public_url", "") or url),
            fields=dict(config.fields) or DEFAULT_FIELDS,
            ticket_id_field=_text(options, "ticket_id_field", AUTO),
            reply_id_field=_text(options, "reply_id_field", AUTO),
            customer_mark=_text(options, "customer_mark", "#send-to-customer").strip(),
            products=_texts(options, "products"),
        )


def address(url: str) -> str:
    """The address of an EspoCRM, also if it was copied from the browser or with the path of the API."""
    return _BEHIND_ADDRESS.sub("", url.strip())


def _text(options: Mapping[str, Any], name: str, default: str) -> str:
    value = options.get(name, default)
    if not isinstance(value, str):
        raise ConfigError(f"[connector] {name} must be a text")
    return value


def _texts(options: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = options.get(name, ())
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"[connector] {name} must be a list of texts")
    return tuple(values)
