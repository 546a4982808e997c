"""The scenarios are worth something only if they notice when the handling of a surprise is missing."""

import pytest

from crm_sync_service.connectors.base import CrmError
from tests.crm_sync_service.espocrm.catalogue import SCENARIOS
from tests.crm_sync_service.espocrm.mistakes import MISTAKES, made
from tests.crm_sync_service.espocrm.world import a_world


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_noticed(name):
    with made(name) as scenario, a_world() as world:
        try:
            SCENARIOS[scenario](world)
        except (AssertionError, CrmError, pytest.fail.Exception):
            return
    pytest.fail(f"{scenario} is content with the mistake: {name}")
