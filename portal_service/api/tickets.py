"""Tickets by API: list, read, file, change."""

from typing import Any

from flask import Response

from portal_service.api import paging, problems
from portal_service.api.calls import Call, etag
from portal_service.api.operations import Answer, Who, operation
from portal_service.api.ticket_shapes import (
    Counts,
    HistoryLine,
    HistoryOut,
    StaffTicket,
    SyncOut,
    TicketChanges,
    TicketLine,
    TicketOut,
    TicketPage,
    TicketQuery,
    TransferIn,
    ticket_of,
)
from portal_service.crm.freshness import freshness
from portal_service.tickets import actions, queries
from portal_service.tickets.handling import NOT_EDITABLE
from portal_service.tickets.models import Ticket
from portal_service.web.texts import freshness_text

_TICKET = (TicketOut, StaffTicket)
_ONE = "/tickets/<int:number>"


@operation(
    "GET",
    "/tickets",
    who=Who.PERSON,
    tag="tickets",
    query=TicketQuery,
    answer=TicketPage,
    pages=("cases.cases", "staff.queue"),
)
def list_tickets(call: Call) -> Answer:
    """The tickets one may see, those not finished first of all.

    Customers find own tickets and those of accounts granted as a whole; agents find all.
    """
    call.agents_need_scope()
    asked = _filter(call)
    if call.query.get("after") and not queries.is_cursor(asked.after, asked.sort):
        raise paging.bad_cursor()
    limit = call.query["limit"]
    if call.is_staff:
        found = queries.tickets_for_staff(call.session, asked, limit=limit)
    else:
        found = queries.tickets_for_contact(call.session, call.contact, asked, limit=limit)
    return paging.page([TicketLine().dump(one) for one in found.items], found.next)


@operation("GET", "/tickets/counts", who=Who.PERSON, tag="tickets", answer=Counts, pages=("home.home",))
def count_tickets(call: Call) -> dict[str, Any]:
    """How many tickets there are by status: own ones, of agents those assigned to them."""
    call.agents_need_scope()
    if call.is_staff:
        return dict(queries.counts_by_status(call.session, assignee_id=call.staff.id))
    return dict(queries.counts_by_status(call.session, contact=call.contact, own_only=True))


@operation(
    "GET",
    _ONE,
    who=Who.HOLDER,
    tag="tickets",
    answers=_TICKET,
    conditional=True,
    pages=("cases.details", "staff.ticket", "guest.ticket", "tickets.ticket", "requests.received", "guest.received"),
)
def read_ticket(call: Call, number: int) -> Answer:
    """One ticket. Its ETag is its version, for If-Match."""
    return _shown(call, call.ticket(number))


@operation(
    "PATCH",
    _ONE,
    who=Who.STAFF,
    tag="tickets",
    body=TicketChanges,
    answer=StaffTicket,
    conditional=True,
    refusals=(409,),
    pages=("staff.edit", "staff_lists.bulk"),
)
def change_ticket(call: Call, number: int) -> Answer | Response:
    """Change status, priority, assignee, account, product, category or parent."""
    found = call.matched(number, "edit")
    if said := sorted({"subject", "description"} & call.body.keys()):
        # Answered, not raised: the history keeps the attempt (S44).
        actions.record_refusal(call.session, found, actor=call.actor(), field=", ".join(said), now=call.now)
        return problems.answer(problems.ApiProblem(409, "refused", NOT_EDITABLE))
    actions.edit(call.session, found, actor=call.actor(), changes=call.body, now=call.now)
    return _shown(call, found)


@operation(
    "DELETE",
    _ONE,
    who=Who.STAFF,
    tag="tickets",
    conditional=True,
    refusals=(409,),
    pages=("staff.confirm_delete", "staff.delete"),
)
def delete_ticket(call: Call, number: int) -> None:
    """Delete a ticket. Its Case stays in the CRM."""
    actions.delete(call.session, call.matched(number, "delete"), actor=call.actor(), now=call.now)


@operation(
    "POST",
    f"{_ONE}/restore",
    who=Who.STAFF,
    tag="tickets",
    answer=StaffTicket,
    refusals=(409,),
    pages=("staff_lists.restore",),
)
def restore_ticket(call: Call, number: int) -> Answer:
    """Bring a deleted ticket back."""
    found = queries.deleted_ticket(call.session, number)
    if found is None:
        raise problems.not_found()
    actions.restore(call.session, found, actor=call.actor(), now=call.now)
    return _shown(call, found)


