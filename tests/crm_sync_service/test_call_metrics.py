"""Calls to the CRM as Prometheus counts them."""

import pytest
from prometheus_client import REGISTRY

from crm_sync_service.call_metrics import measured
from crm_sync_service.connectors.base import NotFoundError


def counted(**labels):
    return REGISTRY.get_sample_value("casebridge_crm_requests_total", labels) or 0


def test_a_call_is_counted_by_how_it_ended():
    fine, missing = counted(op="get_case", code="ok"), counted(op="get_case", code="not_found")
    with measured("get_case"):
        pass
    with pytest.raises(NotFoundError), measured("get_case"):
        raise NotFoundError("gone")
    assert counted(op="get_case", code="ok") == fine + 1
    assert counted(op="get_case", code="not_found") == missing + 1
