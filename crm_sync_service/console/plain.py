"""Whatever the console shows, as JSON."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import inspect

from crm_sync_service.models import Base
from shared.clock import to_text


def as_json(value: Any) -> Any:
    """Moments as RFC 3339, spans in seconds, ids as text, rows and dataclasses as objects; everything else as it is."""
    if isinstance(value, Base):
        return {column.key: as_json(getattr(value, column.key)) for column in inspect(value).mapper.column_attrs}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_json(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, uuid.UUID) else value
