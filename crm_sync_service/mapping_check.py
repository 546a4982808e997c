"""A mapping against the CRM's own description of its Cases: what could never be written, and what would be lost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import structlog

from crm_sync_service.connectors.base import CrmError, FieldInfo
from crm_sync_service.mapping import OPTION_FIELDS, CaseMapping

CHOSEN_BY_CONNECTOR = "auto"
"""An attribute that the connector looks for itself."""
_NEEDED_LENGTH = {"subject": 255, "ticket_number": 20, "ticket_url": 255}
"""Characters."""
_NEEDED_DESCRIPTION = 4000
_NO_TEXT = frozenset(
    {"int", "integer", "float", "double", "decimal", "currency", "bool", "boolean", "checkbox", "date", "datetime"}
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something in a mapping file that does not fit the CRM."""

    key: str
    """Its place in the file."""
    words: str
    fatal: bool = True
    """Values cannot be written at all; otherwise some are lost or shown to people as unknown."""

    def __str__(self) -> str:
        return f"{'problem' if self.fatal else 'warning'}: {self.key}: {self.words}"


def check_mapping(mapping: CaseMapping) -> Sequence[Problem]:
    """Everything that does not fit, as the CRM is now. Raises CrmError."""
    described = mapping.connector.case_fields()
    if described is None:
        return [Problem(key="fields", words="this CRM does not describe its fields: nothing was checked", fatal=False)]
    found = []
    for name, attribute in mapping.attributes.items():
        if attribute == CHOSEN_BY_CONNECTOR:
            continue
        info = described.get(attribute)
        found += [_unknown(name, attribute, described)] if info is None else list(_field(mapping, name, info))
    return [*found, *_left_empty(mapping, described)]


def _unknown(name: str, attribute: str, described: Mapping[str, FieldInfo]) -> Problem:
    close = get_close_matches(attribute, described, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return Problem(key=f"fields.{name}.attribute", words=f"the CRM's Cases have no field {attribute!r}{hint}")


def _field(mapping: CaseMapping, name: str, info: FieldInfo) -> Iterator[Problem]:
    if info.type.lower() in _NO_TEXT:
        yield Problem(key=f"fields.{name}.attribute", words=f"the CRM's field is of type {info.type}, not text")
    if name in OPTION_FIELDS:
        yield from _options(mapping, name, info)
    needed = _NEEDED_LENGTH.get(name, _NEEDED_DESCRIPTION if name == "description" else 0)
    if info.length is not None and info.length < needed:
        words = f"the CRM's field takes {info.length} characters only, so that longer ones are cut"
        yield Problem(key=f"fields.{name}.attribute", words=words, fatal=False)


def _options(mapping: CaseMapping, name: str, info: FieldInfo) -> Iterator[Problem]:
    if info.options is None:
        return
    values = {"status": mapping.values.status, "priority": mapping.values.priority}[name]
    reads = mapping.values.read_only.get(name, {})
    there = ", ".join(info.options)
    for key, option in values.items():
        if option not in info.options:
            yield Problem(key=f"fields.{name}.values.{key}", words=f"the CRM has no option {option!r}; it has {there}")
    for option in reads:
        if option not in info.options:
            words = f"the CRM has no option {option!r}; it has {there}"
            yield Problem(key=f"fields.{name}.reads.{option}", words=words, fatal=False)
    for option in info.options:
        if option and option not in values.values() and option not in reads:
            words = f"the CRM's option {option!r} has no counterpart: Cases with it wait for a person"
            yield Problem(key=f"fields.{name}.reads", words=words, fatal=False)


def _left_empty(mapping: CaseMapping, described: Mapping[str, FieldInfo]) -> Iterator[Problem]:
    mapped = set(mapping.attributes.values())
    for attribute, info in described.items():
        if info.required and attribute not in mapped:
            words = f"the CRM requires {attribute!r}, which nothing here fills: creating may be refused"
            yield Problem(key="fields", words=words, fatal=False)


def warn_about_mapping(mapping: CaseMapping) -> None:
    """Log what does not fit, when a worker starts; a CRM that cannot be asked now is asked by the lanes soon."""
    try:
        problems = check_mapping(mapping)
    except CrmError as error:
        log.warning("mapping_not_checked", reason=str(error))
        return
    for problem in problems:
        say = log.error if problem.fatal else log.warning
        say("mapping_problem", key=problem.key, problem=problem.words)
