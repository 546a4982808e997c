"""Answers that take the same time whoever is meant, so that a clock tells nobody which addresses are known."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 0.15
"""More than looking somebody up and writing a mail takes on a machine that is not overloaded."""


@contextmanager
def same_time() -> Iterator[None]:
    """Lets the block take SECONDS, also when it ends by an exception."""
    started = time.monotonic()
    try:
        yield
    finally:
        time.sleep(max(0.0, SECONDS - (time.monotonic() - started)))
