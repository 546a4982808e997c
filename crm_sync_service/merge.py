"""The three-way merge of one field, as a pure function.

No clock and no author decides anything, with one exception that an administrator has to ask for: the policy `newest`
compares when both sides changed, for a true conflict only (docs/adr/0007).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Direction = Literal["both", "to_crm", "to_portal"]
Winner = Literal["portal", "crm", "newest", "ask"]
Side = Literal["portal", "crm"]
Verdict = Literal["agree", "push", "pull", "push and pull", "wait", "hold", "park"]

UNMAPPED = "\N{NULL}"
"""Marks a value of the CRM that has no counterpart in the portal; no stored text can begin with it."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Which way a field travels and who wins a true conflict."""

    direction: Direction
    winner: Winner
    """Counts only where the field travels both ways; otherwise the side it comes from wins."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """When each side was last changed, by its own clock; read by the policy `newest` only."""

    ours: datetime
    theirs: datetime


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A value that a person decided on. It counts as what both sides have, until one of them is changed again."""

    value: str | None
    over_ours: str | None
    """What the portal had when that was decided."""
    over_theirs: str | None
    """What the CRM had then."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do with one field."""

    verdict: Verdict
    """wait: for a person's choice; hold: the sides differ as a person decided; park: theirs has no counterpart here."""
    base: str | None
    """The last value both sides shared, as far as is now known."""
    value: str | None
    """What is written to the side that lacks it."""
    conflict: bool = False
    """Both sides changed it: the value that loses must be kept."""

    @property
    def pushes(self) -> bool:
        return self.verdict in {"push", "push and pull"}

    @property
    def pulls(self) -> bool:
        return self.verdict in {"pull", "push and pull"}


def decide(
    *,
    policy: Policy,
    base: str | None,
    ours: str | None,
    theirs: str | None,
    pushed: Collection[str | None],
    times: Times | None = None,
    wanted: Wanted | None = None,
) -> Decision:
    """Decide one field from three values in the portal's terms, as this CRM would store them.

    `pushed`: values we sent whose arrival is not known; finding one of them is our own write, acknowledged late.
    """
    if theirs in pushed:
        base = theirs
    if wanted is not None:
        return _fulfil(wanted, policy=policy, base=base, ours=ours, theirs=theirs, pushed=pushed, times=times)
    if ours == theirs:
        return Decision(verdict="agree", base=ours, value=ours)
    if theirs is not None and theirs.startswith(UNMAPPED):
        return Decision(verdict="park", base=base, value=ours)
    if theirs == base and policy.direction != "to_portal":
        return Decision(verdict="push", base=base, value=ours)
    if ours == base and policy.direction != "to_crm":
        return Decision(verdict="pull", base=base, value=theirs)
    verdict = _in_conflict(policy, times)
    value = {"push": ours, "pull": theirs}.get(verdict)
    return Decision(verdict=verdict, base=base, value=value, conflict=True)


def _in_conflict(policy: Policy, times: Times | None) -> Verdict:
    """Both sides changed it, or the one that it does not come from."""
    winner = {"to_crm": "portal", "to_portal": "crm"}.get(policy.direction, policy.winner)
    if winner == "newest":
        winner = "portal" if times is not None and times.ours > times.theirs else "crm"
    verdicts: dict[str, Verdict] = {"portal": "push", "crm": "pull", "ask": "wait"}
    return verdicts[winner]


def _fulfil(
    wanted: Wanted,
    *,
    policy: Policy,
    base: str | None,
    ours: str | None,
    theirs: str | None,
    pushed: Collection[str | None],
    times: Times | None,
) -> Decision:
    """Bring the decided value to the sides that lack it; a side that was changed since then is merged as ever."""
    value = wanted.value
    ours_is_old = ours in {value, wanted.over_ours}
    theirs_is_old = theirs in {value, wanted.over_theirs} or theirs in pushed
    if ours == theirs and not (ours != value and ours_is_old and theirs_is_old):
        return Decision(verdict="agree", base=ours, value=ours)
    if not (ours_is_old and theirs_is_old):
        return decide(
            policy=policy,
            base=value,
            ours=value if ours_is_old else ours,
            theirs=value if theirs_is_old else theirs,
            pushed=(),
            times=times,
        )
    push = theirs != value and policy.direction != "to_portal"
    pull = ours != value and policy.direction != "to_crm"
    verdict: Verdict = "push and pull" if push and pull else "push" if push else "pull" if pull else "hold"
    return Decision(verdict=verdict, base=base, value=value)
