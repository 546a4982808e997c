"""An engine over a fake CRM, on both databases."""

import pytest

from tests.crm_sync_service.engine import Engine
from tests.crm_sync_service.fake_crm import FakeCrm


@pytest.fixture
def crm():
    return FakeCrm()


@pytest.fixture
def engine(sync_database, crm):
    return Engine(sync_database, crm)
