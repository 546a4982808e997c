"""How `casebridge verify` reads the portal's tickets, although the services do not import each other.

The portal offers a `TicketSource` under the entry point group `GROUP`; whoever needs one opens it by `open_source`.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import Protocol

from shared.events import InternalNoteAdded, ReplyAdded, TicketChanged
from shared.settings import SettingsError

GROUP = "casebridge.ticket_source"


class TicketSource(Protocol):
    """The portal's tickets as it would tell of them now. Memory does not grow with their number."""

    def count(self) -> int:
        """How many tickets there are, removed ones too."""
        ...

    def tickets(self, after: int = 0) -> Iterator[TicketChanged]:
        """Every ticket by its number, removed ones too (they have `deleted_at`); only those after a number."""
        ...

    def entries(self, ticket_id: uuid.UUID) -> Sequence[ReplyAdded | InternalNoteAdded]:
        """The ticket's replies and internal notes by position."""
        ...

    def unsent(self) -> int:
        """How many events of the portal wait to be published."""
        ...


def open_source() -> AbstractContextManager[TicketSource]:
    """The installed ticket source, with the settings of the environment. Raises SettingsError."""
    offers = list(entry_points(group=GROUP))
    if len(offers) != 1:
        raise SettingsError(
            f"{len(offers)} packages offer {GROUP!r}, one is needed: install portal_service next to crm_sync_service"
        )
    opened: AbstractContextManager[TicketSource] = offers[0].load()()
    return opened
