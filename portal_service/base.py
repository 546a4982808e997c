"""The declarative base of the portal's tables, its outbox and its inbox."""

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase

from shared.database import Database, UtcDateTime, new_metadata
from shared.inbox import Inbox
from shared.outbox import Outbox

SCHEMA = "portal"
SOURCE = "portal"


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}


outbox = Outbox(Base.metadata, source=SOURCE)
inbox = Inbox(Base.metadata)


def open_database(url: str, *, pool_size: int = 5) -> Database:
    return Database(url, schema=SCHEMA, migrations=Path(__file__).parent / "migrations", pool_size=pool_size)
