"""Who may do what in the console: one table."""

from collections.abc import Mapping
from typing import Literal

Right = Literal["view", "act", "configure"]

ROLES: Mapping[str, frozenset[Right]] = {
    "viewer": frozenset({"view"}),
    "operator": frozenset({"view", "act"}),
    "admin": frozenset({"view", "act", "configure"}),
}


def may(role: str, right: Right) -> bool:
    """Whether a role has a right; an unknown role has none."""
    return right in ROLES.get(role, frozenset())
