"""Drafts: what somebody has typed into the form of a request and not sent yet, one per person, type and contact."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal_service.base import Base
from portal_service.files import staging
from portal_service.messages import message
from portal_service.tickets.errors import Invalid
from portal_service.tickets.text import clean_body
from shared.ids import new_id

LIFETIME = timedelta(days=30)
"""How long a draft is kept after it was last saved, with its files."""
MAX_CHARACTERS = 200_000
_TELLING = ("subject", "description", "link_url", "error_text", "person", "customer_number", "document", "module")
"""Fields in which somebody has typed something; the others are choices and what the page filled in."""

CHANGED_ELSEWHERE = message("This draft was changed in another window or on another device.")
TOO_LONG = message("This is too long for a draft: please put the long part into a file.")


class Draft(Base):
    """Belongs to a log-in: nobody else ever reads it."""

    __tablename__ = "drafts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    type_key: Mapped[str] = mapped_column(String(64))
    contact_key: Mapped[str] = mapped_column(String(36), default="")
    """The contact an agent files for; empty for a customer's own."""
    values: Mapped[dict[str, Any]] = mapped_column(default=dict)
    files: Mapped[list[Any]] = mapped_column(default=list)
    """Ids of staged files."""
    revision: Mapped[int] = mapped_column(default=1)
    """Grows with each save, so that two windows do not overwrite each other unseen."""
    saved_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (UniqueConstraint("user_id", "type_key", "contact_key"),)

    @property
    def subject(self) -> str:
        return str(self.values.get("subject") or "").strip()

    @property
    def contact_id(self) -> uuid.UUID | None:
        return uuid.UUID(self.contact_key) if self.contact_key else None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which of a person's drafts."""

    user_id: uuid.UUID
    type_key: str
    contact_id: uuid.UUID | None = None

    @property
    def contact_key(self) -> str:
        return str(self.contact_id or "")


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What a form holds: its fields as typed and the staged files it names."""

    values: Mapping[str, str]
    files: Sequence[uuid.UUID] = field(default=())

    @property
    def is_blank(self) -> bool:
        return not self.files and not any(self.values.get(name, "").strip() for name in _TELLING)


class ChangedElsewhereError(Exception):
    """The draft is no longer the one this window knows; nothing was changed."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"the draft is at revision {revision}")
        self.revision = revision


def find(session: Session, place: Place, *, now: datetime) -> Draft | None:
    query = select(Draft).where(Draft.user_id == place.user_id, Draft.type_key == place.type_key)
    return session.scalar(query.where(Draft.contact_key == place.contact_key, Draft.expires_at > now))


def drafts_of(session: Session, user_id: uuid.UUID, *, now: datetime) -> Sequence[Draft]:
    """Newest first."""
    query = select(Draft).where(Draft.user_id == user_id, Draft.expires_at > now)
    return session.scalars(query.order_by(Draft.saved_at.desc())).all()


def save(
    session: Session, place: Place, typed: Typed, *, revision: int | None, owner: str, now: datetime
) -> Draft | None:
    """Keep what was typed; a form with nothing in it leaves no draft.

    `revision` is the one the window knows, 0 for none, None to save whatever there is. Raises ChangedElsewhereError,
    and Invalid for more than MAX_CHARACTERS.
    """
    if sum(len(name) + len(value) for name, value in typed.values.items()) > MAX_CHARACTERS:
        raise Invalid({"": TOO_LONG})
    found = find(session, place, now=now)
    known = found.revision if found else 0
    if found is not None and (found.values, found.files) == (_values(typed), _files(typed)):
        return found
    if revision is not None and found is not None and revision != known:
        raise ChangedElsewhereError(known)
    if typed.is_blank:
        forget(session, place)
        return None
    return _store(session, place, found, typed, owner=owner, now=now)


def forget(session: Session, place: Place) -> None:
    """Delete a draft: its request was filed, or its owner does not want it any more."""
    session.execute(
        delete(Draft).where(
            Draft.user_id == place.user_id, Draft.type_key == place.type_key, Draft.contact_key == place.contact_key
        )
    )


def discard(session: Session, user_id: uuid.UUID, draft_id: uuid.UUID) -> bool:
    """Delete one of a person's own drafts; False if there is none of this id."""
    found = session.scalar(select(Draft).where(Draft.id == draft_id, Draft.user_id == user_id))
    if found is not None:
        session.delete(found)
    return found is not None


def forget_expired(session: Session, *, now: datetime) -> None:
    session.execute(delete(Draft).where(Draft.expires_at <= now))


def _store(session: Session, place: Place, found: Draft | None, typed: Typed, *, owner: str, now: datetime) -> Draft:
    if found is None:
        forget(session, place)  # an expired one
        found = Draft(user_id=place.user_id, type_key=place.type_key, contact_key=place.contact_key, revision=0)
        session.add(found)
    found.values = _values(typed)
    found.files = _files(typed)
    found.revision += 1
    found.saved_at = now
    found.expires_at = now + LIFETIME
    staging.keep_until(session, typed.files, owner=owner, until=found.expires_at)
    session.flush()
    return found


def _values(typed: Typed) -> dict[str, str]:
    return {name: clean_body(value) for name, value in typed.values.items() if value}


def _files(typed: Typed) -> list[str]:
    return [str(one) for one in typed.files]
