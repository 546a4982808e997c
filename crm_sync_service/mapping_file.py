"""The mapping file of a CRM: which attribute each field of a ticket is, which way it travels, and in what words.

One TOML file; `mappings/` has one for each kind of CRM that fits a delivered installation.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any, get_args

from marshmallow import Schema, ValidationError, fields, validate

from crm_sync_service.connectors.base import CaseField, Connector
from crm_sync_service.connectors.config import ConfigError
from crm_sync_service.mapping import DEFAULT_POLICIES, OPTION_FIELDS, PULLABLE, WRITTEN_ONCE, CaseMapping, ValueMaps
from crm_sync_service.merge import Direction, Policy, Winner
from crm_sync_service.templates import (
    ATTACHMENT_PLACEHOLDERS,
    BLOCK_PLACEHOLDERS,
    DEFAULT_TEMPLATES,
    MORE_PLACEHOLDERS,
    NOTE_PLACEHOLDERS,
    SIDES,
    TemplateError,
    Templates,
    parse_template,
)

KEYS = {
    "status": ("new", "open", "pending", "solved", "closed"),
    "priority": ("low", "normal", "high", "urgent"),
}
"""The portal's own options."""
_NEEDED = ("subject", "description")
_LARGEST_BYTES = 256 * 1024
_PLACEHOLDERS = {
    "block": BLOCK_PLACEHOLDERS,
    "note_title": NOTE_PLACEHOLDERS,
    "note_body": NOTE_PLACEHOLDERS,
    "attachment": ATTACHMENT_PLACEHOLDERS,
    "more_attachments": MORE_PLACEHOLDERS,
}


@dataclass(frozen=True, kw_only=True)
class MappingFile:
    """A mapping file that makes sense in itself."""

    attributes: Mapping[str, str]
    """The CRM's attribute by CaseField."""
    policies: Mapping[str, Policy]
    values: ValueMaps
    templates: Templates
    options: Mapping[str, Any] = field(default_factory=dict)
    """For the connector."""

    def case_mapping(self, connector: Connector) -> CaseMapping:
        return CaseMapping(
            connector=connector,
            values=self.values,
            policies=self.policies,
            templates=self.templates,
            attributes=self.attributes,
            written_once=tuple(name for name in WRITTEN_ONCE if name in self.attributes),
        )


class _FieldSchema(Schema):
    attribute = fields.String(required=True, validate=validate.Length(min=1, max=200))
    direction = fields.String(validate=validate.OneOf(get_args(Direction), error="give one of {choices}"))
    policy = fields.String(validate=validate.OneOf(get_args(Winner), error="give one of {choices}"))
    values = fields.Dict(keys=fields.String(), values=fields.String(validate=validate.Length(min=1)))
    reads = fields.Dict(keys=fields.String(), values=fields.String())


class _TemplatesSchema(Schema):
    block = fields.String()
    note_title = fields.String()
    note_body = fields.String()
    attachment = fields.String()
    attachments = fields.String()
    more_attachments = fields.String()
    sides = fields.Dict(keys=fields.String(validate=validate.OneOf(SIDES)), values=fields.String())


class _FileSchema(Schema):
    fields_ = fields.Dict(
        keys=fields.String(validate=validate.OneOf(get_args(CaseField), error="there is no such field")),
        values=fields.Nested(_FieldSchema),
        required=True,
        data_key="fields",
    )
    templates = fields.Nested(_TemplatesSchema, load_default=dict)
    connector = fields.Dict(keys=fields.String(), load_default=dict)


