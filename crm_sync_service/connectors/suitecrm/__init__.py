"""SuiteCRM: see docs/howto/suitecrm.md."""

from crm_sync_service.connectors.config import ConnectorConfig, ConnectorKind, default_mapping
from crm_sync_service.connectors.suitecrm.connector import SuiteCrmConnector


def open_connector(config: ConnectorConfig) -> SuiteCrmConnector:
    """Raises ConfigError."""
    return SuiteCrmConnector(config)


KIND = ConnectorKind(
    name="suitecrm",
    title="SuiteCRM",
    open=open_connector,
    mapping=default_mapping("suitecrm"),
    asks=("client_id", "client_secret", "username", "password"),
    hooks_by="make the package with casebridge suitecrm-package and install it with the Module Loader",
)
