"""Where people's orders are kept, in memory: what is SQL in order_book.py, repair.py and two functions of decisions.py.

All else of decisions.py and repair.py is the product's own code, which finds these rows in place of its tables'.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from crm_sync_service import decisions, repair
from crm_sync_service.decisions import DecisionError
from crm_sync_service.links import Demand, LinkState, Order
from shared.clock import to_text
from tests.simulation import memory_lanes
from tests.simulation.memory import Activity, LinkRow, MemoryDatabase, Replica, ReplyReplica
from tests.simulation.memory_conflicts import Conflict


class LinkView:
    """A stored link with the attributes of models.Link that people's orders read and write."""

    def __init__(self, row: LinkRow) -> None:
        self.__dict__["row"] = row

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__dict__["row"].link, name)
        return {key: asdict(hold) for key, hold in value.items()} if name == "holds" else value

    def __setattr__(self, name: str, value: Any) -> None:
        row = self.__dict__["row"]
        row.link = replace(row.link, **{name: value})

    @classmethod
    def find(cls, session: MemoryDatabase, ticket_id: uuid.UUID) -> "LinkView | None":
        row = session.links.get(ticket_id)
        return cls(row) if row else None


class LaneView:
    """models.Lane, read only."""

    @staticmethod
    def find(session: MemoryDatabase, ticket_id: uuid.UUID) -> Any:
        return session.lanes.get(ticket_id)


def hold_link(session: MemoryDatabase, ticket_id: uuid.UUID, *, now: datetime) -> LinkView:
    """order_book.hold_link."""
    memory_lanes.mark_due(session, [ticket_id], now=now)
    memory_lanes.retry(session, [ticket_id], now=now)
    row = session.links.setdefault(ticket_id, LinkRow(link=LinkState(ticket_id=ticket_id)))
    return LinkView(row)


def add_order(
    session: MemoryDatabase,
    ticket_id: uuid.UUID,
    *,
    do: Demand,
    by: str,
    now: datetime,
    why: str = "",
    field: str | None = None,
    value: str | None = None,
    over: tuple[str | None, str | None] | None = None,
    conflict: int | None = None,
) -> Order:
    """order_book.add_order."""
    link = hold_link(session, ticket_id, now=now)
    order = Order(
        number=len(link.orders) + 1,
        do=do,
        by=by,
        at=to_text(now),
        why=why,
        field=field,
        value=value,
        over=over,
        conflict=conflict,
    )
    link.orders = (*link.orders, order)
    return order


def retry(session: MemoryDatabase, ticket_ids: Sequence[uuid.UUID], *, by: str, now: datetime) -> int:
    """decisions.retry."""
    known = [ticket_id for ticket_id in ticket_ids if ticket_id in session.lanes]
    memory_lanes.mark_due(session, known, now=now)
    for ticket_id in known:
        for reply in session.replies.get(ticket_id, ()):
            reply.parked = None
        row = session.links.get(ticket_id)
        if row is not None and row.link.holds:
            add_order(session, ticket_id, do="release", by=by, now=now)
    memory_lanes.retry(session, known, now=now)
    return len(known)


def relink_case(
    session: MemoryDatabase, ticket_id: uuid.UUID, case_id: str, *, by: str, why: str, now: datetime
) -> None:
    """decisions.relink_case."""
    link = decisions._link(session, ticket_id, now=now)  # type: ignore[arg-type]
    if link.state == "ticket_deleted" or case_id == link.case_id:
        raise DecisionError("removed, or the same Case")
    if any(row.link.case_id == case_id for row in session.links.values()):
        raise DecisionError("that Case belongs to a ticket")
    add_order(session, ticket_id, do="relink", value=case_id, by=by, why=why, now=now)


def patches() -> Mapping[Any, Mapping[str, Any]]:
    return {
        decisions: {
            "add_order": add_order,
            "hold_link": hold_link,
            "retry": retry,
            "relink_case": relink_case,
            "load": lambda _type, body: body,
            "Replica": Replica,
            "ReplyReplica": ReplyReplica,
            "Conflict": Conflict,
            "Activity": Activity,
        },
        repair: {"Lane": LaneView, "Link": LinkView, "ReplyReplica": ReplyReplica, "lanes": memory_lanes},
    }
