"""EspoCRM, versions 8.4 to 10 (observed on 9.2.7)."""

from crm_sync_service.connectors.config import ConnectorKind, default_mapping
from crm_sync_service.connectors.espocrm.connector import EspoCrmConnector

KIND = ConnectorKind(
    name="espocrm",
    title="EspoCRM",
    open=EspoCrmConnector,
    mapping=default_mapping("espocrm"),
    asks=("api_key", "secret_key"),
)
