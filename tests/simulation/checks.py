"""What must be true when all is quiet, for every ticket (FAILURES section 4).

I1   tests.faults.chaos.checker: nothing here is a promise to a person over HTTP
I2   `check`: no event is unsent
I3   `_check_receipt`: the version last published is the one compared; and I5, as each reply is a message of its own
I4   `_check_ticket`: one live Case per ticket
I5   `_check_notes`: one Note per reply, on the right Case
I6   `_check_notes`: none beside them but those of people
I7   `_check_fields`: every synced field is equal, or said to be parked
I8   `History.judge` for fields, `_check_fields` for the words around the block
I9   `_check_discarded`: every value that was replaced unseen is a conflict
I10  `History.told` and `SimulatedPortal.apply`: a pull is applied once and forwards, and tells what somebody wrote
I11  `World.settle`: three rounds without any work, and `History.pushed`: no write of what nobody wrote
I12  `_check_calls`: calls bounded by changes and faults
I13  tests.portal_service.web: what customers see; here no private Note travels (`_check_notes` counts them at the CRM)
I14  `World.settle` ends within forty rounds, `_check_ticket`: no lane is left
I15  tests.crm_sync_service.test_lanes and tests.faults.chaos: others are not delayed
I16  `casebridge bench sync`: memory; outbox and inbox are emptied by `keep_house`
"""

from collections import Counter
from collections.abc import Iterator

from crm_sync_service.mapping import note_for, words_of
from tests.crm_sync_service.fake_crm import _Case
from tests.simulation.administrators import id_of
from tests.simulation.crm import ticket_of
from tests.simulation.history import PULLED
from tests.simulation.memory import LinkRow
from tests.simulation.portal import PortalTicket, value_of
from tests.simulation.world import World

_CALLS_PER_CHANGE = 3
_CALLS_PER_FAULT = 6


def check(world: World) -> None:
    """Note every violation in the history; what is in order becomes the start of the next round."""
    for ticket in world.portal.tickets:
        _check_ticket(world, ticket)
    _check_created(world)
    _check_strangers(world)
    _check_discarded(world)
    _check_calls(world)
    if world.unsent() or world.portal_database.unsent:
        world.history.violated("I2", "events are still unsent")
    if left := world.bus.left():
        world.history.violated("I3", f"the broker still has {left}")


def _check_ticket(world: World, ticket: PortalTicket) -> None:
    history, index = world.history, ticket.index
    lane = world.lane_of(ticket.now.ticket_id)
    row = world.link_of(ticket.now.ticket_id)
    case = world.crm.cases.get(row.link.case_id or "") if row else None
    unknown = (ticket.now.product_crm_id or "").startswith("unknown-")
    refused = lane is not None and lane.state == "parked" and unknown
    if lane is None or (lane.state != "idle" and not refused):
        history.violated("I14", f"the lane of ticket {index} is {lane and (lane.state, lane.cause)}")
    if row is None or refused:
        return
    if row.link.state == "linked":
        _check_mirrored(world, ticket, case, row)
    else:
        _check_ended(world, ticket, case, row)
    _check_cases(world, ticket, case, row)
    _check_notes(world, ticket, case, row)


def _check_mirrored(world: World, ticket: PortalTicket, case: _Case | None, row: LinkRow) -> None:
    if ticket.now.deleted_at or case is None or case.deleted:
        world.history.violated("O10", f"ticket {ticket.index} is still linked, and one side is gone")
        return
    if world.crm.current.get(ticket.index) != case.id:
        _resume(world, ticket, case)
    _check_fields(world, ticket, case, row)
    _check_receipt(world, ticket, row)


def _resume(world: World, ticket: PortalTicket, case: _Case) -> None:
    """An order took hold of another Case, which was gone before it could be carried out: the old one stays."""
    world.crm.current[ticket.index] = case.id
    world.crm.words[ticket.index] = words_of(case.fields["description"] or "")
    for name, value in world.crm.values_of(case).items():
        world.history.adopted((ticket.index, name), value)


def _check_ended(world: World, ticket: PortalTicket, case: _Case | None, row: LinkRow) -> None:
    """O10: a link ends because a side is gone or a person said so, and in no other way."""
    orders = [order for order in world.office.case_orders.get(ticket.index, ()) if order != "relink"]
    allowed = {"ticket_deleted"} if ticket.now.deleted_at else set()
    # A Case whose making was never answered may be deleted before the link knows its id.
    its = [case] if case is not None else [c for c in world.crm.cases.values() if ticket_of(c) == ticket.index]
    allowed |= {"case_deleted"} if any(each.deleted for each in its) else set()
    allowed |= {"unlinked"} if orders and orders[-1] == "unlink" else set()
    if row.link.state not in allowed:
        world.history.violated("O10", f"the link of ticket {ticket.index} is {row.link.state}, not {allowed}")
    if ticket.now.deleted_at and case is not None and not case.deleted and row.link.state == "ticket_deleted":
        _check_removal(world, ticket, case)


