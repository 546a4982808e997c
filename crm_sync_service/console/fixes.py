"""What somebody needs to see to mend one field of one ticket (SPEC O7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.console.fields import KINDS
from crm_sync_service.mapping import OPTION_FIELDS, CaseMapping
from crm_sync_service.models import DirectoryRecord

_LISTED = 50


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The values a field can be set to."""

    options: Sequence[tuple[str, str]]
    """Value and name; the first of them if there are more."""
    searchable: bool
    """There are more than are listed: search for the one wanted."""
    free: bool
    """Any text will do."""


def read_choices(session: Session, field: str, *, mapping: CaseMapping, find: str) -> Choices:
    """What can be chosen for a field; `find`: part of a name."""
    if field in OPTION_FIELDS:
        keys: Mapping[str, str] = getattr(mapping.values, field)
        return Choices(options=[(key, key) for key in keys], searchable=False, free=False)
    if field not in KINDS:
        return Choices(options=(), searchable=False, free=field != "block")
    wanted = (DirectoryRecord.kind == KINDS[field], DirectoryRecord.active, DirectoryRecord.merged_into.is_(None))
    matching = (*wanted, DirectoryRecord.name.icontains(find, autoescape=True)) if find else wanted
    rows = session.scalars(select(DirectoryRecord).where(*matching).order_by(DirectoryRecord.name).limit(_LISTED))
    total = session.scalar(select(func.count()).select_from(DirectoryRecord).where(*wanted)) or 0
    return Choices(
        options=[(row.crm_id, _name(row)) for row in rows], searchable=total > _LISTED or bool(find), free=False
    )


def _name(row: DirectoryRecord) -> str:
    return f"{row.name} ({row.emails[0]})" if row.kind == "contact" and row.emails else row.name


def case_id_in(text: str) -> str:
    """The id somebody means who pasted an id, a number or a Case's address."""
    given = text.strip()
    if "://" not in given:
        return given
    for mark in ("record=", "record/", "view/"):
        if mark in given:
            return given.rsplit(mark, 1)[1].split("&")[0].split("/")[0].split("#")[0]
    return given.split("?")[0].split("#")[0].rstrip("/").rsplit("/", 1)[-1]
