"""Named places where a test may make a process die, sleep or fail.

`CASEBRIDGE_FAILPOINTS="relay.after_publish=exit:3,inbox.before_commit=sleep:0.2"`: at its third passing the
first place ends the process as `kill -9` would. Unset, which is always so in production, a place costs one
dictionary look-up.
"""

import os
import time
from collections import Counter


class FailpointError(Exception):
    """Raised by the action `raise`."""


_passed: Counter[str] = Counter()


def _parse(text: str) -> dict[str, tuple[str, float]]:
    actions = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        try:
            name, action = item.split("=", 1)
            verb, _, number = action.partition(":")
            actions[name] = (verb, float(number or 1))
        except ValueError:
            raise ValueError(f"CASEBRIDGE_FAILPOINTS: cannot read {item!r}, expected name=action:number") from None
    return actions


def arm(text: str) -> None:
    """Do as this says from now on. Raises ValueError."""
    _actions.clear()
    _actions.update(_parse(text))


SETTING = "CASEBRIDGE_FAILPOINTS"
_actions = _parse(os.environ.get(SETTING, ""))


def failpoint(name: str) -> None:
    """Do what the environment asks for at this place; nothing otherwise."""
    if name not in _actions:
        return
    verb, number = _actions[name]
    _passed[name] += 1
    if verb == "sleep":
        time.sleep(number)
    elif verb == "exit" and _passed[name] == int(number):
        os._exit(137)
    elif verb == "raise" and _passed[name] <= int(number):
        raise FailpointError(name)
