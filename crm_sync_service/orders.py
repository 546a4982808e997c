"""Carrying out what people asked for (decisions.py), at the beginning of a run. Pure."""

from dataclasses import replace
from typing import TypeVar

from crm_sync_service.links import Hold, LinkState, LinkStatus, Order, Wanted

Value = TypeVar("Value")
ADOPTION = "adoption"
"""Who holds the fields in which an adopted Case differs, until a person has chosen."""


def open_orders(link: LinkState) -> list[Order]:
    return [order for order in link.orders if order.number > link.orders_done]


def carry_out(link: LinkState, order: Order) -> LinkState:
    """The link as the person wants it; `relink` is the caller's, as it has to look at the Case."""
    link = replace(link, orders_done=order.number)
    match order.do:
        case "set":
            link = _set(link, order)
        case "skip":
            link = _hold(link, order)
        case "unskip":
            link = _release(link, order.field, kinds={"skipped"})
        case "release":
            link = _release(link, order.field, kinds={"refused", "frozen"} if order.field else {"refused"})
        case "recreate":
            link = replace(without_case(link, state="new"), case_number=None, case_url=None)
        case "unlink":
            words = f"{order.by} ended the mirroring of this ticket: {order.why}"
            link = replace(without_case(link, state="unlinked"), wanted={}, parked={"case": words})
    return link


def without_case(link: LinkState, *, state: LinkStatus) -> LinkState:
    """As before there was a Case; the next one and its Notes get ids and keys of their own."""
    return replace(
        link,
        state=state,
        case_id=None,
        base={},
        pending_create=None,
        pending_push={},
        pending_pull=None,
        parked={},
        holds={name: hold for name, hold in link.holds.items() if hold.kind == "skipped" or hold.by == ADOPTION},
        flips={},
        seen=None,
        generation=link.generation + 1,
        extra_notes={},
        notes_seen=None,
    )


def with_case(link: LinkState, case_id: str) -> LinkState:
    """Linked to another Case, of which nothing is known to be shared."""
    return replace(without_case(link, state="linked"), case_id=case_id, case_number=None, case_url=None)


def _set(link: LinkState, order: Order) -> LinkState:
    name = order.field or ""
    wanted = Wanted(
        value=order.value, by=order.by, at=order.at, why=order.why, conflict=order.conflict, over=order.over
    )
    held = {field: hold for field, hold in link.holds.items() if field != name or hold.kind == "skipped"}
    return replace(link, wanted={**link.wanted, name: wanted}, holds=held, flips=_without(link.flips, name))


def _hold(link: LinkState, order: Order) -> LinkState:
    name = order.field or ""
    hold = Hold(
        kind="skipped", words=f"{name} is left out, as {order.by} decided: {order.why}", by=order.by, at=order.at
    )
    return replace(link, holds={**link.holds, name: hold}, wanted=_without(link.wanted, name))


def _release(link: LinkState, name: str | None, *, kinds: set[str]) -> LinkState:
    holds = {
        field: hold
        for field, hold in link.holds.items()
        if hold.kind not in kinds or (name is not None and field != name)
    }
    return replace(link, holds=holds, flips=_without(link.flips, name) if name else link.flips)


def _without(values: dict[str, Value], name: str) -> dict[str, Value]:
    return {key: value for key, value in values.items() if key != name}
