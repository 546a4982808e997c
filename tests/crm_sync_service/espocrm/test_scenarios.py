"""Every scenario about the simulated EspoCRM holds."""

import pytest

from tests.crm_sync_service.espocrm.catalogue import SCENARIOS
from tests.crm_sync_service.espocrm.world import a_world


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    with a_world() as world:
        SCENARIOS[name](world)