def read_mapping(path: Traversable) -> MappingFile:
    """The mapping file at a path. Raises ConfigError with every problem found."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the mapping file {path} cannot be read: {error.strerror}") from error
    if len(raw) > _LARGEST_BYTES:
        raise ConfigError(f"the mapping file {path} is larger than {_LARGEST_BYTES:,} bytes")
    try:
        return parse_mapping(raw.decode())
    except MappingError as error:
        raise ConfigError(f"the mapping file {path} cannot be used: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the mapping file {path} is not UTF-8 text") from error


class MappingError(Exception):
    """What is wrong with a mapping file, each problem with the key it is about."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def parse_mapping(text: str) -> MappingFile:
    """Raises MappingError."""
    try:
        given = _FileSchema().load(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MappingError([f"this is no TOML: {error}"]) from error
    except ValidationError as error:
        raise MappingError(list(_flat(error.messages))) from error
    found = given["fields_"]
    problems = [*_field_problems(found)]
    templates = _templates(given["templates"], problems)
    if problems:
        raise MappingError(problems)
    return MappingFile(
        attributes={name: row["attribute"] for name, row in found.items()},
        policies={name: _policy(name, found[at]) for name in DEFAULT_POLICIES if (at := _stored_at(name)) in found},
        values=ValueMaps(
            **{name: found.get(name, {}).get("values", {}) for name in OPTION_FIELDS},
            read_only={name: found[name].get("reads", {}) for name in OPTION_FIELDS if name in found},
        ),
        templates=templates,
        options=given["connector"],
    )


def _stored_at(synced: str) -> str:
    return "description" if synced == "block" else synced


def _policy(name: str, row: Mapping[str, Any]) -> Policy:
    """What the file says, else: both ways and the CRM wins where that can be, else to the CRM only."""
    both = name in PULLABLE
    return Policy(
        direction=row.get("direction", "both" if both else "to_crm"),
        winner=row.get("policy", "crm" if both else "portal"),
    )


def _field_problems(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name in _NEEDED:
        if name not in found:
            yield f"fields.{name}: is missing, and nothing can be mirrored without it"
    for name, row in found.items():
        if name not in PULLABLE and row.get("direction", "to_crm") != "to_crm":
            yield f"fields.{name}.direction: {name} can only travel to_crm"
        if name not in PULLABLE and row.get("policy", "portal") != "portal":
            yield f"fields.{name}.policy: the portal owns {name}, so this can only be portal"
        if name in OPTION_FIELDS:
            yield from _option_problems(name, row)
        else:
            yield from (f"fields.{name}.{key}: only status and priority have options" for key in _maps_of(row))


def _maps_of(row: Mapping[str, Any]) -> list[str]:
    return [key for key in ("values", "reads") if key in row]


def _option_problems(name: str, row: Mapping[str, Any]) -> Iterator[str]:
    """Every option of the portal has one of the CRM, and each of the CRM reads as one of the portal."""
    values, reads = row.get("values", {}), row.get("reads", {})
    for key in KEYS[name]:
        if key not in values:
            yield f"fields.{name}.values.{key}: is missing: which of the CRM's options is it?"
    for key in values.keys() - set(KEYS[name]):
        yield f"fields.{name}.values.{key}: the portal has no such {name}; it has {', '.join(KEYS[name])}"
    for key, ours in reads.items():
        if ours not in KEYS[name]:
            yield f"fields.{name}.reads.{key}: the portal has no {name} {ours}; it has {', '.join(KEYS[name])}"
    for option in sorted(set(values.values())):
        sharing = [key for key, value in values.items() if value == option]
        if len(sharing) > 1 and reads.get(option) not in sharing:
            yield (
                f"fields.{name}.reads: {option!r} stands for {' and '.join(sharing)}: "
                f"say which of them it reads as, like {option!r} = {sharing[-1]!r}"
            )


def _templates(given: Mapping[str, Any], problems: list[str]) -> Templates:
    """The file's templates, the others as delivered."""
    parsed: dict[str, Any] = {}
    for name, allowed in _PLACEHOLDERS.items():
        if name in given:
            try:
                parsed[name] = parse_template(given[name], allowed)
            except TemplateError as error:
                problems.append(f"templates.{name}: {error}")
    default = DEFAULT_TEMPLATES
    return Templates(
        **{name: parsed.get(name, getattr(default, name)) for name in _PLACEHOLDERS},
        attachments=given.get("attachments", default.attachments),
        sides={**default.sides, **given.get("sides", {})},
    )


def _flat(messages: Any, path: str = "") -> Iterator[str]:
    """Marshmallow's nested messages as sentences that begin with the key's path."""
    if isinstance(messages, dict):
        for key, below in messages.items():
            # A Dict field tells of keys and of values apart.
            here = path if key in {"key", "value"} else f"{path}.{key}".lstrip(".")
            yield from _flat(below, here)
    elif isinstance(messages, list):
        yield from (f"{path}: {words}" for words in messages)
    else:
        yield f"{path}: {messages}"
