"""A connector with its mapping file, opened from what is given; knows no settings and no database."""

from dataclasses import replace
from importlib.resources.abc import Traversable

from crm_sync_service.connectors.base import Connector
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.registry import find_kind
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.mapping_file import read_mapping


def open_connector(
    kind_name: str, config: ConnectorConfig, mapping: Traversable | None
) -> tuple[Connector, CaseMapping]:
    """A connector with a mapping file, or the one that is shipped for its kind; calls nobody. Raises ConfigError."""
    kind = find_kind(kind_name)
    file = read_mapping(mapping or kind.mapping)
    connector = kind.open(replace(config, fields=file.attributes, options=file.options))
    return connector, file.case_mapping(connector)
