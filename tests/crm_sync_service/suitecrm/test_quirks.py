"""SuiteCRM's quirks are dealt with, and each way of dealing with one is needed."""

import pytest

from crm_sync_service.connectors.base import CrmError
from tests.crm_sync_service.suitecrm.mistakes import MISTAKES, planted
from tests.crm_sync_service.suitecrm.scenarios import SCENARIOS
from tests.crm_sync_service.suitecrm.simulator import Simulator
from tests.crm_sync_service.suitecrm.world import open_world


@pytest.fixture
def world():
    with Simulator().served() as simulator:
        world = open_world(simulator, page_size=7)
        yield world
        world.crm.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_holds(world, name):
    SCENARIOS[name](world)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(world, mistake):
    scenario, _ = MISTAKES[mistake]
    with planted(mistake), pytest.raises((AssertionError, CrmError, LookupError, pytest.fail.Exception)):
        scenario(world)
