"""Whatever people do on both sides, under any policy, with answers lost in between: both end equal and at rest."""

import itertools
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_sync_service.connectors.base import StaleError, UnreachableError
from crm_sync_service.links import ContactFound, LinkState, Order
from crm_sync_service.mapping import case_id_of
from crm_sync_service.merge import Policy
from crm_sync_service.reconcile import Reconciler
from tests.crm_sync_service.engine import START, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm

VALUES = ("low", "normal", "high", "urgent")
POLICIES = [
    Policy(direction=direction, winner=winner)
    for direction, winner in itertools.product(("both", "to_crm", "to_portal"), ("portal", "crm", "newest", "ask"))
]
STEPS = st.one_of(
    st.tuples(st.just("portal"), st.sampled_from(VALUES)),
    st.tuples(st.just("crm"), st.sampled_from(VALUES)),
    st.tuples(st.just("set"), st.sampled_from(VALUES)),
    st.tuples(st.just("run"), st.sampled_from(["well", "lost before", "lost after", "read lost"])),
    st.tuples(st.just("answer"), st.booleans()),
    st.tuples(st.just("decide"), st.sampled_from(["portal", "crm"])),
)


@dataclass
class World:
    """One ticket with one field that counts, its Case, and what is stored of both; a store for the reconciler."""

    policy: Policy
    conditional: bool
    clock: Any = START
    conflicts: list[Any] = field(default_factory=list)
    event: Any = None

    def __post_init__(self):
        self.ticket = new_ticket()
        self.link = LinkState(ticket_id=self.ticket.ticket_id)
        self.crm = FakeCrm(now=lambda: self.clock, conditional_update=self.conditional)
        mapping = self.crm.mapping()
        self.mapping = replace(mapping, policies={**mapping.policies, "priority": self.policy})
        self.orders = 0

    # The store.

    def save(self, link, *, did=(), conflicts=(), withdrawn=(), event=None, forget_notes=()):
        self.link = replace(link, orders=tuple(o for o in self.link.orders if o.number > link.orders_done))
        for found in conflicts:
            self.conflicts = [each for each in self.conflicts if each.winner is not None]
            self.conflicts.append(found)
        self.event = event or self.event

    def contact(self, ticket):
        return ContactFound(crm_id=ticket.contact.crm_id)

    def label(self, kind, crm_id):
        return None

    def now(self):
        return self.clock

    # What happens.

    def run(self, how="well"):
        self.crm.hooks.clear()
        when = {"lost before": "before", "lost after": "after"}.get(how)
        if when:
            self.crm.fail("update_case", UnreachableError(how), when=when)
        if how == "read lost":
            self.crm.fail("get_case", UnreachableError(how))
        reconciler = Reconciler(crm=self.crm, mapping=self.mapping, store=self)
        with suppress(UnreachableError, StaleError):
            outcome = reconciler.run(self.ticket, self.link, [])
            self.save(outcome.link)
            return outcome
        return None

    def portal(self, value):
        self.ticket = replace(
            self.ticket, version=self.ticket.version + 1, priority=value, changed_at=self.clock, changed_by="Sam"
        )

    def edit(self, value):
        self.crm.edit(case_id_of(self.ticket.ticket_id), priority=self.mapping.values.to_crm("priority", value))

    def answer(self, applies=True):
        """The portal takes what it is told by compare and set."""
        if self.event is None or self.event.pull_number <= self.ticket.pull_number:
            return
        changes = {change.field: change for change in self.event.changes}
        change = changes.get("priority")
        if applies and change is not None and change.before == self.ticket.priority:
            self.portal(change.after)
        self.ticket = replace(self.ticket, version=self.ticket.version + 1, pull_number=self.event.pull_number)

    def order(self, **order):
        self.orders += 1
        asked = Order(number=self.orders, do="set", by="Ada", at="2026-11-22T12:00:00Z", field="priority", **order)
        self.link = replace(self.link, orders=(*self.link.orders, asked))

    def decide(self, winner):
        waiting = [found for found in self.conflicts if found.winner is None]
        if waiting and "priority" in self.link.holds:
            [found] = waiting
            self.conflicts.remove(found)
            value = found.ours if winner == "portal" else found.theirs
            self.order(value=value, over=(found.ours, found.theirs))

    def do(self, step, detail):
        self.clock += timedelta(seconds=7)
        if step == "set":
            self.order(value=detail)
        else:
            {"portal": self.portal, "crm": self.edit, "run": self.run, "answer": self.answer, "decide": self.decide}[
                step
            ](detail)

    @property
    def theirs(self):
        fields = self.crm.fields_of(case_id_of(self.ticket.ticket_id))
        return self.mapping.values.from_crm("priority", fields["priority"])

    def settle(self):
        for _ in range(8):
            self.clock += timedelta(minutes=61)
            outcome = self.run()
            self.answer()
            self.decide("crm")
            if "priority" in self.link.holds and self.link.holds["priority"].kind == "frozen":
                release = Order(number=self.orders + 1, do="release", by="Ada", at="", field="priority")
                self.orders += 1
                self.link = replace(self.link, orders=(*self.link.orders, release))
        return outcome


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(policy=st.sampled_from(POLICIES), conditional=st.booleans(), steps=st.lists(STEPS, max_size=14))
def test_both_sides_end_equal_and_at_rest(policy, conditional, steps):
    world = World(policy, conditional)
    world.run()
    for step, detail in steps:
        world.do(step, detail)
    outcome = world.settle()
    written = [detail for step, detail in steps if step in {"portal", "crm", "set"}]
    assert {world.ticket.priority, world.theirs} <= {"normal", *written}
    if world.ticket.priority != world.theirs:
        # A person decided on a value that one of the sides cannot be given.
        assert policy.direction != "both"
        assert world.link.wanted["priority"].value in {world.ticket.priority, world.theirs}
        assert outcome.state == "failed"
    else:
        assert (outcome.state, world.link.orders, world.link.pending_push) == ("in_sync", (), {})
    writes = len(world.crm.writes)
    told = world.event
    world.settle()
    assert (len(world.crm.writes), world.event) == (writes, told)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(policy=st.sampled_from(POLICIES), ours=st.sampled_from(VALUES), theirs=st.sampled_from(VALUES))
def test_which_side_is_heard_first_changes_nothing(policy, ours, theirs):
    """The same two changes at the same moments: whichever of them is written first."""
    ends = []
    for order in (("portal", "crm"), ("crm", "portal")):
        world = World(policy, conditional=True)
        world.run()
        moment = world.clock + timedelta(seconds=10)
        for side in order:
            world.clock = moment
            world.do(side, ours if side == "portal" else theirs)
        world.settle()
        ends.append((world.ticket.priority, world.theirs))
    if policy.winner != "newest":
        assert ends[0] == ends[1]
    assert all(mine == other for mine, other in ends)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(policy=st.sampled_from(POLICIES), ours=st.sampled_from(VALUES), theirs=st.sampled_from(VALUES))
def test_the_value_that_loses_is_in_a_conflict(policy, ours, theirs):
    world = World(policy, conditional=True)
    world.run()
    world.do("portal", ours)
    world.do("crm", theirs)
    world.run()
    lost = {ours, theirs} - {world.ticket.priority, world.theirs, "normal"}
    world.settle()
    kept = {found.ours for found in world.conflicts} | {found.theirs for found in world.conflicts}
    assert lost <= kept
