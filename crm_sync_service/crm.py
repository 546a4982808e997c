"""The CRM that the settings name."""

from crm_sync_service.connection import open_connector
from crm_sync_service.connectors.base import Connector
from crm_sync_service.connectors.config import ConfigError
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.settings import SyncSettings
from shared.settings import SettingsError


def open_crm(settings: SyncSettings) -> tuple[Connector, CaseMapping]:
    """The connector and its mapping; calls nobody. Raises SettingsError."""
    try:
        return open_connector(settings.crm_kind, settings.crm, settings.crm_mapping)
    except ConfigError as error:
        raise SettingsError(str(error)) from error
