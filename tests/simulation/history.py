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
    ordered: set[Place] = field(default_factory=set)
    """Where administrators overrode both sides since all was quiet: what is lost there they saw."""
    loose: set[Place] = field(default_factory=set)
    """Where an order or another Case left open which side counts: any value is right that one of them had."""
    skipped: set[Place] = field(default_factory=set)
    """Fields that an administrator asked to leave out."""
    left_alone: set[Place] = field(default_factory=set)
    """Fields that were left out when all was last quiet, and are."""
    changes: int = 0

    def violated(self, invariant: str, words: str) -> None:
        self.violations.append(f"{invariant}: {words}")

    def portal_wrote(self, place: Place, value: str | None) -> None:
        self.portal_last[place] = value
        self._overtake(place)
        self.at_portal[place].add(value)
        self.by_staff[place].add(value)

    def crm_wrote(self, place: Place, value: str | None) -> None:
        self.crm_last[place] = value
        self._overtake(place)
        self.at_crm[place].add(value)
        self.by_managers[place].add(value)

    def chose(self, place: Place, value: str | None) -> None:
        if place in self.ordered and self.decided.get(place, value) != value:
            # A choice may be asked for between values that an order has just replaced; the order counts then.
            self.loose.add(place)
        self.decided[place] = value
        self.by_staff[place].add(value)
        self.by_managers[place].add(value)

    def _overtake(self, place: Place) -> None:
        """An order counts for what there is when it is carried out, which may be later than this."""
        if place not in self.ordered:
            self.decided.pop(place, None)

    def ordered_value(self, place: Place, value: str | None) -> None:
        """An administrator gives both sides a value, whatever they have."""
        self.ordered.add(place)
        self.chose(place, value)

    def unsure(self, place: Place) -> None:
        """An order takes a field, or the Case, out of the usual course."""
        self.ordered.add(place)
        self.loose.add(place)
        self.left_alone.discard(place)

    def skip(self, place: Place) -> None:
        self.unsure(place)
        self.skipped.add(place)

    def unskip(self, place: Place) -> None:
        self.left_alone.discard(place)
        self.skipped.discard(place)

    def adopted(self, place: Place, value: str | None) -> None:
        """A Case that somebody made by hand, or another ticket's before, is this ticket's from now on."""
        self.loose.add(place)
        self.at_crm[place] |= {value, None}
        self.by_managers[place].add(value)
        # What is empty there nobody emptied.
        self.at_portal[place].add(None)

    def told(self, place: Place, value: str | None) -> None:
        """A CaseChanged says that this is new in the CRM."""
        if value not in self.by_managers[place] and not (place in self.loose and value in self.at_crm[place]):
            self.violated("echo", f"{place} is said to be {value!r}, which no account manager wrote")

    def pulled(self, place: Place, *, before: str | None, after: str | None) -> None:
        """The portal took a value over from a CaseChanged."""
        self._refuse_left_alone(place, "the portal's", after)
        if before not in self.at_crm[place] and place not in self.ordered:
            self.discarded.append(Discarded(place=place, side="portal", value=before))
        self.at_portal[place].add(after)

    def pushed(self, place: Place, *, before: str | None, after: str | None, unseen: bool) -> None:
        """The sync wrote a value to the Case; `unseen`: over one that no CRM without conditions lets it see."""
        self._refuse_left_alone(place, "the Case's", after)
        known = after in self.by_staff[place] or (place in self.loose and after in self.at_portal[place])
        if place[1] in PULLED and not known:
            self.violated("echo", f"{place} of the Case became {after!r}, which nobody at the portal wrote")
        if not unseen and before not in self.at_portal[place] and place not in self.ordered:
            self.discarded.append(Discarded(place=place, side="crm", value=before))
        self.at_crm[place].add(after)

    def _refuse_left_alone(self, place: Place, whose: str, value: str | None) -> None:
        if place in self.left_alone:
            self.violated("skip", f"{whose} {place} became {value!r}, although it is left out")

    def created(self, place: Place, value: str | None) -> None:
        self.at_crm[place].add(value)
        # What the CRM gave a field that was left out is nobody's value, and none is lost with it.
        self.at_portal[place].add(value)

    def settle(self, place: Place, *, ours: str | None, theirs: str | None) -> None:
        """All is quiet: what is there now is what the next round begins with."""
        self.portal_last.pop(place, None)
        self.crm_last.pop(place, None)
        self.decided.pop(place, None)
        self.ordered.discard(place)
        self.loose.discard(place)
        self.at_portal[place], self.at_crm[place] = {ours}, {theirs}
        self.settled[place] = ours

    def judge(self, place: Place, value: str | None) -> None:
        """I8: whose value a field ends with. Call before `settle`."""
        written = [last[place] for last in (self.portal_last, self.crm_last, self.decided) if place in last]
        if place in self.loose:
            written += [*self.at_portal[place], *self.at_crm[place]]
        allowed = written or ([self.settled[place]] if place in self.settled else [value])
        if value not in allowed:
            sides = [name for name, last in (("portal", self.portal_last), ("CRM", self.crm_last)) if place in last]
            self.violated("I8", f"{place} ends as {value!r}; last written by {sides or 'nobody'}: {allowed}")