def _check_cases(world: World, ticket: PortalTicket, case: _Case | None, row: LinkRow) -> None:
    """I4."""
    index, link = ticket.index, row.link
    orders = world.office.case_orders.get(index, ())
    if link.generation > len(orders):
        world.history.violated("I4", f"ticket {index} has had {link.generation} other Cases, asked for were {orders}")
    if not orders:
        cases = [each for each in world.crm.cases.values() if ticket_of(each) == index]
        followed = sum(each.deleted and each.merged_into is not None for each in cases)
        if len(cases) - followed > 1 or (not cases and ticket.now.deleted_at is None):
            world.history.violated("I4", f"ticket {index} has {len(cases)} Cases")
    holders = [
        other.index
        for other in world.portal.tickets
        if case is not None and (theirs := world.link_of(other.now.ticket_id)) and theirs.link.case_id == case.id
    ]
    if len(holders) > 1:
        world.history.violated("I4", f"the tickets {holders} have the same Case")


def _check_created(world: World) -> None:
    """I4 and I5: no key is ever used twice, whatever was ordered."""
    for what, keys in (("Cases", world.crm.key_of.values()), ("Notes", _note_keys(world))):
        twice = [key for key, times in Counter(keys).items() if times > 1]
        if twice:
            world.history.violated("I4" if what == "Cases" else "I5", f"there are two {what} with the key {twice}")


def _note_keys(world: World) -> Iterator[str]:
    return (note.key for note in world.crm.notes.values())


def _check_fields(world: World, ticket: PortalTicket, case: _Case, row: LinkRow) -> None:
    theirs = world.crm.values_of(case)
    for name in (*PULLED, "subject", "block"):
        ours, place = value_of(ticket.now, name), (ticket.index, name)
        if place in world.history.skipped:
            hold = row.link.holds.get(name)
            world.history.left_alone.add(place)
            if hold is None or hold.kind != "skipped":
                world.history.violated("skip", f"{place} is not left out, as was asked for")
        if name in row.link.parked:
            continue
        if ours != theirs[name]:
            world.history.violated("I7", f"{name} of ticket {ticket.index}: {ours!r}, of its Case: {theirs[name]!r}")
        elif name in PULLED:
            world.history.judge(place, ours)
        world.history.settle(place, ours=ours, theirs=theirs[name])
    words = words_of(case.fields["description"] or "")
    if words != world.crm.words[ticket.index]:
        world.history.violated("I8", f"words of Case {ticket.index}: {words!r}, not {world.crm.words[ticket.index]!r}")


def _check_receipt(world: World, ticket: PortalTicket, row: LinkRow) -> None:
    if not row.in_sync and not row.link.parked and not ticket.skipped:
        world.history.violated("receipt", f"ticket {ticket.index} is {row.reason}")
    if row.compared_version != ticket.now.version:
        words = f"compared at version {row.compared_version}, is at {ticket.now.version}"
        world.history.violated("receipt", f"ticket {ticket.index} was {words}")


def _check_notes(world: World, ticket: PortalTicket, case: _Case | None, row: LinkRow) -> None:
    """I5, counted by the whole body. What a merge of two Cases of one ticket brings along was written for the other."""
    if case is None or case.deleted or row.link.state not in {"linked", "ticket_deleted"}:
        return
    notes = [note for note in world.crm.notes.values() if note.case_id == case.id]
    there = Counter(note.body for note in notes)
    written = Counter(note.body for note in notes if world.crm.written_on.get(note.id) == case.id)
    # Known and weaker: a ticket that a merge brings back to a Case it was linked away from writes its Notes again.
    away = bool(world.office.case_orders.get(ticket.index))
    returned = away and any(each.merged_into == case.id for each in world.crm.cases.values())
    for reply in ticket.replies:
        body = note_for(reply, case_id="").body
        found = there[body]
        if (written[body] > 1 and not returned) or (found < 1 and id_of(reply) not in ticket.skipped):
            world.history.violated("I5", f"reply {ticket.index}.{reply.position} has {found} Notes")


def _check_strangers(world: World) -> None:
    """I6."""
    bodies = {note_for(reply, case_id="").body for ticket in world.portal.tickets for reply in ticket.replies}
    for note in world.crm.notes.values():
        if note.body not in bodies and not note.id.startswith("by-hand") and not note.body.startswith("Removed on"):
            world.history.violated("I6", f"an unexpected Note: {note}")


def _check_removal(world: World, ticket: PortalTicket, case: _Case) -> None:
    words = f"Ticket #{ticket.now.number} was removed"
    notes = [note for note in world.crm.notes.values() if note.case_id == case.id and note.title.startswith(words)]
    if len(notes) != 1:
        world.history.violated("O10", f"{len(notes)} Notes tell that ticket {ticket.index} was removed")


def _check_discarded(world: World) -> None:
    """I9."""
    ids = {ticket.index: ticket.now.ticket_id for ticket in world.portal.tickets}
    found = world.conflicts()
    logged = {(ticket_id, conflict.field, "portal", conflict.ours) for ticket_id, conflict in found}
    logged |= {(ticket_id, conflict.field, "crm", conflict.theirs) for ticket_id, conflict in found}
    for lost in world.history.discarded:
        index, name = lost.place
        if (ids[index], name, lost.side, lost.value) not in logged:
            world.history.violated("I9", f"{lost.value!r} of {lost.place} at the {lost.side} is in no conflict")
    world.history.discarded.clear()


def _check_calls(world: World) -> None:
    calls = world.crm.calls_made - world.crm.feed_calls
    most = 2 * len(world.portal.tickets) + _CALLS_PER_CHANGE * world.history.changes + _CALLS_PER_FAULT * world.faults
    if calls > most:
        world.history.violated("I12", f"{calls} calls, more than {most}")
