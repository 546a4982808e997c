"""What the merge says of all fields of a ticket, and what is left alone and why. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from crm_sync_service.connectors.base import CaseRecord
from crm_sync_service.flaps import flaps, with_moves
from crm_sync_service.links import ConflictFound, Hold, LinkState, Wanted
from crm_sync_service.mapping import CaseMapping, unmapped
from crm_sync_service.merge import UNMAPPED, Decision, Side, Times, decide
from shared.events import TicketChanged

Values = Mapping[str, str | None]
Decisions = dict[str, Decision]


def judge(mapping: CaseMapping, ticket: TicketChanged, link: LinkState, case: CaseRecord, ours: Values) -> Decisions:
    """One decision for each field, but those that the portal is asked about right now or that name strangers."""
    theirs = mapping.theirs(case.fields, known=[ours, link.base])
    asked = {change.field for change in link.pending_pull.event.changes} if link.pending_pull else set()
    left_alone = asked | unmapped(ticket).keys()
    times = Times(ours=ticket.changed_at, theirs=case.modified_at)
    decisions = {
        name: decide(
            policy=policy,
            base=link.base.get(name),
            ours=ours[name],
            theirs=theirs[name],
            pushed=link.pending_push.get(name, ()),
            times=times,
            wanted=link.wanted[name].for_merge(ours=ours[name], theirs=theirs[name]) if name in link.wanted else None,
        )
        for name, policy in mapping.policies.items()
        if name in ours and name not in left_alone
    }
    return {
        name: _at_rest(each, link.holds[name]) if _is_held(link, name, ours) else each
        for name, each in decisions.items()
    }


def _at_rest(decision: Decision, hold: Hold) -> Decision:
    """Nothing is written, but what is known to be shared is still kept up to date.

    A value that the CRM refuses is no reason not to take the one that somebody set there.
    """
    if decision.verdict == "agree" or (hold.kind == "refused" and not decision.pushes):
        return decision
    return replace(decision, verdict="hold", conflict=False)


def _is_held(link: LinkState, name: str, ours: Values) -> bool:
    """Whether a field is not to be written: a value once refused only as long as the ticket has it."""
    hold = link.holds.get(name)
    if hold is not None and hold.kind == "refused":
        return hold.value == ours.get(name)
    return hold is not None and hold.kind != "waiting"


def with_overs(link: LinkState, ours: Values, theirs: Values) -> LinkState:
    """What both sides have when a person's decision is first looked at is what it was decided over."""
    wanted = {
        name: each if each.over or name not in ours else replace(each, over=(ours[name], theirs[name]))
        for name, each in link.wanted.items()
    }
    return replace(link, wanted=wanted)


def agreed(
    mapping: CaseMapping,
    ticket: TicketChanged,
    link: LinkState,
    decisions: Decisions,
    case: CaseRecord,
    *,
    ours: Values,
    at: str,
) -> LinkState:
    """Remember what both sides now share, and why the rest is left alone."""
    theirs = mapping.theirs(case.fields, known=[ours, link.base])
    holds = {name: hold for name, hold in link.holds.items() if _lasts(hold, name, link, decisions, ours)}
    holds |= {name: _question(name, link, at) for name, each in decisions.items() if each.verdict == "wait"}
    # Any value but the base is news of the CRM: our writes in doubt arrived before it, or never will.
    clear = {name for name, each in decisions.items() if each.verdict == "agree" or theirs[name] != each.base}
    return replace(
        link,
        base={**link.base, **{name: decision.base for name, decision in decisions.items()}},
        pending_push={name: values for name, values in link.pending_push.items() if name not in clear},
        holds=holds,
        wanted={name: each for name, each in link.wanted.items() if not _is_met(decisions.get(name))},
        parked={
            **unmapped(ticket),
            **dict(_strangers(decisions, theirs)),
            **dict(_kept(link, decisions, theirs)),
            **{name: hold.words for name, hold in holds.items()},
        },
        seen=case.stamp,
        case_number=case.number or link.case_number,
        case_url=case.url or link.case_url,
    )


def _lasts(hold: Hold, name: str, link: LinkState, decisions: Decisions, ours: Values) -> bool:
    if hold.kind == "waiting":
        return name not in decisions
    if hold.kind == "refused" and _is_met(decisions.get(name)):
        return False
    return _is_held(link, name, ours)


