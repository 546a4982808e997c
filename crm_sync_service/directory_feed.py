"""Accounts, contacts, users and products of the CRM, announced to the portal: what changed, and daily all of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Text, cast, func, or_, select, update
from sqlalchemy.orm import Session

from crm_sync_service.alarms import clear_alarm, raise_alarm
from crm_sync_service.change_feed import save_cursor, start_of
from crm_sync_service.connectors.base import DIRECTORY_KINDS, Connector, DirectoryEntry, DirectoryKind
from crm_sync_service.contacts import directory_changed
from crm_sync_service.models import Cursor, DirectoryRecord, outbox
from shared.database import Database
from shared.emails import email_key
from shared.events import DirectoryChanged

REFRESHED = "directory_refresh"
REFRESH_EVERY = timedelta(days=1)
_FEW = 20
_PART = 0.1
"""So many records, or so large a part of a kind, may vanish at once; more is a fault or a lost right (FAILURES 48)."""


def poll_directory(database: Database, crm: Connector, *, overlap: timedelta, now: datetime) -> int:
    """Announce accounts, contacts, users and products that changed; returns how many did."""
    return sum(_poll_kind(database, crm, kind, overlap=overlap, now=now) for kind in DIRECTORY_KINDS)


def _poll_kind(database: Database, crm: Connector, kind: DirectoryKind, *, overlap: timedelta, now: datetime) -> int:
    changed: list[DirectoryEntry] = []
    page, newest = None, None
    since = start_of(database, crm, kind, overlap=overlap)
    while True:
        answer = crm.changed_directory(kind, since, page=page)
        with database.write() as session:
            changed += [entry for entry in answer.rows if _announce(session, entry, now=now)]
        newest, page = max(filter(None, (newest, answer.newest)), default=None), answer.next
        if page is None:
            break
    gone = 0
    if kind == "contact" and since is not None:
        gone = sum(_follow_merge(database, crm, entry, now=now) for entry in changed if entry.active)
    save_cursor(database, kind, newest, now=now)
    return len(changed) + gone


def _follow_merge(database: Database, crm: Connector, survivor: DirectoryEntry, *, now: datetime) -> int:
    """Announce contacts all of whose addresses another has now, and which are not found by them any more.

    They were merged, in a CRM that does not tell of it. Returns how many.
    """
    with database.read() as session:
        shared = _addresses_within(session, survivor)
    if not shared:
        return 0
    live = {found.crm_id for address in sorted(set(shared.values())) for found in crm.contacts_by_email(address)}
    gone = sorted(shared.keys() - live) if survivor.crm_id in live else []
    with database.write() as session:
        for crm_id in gone:
            record = session.get_one(DirectoryRecord, ("contact", crm_id))
            _announce_gone(session, record, "contact", merged_into=survivor.crm_id, now=now)
    return len(gone)


def _addresses_within(session: Session, survivor: DirectoryEntry) -> dict[str, str]:
    """Other live contacts whose addresses are all among this one's, each with its first."""
    mine = {email_key(email) for email in survivor.emails}
    text = func.lower(cast(DirectoryRecord.emails, Text))
    hits = [text.contains(json.dumps(email)[1:-1].lower(), autoescape=True) for email in survivor.emails]
    if not hits:
        return {}
    others = select(DirectoryRecord).where(DirectoryRecord.kind == "contact", DirectoryRecord.active, or_(*hits))
    return {
        record.crm_id: record.emails[0]
        for record in session.scalars(others)
        if record.crm_id != survivor.crm_id and record.emails and {email_key(each) for each in record.emails} <= mine
    }


def _announce(session: Session, entry: DirectoryEntry, *, now: datetime) -> bool:
    """Tell the portal of a record if it differs from what it was last told."""
    values = {
        "name": entry.name,
        "active": entry.active,
        "emails": list(entry.emails),
        "account_crm_id": entry.account_id,
        "merged_into": entry.merged_into,
    }
    record = session.get(DirectoryRecord, (entry.kind, entry.crm_id))
    if record is not None and {name: getattr(record, name) for name in values} == values:
        return False
    if record is None:
        record = DirectoryRecord(kind=entry.kind, crm_id=entry.crm_id, revision=0)
        session.add(record)
    for name, value in values.items():
        setattr(record, name, value)
    record.refreshed_at = now
    _tell(session, record, entry.kind, now=now)
    directory_changed(session, entry, now=now)
    return True


