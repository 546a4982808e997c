"""A portal that was restored from a backup: noticed by what it tells, and taken as it is when a person says so.

Its versions and numbers begin again at older ones, so without this its changes would be taken for late events, and its
old values for news (FAILURES 67).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service import lanes
from crm_sync_service.installation import suspect_restore
from crm_sync_service.lanes import Priority
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.models import Lane, Link, Replica
from shared.clock import from_text
from shared.database import Database
from shared.events import TicketChanged, dump
from shared.ticket_source import TicketSource

_CLOCKS_DIFFER = timedelta(minutes=5)
"""So far the clocks of several portal servers may be apart."""
_BATCH = 100
_WHAT_TO_DO = (
    "Nothing is written to the CRM until somebody has looked. If the portal was restored indeed, run "
    "`casebridge accept-portal`: where ticket and Case differ then, the Case's values are taken over"
)


def notice_restore(session: Session, crm: str, event: TicketChanged, *, now: datetime) -> None:
    """Raise the alarm and stop all writing if this event can only come from a portal with an older database."""
    replica = session.get(Replica, event.ticket_id)
    if replica is None:
        taken = select(Replica).where(Replica.number == event.number).limit(1)
        other = session.scalars(taken).first()
        if other is not None:
            words = f"The portal has given the number #{event.number} a second time. {_WHAT_TO_DO}"
            suspect_restore(session, crm, words, now=now)
        return
    if event.version > replica.version:
        return
    known_at = from_text(replica.body["changed_at"])
    if event.changed_at > known_at + _CLOCKS_DIFFER:
        words = (
            f"The portal tells of ticket #{event.number} as version {event.version}, changed at "
            f"{event.changed_at:%Y-%m-%d %H:%M} UTC, although version {replica.version} of "
            f"{known_at:%Y-%m-%d %H:%M} UTC is known. {_WHAT_TO_DO}"
        )
        suspect_restore(session, crm, words, now=now)


@dataclass(kw_only=True)
class Accepted:
    """What taking the portal as it is has changed."""

    tickets: int = 0
    older: int = 0
    """Tickets that the portal has in an older version than was known."""


def accept_portal(
    database: Database, source: TicketSource, mapping: CaseMapping, *, now: datetime
) -> Iterator[Accepted]:
    """Take each ticket as the portal has it now, and let the CRM's value win where it travels both ways.

    Yields the counts so far. Writing stays stopped; see `installation.end_read_only`.
    """
    counts, tickets = Accepted(), source.tickets()
    while batch := list(islice(tickets, _BATCH)):
        with database.write() as session:
            for ticket in batch:
                counts.tickets += 1
                counts.older += _accept(session, ticket, mapping, now=now)
        yield counts


def _accept(session: Session, ticket: TicketChanged, mapping: CaseMapping, *, now: datetime) -> bool:
    # The lane's row is held, so that no run stores over the link what it read before.
    session.get(Lane, ticket.ticket_id, with_for_update=True)
    replica = session.get(Replica, ticket.ticket_id)
    if replica is None or replica.version < ticket.version:
        return False
    if replica.version == ticket.version and from_text(replica.body["changed_at"]) >= ticket.changed_at:
        return False
    replica.version, replica.body, replica.number = ticket.version, dump(ticket), ticket.number
    link = session.get(Link, ticket.ticket_id)
    if link is not None:
        ours = mapping.ours(ticket, contact_id=None)
        both = {name for name, policy in mapping.policies.items() if policy.direction != "to_crm" and name in ours}
        link.base = {**link.base, **{name: ours[name] for name in both}}
    lanes.mark_due(session, [ticket.ticket_id], now=now, priority=Priority.BACKGROUND)
    return True
