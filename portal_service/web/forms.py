"""What was typed into a form and what is wrong with it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import request


@dataclass
class Entered:
    """A form being filled in: its values as typed, its errors as message keys by field."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def text(self, name: str) -> str | None:
        """What was typed, or None for nothing but space."""
        value = self.values.get(name, "")
        return value if value.strip() else None

    def id(self, name: str) -> uuid.UUID | None:
        """The record chosen in `name`; what is no id counts as no choice, because a page offers none."""
        try:
            return uuid.UUID(self.values.get(name, ""))
        except ValueError:
            return None

    def refuse(self, errors: Mapping[str, str]) -> None:
        self.errors.update(errors)

    @property
    def status_code(self) -> int:
        """The HTTP status with which the form is shown."""
        return 422 if self.errors else 200


def filled_in() -> dict[str, str]:
    """Subject and description that a link brings along, as from the troubleshooter (S81)."""
    return {name: request.args.get(name, "")[:4000] for name in ("subject", "description")}


def entered() -> Entered:
    """The text fields of the request."""
    return Entered({name: value for name, value in request.form.items() if name != "csrf_token"})
