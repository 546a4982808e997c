"""What people did on both sides and what the sync did to it: judged while it happens and again when all is quiet."""

from collections import defaultdict
from dataclasses import dataclass, field

Place = tuple[int, str]
"""A ticket, by its index, and a field."""
PULLED = ("status", "priority", "account", "product", "assignee")
"""Fields that travel both ways."""


@dataclass(kw_only=True)
class Discarded:
    """A value a person wrote that the sync replaced before the other side had ever seen it."""

    place: Place
    side: str
    value: str | None


@dataclass(kw_only=True)
class History:
    """All tickets of one schedule."""

    violations: list[str] = field(default_factory=list)
    portal_last: dict[Place, str | None] = field(default_factory=dict)
    """The last value a person wrote since all was quiet."""
    crm_last: dict[Place, str | None] = field(default_factory=dict)
    at_portal: dict[Place, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    """All values a field had since all was quiet."""
    at_crm: dict[Place, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    by_staff: dict[Place, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    """All values people ever wrote."""
    by_managers: dict[Place, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    decided: dict[Place, str | None] = field(default_factory=dict)
    """What a person chose in a conflict, until somebody writes the field again."""
    settled: dict[Place, str | None] = field(default_factory=dict)
    """The value when all was last quiet."""
    discarded: list[Discarded] = field(default_factory=list)
    changes: int = 0

    def violated(self, invariant: str, words: str) -> None:
        self.violations.append(f"{invariant}: {words}")

    def portal_wrote(self, place: Place, value: str | None) -> None:
        self.portal_last[place] = value
        self.decided.pop(place, None)
        self.at_portal[place].add(value)
        self.by_staff[place].add(value)

    def crm_wrote(self, place: Place, value: str | None) -> None:
        self.crm_last[place] = value
        self.decided.pop(place, None)
        self.at_crm[place].add(value)
        self.by_managers[place].add(value)

    def chose(self, place: Place, value: str | None) -> None:
        self.decided[place] = value
        self.by_staff[place].add(value)
        self.by_managers[place].add(value)

    def told(self, place: Place, value: str | None) -> None:
        """A CaseChanged says that this is new in the CRM."""
        if value not in self.by_managers[place]:
            self.violated("echo", f"{place} is said to be {value!r}, which no account manager wrote")

    def pulled(self, place: Place, *, before: str | None, after: str | None) -> None:
        """The portal took a value over from a CaseChanged."""
        if before not in self.at_crm[place]:
            self.discarded.append(Discarded(place=place, side="portal", value=before))
        self.at_portal[place].add(after)

    def pushed(self, place: Place, *, before: str | None, after: str | None, unseen: bool) -> None:
        """The sync wrote a value to the Case; `unseen`: over one that no CRM without conditions lets it see."""
        if place[1] in PULLED and after not in self.by_staff[place]:
            self.violated("echo", f"{place} of the Case became {after!r}, which nobody at the portal wrote")
        if not unseen and before not in self.at_portal[place]:
            self.discarded.append(Discarded(place=place, side="crm", value=before))
        self.at_crm[place].add(after)

    def created(self, place: Place, value: str | None) -> None:
        self.at_crm[place].add(value)

    def settle(self, place: Place, *, ours: str | None, theirs: str | None) -> None:
        """All is quiet: what is there now is what the next round begins with."""
        self.portal_last.pop(place, None)
        self.crm_last.pop(place, None)
        self.decided.pop(place, None)
        self.at_portal[place], self.at_crm[place] = {ours}, {theirs}
        self.settled[place] = ours

    def judge(self, place: Place, value: str | None) -> None:
        """I8: whose value a field ends with. Call before `settle`."""
        written = [last[place] for last in (self.portal_last, self.crm_last, self.decided) if place in last]
        allowed = written or ([self.settled[place]] if place in self.settled else [value])
        if value not in allowed:
            sides = [name for name, last in (("portal", self.portal_last), ("CRM", self.crm_last)) if place in last]
            self.violated("I8", f"{place} ends as {value!r}; last written by {sides or 'nobody'}: {allowed}")