def _tell(session: Session, record: DirectoryRecord, kind: DirectoryKind, *, now: datetime) -> None:
    record.revision += 1
    event = DirectoryChanged(
        kind=kind,
        crm_id=record.crm_id,
        revision=record.revision,
        name=record.name,
        active=record.active,
        emails=tuple(record.emails),
        account_crm_id=record.account_crm_id,
        merged_into=record.merged_into,
    )
    outbox.add(session, event, now=now)


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What a full refresh of one kind found."""

    kind: DirectoryKind
    records: int
    changed: int
    """New, or other than the portal was told."""
    vanished: int
    """No longer there: announced as inactive."""
    doubtful: int = 0
    """So many vanished at once that nobody was told."""


def refresh_is_due(session: Session, *, now: datetime) -> bool:
    cursor = session.get(Cursor, REFRESHED)
    return cursor is None or now - cursor.polled_at >= REFRESH_EVERY


def refresh_directory(
    database: Database, crm: Connector, *, now: Callable[[], datetime], go_on: Callable[[int], bool] = lambda _: True
) -> list[Refreshed]:
    """Read every record of every kind. `go_on` is told how many more were read; False ends it at once."""
    found: list[Refreshed] = []
    for kind in DIRECTORY_KINDS:
        refreshed = _refresh_kind(database, crm, kind, now=now, go_on=go_on)
        if refreshed is None:
            return found
        found.append(refreshed)
    save_cursor(database, REFRESHED, now().isoformat(), now=now())
    return found


def _refresh_kind(
    database: Database,
    crm: Connector,
    kind: DirectoryKind,
    *,
    now: Callable[[], datetime],
    go_on: Callable[[int], bool],
) -> Refreshed | None:
    began, page, newest, records, changed = now(), None, None, 0, 0
    while True:
        answer = crm.changed_directory(kind, None, page=page)
        with database.write() as session:
            changed += sum(_announce(session, entry, now=now()) for entry in answer.rows)
            session.execute(
                update(DirectoryRecord)
                .where(DirectoryRecord.kind == kind, DirectoryRecord.crm_id.in_([row.crm_id for row in answer.rows]))
                .values(refreshed_at=now())
            )
        newest = max(filter(None, (newest, answer.newest)), default=None)
        records, page = records + len(answer.rows), answer.next
        if not go_on(len(answer.rows)):
            return None
        if page is None:
            break
    if start_of(database, crm, kind, overlap=timedelta(0)) is None:
        # The feed goes on from here, instead of reading all of it once more.
        save_cursor(database, kind, newest, now=now())
    vanished, doubtful = _announce_vanished(database, kind, began=began, records=records, now=now())
    return Refreshed(kind=kind, records=records, changed=changed, vanished=vanished, doubtful=doubtful)


def _announce_vanished(
    database: Database, kind: DirectoryKind, *, began: datetime, records: int, now: datetime
) -> tuple[int, int]:
    """Records that a full walk did not meet are gone; returns how many were announced and how many are doubtful."""
    unmet = or_(DirectoryRecord.refreshed_at.is_(None), DirectoryRecord.refreshed_at < began)
    with database.write() as session:
        gone = session.scalars(
            select(DirectoryRecord).where(DirectoryRecord.kind == kind, DirectoryRecord.active, unmet)
        ).all()
        alarm = f"directory_vanished:{kind}"
        if gone and (not records or len(gone) > max(_FEW, _PART * records)):
            words = (
                f"{len(gone):,} {kind}s are no longer in the CRM's list, which now has {records:,}: so many at once "
                "look like a lost right of the API user, so the portal keeps them. If they were deleted indeed, "
                "deactivate them in the portal"
            )
            raise_alarm(session, alarm, words, now=now)
            return 0, len(gone)
        clear_alarm(session, alarm)
        survivors = _survivors(session, gone) if kind == "contact" else {}
        for record in gone:
            _announce_gone(session, record, kind, merged_into=survivors.get(record.crm_id), now=now)
        return len(gone), 0


def _announce_gone(
    session: Session, record: DirectoryRecord, kind: DirectoryKind, *, merged_into: str | None, now: datetime
) -> None:
    record.active, record.merged_into = False, merged_into
    _tell(session, record, kind, now=now)
    entry = DirectoryEntry(kind=kind, crm_id=record.crm_id, name=record.name, active=False, merged_into=merged_into)
    directory_changed(session, entry, now=now)


def _survivors(session: Session, gone: Sequence[DirectoryRecord]) -> dict[str, str]:
    """The one live contact that has an address of a vanished one: merged, by a CRM that does not tell of it."""
    ids = {record.crm_id for record in gone}
    if not any(record.emails for record in gone):
        return {}
    owners: dict[str, set[str]] = {}
    for record in session.scalars(
        select(DirectoryRecord).where(DirectoryRecord.kind == "contact", DirectoryRecord.active)
    ):
        for email in record.emails if record.crm_id not in ids else ():
            owners.setdefault(email_key(email), set()).add(record.crm_id)
    heirs = {one.crm_id: {heir for email in one.emails for heir in owners.get(email_key(email), ())} for one in gone}
    return {crm_id: next(iter(found)) for crm_id, found in heirs.items() if len(found) == 1}
