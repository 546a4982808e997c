"""Orders: what people ask the lane of a ticket to do. Only ever added to here; the lane's next run carries them out."""

import uuid
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.orm import Session

from crm_sync_service import lanes
from crm_sync_service.links import Demand, LinkState, Order
from crm_sync_service.models import Link
from shared.clock import to_text


def hold_link(session: Session, ticket_id: uuid.UUID, *, now: datetime) -> Link:
    """A ticket's link, made if there is none, that nobody else writes until this transaction ends; its lane is due."""
    # The lane's row is held by every writer of its link, so that nobody writes over what the other wrote.
    lanes.mark_due(session, [ticket_id], now=now)
    lanes.retry(session, [ticket_id], now=now)
    link = session.get(Link, ticket_id, populate_existing=True)
    if link is None:
        blank = LinkState(ticket_id=ticket_id)
        link = Link(ticket_id=ticket_id, state=blank.state, base={}, pending_push={}, parked={}, orders=[])
        link.order_number = 0
        session.add(link)
        # With the columns' defaults, which who asked may read.
        session.flush()
    return link


def add_order(
    session: Session,
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
    """Ask for something; the ticket's lane is due at once, also if it was parked."""
    link = hold_link(session, ticket_id, now=now)
    link.order_number += 1
    order = Order(
        number=link.order_number,
        do=do,
        by=by,
        at=to_text(now),
        why=why,
        field=field,
        value=value,
        over=over,
        conflict=conflict,
    )
    link.orders = [*link.orders, asdict(order)]
    session.flush()
    return order
