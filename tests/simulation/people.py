"""What people write on both sides, drawn by the seed."""

from datetime import datetime, timedelta
from random import Random
from typing import Protocol

from tests.crm_sync_service.fake_crm import PRIORITIES, STATUSES, _Case
from tests.simulation.crm import SimulatedCrm, around, spoiled
from tests.simulation.portal import SimulatedPortal
from tests.simulation.profile import LATEST, Profile

TICKETS = 3
_BY_HAND = 0.02


class Scene(Protocol):
    """What they find."""

    rng: Random
    profile: Profile
    clock: datetime
    portal: SimulatedPortal
    crm: SimulatedCrm

    def chance(self, probability: float) -> bool: ...

    def say(self, words: str) -> None: ...


class People:
    """Customers and support agents at the portal, account managers in the CRM."""

    def __init__(self, world: Scene) -> None:
        self.world = world
        self.values = 0

    def portal_write(self) -> None:
        live = [ticket for ticket in self.world.portal.tickets if ticket.now.deleted_at is None]
        if len(self.world.portal.tickets) < TICKETS and (not live or self.world.chance(0.2)):
            ticket = self.world.portal.submit(now=self.world.clock)
            self.world.say(f"portal: ticket {ticket.index} is submitted")
            return
        if not live:
            return
        ticket = self.world.rng.choice(live)
        if self.world.chance(self.world.profile.removals):
            self.world.portal.remove(ticket, now=self.world.clock)
            self.world.say(f"portal: ticket {ticket.index} is removed")
        elif self.world.chance(0.3):
            internal, attach = self.world.chance(0.3), self.world.chance(0.4)
            self.world.portal.say(ticket, internal=internal, attach=attach, now=self.world.clock)
            self.world.say(f"portal: ticket {ticket.index} gets {'an internal note' if internal else 'a reply'}")
        else:
            values = self.some_values({"status": list(STATUSES), "priority": list(PRIORITIES)})
            if self.world.chance(self.world.profile.refusals):
                values = {"product": f"unknown-{self.next_value()}"}
            self.world.portal.edit(ticket, values, now=self.world.clock)
            self.world.say(f"portal: ticket {ticket.index} {values}")

    def crm_write(self, *, to: str | None = None, late: float = 0) -> None:
        """`to`: the id of the Case, else any; `late`: how likely it commits late."""
        if self.world.profile.orders and self.world.chance(_BY_HAND):
            number = self.next_value()
            self.world.crm.make_by_hand(subject=f"by hand {number}", description=f"words {number}")
            self.world.say(f"CRM: a Case is made by hand, {number}")
        live = [case for case in self.world.crm.live() if to in {None, case.id}]
        if not live:
            return
        case = self.world.rng.choice(live)
        if self.world.chance(self.world.profile.removals):
            self.remove_case(case, [other for other in self.world.crm.live() if other is not case])
        elif self.world.chance(0.05):
            self.world.crm.write_note(case.id, "a note by hand")
        else:
            values = self.crm_values(case)
            lag = (
                LATEST * self.world.rng.random() if self.world.chance(late or self.world.profile.late) else timedelta(0)
            )
            self.world.crm.late_edit(case.id, lag=lag, by="Anna Visser", **values)
            self.world.say(f"CRM: Case {case.number} {values} {f'{lag} late' if lag else ''}")

    def crm_values(self, case: _Case) -> dict[str, str | None]:
        text = case.fields["description"] or ""
        roll = self.world.rng.random()
        if roll < 0.10:
            number = self.next_value()
            return {"description": around(text, before=f"before {number}", after=f"after {number}")}
        if roll < 0.13:
            return {"description": spoiled(text, away=self.world.chance(0.5))}
        if roll < 0.16:
            return {"subject": f"another subject {self.next_value()}"}
        if roll < 0.18:
            return {"status": "legal_hold"}
        return self.some_values({"status": list(STATUSES.values()), "priority": list(PRIORITIES.values())})

    def remove_case(self, case: _Case, others: list[_Case]) -> None:
        if others and self.world.chance(0.5):
            kept = self.world.rng.choice(others)
            self.world.crm.merge_case(case.id, into=kept.id)
            self.world.say(f"CRM: Case {case.number} is merged into {kept.number}")
        else:
            self.world.crm.delete_case(case.id)
            self.world.say(f"CRM: Case {case.number} is deleted")

    def some_values(self, options: dict[str, list[str]]) -> dict[str, str | None]:
        """One or two fields. Records are mostly new ones, so that a value tells who wrote it."""
        names = self.world.rng.sample(
            ("status", "priority", "account", "product", "assignee"), self.world.rng.choice((1, 1, 2))
        )
        return {
            name: self.world.rng.choice(options[name]) if name in options else self.some_record(name) for name in names
        }

    def some_record(self, name: str) -> str | None:
        roll = self.world.rng.random()
        if roll < 0.1:
            return None
        return f"{name}-{self.world.rng.randrange(3)}" if roll < 0.3 else f"{name}-{self.next_value()}"

    def next_value(self) -> int:
        self.values += 1
        return 100 + self.values
