"""Events read back from where a service stored them itself: nothing is checked again, which is many times quicker."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any, get_args, get_origin, get_type_hints

from shared.clock import from_text
from shared.events import SCHEMAS, Event

_Reader = Callable[[Any], Any]


def restore(type_: str, body: Mapping[str, Any]) -> Event:
    """The event of a body that `events.dump` made. Raises KeyError, TypeError or ValueError for any other body."""
    event: Event = _record(SCHEMAS[type_].record, body)
    return event


def _record(record: Any, body: Mapping[str, Any]) -> Any:
    names, readers = record.__dataclass_fields__, _readers(record)
    values = {name: value for name, value in body.items() if name in names}
    for name, reader in readers.items():
        if (value := values.get(name)) is not None:
            values[name] = reader(value)
    return record(**values)


@cache
def _readers(record: Any) -> dict[str, _Reader]:
    """How those of a record's values are read that are not the same in JSON."""
    found = {name: _reader(hint) for name, hint in get_type_hints(record).items()}
    return {name: reader for name, reader in found.items() if reader is not None}


def _reader(hint: Any) -> _Reader | None:
    inner = [each for each in get_args(hint) if each is not type(None) and each is not Ellipsis]
    if get_origin(hint) is tuple:
        return _each(_reader(inner[0]))
    if type(None) in get_args(hint):
        return _reader(inner[0])
    if is_dataclass(hint):
        return partial(_record, hint)
    plain: dict[Any, _Reader] = {uuid.UUID: uuid.UUID, datetime: from_text}
    return plain.get(hint)


def _each(reader: _Reader | None) -> _Reader:
    if reader is None:
        return tuple
    return lambda values: tuple(map(reader, values))
