"""New versions of our programs: listed with date, size and checksum, served to those they are meant for (S83)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from portal_service.files.storage import StoredFile
from portal_service.knowledge.download_models import Download
from portal_service.knowledge.readers import VISIBILITIES, audiences
from portal_service.messages import message
from portal_service.people.models import User
from portal_service.tickets.errors import UNKNOWN, Invalid
from portal_service.tickets.text import REQUIRED, SUBJECT_TOO_LONG, clean_line

_MAX_VERSION = 60

VERSION_TOO_LONG = message("This is too long: please use at most 60 characters.")
ONE_FILE = message("Please choose exactly one file.")


@dataclass(frozen=True, kw_only=True)
class NewDownload:
    title: str
    version: str
    summary_en: str
    summary_nl: str
    article_slug: str
    visibility: str
    released_at: datetime | None
    """None if it is no date."""


def downloads_for(session: Session, reader: User | None, *, now: datetime) -> Sequence[Download]:
    """What this reader may have, by program, the newest first."""
    query = select(Download).where(_visible(reader, now)).order_by(Download.title, Download.released_at.desc())
    return session.scalars(query).all()


def download_for(session: Session, reader: User | None, download_id: uuid.UUID, *, now: datetime) -> Download | None:
    """None for an unknown, withdrawn and hidden one alike."""
    return session.scalar(select(Download).where(Download.id == download_id, _visible(reader, now)))


def all_downloads(session: Session) -> Sequence[Download]:
    """For staff, newest first, also those that were withdrawn."""
    return session.scalars(select(Download).order_by(Download.released_at.desc(), Download.title)).all()


def offer(session: Session, new: NewDownload, files: Sequence[StoredFile], *, by: str) -> Download:
    """Raises Invalid."""
    errors = {
        "title": _line_error(new.title, 255, SUBJECT_TOO_LONG),
        "version": _line_error(new.version, _MAX_VERSION, VERSION_TOO_LONG),
        "visibility": "" if new.visibility in VISIBILITIES else UNKNOWN,
        "released_at": "" if new.released_at else REQUIRED,
        "files": "" if len(files) == 1 else ONE_FILE,
    }
    found = {name: error for name, error in errors.items() if error}
    if found or new.released_at is None:
        raise Invalid(found)
    (file,) = files
    download = Download(
        title=clean_line(new.title),
        version=clean_line(new.version),
        released_at=new.released_at,
        summary_en=clean_line(new.summary_en),
        summary_nl=clean_line(new.summary_nl),
        article_slug=new.article_slug or None,
        visibility=new.visibility,
        name=file.name,
        content_type=file.content_type,
        size=file.size,
        sha256=file.sha256,
        added_by=by,
    )
    session.add(download)
    session.flush()
    return download


def _line_error(text: str, most: int, too_long: str) -> str:
    if not text.strip():
        return REQUIRED
    return too_long if len(text) > most else ""


def _visible(reader: User | None, now: datetime) -> ColumnElement[bool]:
    return Download.visibility.in_(audiences(reader)) & Download.withdrawn_at.is_(None) & (Download.released_at <= now)
