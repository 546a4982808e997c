from hypothesis import given
from hypothesis import strategies as st

from shared.retry import backoff_delay


def test_the_delay_doubles_up_to_the_most():
    delays = [backoff_delay(attempt, chance=1.0, first=1.0, most=10.0) for attempt in range(1, 7)]

    assert delays == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@given(attempt=st.integers(min_value=0, max_value=10**9), chance=st.floats(0, 1))
def test_the_delay_is_spread_over_the_upper_half_of_its_span(attempt, chance):
    most = backoff_delay(attempt, chance=1.0)

    assert most / 2 <= backoff_delay(attempt, chance=chance) <= most <= 30
