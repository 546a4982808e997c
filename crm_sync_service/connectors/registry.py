"""Which connectors there are: those that are shipped, and those that other packages bring along."""

from importlib.metadata import EntryPoint, entry_points

from crm_sync_service.connectors.config import ConfigError, ConnectorKind

GROUP = "casebridge.connectors"
_SHIPPED = {
    name: EntryPoint(name, f"crm_sync_service.connectors.{name}:KIND", GROUP)
    for name in ("desk", "suitecrm", "espocrm", "salesforce")
}


def kind_names() -> list[str]:
    """What CRM_KIND may be."""
    return sorted({*_SHIPPED, *(entry.name for entry in entry_points(group=GROUP))})


def find_kind(name: str) -> ConnectorKind:
    """The kind of CRM with this name. Raises ConfigError."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)} | _SHIPPED
    if name not in found:
        raise ConfigError(f"CRM_KIND={name!r} is unknown: give one of {', '.join(kind_names())}")
    try:
        kind = found[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the connector {name!r} ({found[name].value}) cannot be loaded: {error}") from error
    if not isinstance(kind, ConnectorKind):
        raise ConfigError(f"the connector {name!r} ({found[name].value}) is no ConnectorKind: ask its author")
    return kind
