"""Texts that the mapping file lays out: lines with placeholders, and nothing that could run.

A line is left out, with an empty line before it, where nothing that it names was given.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter

Values = Mapping[str, str | None]
"""By placeholder; None for what was not given."""

BLOCK_PLACEHOLDERS = (
    "number",
    "ticket_url",
    "link_url",
    "request_type",
    "category",
    "origin",
    "details",
    "attachments",
)
NOTE_PLACEHOLDERS = ("side", "author", "written_at", "body", "first_words", "attachments")
ATTACHMENT_PLACEHOLDERS = ("name", "size", "url")
MORE_PLACEHOLDERS = ("count", "ticket_url")
SIDES = ("customer", "staff", "internal", "system")


class TemplateError(ValueError):
    """A template that cannot be filled in; the text says why."""


@dataclass(frozen=True)
class Template:
    """Lines of literals and placeholders."""

    lines: Sequence[Sequence[tuple[str, str | None]]]

    def fill(self, values: Values) -> str:
        lines: list[str] = []
        for parts in self.lines:
            names = [name for _, name in parts if name]
            if names and all(values[name] is None for name in names):
                if lines and not lines[-1]:
                    lines.pop()
                continue
            lines.append("".join(literal + (values[name] or "" if name else "") for literal, name in parts))
        return "\n".join(lines)

    def pattern_of_first_line(self, known: Mapping[str, str]) -> str:
        """A regular expression for what the first line becomes; `known` gives those of some placeholders."""
        return "".join(re.escape(literal) + (known.get(name, ".*") if name else "") for literal, name in self.lines[0])


def parse_template(text: str, allowed: Collection[str]) -> Template:
    """Raises TemplateError for anything but plain placeholders of `allowed`."""
    return Template([_parse_line(line, allowed) for line in text.removesuffix("\n").split("\n")])


def _parse_line(line: str, allowed: Collection[str]) -> list[tuple[str, str | None]]:
    try:
        parts = list(Formatter().parse(line))
    except ValueError as error:
        raise TemplateError(f"{line!r}: {error}; write {{{{ or }}}} for a brace itself") from error
    for _, name, details, conversion in parts:
        if name is not None and (name not in allowed or details or conversion):
            raise TemplateError(f"{{{name}}} is unknown here: use {', '.join(f'{{{each}}}' for each in allowed)}")
    return [(literal, name) for literal, name, _, _ in parts]


@dataclass(frozen=True, kw_only=True)
class Templates:
    """All texts that Casebridge writes into Cases and Notes."""

    block: Template
    note_title: Template
    note_body: Template
    attachment: Template
    attachments: str
    """The line above a list of attachments."""
    more_attachments: Template
    sides: Mapping[str, str] = field(default_factory=dict)
    """Who wrote a Note, in words, by SIDES."""

    def is_ours(self, note_body: str) -> bool:
        """Whether the first line of a Note's body is one that this template writes."""
        sides = "|".join(map(re.escape, self.sides.values()))
        known = {"side": f"(?:{sides})", "written_at": r"\d{4}-\d\d-\d\d \d\d:\d\d", "author": ".+"}
        return re.fullmatch(self.note_body.pattern_of_first_line(known), note_body.partition("\n")[0]) is not None


DEFAULT_TEMPLATES = Templates(
    block=parse_template(
        "Ticket: #{number} {ticket_url}\n"
        "URL: {link_url}\n"
        "Request type: {request_type}\n"
        "Category: {category}\n"
        "{details}\n"
        "{attachments}",
        BLOCK_PLACEHOLDERS,
    ),
    note_title=parse_template("{side} {author}: {first_words}", NOTE_PLACEHOLDERS),
    note_body=parse_template("{side}: {author}, {written_at} UTC\n\n{body}\n\n{attachments}", NOTE_PLACEHOLDERS),
    attachment=parse_template("- {name} ({size} bytes) {url}", ATTACHMENT_PLACEHOLDERS),
    attachments="Attachments:",
    more_attachments=parse_template("and {count} more: {ticket_url}", MORE_PLACEHOLDERS),
    sides={"customer": "Customer", "staff": "Support", "internal": "Internal note", "system": "Portal"},
)
"""What the shipped mapping files say."""
