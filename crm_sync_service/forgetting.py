"""What the sync service forgets when a ticket is redacted: every place of its own that holds words of it."""

import uuid

from sqlalchemy import delete, null, select, update
from sqlalchemy.orm import Session

from crm_sync_service.models import Activity, Conflict, ReplyReplica, inbox, outbox
from shared.events import InternalNoteAdded, ReplyAdded, dump
from shared.redaction import REDACTED, without_words
from shared.stored_events import restore


def forget_words(session: Session, ticket_id: uuid.UUID) -> None:
    """Replies, conflicts, the timeline, events on their way or sent, and events that could not be read."""
    for row in session.scalars(select(ReplyReplica).where(ReplyReplica.ticket_id == ticket_id)):
        said = restore(row.type, row.body)
        assert isinstance(said, ReplyAdded | InternalNoteAdded)
        row.body = dump(without_words(said))
    ours = {"ticket_id": ticket_id}
    blank = {"base": null(), "ours": null(), "theirs": null(), "why": null(), "ours_by": REDACTED}
    session.execute(update(Conflict).filter_by(**ours).values(blank))
    session.execute(update(Activity).filter_by(**ours).values(detail=REDACTED))
    events, odd = outbox.table, inbox.unreadable
    session.execute(delete(events).where(events.c.subject == str(ticket_id)))
    session.execute(update(odd).where(odd.c.subject == str(ticket_id)).values(body=REDACTED, error=REDACTED))
