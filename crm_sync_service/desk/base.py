"""The declarative base of the desk's tables; the desk shares no table with the sync service."""

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy.orm import DeclarativeBase

from shared.database import Database, UtcDateTime, new_metadata

SCHEMA = "crm"


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime}


def open_database(url: str, *, pool_size: int = 10) -> Database:
    return Database(url, schema=SCHEMA, migrations=Path(__file__).parent / "migrations", pool_size=pool_size)
