"""The connector of Salesforce, by its REST API. Written from its public documentation; never run against a live one."""

from crm_sync_service.connectors.config import ConnectorKind, default_mapping
from crm_sync_service.connectors.salesforce.connector import SalesforceConnector

KIND = ConnectorKind(
    name="salesforce",
    title="Salesforce",
    open=SalesforceConnector,
    mapping=default_mapping("salesforce"),
    asks=("client_id", "client_secret"),
)
