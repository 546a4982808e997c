"""What a connector is given to work with, and how a kind of CRM is offered to the rest of Casebridge."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crm_sync_service.connectors.base import Connector

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SECRETS = ("api_key", "client_secret", "password", "secret_key", "webhook_secret")
"""Settings that are never shown."""
CREDENTIALS = {
    "api_key": "CRM_API_KEY",
    "client_id": "CRM_CLIENT_ID",
    "client_secret": "CRM_CLIENT_SECRET",
    "username": "CRM_USERNAME",
    "password": "CRM_PASSWORD",
    "secret_key": "CRM_SECRET_KEY",
    "webhook_secret": "CRM_WEBHOOK_SECRET",
}
"""What may be needed to be let in, with the setting of each."""


class ConfigError(Exception):
    """Settings that a connector cannot work with; the text says which and what would be right."""


@dataclass(frozen=True, kw_only=True)
class ConnectorConfig:
    """The settings about a CRM, the same for every kind; a connector takes what it needs."""

    url: str
    """Base address without a slash at its end."""
    api_key: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    """Signs requests, where a CRM wants that."""
    webhook_secret: str | None = field(default=None, repr=False)
    """Signs what the CRM sends to us; what it may hold is the connector's to say."""
    ca_file: Path | None = None
    """PEM file of authorities to trust beside the well-known ones."""
    allow_http: bool = False
    """Speak plain HTTP to another machine; for private networks only."""
    connections: int = 16
    fields: Mapping[str, str] = field(default_factory=dict)
    """The CRM's attribute by CaseField, from the mapping file; a field that is absent is not synced."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The table `[connector]` of the mapping file: what only this connector knows."""

    def need(self, name: str) -> str:
        """A credential that must be there. Raises ConfigError."""
        value = getattr(self, name)
        if not value:
            raise ConfigError(f"{CREDENTIALS[name]} is not set ({name} in a --config file): this CRM needs it")
        return str(value)

    def secrets(self) -> tuple[str, ...]:
        """Values that no log and no error may show."""
        return tuple(value for name in SECRETS if (value := getattr(self, name)))

    def check_url(self) -> None:
        """Raises ConfigError for an address that secrets must not be sent to."""
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            raise ConfigError("CRM_API_URL must not contain a user name or password: use the settings made for them")
        if parts.scheme == "https" or self.allow_http or _stays_inside(parts.hostname or ""):
            return
        raise ConfigError(
            f"CRM_API_URL={self.url} is plain HTTP to another machine, where anybody on the way could read the key: "
            "give its https:// address, or CRM_ALLOW_HTTP=1 (allow_http = true in a --config file) if the network "
            "between is private"
        )


def _stays_inside(host: str) -> bool:
    """Whether a host is this machine, or a bare name such as a container's, which only a private network knows."""
    loopback = host in _LOOPBACK or (host.startswith("127.") and host.replace(".", "").isdigit())
    return loopback or not (set(host) & {".", ":"})


@dataclass(frozen=True, kw_only=True)
class ConnectorKind:
    """One kind of CRM that Casebridge can speak to. Offered as an entry point of the group `casebridge.connectors`."""

    name: str
    title: str
    """The product's name, for people."""
    open: Callable[[ConnectorConfig], Connector]
    """Makes the connector without calling the CRM. Raises ConfigError."""
    mapping: Traversable
    """The mapping file that fits a delivered installation."""
    asks: tuple[str, ...] = ("api_key",)
    """The credentials that setting up asks for, of CREDENTIALS, in order."""
    hooks_by: str = ""
    """How its webhooks get our address and CRM_WEBHOOK_SECRET, which we choose; empty where that goes another way."""


def default_mapping(name: str) -> Traversable:
    """The mapping file that is shipped for a kind."""
    return files("crm_sync_service") / "mappings" / f"{name}.toml"
