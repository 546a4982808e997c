"""The synced fields in words: what they are called, and what their values mean to people."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from crm_sync_service.merge import UNMAPPED
from crm_sync_service.models import DirectoryRecord
from shared.events import TicketChanged

KINDS: Mapping[str, str] = {"account": "account", "contact": "contact", "product": "product", "assignee": "user"}
"""The directory's kind of record, for fields that hold one."""
_LABELS = {"block": "managed block", "assignee": "assigned to"}


def label_of(field: str) -> str:
    return _LABELS.get(field, field)


def sentence_label(field: str) -> str:
    """As it begins a sentence or heads a row."""
    label = label_of(field)
    return label[:1].upper() + label[1:]


def ours_of(field: str, ticket: TicketChanged) -> str | None:
    """A ticket's value; None also for what only comparing finds out."""
    return {
        "subject": ticket.subject,
        "contact": ticket.contact.crm_id if ticket.contact else None,
        "status": ticket.status,
        "priority": ticket.priority,
        "account": ticket.account_crm_id,
        "product": ticket.product_crm_id,
        "assignee": ticket.assignee.crm_id if ticket.assignee else None,
    }.get(field)


def ours_in_words(field: str, ticket: TicketChanged) -> str | None:
    """The name the ticket itself carries, where it does."""
    return {
        "contact": ticket.contact.name if ticket.contact else None,
        "account": ticket.account_name,
        "product": ticket.product_name,
        "assignee": ticket.assignee.name if ticket.assignee else None,
    }.get(field)


class Names:
    """Names of the CRM's records, for people; each looked up once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[str, str], str] = {}

    def of(self, field: str, value: str | None) -> str:
        """A field's value in words; empty if there is none."""
        if value is None:
            return ""
        if value.startswith(UNMAPPED):
            return f"{value.removeprefix(UNMAPPED)} (unknown to the portal)"
        if field not in KINDS:
            return value
        key = (KINDS[field], value)
        if key not in self._known:
            record = self._session.get(DirectoryRecord, key)
            self._known[key] = record.name if record else value
        return self._known[key]
