"""How long to wait before trying again."""


def backoff_delay(attempt: int, *, chance: float, first: float = 0.5, most: float = 30.0) -> float:
    """Seconds to wait after the `attempt`-th failure in a row (from 1): doubled each time, never above `most`.

    `chance`, from 0 to 1, picks a point in the upper half of the span, so that processes that failed together do
    not come back together.
    """
    # The exponent is bounded because 2.0 ** 1100 overflows and a process may fail for days.
    span = min(most, first * 2.0 ** min(max(attempt, 1) - 1, 60))
    return span * (0.5 + 0.5 * chance)
