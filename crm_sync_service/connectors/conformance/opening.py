"""A trial with the proxy that it needs, closed afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

from crm_sync_service.connection import open_connector
from crm_sync_service.connectors.conformance.config import CheckConfig
from crm_sync_service.connectors.conformance.proxy import LossyProxy
from crm_sync_service.connectors.conformance.trial import Trial
from crm_sync_service.connectors.http import trust


@contextmanager
def opened_trial(given: CheckConfig) -> Iterator[Trial]:
    """Raises ConfigError."""
    given.config.check_url()
    parts = urlsplit(given.config.url)
    proxy = LossyProxy(f"{parts.scheme}://{parts.netloc}", trust=trust(given.config))
    try:
        opener = partial(open_connector, given.kind, mapping=given.mapping)
        trial = Trial(config=given.config, opener=opener, proxy=proxy, account=given.account)
        try:
            yield trial
        finally:
            trial.close()
    finally:
        proxy.close()
