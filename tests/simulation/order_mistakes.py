"""Mistakes in carrying out what administrators ask for, each planted into the product's own code."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crm_sync_service import gate, orders, reconcile, verdicts
from crm_sync_service.endings import Endings
from crm_sync_service.links import LinkState, Order, ReplyWork
from tests.simulation import memory
from tests.simulation.memory import LinkRow, MemoryDatabase

Patch = tuple[Any, str, Any]

_carry_out, _without_case = orders.carry_out, orders.without_case
_relink, _is_held = Endings.relink, verdicts._is_held


def _again_and_again(link: LinkState, order: Order) -> LinkState:
    """What was carried out is not remembered as done."""
    return replace(_carry_out(link, order), orders_done=link.orders_done)


def _skip_forgotten(link: LinkState, name: str, ours: Any) -> bool:
    """A field that is left out is mirrored like any other."""
    hold = link.holds.get(name)
    return _is_held(link, name, ours) and hold is not None and hold.kind != "skipped"


def _same_generation(link: LinkState, **values: Any) -> LinkState:
    """The next Case gets the ids and keys of the one before."""
    return replace(_without_case(link, **values), generation=link.generation)


def _any_case(self: Endings, _ticket: Any, case_id: str) -> Any:
    """A Case is taken over, whoever has it."""
    return self._survivor(case_id), None


def _notes_anew(self: Endings, ticket: Any, link: Any, replies: Sequence[ReplyWork], case_id: str) -> Any:
    """No Note of the other Case is looked at: all are written to it."""
    link, after, words = _relink(self, ticket, link, replies, case_id)
    return link, [replace(work, note_id=None) for work in after], words


def _always_may_call(_session: Any, _crm: str) -> bool:
    """The CRM is called though a person has stopped it."""
    return True


def _orders_lost(session: MemoryDatabase, link: LinkState) -> LinkRow:
    """A run writes the orders back as it had read them, over what people asked for since."""
    row = session.links.setdefault(link.ticket_id, LinkRow(link=link))
    row.link = link
    return row


def _not_given(link: LinkState, _order: Order) -> LinkState:
    """A value that was set by hand is forgotten."""
    return link


ORDER_MISTAKES: Mapping[str, Sequence[Patch]] = {
    "order_repeated": [(reconcile, "carry_out", _again_and_again)],
    "value_not_given": [(orders, "_set", _not_given)],
    "skip_forgotten": [(verdicts, "_is_held", _skip_forgotten)],
    "same_generation": [(orders, "without_case", _same_generation)],
    "stop_ignored": [(gate, "may_call", _always_may_call)],
    "orders_lost": [(memory, "save_link", _orders_lost)],
    "any_case_taken": [(Endings, "_claimed", _any_case)],
    "notes_anew": [(Endings, "relink", _notes_anew)],
}
