"""The simulation is worth something only if it finds mistakes: each of these, and soon."""

import pytest

from tests.simulation.mistakes import MISTAKES, seeds_for
from tests.simulation.run import kept, simulate_with

_MOST_SEEDS = 1000


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(mistake):
    for seed in seeds_for(mistake, (*kept(), *range(_MOST_SEEDS))):
        if simulate_with(mistake, seed).violations:
            return
    pytest.fail(f"{_MOST_SEEDS} schedules with the mistake {mistake} violated nothing")
