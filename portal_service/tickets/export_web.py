"""The lists of cases and tickets as files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, stream_with_context
from flask_babel import get_timezone
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal_service.people.models import Contact
from portal_service.tickets import export, queries
from portal_service.tickets.models import Ticket
from portal_service.tickets.queries import Page, TicketFilter
from portal_service.tickets.web import wanted_cases
from portal_service.web.listing import read_listing
from portal_service.web.texts import CUSTOMER_STATUS, PRIORITY, STATUS, name_of
from portal_service.web.visits import this_portal, this_visit

_AT_ONCE = 500
"""Tickets read by one statement."""

case_export_pages = Blueprint("case_exports", __name__, url_prefix="/cases")

Read = Callable[..., Page[Ticket]]


@case_export_pages.get("/export.csv")
def export_cases() -> Response:
    """What the list of cases shows with the same filters."""
    visit = this_visit()
    contact_id = visit.contact.id

    def read(session: Session, wanted: TicketFilter, *, limit: int) -> Page[Ticket]:
        return queries.tickets_for_contact(session, session.get_one(Contact, contact_id), wanted, limit=limit)

    return csv_file(case_columns(), wanted_cases(visit, read_listing()), read)


def csv_file(columns: Sequence[export.Column], wanted: TicketFilter, read: Read) -> Response:
    """A download of any length: read and sent in pieces."""
    lines = export.csv_lines(columns, _all(wanted, read))
    response = Response(stream_with_context(lines), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=tickets.csv"
    return response


def case_columns() -> list[export.Column]:
    zone = get_timezone()
    return [
        (_("Case"), lambda ticket: str(ticket.number)),
        (_("Subject"), lambda ticket: ticket.subject),
        (_("Status"), lambda ticket: str(CUSTOMER_STATUS[ticket.status])),
        (_("Product"), lambda ticket: _name(ticket.product)),
        (_("Category"), lambda ticket: name_of(ticket.category) if ticket.category else ""),
        (_("Account"), lambda ticket: _name(ticket.account)),
        (_("Submitted by"), lambda ticket: _name(ticket.contact)),
        (_("Assigned to"), export.assignee_text),
        (_("Created"), lambda ticket: export.moment_text(ticket.created_at, zone)),
        (_("Last opened"), lambda ticket: export.moment_text(ticket.opened_at or ticket.created_at, zone)),
        (_("Last activity"), lambda ticket: export.moment_text(ticket.last_activity_at, zone)),
        (_("Resolved"), lambda ticket: export.moment_text(ticket.resolved_at, zone)),
    ]


def staff_columns() -> list[export.Column]:
    own: list[export.Column] = [
        (_("Status"), lambda ticket: str(STATUS[ticket.status])),
        (_("Priority"), lambda ticket: str(PRIORITY[ticket.priority])),
        (_("Type"), lambda ticket: name_of(ticket.request_type)),
    ]
    shared = [column for column in case_columns() if column[0] != _("Status")]
    return [*shared[:2], *own, *shared[2:]]


def _all(wanted: TicketFilter, read: Read) -> Iterator[Ticket]:
    """Every ticket of a list, page by page; what is filed meanwhile shifts nothing, because pages go by key."""
    after: str | None = None
    while True:
        with this_portal().database.read() as session:
            page = read(session, replace(wanted, after=after), limit=_AT_ONCE)
        yield from page.items
        after = page.next
        if after is None:
            return


def _name(record: Any) -> str:
    return str(record.name) if record is not None else ""
