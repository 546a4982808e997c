"""What changed in the CRM: the feed only marks lanes due; what is there is read by reconciling.

The cursor is the largest stamp seen in data. A quick look reads from it, a deep look from well behind it, for
changes that committed late with an older stamp (FAILURES 24-29).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from crm_sync_service.connectors.base import CaseStamp, Connector, FeedName, NoteStamp, newest_stamp
from crm_sync_service.feed_watch import FeedWatch
from crm_sync_service.lanes import Priority, hold, mark_due
from crm_sync_service.models import Cursor, Link, ReplyReplica
from crm_sync_service.operation_models import ForeignNote
from shared.database import Database
from shared.failpoints import failpoint

CASES: Final[FeedName] = "cases"
NOTES: Final[FeedName] = "notes"


def poll_cases(
    database: Database, crm: Connector, *, overlap: timedelta, now: datetime, watch: FeedWatch | None = None
) -> int:
    """Mark the lanes of changed Cases due; returns how many rows were news."""
    news, page, newest = 0, None, None
    since = start_of(database, crm, CASES, overlap=overlap)
    while True:
        answer = crm.changed_cases(since, page=page)
        if watch is not None:
            watch.saw(answer, since=since, first=page is None)
        with database.write() as session:
            news += _mark(session, answer.rows, now=now)
        newest, page = max(filter(None, (newest, answer.newest)), default=None), answer.next
        failpoint("feed.after_page")
        if page is None:
            break
    save_cursor(database, CASES, newest, now=now)
    return news


def _mark(session: Session, rows: Sequence[CaseStamp], *, now: datetime) -> int:
    """Rows whose stamp we wrote or read ourselves are echoes and cost nothing."""
    stamps = {row.case_id: row.stamp for row in rows}
    links = session.execute(
        select(Link.ticket_id, Link.case_id, Link.seen, Link.echo).where(
            Link.case_id.in_(stamps), Link.state == "linked"
        )
    ).all()
    changed = [ticket_id for ticket_id, case_id, seen, _ in links if stamps.get(case_id or "") != seen]
    echoes = [ticket_id for ticket_id, case_id, _, echo in links if stamps.get(case_id or "") == echo]
    # Who writes a link holds its lane, and all lanes at once.
    hold(session, {*changed, *echoes} if echoes else ())
    mark_due(session, changed, now=now, priority=Priority.PULL)
    if echoes:
        counted = update(Link).where(Link.ticket_id.in_(echoes), Link.echo.is_not(None))
        session.execute(counted.values(echoes=Link.echoes + 1, echo=None))
    return len(changed)


def poll_notes(database: Database, crm: Connector, *, overlap: timedelta, now: datetime) -> int:
    """Mark the lanes of Cases due that have a Note which is not ours and is new or changed; returns how many."""
    news, page, newest = 0, None, None
    since = start_of(database, crm, NOTES, overlap=overlap)
    while True:
        answer = crm.changed_notes(since, page=page)
        with database.write() as session:
            news += _mark_notes(session, answer.rows, now=now)
        newest, page = max(filter(None, (newest, answer.newest)), default=None), answer.next
        failpoint("feed.after_notes_page")
        if page is None:
            break
    save_cursor(database, NOTES, newest, now=now)
    return news


def _mark_notes(session: Session, rows: Sequence[NoteStamp], *, now: datetime) -> int:
    """Our own Notes are known by their ids; others are remembered, so that a row shown again is no news."""
    links = session.execute(
        select(Link.case_id, Link.ticket_id, Link.extra_notes).where(
            Link.case_id.in_({row.case_id for row in rows}), Link.state == "linked"
        )
    ).all()
    tickets = {case_id: ticket_id for case_id, ticket_id, _ in links}
    ours = {note_id for _, _, extra in links for note_id in extra.values()}
    ours |= set(
        session.scalars(
            select(ReplyReplica.note_id).where(
                ReplyReplica.ticket_id.in_(tickets.values()), ReplyReplica.note_id.in_({row.note_id for row in rows})
            )
        )
    )
    others = {row.note_id: row for row in rows if row.note_id not in ours and row.case_id in tickets}
    query = select(ForeignNote.note_id, ForeignNote.stamp).where(ForeignNote.note_id.in_(others))
    known = dict(session.execute(query).all())
    news = [row for row in others.values() if known.get(row.note_id) != row.stamp]
    for row in news:
        session.merge(ForeignNote(note_id=row.note_id, stamp=row.stamp, seen_at=now))
    changed = {tickets[row.case_id] for row in news}
    if changed:
        # The lane first, as everybody who writes a link does: in the other order two could wait for each other.
        mark_due(session, changed, now=now, priority=Priority.PULL)
        session.execute(update(Link).where(Link.ticket_id.in_(changed)).values(notes_told=Link.notes_told + 1))
    return len(news)


def forget_notes(session: Session, *, before: datetime) -> None:
    """Drop what was shown long ago."""
    session.execute(delete(ForeignNote).where(ForeignNote.seen_at < before))


def start_of(database: Database, crm: Connector, feed: str, *, overlap: timedelta) -> str | None:
    """Where to begin a look; None: at the very beginning."""
    with database.read() as session:
        cursor = session.get(Cursor, feed)
    stamp = cursor.stamp if cursor else _first_stamp(database, crm, feed)
    return crm.rewind(stamp, overlap) if stamp else None


def _first_stamp(database: Database, crm: Connector, feed: str) -> str | None:
    """Where a feed ends now, while no ticket has a Case: what lies before concerns nobody here."""
    if feed != CASES and feed != NOTES:  # noqa: PLR1714 (told apart by the type checker, too)
        return None
    stamp = newest_stamp(crm, feed)
    if stamp is None:
        return None
    with database.read() as session:
        begun = session.scalar(select(Link.ticket_id).where(Link.case_id.is_not(None)).limit(1)) is not None
    return None if begun else stamp


def save_cursor(database: Database, feed: str, newest: str | None, *, now: datetime) -> None:
    """Move the cursor on, never back."""
    with database.write() as session:
        cursor = session.get(Cursor, feed)
        if cursor is None:
            if newest is not None:
                session.add(Cursor(feed=feed, stamp=newest, polled_at=now))
            return
        cursor.stamp, cursor.polled_at = max(cursor.stamp, newest or cursor.stamp), now
