"""Files on their way into a ticket: kept for a day, or as long as the draft that names them."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from portal_service.base import Base
from portal_service.files.models import StagedFile
from portal_service.files.storage import Storage, StoredFile

LIFETIME = timedelta(days=1)
_GRACE = timedelta(hours=2)
"""Longer than any request takes: a form sent at the last moment still finds the content of its files."""
_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Upload(StoredFile):
    """A staged file as forms refer to it."""

    id: uuid.UUID


def stage(session: Session, files: Iterable[StoredFile], *, owner: str, now: datetime) -> list[Upload]:
    """Remember stored files for their owner."""
    rows = [
        StagedFile(
            owner=owner,
            name=file.name,
            content_type=file.content_type,
            size=file.size,
            sha256=file.sha256,
            created_at=now,
            expires_at=now + LIFETIME,
        )
        for file in files
    ]
    session.add_all(rows)
    session.flush()
    return [_upload(row) for row in rows]


def find(session: Session, ids: Sequence[uuid.UUID], *, owner: str, now: datetime) -> list[Upload]:
    """The owner's staged files with these ids, in the order of the ids; what is foreign or too old is left out.

    Uploads end in any order; the ids are in the one in which somebody chose the files.
    """
    if not ids:
        return []
    query = select(StagedFile).where(StagedFile.id.in_(ids), StagedFile.owner == owner, StagedFile.expires_at > now)
    found = {row.id: _upload(row) for row in session.scalars(query)}
    return [found[file_id] for file_id in dict.fromkeys(ids) if file_id in found]


def bytes_of(session: Session, *, owner: str, now: datetime) -> int:
    """How much an owner has staged."""
    query = select(func.coalesce(func.sum(StagedFile.size), 0))
    return int(session.scalar(query.where(StagedFile.owner == owner, StagedFile.expires_at > now)) or 0)


def keep_until(session: Session, ids: Collection[uuid.UUID], *, owner: str, until: datetime) -> None:
    """Let an owner's files live longer, with the draft that names them."""
    if ids:
        own = update(StagedFile).where(StagedFile.id.in_(ids), StagedFile.owner == owner, StagedFile.expires_at < until)
        session.execute(own.values(expires_at=until))


def drop(session: Session, file_id: uuid.UUID, *, owner: str, now: datetime) -> None:
    """The owner took a file out of the form again."""
    own = update(StagedFile).where(StagedFile.id == file_id, StagedFile.owner == owner)
    session.execute(own.values(expires_at=now))


def forget_expired(session: Session, storage: Storage, *, now: datetime) -> int:
    """Forget files nobody sent; what nothing else has is deleted from the storage. Returns how many were forgotten.

    Call it in a transaction of its own. Content written again a moment ago stays: its row is on its way.
    """
    old = session.scalars(select(StagedFile).where(StagedFile.expires_at < now - _GRACE).limit(_AT_ONCE)).all()
    contents = {row.sha256 for row in old}
    session.execute(delete(StagedFile).where(StagedFile.id.in_([row.id for row in old])))
    for sha256 in contents - _in_use(session, contents):
        storage.remove(sha256, unless_newer_than=now - _GRACE)
    return len(old)


def _in_use(session: Session, contents: Collection[str]) -> set[str]:
    """Which of these contents some table names. Every column called `sha256` counts, whoever made the table."""
    columns = [table.c.sha256 for table in Base.metadata.sorted_tables if "sha256" in table.c]
    return {found for column in columns for found in session.scalars(select(column).where(column.in_(contents)))}


def _upload(row: StagedFile) -> Upload:
    return Upload(id=row.id, name=row.name, content_type=row.content_type, size=row.size, sha256=row.sha256)


def total_bytes(files: Sequence[StoredFile]) -> int:
    return sum(file.size for file in files)