@operation(
    "POST",
    f"{_ONE}/transfer",
    who=Who.STAFF,
    tag="tickets",
    body=TransferIn,
    answer=StaffTicket,
    conditional=True,
    refusals=(409,),
    pages=("staff.transfer",),
)
def transfer_ticket(call: Call, number: int) -> Answer:
    """Hand a ticket over: agent, account, product and an internal note in one step."""
    found = call.matched(number, "transfer")
    wanted = {name: getattr(found, name) for name in ("assignee_id", "account_id", "product_id")} | dict(call.body)
    actions.transfer(call.session, found, actor=call.actor(), now=call.now, **wanted)
    return _shown(call, found)


@operation(
    "POST", f"{_ONE}/review", who=Who.STAFF, tag="tickets", answer=StaffTicket, refusals=(409,), pages=("staff.ticket",)
)
def review_ticket(call: Call, number: int) -> Answer:
    """Say that an agent has looked at a new ticket, as opening its page does."""
    found = call.ticket(number, "edit")
    actions.mark_reviewed(call.session, found, actor=call.actor(), now=call.now)
    return _shown(call, found)


@operation(
    "POST",
    f"{_ONE}/solve",
    who=Who.HOLDER,
    tag="tickets",
    answers=_TICKET,
    conditional=True,
    refusals=(409,),
    pages=("cases.solve", "guest.solve"),
)
def solve_ticket(call: Call, number: int) -> Answer:
    """Mark a ticket as solved."""
    return _set_status(call, number, "solved", "close")


@operation(
    "POST",
    f"{_ONE}/reopen",
    who=Who.HOLDER,
    tag="tickets",
    answers=_TICKET,
    conditional=True,
    refusals=(409,),
    pages=("cases.reopen", "guest.reopen"),
)
def reopen_ticket(call: Call, number: int) -> Answer:
    """Take a ticket up again."""
    return _set_status(call, number, "open", "reopen")


@operation(
    "POST",
    f"{_ONE}/pending",
    who=Who.STAFF,
    tag="tickets",
    answer=StaffTicket,
    conditional=True,
    refusals=(409,),
    pages=("staff.edit",),
)
def make_ticket_pending(call: Call, number: int) -> Answer:
    """Let a ticket wait for its requester. To ask something, send a comment with `ask`."""
    return _set_status(call, number, "pending", "edit")


@operation(
    "POST",
    f"{_ONE}/close",
    who=Who.STAFF,
    tag="tickets",
    answer=StaffTicket,
    conditional=True,
    refusals=(409,),
    pages=("staff.close",),
)
def close_ticket(call: Call, number: int) -> Answer:
    """Close a ticket for good; a reply opens it again."""
    found = call.matched(number, "close")
    actions.close(call.session, found, actor=call.actor(), now=call.now)
    return _shown(call, found)


@operation(
    "GET", f"{_ONE}/history", who=Who.HOLDER, tag="tickets", answer=HistoryOut, pages=("cases.details", "staff.ticket")
)
def read_history(call: Call, number: int) -> dict[str, Any]:
    """What happened to a ticket, oldest first; customers get the public part."""
    lines = queries.history(call.session, call.ticket(number), public_only=not call.is_staff)
    return {"items": HistoryLine(many=True).dump(lines)}


@operation("GET", f"{_ONE}/sync", who=Who.HOLDER, tag="tickets", answer=SyncOut, pages=("tickets.ticket_freshness",))
def read_sync(call: Call, number: int) -> dict[str, Any]:
    """How well the Case in the CRM mirrors the ticket."""
    state = freshness(call.session, call.ticket(number), call.now)
    shown: dict[str, Any] = SyncOut().dump({"state": state.state, "text": freshness_text(state), "since": state.since})
    return shown


def _filter(call: Call) -> queries.TicketFilter:
    asked = call.query
    mine = bool(asked.get("mine"))
    return queries.TicketFilter(
        status=asked["status"],
        q=asked.get("q", ""),
        assignee_id=call.staff.id if mine and call.is_staff else asked.get("assignee"),
        unassigned=bool(asked.get("unassigned")),
        account_id=asked.get("account"),
        contact_id=call.contact.id if mine and not call.is_staff else asked.get("requester"),
        product_id=asked.get("product"),
        sort=asked["sort"],
        descending=asked["order"] == "desc",
        after=asked.get("after"),
    )


def _set_status(call: Call, number: int, status: str, action: str) -> Answer:
    found = call.matched(number, action)
    actions.set_status(call.session, found, status, actor=call.actor(found), now=call.now)
    return _shown(call, found)


def _shown(call: Call, ticket: Ticket) -> Answer:
    call.session.flush()
    return Answer(ticket_of(call, ticket), headers={"ETag": etag(ticket)})
