"""How a schedule is told in one line per step, and how a loop of the product is let go round once."""

import threading
from collections.abc import Mapping
from typing import Any

from shared.events import CaseChanged


class OneTurn(threading.Event):
    """Ends a loop after its first round."""

    waited = False

    def wait(self, timeout: float | None = None) -> bool:
        over, self.waited = self.waited, True
        return over


def words_of_event(event: Any) -> str:
    name = f"{event.type.split('.')[1]} {getattr(event, 'number', 0) % 1000}"
    if isinstance(event, CaseChanged):
        return f"{name} pull {event.pull_number} {[(c.field, c.before, c.after) for c in event.changes]}"
    return f"{name} v{getattr(event, 'version', '')} pull {getattr(event, 'pull_number', '')}"


def short(details: Mapping[str, Any]) -> str:
    return str({name: value if len(str(value)) < 30 else "..." for name, value in details.items()})
