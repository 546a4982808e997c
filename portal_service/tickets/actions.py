"""Everything that can be done with a ticket, for pages, commands and consumers to call.

Each takes the `Session` of the caller's transaction, changes the ticket, its history and the mails that tell of it,
and puts one snapshot with a new version into the outbox. None commits. Refusals are `tickets.errors.Invalid` (what was
entered, by field) and `tickets.errors.Refused` (the person or the status).
"""

from portal_service.tickets.actor import SYSTEM, Actor, actor_for
from portal_service.tickets.conversation import add_internal_note, add_reply
from portal_service.tickets.from_crm import apply_case_change
from portal_service.tickets.handling import close, delete, edit, mark_reviewed, reopen, restore, set_status, transfer
from portal_service.tickets.history import record_refusal
from portal_service.tickets.rating import rate
from portal_service.tickets.records import read_records
from portal_service.tickets.submit import NewTicket, find_imported, submit_ticket

__all__ = [
    "SYSTEM",
    "Actor",
    "NewTicket",
    "actor_for",
    "add_internal_note",
    "add_reply",
    "apply_case_change",
    "close",
    "delete",
    "edit",
    "find_imported",
    "mark_reviewed",
    "rate",
    "read_records",
    "record_refusal",
    "reopen",
    "restore",
    "set_status",
    "submit_ticket",
    "transfer",
]
