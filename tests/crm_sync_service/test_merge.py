"""The three-way merge: every combination of three values, every policy, what was pushed and what people decided."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crm_sync_service.merge import UNMAPPED, Policy, Times, Wanted, decide

MOMENT = datetime(2026, 11, 22, 12, tzinfo=UTC)
VALUES = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))
DIRECTIONS = ("both", "to_crm", "to_portal")
WINNERS = ("portal", "crm", "newest", "ask")
POLICIES = st.sampled_from(
    [Policy(direction=direction, winner=winner) for direction, winner in itertools.product(DIRECTIONS, WINNERS)]
)
PUSHED = st.lists(VALUES, max_size=2)
TIMES = st.builds(
    lambda apart: Times(ours=MOMENT, theirs=MOMENT + timedelta(seconds=apart)), st.integers(min_value=-3, max_value=3)
)
WANTED = st.one_of(st.none(), st.builds(Wanted, value=VALUES, over_ours=VALUES, over_theirs=VALUES))
CRM_WINS = Policy(direction="both", winner="crm")
PORTAL_WINS = Policy(direction="both", winner="portal")
NEWEST = Policy(direction="both", winner="newest")
ASK = Policy(direction="both", winner="ask")
TO_CRM = Policy(direction="to_crm", winner="portal")
TO_PORTAL = Policy(direction="to_portal", winner="crm")


@pytest.mark.parametrize(
    ("policy", "base", "ours", "theirs", "verdict", "conflict"),
    [
        (CRM_WINS, "a", "a", "a", "agree", False),
        (CRM_WINS, "a", "b", "b", "agree", False),
        (CRM_WINS, "a", "b", "a", "push", False),
        (CRM_WINS, "a", "a", "b", "pull", False),
        (CRM_WINS, "a", "b", "c", "pull", True),
        (PORTAL_WINS, "a", "b", "c", "push", True),
        (ASK, "a", "b", "a", "push", False),
        (ASK, "a", "a", "b", "pull", False),
        (ASK, "a", "b", "c", "wait", True),
        (TO_CRM, "a", "a", "b", "push", True),
        (TO_PORTAL, "a", "b", "a", "pull", True),
        (TO_PORTAL, "a", "a", "b", "pull", False),
        (CRM_WINS, "a", "a", None, "pull", False),
        (CRM_WINS, None, "a", None, "push", False),
    ],
)
def test_each_combination_has_one_verdict(policy, base, ours, theirs, verdict, conflict):
    decision = decide(policy=policy, base=base, ours=ours, theirs=theirs, pushed=())
    assert (decision.verdict, decision.conflict) == (verdict, conflict)


@pytest.mark.parametrize(("theirs_later_by", "verdict"), [(-1, "push"), (0, "pull"), (1, "pull")])
def test_the_newest_wins_a_true_conflict_where_an_administrator_asked_for_that(theirs_later_by, verdict):
    times = Times(ours=MOMENT, theirs=MOMENT + timedelta(seconds=theirs_later_by))
    decision = decide(policy=NEWEST, base="a", ours="b", theirs="c", pushed=(), times=times)
    assert (decision.verdict, decision.conflict) == (verdict, True)


@given(policy=POLICIES, base=VALUES, ours=VALUES, theirs=VALUES, pushed=PUSHED, times=TIMES, other=TIMES)
def test_no_clock_decides_anything_but_a_true_conflict_by_the_newest(policy, base, ours, theirs, pushed, times, other):
    one = decide(policy=policy, base=base, ours=ours, theirs=theirs, pushed=pushed, times=times)
    if policy.winner != "newest" or not one.conflict:
        assert one == decide(policy=policy, base=base, ours=ours, theirs=theirs, pushed=pushed, times=other)


def test_our_own_write_acknowledged_late_is_no_change_of_theirs():
    """FAILURES 21: a push arrived, its answer was lost, the portal changed the field again."""
    decision = decide(policy=CRM_WINS, base="a", ours="c", theirs="b", pushed=["b"])
    assert (decision.verdict, decision.conflict, decision.base) == ("push", False, "b")


def test_a_value_without_counterpart_is_neither_written_nor_taken():
    decision = decide(policy=CRM_WINS, base="a", ours="b", theirs=f"{UNMAPPED}legal", pushed=())
    assert decision.verdict == "park"


def carried_out(decision, ours, theirs):
    """Both sides after a decision."""
    return (decision.value if decision.pulls else ours), (decision.value if decision.pushes else theirs)


@given(policy=POLICIES, base=VALUES, ours=VALUES, theirs=VALUES, pushed=PUSHED, times=TIMES, wanted=WANTED)
def test_carrying_out_a_decision_ends_in_agreement_or_rest(policy, base, ours, theirs, pushed, times, wanted):
    """Convergence, idempotence and no echo: what was done is not done again, and not undone."""
    assume(policy.direction != "to_portal" or not pushed)
    one = decide(policy=policy, base=base, ours=ours, theirs=theirs, pushed=pushed, times=times, wanted=wanted)
    # Any value but the base is news of the CRM, and ends the doubt about what was pushed before.
    doubt = pushed if theirs == one.base and not one.pushes else ()
    ours, theirs = carried_out(one, ours, theirs)
    again = decide(policy=policy, base=one.base, ours=ours, theirs=theirs, pushed=doubt, times=times, wanted=wanted)
    if wanted is None:
        assert again.verdict == ("wait" if one.verdict == "wait" else "agree")
    ours_then, theirs_then = carried_out(again, ours, theirs)
    assert (ours_then, theirs_then) == (ours, theirs)
    assert not again.conflict or again.verdict == "wait"


@given(policy=POLICIES, base=VALUES, ours=VALUES, theirs=VALUES, pushed=PUSHED, times=TIMES, wanted=WANTED)
def test_no_value_is_invented(policy, base, ours, theirs, pushed, times, wanted):
    decision = decide(policy=policy, base=base, ours=ours, theirs=theirs, pushed=pushed, times=times, wanted=wanted)
    known = {ours, theirs} | ({wanted.value} if wanted else set())
    assert set(carried_out(decision, ours, theirs)) <= known


@given(policy=POLICIES, base=VALUES, ours=VALUES, theirs=VALUES, pushed=PUSHED, times=TIMES)
def test_no_change_of_one_side_is_lost_without_a_conflict(policy, base, ours, theirs, pushed, times):
    decision = decide(policy=policy, base=base, ours=ours, theirs=theirs, pushed=pushed, times=times)
    base = theirs if theirs in pushed else base
    if decision.pushes and theirs != base:
        assert decision.conflict
    if decision.pulls and ours != base:
        assert decision.conflict


@given(policy=POLICIES, base=VALUES, ours=VALUES, theirs=VALUES, times=TIMES)
def test_both_orders_of_arrival_end_with_the_same_values(policy, base, ours, theirs, times):
    """The portal's change seen first, or the CRM's: as both are compared as they are, there is one end."""
    together = _end(policy, base, ours, theirs, times)
    if policy.direction == "both" and base not in {ours, theirs}:
        pushed_first = decide(policy=policy, base=base, ours=ours, theirs=base, pushed=(), times=times)
        assert (pushed_first.verdict, pushed_first.value) == ("push", ours)
        # The account manager's change came while our write was under way: it is found before the write was.
        assert _end(policy, base, ours, theirs, times, pushed=[ours]) == together


def _end(policy, base, ours, theirs, times, pushed=()):
    decision = decide(policy=policy, base=base, ours=ours, theirs=theirs, pushed=pushed, times=times)
    return carried_out(decision, ours, theirs)


@given(policy=POLICIES, base=VALUES, ours=VALUES, theirs=VALUES, value=VALUES, pushed=PUSHED, times=TIMES)
def test_what_a_person_decided_reaches_every_side_that_may_have_it(policy, base, ours, theirs, value, pushed, times):
    wanted = Wanted(value=value, over_ours=ours, over_theirs=theirs)
    decision = decide(policy=policy, base=base, ours=ours, theirs=theirs, pushed=pushed, times=times, wanted=wanted)
    ours, theirs = carried_out(decision, ours, theirs)
    assert (theirs if policy.direction != "to_portal" else value) == value
    assert (ours if policy.direction != "to_crm" else value) == value
    assert not decision.conflict


@given(value=VALUES, over=VALUES, theirs=VALUES, newer=VALUES)
def test_a_change_after_a_persons_decision_is_not_undone_by_it(value, over, theirs, newer):
    wanted = Wanted(value=value, over_ours=over, over_theirs=theirs)
    decision = decide(policy=CRM_WINS, base="a", ours=over, theirs=newer, pushed=(), wanted=wanted)
    if newer not in {value, theirs}:
        assert carried_out(decision, over, newer) == (newer, newer)
