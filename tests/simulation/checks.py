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

from crm_sync_service.mapping import note_for, words_of
from tests.crm_sync_service.fake_crm import _Case
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
    _check_notes(world)
    _check_discarded(world)
    _check_calls(world)
    if world.unsent() or world.portal_database.unsent:
        world.history.violated("I2", "events are still unsent")
    if left := world.bus.left():
        world.history.violated("I3", f"the broker still has {left}")


def _check_ticket(world: World, ticket: PortalTicket) -> None:
    history, index = world.history, ticket.index
    cases = [case for case in world.crm.cases.values() if ticket_of(case) == index]
    lane = world.lane_of(ticket.now.ticket_id)
    row = world.link_of(ticket.now.ticket_id)
    unknown = (ticket.now.product_crm_id or "").startswith("unknown-")
    refused = lane is not None and lane.state == "parked" and unknown
    if lane is None or (lane.state != "idle" and not refused):
        history.violated("I14", f"the lane of ticket {index} is {lane and (lane.state, lane.cause)}")
    if len(cases) > 1 or (not cases and ticket.now.deleted_at is None and not refused):
        history.violated("I4", f"ticket {index} has {len(cases)} Cases")
    if row is None or not cases or refused:
        return
    if ticket.now.deleted_at or cases[0].deleted:
        _check_tombstone(world, ticket, cases[0], row)
    else:
        _check_fields(world, ticket, cases[0], row)
        _check_receipt(world, ticket, row)


def _check_tombstone(world: World, ticket: PortalTicket, case: _Case, row: LinkRow) -> None:
    expected = {"ticket_deleted"} if ticket.now.deleted_at else set()
    expected |= {"case_deleted"} if case.deleted else set()
    if row.link.state not in expected:
        world.history.violated("O10", f"the link of ticket {ticket.index} is {row.link.state}, not {expected}")


def _check_fields(world: World, ticket: PortalTicket, case: _Case, row: LinkRow) -> None:
    theirs = world.crm.values_of(case)
    for name in (*PULLED, "subject", "block"):
        ours = value_of(ticket.now, name)
        if name in row.link.parked:
            continue
        if ours != theirs[name]:
            world.history.violated("I7", f"{name} of ticket {ticket.index}: {ours!r}, of its Case: {theirs[name]!r}")
        elif name in PULLED:
            world.history.judge((ticket.index, name), ours)
        world.history.settle((ticket.index, name), ours=ours, theirs=theirs[name])
    words = words_of(case.fields["description"] or "")
    if words != world.crm.words[ticket.index]:
        world.history.violated("I8", f"words of Case {ticket.index}: {words!r}, not {world.crm.words[ticket.index]!r}")


def _check_receipt(world: World, ticket: PortalTicket, row: LinkRow) -> None:
    if not row.in_sync and not row.link.parked:
        world.history.violated("receipt", f"ticket {ticket.index} is {row.reason}")
    if row.compared_version != ticket.now.version:
        words = f"compared at version {row.compared_version}, is at {ticket.now.version}"
        world.history.violated("receipt", f"ticket {ticket.index} was {words}")


def _check_notes(world: World) -> None:
    """I5 and I6, counted by the whole body."""
    crm = world.crm
    there = Counter(note.body for note in crm.notes.values() if not note.id.startswith("by-hand"))
    where = {note.body: note.case_id for note in crm.notes.values()}
    for ticket in world.portal.tickets:
        case = next((case for case in crm.cases.values() if ticket_of(case) == ticket.index), None)
        must = case is not None and not case.deleted
        for reply in ticket.replies:
            body = note_for(reply, case_id="").body
            found = there.pop(body, 0)
            if found > 1 or (must and found != 1):
                world.history.violated("I5", f"reply {ticket.index}.{reply.position} has {found} Notes")
            elif must and case is not None and where[body] != case.id:
                world.history.violated("I5", f"the Note of {ticket.index}.{reply.position} is on another Case")
        if ticket.now.deleted_at and must:
            _check_removal(world, ticket)
    removals = sum(count for body, count in there.items() if body.startswith("Removed on"))
    removed = [ticket for ticket in world.portal.tickets if ticket.now.deleted_at]
    if removals > len(removed) or removals < sum(there.values()):
        world.history.violated("I6", f"unexpected Notes: {there}")


def _check_removal(world: World, ticket: PortalTicket) -> None:
    words = f"Ticket #{ticket.now.number} was removed"
    notes = [note for note in world.crm.notes.values() if note.title.startswith(words)]
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
