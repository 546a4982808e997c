"""What the administrator says about an export: the file of `--mapping`, in TOML."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portal_service.imports.columns import FIELDS
from portal_service.imports.errors import CannotImport
from portal_service.imports.rows import plain_name
from portal_service.tickets.lifecycle import PRIORITIES, STATUSES
from shared.emails import is_email

_VALUES = ("status", "priority", "type", "product", "category", "account")
_DEFAULTS = ("status", "type", "requester_email", "comments")
_ALLOWED = ("timezone", "date_format", "columns", "defaults", *_VALUES)
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "status": STATUSES,
    "priority": PRIORITIES,
    "comments": ("public", "internal"),
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How to read an export."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Column by field."""
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What a word of the export means, by field and plain name."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """For rows that say nothing."""
    zone: tzinfo = UTC
    """Of dates that name none."""
    date_format: str | None = None

    def words(self, field_: str) -> Mapping[str, str]:
        """The administrator's words for the values of a field."""
        return self.values.get(field_, {})

    def meant(self, field_: str, text: str) -> str:
        """A word as the administrator translates it, else as it is."""
        return self.words(field_).get(plain_name(text), text)

    def with_options(self, *, columns: Mapping[str, str], timezone: str | None) -> "Rules":
        """These rules with what was said on the command line, which counts more. Raises CannotImport."""
        for name in columns:
            _check_name("--column", name, FIELDS)
        zone = _zone(timezone) if timezone else self.zone
        return replace(self, columns={**self.columns, **columns}, zone=zone)


def read_rules(path: Path) -> Rules:
    """The rules in a mapping file. Raises CannotImport, which names the place."""
    try:
        with path.open("rb") as stream:
            told = tomllib.load(stream)
    except OSError as error:
        raise CannotImport(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotImport(f"{path} is no TOML: {error}") from error
    try:
        return _rules(told)
    except CannotImport as error:
        raise CannotImport(f"{path}: {error}") from error


def _rules(told: Mapping[str, Any]) -> Rules:
    for name in told:
        _check_name("the file", name, _ALLOWED)
    columns, defaults = _table(told, "columns"), _table(told, "defaults")
    for name in columns:
        _check_name("[columns]", name, FIELDS)
    for name, value in defaults.items():
        _check_name("[defaults]", name, _DEFAULTS)
        _check_choice(f"[defaults] {name}", name, value)
    return Rules(
        columns=columns,
        values={name: _value_table(told, name) for name in _VALUES},
        defaults=defaults,
        zone=_zone(_text(told, "timezone", "UTC")),
        date_format=_text(told, "date_format", "") or None,
    )


def _value_table(told: Mapping[str, Any], name: str) -> dict[str, str]:
    table = _table(told, name)
    for word, value in table.items():
        _check_choice(f"[{name}] {word}", name, value)
    return {plain_name(word): value for word, value in table.items()}


def _table(told: Mapping[str, Any], name: str) -> dict[str, str]:
    table = told.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise CannotImport(f'[{name}] has to be a table of texts, with lines like "word there" = "word here"')
    return table


def _text(told: Mapping[str, Any], name: str, default: str) -> str:
    value = told.get(name, default)
    if not isinstance(value, str):
        raise CannotImport(f'{name} has to be a text: write {name} = "..."')
    return value


def _check_name(place: str, name: str, allowed: tuple[str, ...]) -> None:
    if name not in allowed:
        raise CannotImport(f"{place} knows no {name!r}: it may have {', '.join(allowed)}")


def _check_choice(place: str, name: str, value: str) -> None:
    choices = _CHOICES.get(name)
    if choices and value not in choices:
        raise CannotImport(f"{place} = {value!r} cannot be: choose one of {', '.join(choices)}")
    if name == "requester_email" and not is_email(value):
        raise CannotImport(f"{place} = {value!r} is no e-mail address")


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CannotImport(f"there is no time zone {name!r}: give one like UTC or Europe/Amsterdam") from None