def _question(name: str, link: LinkState, at: str) -> Hold:
    if (hold := link.holds.get(name)) is not None:
        return hold
    words = f"{name} was changed on both sides: a person has to choose"
    return Hold(kind="waiting", words=words, by="Casebridge", at=at)


def _is_met(decision: Decision | None) -> bool:
    return decision is not None and decision.verdict == "agree"


def _strangers(decisions: Decisions, theirs: Values) -> Iterator[tuple[str, str]]:
    for name, decision in decisions.items():
        if decision.verdict == "park":
            shown = (theirs[name] or "").removeprefix(UNMAPPED)
            yield name, f'the CRM has {name} "{shown}", which the portal does not know'


def _kept(link: LinkState, decisions: Decisions, theirs: Values) -> Iterator[tuple[str, str]]:
    for name, decision in decisions.items():
        if decision.verdict == "hold" and name in link.wanted:
            yield name, f'{name} stays "{theirs[name] or ""}" in the CRM only, as {link.wanted[name].by} decided'


def without_flapping(
    link: LinkState, decisions: Decisions, *, ours: Values, theirs: Values, at: str
) -> tuple[LinkState, Decisions, list[str]]:
    """Freeze what two parties set back and forth; returns also the names of newly frozen fields."""
    flips, frozen = dict(link.flips), {}
    for name, decision in decisions.items():
        if name in link.wanted or not (decision.pushes or decision.pulls):
            continue
        unanswered = bool(link.pending_push.get(name))
        flips[name] = with_moves(
            flips.get(name, ()), decision, ours=ours[name], theirs=theirs[name], at=at, unanswered=unanswered
        )
        if flaps(flips[name], decision):
            frozen[name] = _frozen(name, ours[name], theirs[name], at)
    rest = {name: decision for name, decision in decisions.items() if name not in frozen}
    return replace(link, flips=flips, holds={**link.holds, **frozen}), rest, list(frozen)


def _frozen(name: str, ours: str | None, theirs: str | None, at: str) -> Hold:
    values = f'"{ours or ""}" and "{theirs or ""}"' if name != "block" else "two texts"
    words = (
        f"{name} is set back and forth between {values}, by the portal and by somebody in the CRM: it is frozen "
        "until a person releases it"
    )
    return Hold(kind="frozen", words=words, by="Casebridge", at=at)


def conflicts_of(
    mapping: CaseMapping, decisions: Decisions, case: CaseRecord, ours: Values, *, winner: Side | None, crm: str
) -> list[ConflictFound]:
    """The conflicts that this side wins; with None those that wait for a person."""
    theirs = mapping.theirs(case.fields)
    return [
        ConflictFound(
            field=name,
            base=decision.base,
            ours=ours[name],
            theirs=theirs[name],
            policy=mapping.policies[name].winner,
            winner=winner,
            theirs_by=case.modified_by or crm,
            theirs_at=case.modified_at,
        )
        for name, decision in decisions.items()
        if decision.conflict and won_by(decision) == winner
    ]


def won_by(decision: Decision) -> Side | None:
    if decision.verdict == "wait":
        return None
    return "portal" if decision.pushes else "crm"


def overwritten(
    mapping: CaseMapping, changes: Values, *, before: CaseRecord, after: CaseRecord, crm: str
) -> list[ConflictFound]:
    """Values that somebody saved between our read and our write, where the CRM tells of them (FAILURES 20)."""
    if not after.replaced:
        return []
    was, lost = mapping.theirs(before.fields), mapping.theirs({**before.fields, **after.replaced})
    found = []
    for name, value in changes.items():
        if lost[name] in {was[name], value}:
            continue
        policy = mapping.policies[name]
        decision = decide(policy=policy, base=was[name], ours=value, theirs=lost[name], pushed=())
        found.append(
            ConflictFound(
                field=name,
                base=was[name],
                ours=value,
                theirs=lost[name],
                policy=policy.winner,
                winner=won_by(decision),
                theirs_by=before.modified_by or crm,
                theirs_at=after.modified_at,
            )
        )
    return found


def brought_back(lost: Sequence[ConflictFound], stored: Values, *, at: str) -> dict[str, Wanted]:
    """Overwritten values that win by the field's policy: both sides are to have them."""
    return {
        found.field: Wanted(value=found.theirs, by="Casebridge", at=at, over=(found.ours, stored[found.field]))
        for found in lost
        if found.winner == "crm"
    }
