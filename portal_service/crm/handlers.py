"""What the portal does with the events of the sync service."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.crm.directory import apply_directory_change
from portal_service.crm.models import CrmStatus, Mirror
from portal_service.tickets.errors import Invalid
from portal_service.tickets.from_crm import apply_case_change, apply_note_for_customer
from portal_service.tickets.models import Ticket
from shared.events import (
    CaseChanged,
    CrmStatusChanged,
    DirectoryChanged,
    Event,
    EventError,
    NoteForCustomer,
    Receipt,
)

_RESTORED = timedelta(minutes=5)
"""A receipt with an older number but compared so much later comes from a sync service restored from a backup."""

log = structlog.get_logger()


def apply(session: Session, event: Event, *, now: datetime) -> None:
    """Apply one event of the sync service; applying it again changes nothing. Raises EventError for one not for us."""
    match event:
        case CaseChanged():
            apply_case_change(session, event, now=now)
        case NoteForCustomer():
            _apply_note(session, event, now=now)
        case Receipt():
            _apply_receipt(session, event, now=now)
        case CrmStatusChanged():
            _apply_crm_status(session, event)
        case DirectoryChanged():
            apply_directory_change(session, event, now=now)
        case _:
            raise EventError(f"{event.type} is not for the portal")


def _apply_note(session: Session, event: NoteForCustomer, *, now: datetime) -> None:
    try:
        apply_note_for_customer(session, event, now=now)
    except Invalid as error:
        raise EventError(f"the Note {event.crm_note_id} of the CRM cannot be a reply: {error}") from error


def _apply_receipt(session: Session, receipt: Receipt, *, now: datetime) -> None:
    mirror = session.get(Mirror, receipt.ticket_id, with_for_update=True)
    if mirror is None:
        if session.scalar(select(Ticket.id).where(Ticket.id == receipt.ticket_id)) is None:
            log.warning("receipt_of_unknown_ticket", ticket_id=str(receipt.ticket_id), number=receipt.number)
            return
        mirror = Mirror(ticket_id=receipt.ticket_id)
        session.add(mirror)
    elif receipt.number <= mirror.receipt_number and receipt.compared_at <= mirror.compared_at + _RESTORED:
        return
    mirror.receipt_number = receipt.number
    mirror.state = receipt.state
    mirror.version = receipt.version
    mirror.case_id = receipt.case_id
    mirror.case_number = receipt.case_number
    mirror.case_url = receipt.case_url
    mirror.notes = receipt.notes
    mirror.reason = receipt.reason
    mirror.compared_at = receipt.compared_at
    mirror.decisions = receipt.decisions
    mirror.heard_at = now
    session.flush()


def _apply_crm_status(session: Session, event: CrmStatusChanged) -> None:
    status = session.get(CrmStatus, event.crm, with_for_update=True)
    if status is None:
        status = CrmStatus(crm=event.crm)
        session.add(status)
    elif event.checked_at < status.checked_at:
        return
    status.state = event.state
    status.since = event.since
    status.checked_at = event.checked_at
    status.reason = event.reason
    session.flush()
