"""What schedules were made of: in how many of them each kind of CRM, fault, event and order really occurred."""

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.table import Table

from tests.simulation.world import World

KINDS = (
    "ids: ours",
    "ids: keys",
    "ids: neither",
    "policy: portal",
    "policy: crm",
    "policy: newest",
    "policy: ask",
    "conditional updates",
    "late visibility",
    "skewed clock",
    "coarse stamps",
    "lost answers",
    "a CRM that asks for a pause",
    "crashes",
    "stalls",
    "unordered delivery",
    "duplicates",
    "attachments",
    "internal notes",
    "Case deleted",
    "Cases merged",
    "merge followed",
    "ticket removed",
    "conflicts",
    "embedded: carries",
    "embedded: redelivered",
    "embedded: dead letters revived",
    "embedded: clock set",
    "embedded: disk full",
    "embedded: channel reopened",
    *(
        f"order: {name}"
        for name in (
            "set",
            "skip",
            "unskip",
            "release",
            "skip note",
            "unskip note",
            "recreate",
            "relink",
            "unlink",
            "retry",
            "reverse",
            "repair auto",
            "repair to-crm",
            "repair to-portal",
            "stop",
            "go on",
        )
    ),
)


def coverage(world: World) -> frozenset[str]:
    """The kinds that occurred in a schedule, when it has ended."""
    found = set(_of_profile(world)) | set(_of_people(world))
    found |= {f"order: {name}" for name in world.office.seen}
    if world.profile.transport == "embedded":
        found |= {"embedded: carries", *(f"embedded: {name}" for name, times in world.bus.seen.items() if times)}
    return frozenset(found)


def _of_profile(world: World) -> Iterator[str]:
    profile = world.profile
    yield f"ids: {profile.ids}"
    yield f"policy: {profile.winner}"
    chances = {
        "conditional updates": profile.conditional,
        "late visibility": profile.late,
        "skewed clock": profile.skew,
        "coarse stamps": profile.grain,
        "lost answers": profile.lost_answer,
        "a CRM that asks for a pause": profile.limited,
        "crashes": profile.crash,
        "stalls": profile.stalled,
        "unordered delivery": profile.unordered,
        "duplicates": profile.duplicate,
    }
    yield from (name for name, chance in chances.items() if chance)


def _of_people(world: World) -> Iterator[str]:
    tickets, cases = world.portal.tickets, world.crm.cases.values()
    happened = {
        "attachments": any(ticket.now.attachments for ticket in tickets),
        "internal notes": any(not hasattr(reply, "reply_id") for ticket in tickets for reply in ticket.replies),
        "Case deleted": any(case.deleted and case.merged_into is None for case in cases),
        "Cases merged": any(case.merged_into for case in cases),
        "merge followed": any(
            world.crm.current.get(index, "").startswith("by-hand")
            for index in range(len(tickets))
            if "relink" not in world.office.case_orders.get(index, ())
        ),
        "ticket removed": any(ticket.now.deleted_at for ticket in tickets),
        "conflicts": bool(world.conflicts()),
    }
    yield from (name for name, did in happened.items() if did)


def table_of(found: Iterable[frozenset[str]], *, seeds: int) -> Table:
    """In how many schedules each kind occurred; what occurred in none is shown too."""
    counts = Counter(name for each in found for name in each)
    table = Table("In so many schedules", "occurred", title=f"{seeds:,} schedules")
    for name in (*KINDS, *sorted(counts.keys() - set(KINDS))):
        table.add_row(f"{counts[name]:,}", name, style="" if counts[name] else "red")
    return table
