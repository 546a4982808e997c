"""All scenarios by name."""

import inspect

from tests.crm_sync_service.espocrm import scenarios_cases, scenarios_notes, scenarios_people
from tests.crm_sync_service.espocrm.world import Scenario

_MODULES = (scenarios_cases, scenarios_notes, scenarios_people)
SCENARIOS: dict[str, Scenario] = {
    name: value
    for module in _MODULES
    for name, value in vars(module).items()
    if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
}
