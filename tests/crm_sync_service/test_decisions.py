"""What people decide reaches both sides by the lane, is logged, and survives whatever happens on the way."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

import crm_sync_service.models
from crm_sync_service import decisions, lanes
from crm_sync_service.connectors.base import InvalidError, UnreachableError
from crm_sync_service.decisions import DecisionError
from crm_sync_service.mapping import case_id_of
from crm_sync_service.merge import Policy
from crm_sync_service.models import Activity, ContactMatch
from shared.events import CaseChanged, Person
from tests.crm_sync_service.engine import Engine, new_reply, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm

WHO = {"by": "Ada", "why": "the customer asked"}


class Desk(Engine):
    """An engine with a person who decides and a portal that takes what it is told."""

    def __init__(self, database, crm, **policies):
        super().__init__(database, crm)
        mapping = self.runner.mapping
        self.runner.mapping = replace(mapping, policies={**mapping.policies, **policies})

    def decide(self, action, *args, **kwargs):
        with self.database.write() as session:
            return action(session, *args, now=self.clock, **kwargs)

    def go_on(self, ticket, rounds=4):
        """Until both sides have settled; returns the ticket as it is then."""
        for _ in range(rounds):
            self.settle(seconds=1)
            changes = self.sent(CaseChanged)
            if changes and changes[-1].pull_number > ticket.pull_number:
                ticket = self.answer(ticket, changes[-1])
        self.settle()
        return ticket

    def log(self):
        with self.database.read() as session:
            lines = session.scalars(select(Activity).where(Activity.direction == "person").order_by(Activity.id))
            return [f"{line.action}: {line.detail}" for line in lines]


@pytest.fixture
def crm():
    return FakeCrm()


@pytest.fixture
def desk(open_database, crm):
    return Desk(
        open_database("sqlite", crm_sync_service.models.Base.metadata),
        crm,
        priority=Policy(direction="both", winner="ask"),
    )


def mirrored(desk, **changes):
    ticket = new_ticket(**changes)
    desk.receive(ticket)
    desk.settle()
    return ticket


def in_conflict(desk, crm):
    """The ticket says low, the Case says urgent, and a person is to choose."""
    ticket = mirrored(desk)
    desk.receive(ticket := replace(ticket, version=2, priority="low", changed_by="Sam Peters"))
    crm.edit(case_id_of(ticket.ticket_id), priority="critical", status="pending_input")
    return desk.go_on(ticket)


def test_a_conflict_that_a_person_decides_waits_and_everything_else_goes_on(desk, crm):
    ticket = in_conflict(desk, crm)
    [conflict] = desk.conflicts()
    assert (conflict.state, conflict.winner, conflict.policy) == ("waiting", None, "ask")
    assert (conflict.ours, conflict.theirs) == ("low", "urgent")
    assert (conflict.ours_by, conflict.theirs_by) == ("Sam Peters", "Anna Visser")
    assert (ticket.status, ticket.priority, desk.case(ticket)["priority"]) == ("pending", "low", "critical")
    assert desk.receipt().state == "failed"
    assert "priority was changed on both sides: a person has to choose" in desk.receipt().reason


@pytest.mark.parametrize(("winner", "ours", "theirs"), [("portal", "low", "low"), ("crm", "urgent", "critical")])
def test_the_side_that_a_person_chooses_wins_on_both(desk, crm, winner, ours, theirs):
    ticket = in_conflict(desk, crm)
    desk.decide(decisions.decide, desk.conflicts()[0].id, winner=winner, **WHO)
    ticket = desk.go_on(ticket)
    assert (ticket.priority, desk.case(ticket)["priority"]) == (ours, theirs)
    [conflict] = desk.conflicts()
    assert (conflict.state, conflict.winner, conflict.how, conflict.decided_by) == ("decided", winner, "person", "Ada")
    assert desk.receipt().state == "in_sync"
    assert desk.log() == [f'decided: priority: "{ours}" was chosen, asked for by Ada: the customer asked']
    assert (desk.link(ticket).wanted, desk.link(ticket).orders) == ({}, [])


def test_a_choice_that_a_later_change_has_overtaken_is_not_carried_out_over_the_next_one(desk, crm):
    ticket = in_conflict(desk, crm)
    crm.edit(case_id_of(ticket.ticket_id), priority="high")
    desk.decide(decisions.decide, desk.conflicts()[0].id, winner="crm", **WHO)
    desk.settle(seconds=1)
    crm.edit(case_id_of(ticket.ticket_id), priority="critical")
    ticket = desk.go_on(desk.answer(ticket, desk.sent(CaseChanged)[-1]))
    assert (ticket.priority, desk.case(ticket)["priority"]) == ("urgent", "critical")
    assert desk.link(ticket).wanted == {}


def test_a_conflict_is_decided_once(desk, crm):
    in_conflict(desk, crm)
    [conflict] = desk.conflicts()
    desk.decide(decisions.decide, conflict.id, winner="crm", by="Ada")
    with pytest.raises(DecisionError, match="Ada decided for the CRM"):
        desk.decide(decisions.decide, conflict.id, winner="portal", by="Bob")


def test_the_values_of_a_waiting_conflict_are_the_newest(desk, crm):
    ticket = in_conflict(desk, crm)
    desk.receive(replace(ticket, version=9, priority="high", changed_by="Carol"))
    desk.settle()
    [conflict] = desk.conflicts()
    assert (conflict.state, conflict.ours, conflict.ours_by) == ("waiting", "high", "Carol")


def test_a_conflict_ends_by_itself_when_the_sides_agree(desk, crm):
    ticket = in_conflict(desk, crm)
    desk.receive(replace(ticket, version=9, priority="urgent"))
    desk.settle()
    [conflict] = desk.conflicts()
    assert (conflict.state, conflict.how, conflict.winner) == ("decided", "withdrawn", None)
    assert desk.receipt().state == "in_sync"
    with pytest.raises(DecisionError, match="both sides have come to agree"):
        desk.decide(decisions.reverse, conflict.id, by="Ada")


def test_a_change_after_the_decision_is_newer_than_the_decision(desk, crm):
    ticket = in_conflict(desk, crm)
    desk.decide(decisions.decide, desk.conflicts()[0].id, winner="portal", by="Ada")
    crm.edit(case_id_of(ticket.ticket_id), priority="high")
    ticket = desk.go_on(ticket)
    assert (ticket.priority, desk.case(ticket)["priority"]) == ("high", "high")
    assert desk.receipt().state == "in_sync"


@pytest.mark.parametrize("policy", ["crm", "portal"])
def test_a_decision_can_be_reversed(open_database, crm, policy):
    desk = Desk(
        open_database("sqlite", crm_sync_service.models.Base.metadata),
        crm,
        priority=Policy(direction="both", winner=policy),
    )
    ticket = mirrored(desk)
    desk.receive(ticket := replace(ticket, version=2, priority="low"))
    crm.edit(case_id_of(ticket.ticket_id), priority="critical")
    ticket = desk.go_on(ticket)
    first = ticket.priority
    [conflict] = desk.conflicts()
    assert (conflict.state, conflict.how, conflict.policy, conflict.winner) == ("decided", "policy", policy, policy)
    assert conflict.decided_at is not None
    desk.decide(decisions.reverse, conflict.id, **WHO)
    ticket = desk.go_on(ticket)
    [conflict] = desk.conflicts()
    assert {first, ticket.priority} == {"low", "urgent"}
    assert desk.runner.mapping.values.from_crm("priority", desk.case(ticket)["priority"]) == ticket.priority
    assert (conflict.state, conflict.reversed_by) == ("reversed", "Ada")
    assert desk.log() == [f'reversed: priority: back to "{ticket.priority}", asked for by Ada: the customer asked']
    writes = len(crm.writes)
    desk.settle(seconds=60)
    assert len(crm.writes) == writes


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("method", ["update_case", "get_case"])
def test_a_decision_survives_a_lost_answer(desk, crm, method, moment):
    ticket = in_conflict(desk, crm)
    crm.fail(method, UnreachableError("lost"), when=moment)
    desk.decide(decisions.decide, desk.conflicts()[0].id, winner="portal", by="Ada")
    desk.settle()
    desk.settle(seconds=70)
    desk.go_on(ticket)
    assert desk.case(ticket)["priority"] == "low"
    assert (len(desk.conflicts()), desk.receipt().state) == (1, "in_sync")


def test_a_value_set_by_hand_reaches_both_sides(desk, crm):
    ticket = mirrored(desk)
    desk.decide(decisions.set_value, ticket.ticket_id, "status", "solved", **WHO)
    ticket = desk.go_on(ticket)
    assert (ticket.status, desk.case(ticket)["status"], desk.receipt().state) == ("solved", "resolved", "in_sync")
    assert desk.sent(CaseChanged)[-1].changed_by == "Ada"


def test_a_value_set_by_hand_takes_the_place_of_one_that_the_portal_does_not_know(desk, crm):
    ticket = mirrored(desk)
    crm.cases[case_id_of(ticket.ticket_id)].fields["status"] = "legal_hold"
    crm.edit(case_id_of(ticket.ticket_id), priority="high")
    desk.settle()
    desk.decide(decisions.set_value, ticket.ticket_id, "status", "open", **WHO)
    ticket = desk.go_on(ticket)
    assert (ticket.status, desk.case(ticket)["status"], desk.receipt().state) == ("open", "assigned", "in_sync")


def test_a_case_that_the_crm_refuses_is_made_with_a_value_set_by_hand(desk, crm):
    crm.fail("create_case", InvalidError("422: too long", fields={"subject": "too long"}))
    ticket = mirrored(desk)
    assert desk.lane(ticket.ticket_id).state == "parked"
    desk.decide(decisions.set_value, ticket.ticket_id, "subject", "Short", **WHO)
    desk.settle()
    assert desk.case(ticket)["subject"] == "Short"
    assert 'subject stays "Short" in the CRM only, as Ada decided' in desk.receipt().reason


def test_a_field_left_out_stays_as_it_is_on_both_sides_and_is_told_of(desk, crm):
    ticket = mirrored(desk)
    desk.decide(decisions.skip_field, ticket.ticket_id, "status", **WHO)
    desk.receive(ticket := replace(ticket, version=2, status="solved", priority="high"))
    desk.settle()
    assert (desk.case(ticket)["status"], desk.case(ticket)["priority"]) == ("new", "high")
    assert desk.receipt().reason == "status is left out, as Ada decided: the customer asked"
    assert desk.link(ticket).held
    desk.decide(decisions.unskip_field, ticket.ticket_id, "status", by="Ada")
    desk.settle()
    assert (desk.case(ticket)["status"], desk.receipt().state, desk.link(ticket).held) == ("resolved", "in_sync", False)


def test_a_note_left_out_is_not_written_until_somebody_takes_that_back(desk, crm):
    crm.fail("create_note", InvalidError("422: too rude"))
    ticket = new_ticket()
    first, second = new_reply(ticket, 1, "rude"), new_reply(ticket, 2, "kind")
    desk.receive(ticket, first, second)
    desk.settle()
    assert "the CRM refuses the Note of reply 1: 422: too rude" in desk.receipt().reason
    desk.decide(decisions.skip_note, first.reply_id, **WHO)
    desk.settle()
    assert (desk.notes(), desk.receipt().notes) == (["kind"], 1)
    assert "reply 1 becomes no Note: Ada decided so: the customer asked" in desk.receipt().reason
    desk.decide(decisions.unskip_note, first.reply_id, by="Ada")
    desk.settle()
    assert (desk.notes(), desk.receipt().state) == (["rude", "kind"], "in_sync")
    with pytest.raises(DecisionError, match="in the CRM already"):
        desk.decide(decisions.skip_note, first.reply_id, **WHO)


def test_retrying_tries_refused_fields_and_notes_again(desk, crm):
    ticket = mirrored(desk)
    crm.fail("update_case", InvalidError("422", fields={"assignee": "no such user"}))
    crm.fail("create_note", InvalidError("422: no"))
    desk.receive(replace(ticket, version=2, assignee=Person(name="X", crm_id="x")), new_reply(ticket, 1, "hello"))
    desk.settle()
    assert desk.receipt().state == "failed"
    assert desk.decide(decisions.retry, [ticket.ticket_id], by="Ada") == 1
    desk.settle()
    assert (desk.case(ticket)["assignee"], desk.notes(), desk.receipt().state) == ("x", ["hello"], "in_sync")


@pytest.mark.parametrize("action", [decisions.skip_field, decisions.set_value])
def test_a_decision_needs_a_reason_and_a_field_that_is_mirrored(desk, action):
    ticket = mirrored(desk)
    value = {"value": "x"} if action is decisions.set_value else {}
    with pytest.raises(DecisionError, match="Say why"):
        desk.decide(action, ticket.ticket_id, "priority", **value, by="Ada", why=" ")
    with pytest.raises(DecisionError, match="not mirrored"):
        desk.decide(action, ticket.ticket_id, "colour", **value, **WHO)


def test_only_values_that_the_portal_knows_can_be_set(desk):
    ticket = mirrored(desk)
    with pytest.raises(DecisionError, match="choose one of low, normal, high, urgent"):
        desk.decide(decisions.set_value, ticket.ticket_id, "priority", "ludicrous", **WHO)


def test_nothing_is_released_that_is_not_held(desk):
    ticket = mirrored(desk)
    with pytest.raises(DecisionError, match="priority is not frozen or refused"):
        desk.decide(decisions.release_field, ticket.ticket_id, "priority", by="Ada")


def test_an_order_given_while_the_lane_runs_is_carried_out_by_the_next_run(desk, crm):
    ticket = mirrored(desk)

    def decide_meanwhile(call, moment):
        if call.method == "update_case" and moment == "before":
            crm.hooks.clear()
            desk.decide(decisions.set_value, ticket.ticket_id, "priority", "urgent", **WHO)

    crm.hooks.append(decide_meanwhile)
    desk.receive(ticket := replace(ticket, version=2, status="open"))
    ticket = desk.go_on(ticket)
    assert (ticket.priority, desk.case(ticket)["priority"], desk.receipt().state) == ("urgent", "critical", "in_sync")


# Deleted, merged and other Cases (O10).


def test_a_deleted_case_is_made_anew_with_all_notes_when_a_person_asks(desk, crm):
    ticket = mirrored(desk)
    desk.receive(new_reply(ticket, 1, "one"))
    desk.settle()
    first = case_id_of(ticket.ticket_id)
    crm.delete_case(first)
    desk.settle()
    assert desk.receipt().reason == "Case C-00001 was deleted in the CRM; the ticket is kept and no longer mirrored"
    desk.receive(new_reply(ticket, 2, "two"))
    desk.decide(decisions.recreate_case, ticket.ticket_id, **WHO)
    desk.settle()
    link = desk.link(ticket)
    assert (link.state, link.case_number, link.generation) == ("linked", "C-00002", 1)
    assert link.case_id != first
    there = [note.body.rsplit("\n", 1)[-1] for note in crm.notes.values() if note.case_id == link.case_id]
    assert (there, desk.receipt().state) == (["one", "two"], "in_sync")


def test_a_merged_case_is_followed_to_the_one_that_remains(desk, crm):
    """FAILURES 47."""
    ticket = mirrored(desk)
    desk.receive(new_reply(ticket, 1, "one"))
    desk.settle()
    other = by_hand(crm, subject="An older Case", status="pending_input")
    crm.merge_case(case_id_of(ticket.ticket_id), into=other)
    ticket = desk.go_on(ticket)
    desk.receive(new_reply(ticket, 2, "two"))
    desk.settle()
    assert (desk.link(ticket).case_id, desk.link(ticket).state) == (other, "linked")
    case = crm.fields_of(other)
    assert (case["ticket_number"], case["subject"], ticket.status) == ("1001", "Printer <on> fire", "pending")
    assert (case["account"], ticket.account_crm_id) == ("acme", "acme")
    assert "An older Case" in [conflict.theirs for conflict in desk.conflicts()]
    assert {note.case_id for note in crm.notes.values()} == {other}
    assert (len(crm.notes), desk.receipt().state) == (2, "in_sync")


def test_a_case_merged_into_another_tickets_case_is_told_of(desk, crm):
    ticket, other = mirrored(desk), mirrored(desk, number=1002)
    crm.merge_case(case_id_of(ticket.ticket_id), into=case_id_of(other.ticket_id))
    desk.settle()
    assert desk.link(ticket).state == "case_deleted"
    with desk.database.read() as session:
        reason = session.get_one(type(desk.link(ticket)), ticket.ticket_id).reason
    assert "the Case of ticket #1002" in reason


def test_a_ticket_is_linked_to_a_case_that_a_person_names(desk, crm):
    ticket = mirrored(desk)
    desk.receive(new_reply(ticket, 1, "one"))
    desk.settle()
    crm.delete_case(case_id_of(ticket.ticket_id))
    desk.settle()
    other = by_hand(crm, subject="The right one", priority="high")
    desk.decide(decisions.relink_case, ticket.ticket_id, other, **WHO)
    ticket = desk.go_on(ticket)
    case = crm.fields_of(other)
    assert (case["subject"], case["ticket_number"], case["account"]) == ("Printer <on> fire", "1001", "acme")
    assert [note.body.rsplit("\n", 1)[-1] for note in crm.notes.values() if note.case_id == other] == ["one"]
    found = {conflict.field: (conflict.ours, conflict.theirs, conflict.state) for conflict in desk.conflicts()}
    assert found["priority"] == ("normal", "high", "waiting")
    assert found["subject"] == ("Printer <on> fire", "The right one", "decided")


def test_a_case_that_is_not_there_or_anothers_is_not_linked_to(desk, crm):
    ticket, other = mirrored(desk), mirrored(desk, number=1002)
    with pytest.raises(DecisionError, match="belongs to ticket #1002"):
        desk.decide(decisions.relink_case, ticket.ticket_id, case_id_of(other.ticket_id), **WHO)
    desk.decide(decisions.relink_case, ticket.ticket_id, "nowhere", **WHO)
    desk.settle()
    assert desk.link(ticket).case_id == case_id_of(ticket.ticket_id)
    with desk.database.read() as session:
        details = session.scalars(select(Activity.detail).where(Activity.action == "relinked")).all()
    assert details == ["cannot be linked to Case nowhere: the CRM has no such Case"]


def test_the_mirroring_of_a_ticket_can_be_ended_and_taken_up_again(desk, crm):
    ticket = mirrored(desk)
    desk.decide(decisions.unlink_case, ticket.ticket_id, **WHO)
    desk.settle()
    calls = len(crm.calls)
    desk.receive(replace(ticket, version=2, status="open"), new_reply(ticket, 1))
    desk.runner.run_until_idle()
    assert (len(crm.calls), desk.link(ticket).state) == (calls, "unlinked")
    assert desk.receipt().reason == "Ada ended the mirroring of this ticket: the customer asked"
    desk.decide(decisions.relink_case, ticket.ticket_id, case_id_of(ticket.ticket_id), **WHO)
    desk.go_on(ticket)
    assert (desk.link(ticket).state, len(crm.cases), len(crm.notes)) == ("linked", 1, 1)


def by_hand(crm, **fields):
    """A Case that people made in the CRM; its id."""
    some = next(iter(crm.cases.values()))
    values = dict.fromkeys(some.fields) | {"status": "new", "priority": "medium"} | fields
    crm.cases["by-hand"] = replace(
        some, id="by-hand", number="C-99", fields=values, deleted=False, version=1, modified_by="Anna Visser"
    )
    return "by-hand"


# Contacts.


def twins(desk, crm):
    for crm_id in ("one", "two"):
        crm.keep("contact", crm_id, "Twin", emails=("twin@x.example",))
    return [mirrored(desk, number=n, contact=Person(name="Twin", email="Twin@X.example")) for n in (1001, 1002)]


def test_an_ambiguous_contact_is_chosen_once_for_all_tickets_that_wait(desk, crm):
    tickets = twins(desk, crm)
    looked = crm.called("contacts_by_email")
    desk.receive(replace(tickets[0], version=2, status="open"))
    desk.settle()
    assert crm.called("contacts_by_email") == looked
    with pytest.raises(DecisionError, match="Choose one of the contacts"):
        desk.decide(decisions.choose_contact, "twin@x.example", "three", by="Ada")
    assert desk.decide(decisions.choose_contact, "twin@x.example", "two", by="Ada") == 2
    desk.settle()
    assert [desk.case(ticket)["contact"] for ticket in tickets] == ["two", "two"]
    assert desk.receipt().state == "in_sync"


def test_an_ambiguous_contact_is_looked_up_again_after_an_hour(desk, crm):
    [ticket, _] = twins(desk, crm)
    crm.keep("contact", "two", "Twin", emails=("twin@x.example",), active=False, merged_into="one")
    desk.clock += timedelta(hours=2)
    desk.receive(replace(ticket, version=2))
    desk.settle()
    assert desk.case(ticket)["contact"] == "one"
    with desk.database.read() as session:
        assert session.get_one(ContactMatch, "twin@x.example").crm_id == "one"


def test_a_lane_that_was_parked_goes_on_when_a_person_decides(desk, crm):
    ticket = mirrored(desk)
    with desk.database.write() as session:
        lanes.mark_due(session, [ticket.ticket_id], now=desk.clock)
        [held] = lanes.claim(session, owner="w", now=desk.clock, limit=1)
        lanes.park(session, held, cause="broken", now=desk.clock)
    desk.decide(decisions.set_value, ticket.ticket_id, "priority", "high", **WHO)
    desk.go_on(ticket)
    assert (desk.case(ticket)["priority"], desk.lane(ticket.ticket_id).state) == ("high", "idle")


# Removed and restored tickets.


def test_a_restored_ticket_goes_on_with_the_same_case(desk, crm):
    ticket = mirrored(desk)
    desk.receive(gone := replace(ticket, version=2, deleted_at=desk.clock, deleted_by="Sam Peters"))
    desk.settle()
    crm.edit(case_id_of(ticket.ticket_id), status="pending_input")
    desk.receive(back := replace(gone, version=3, deleted_at=None, deleted_by=None, changed_by="Nora"))
    back = desk.go_on(back)
    assert (len(crm.cases), back.status, desk.link(ticket).state) == (1, "pending", "linked")
    desk.receive(replace(back, version=99, deleted_at=desk.clock, deleted_by="Sam Peters"))
    desk.settle()
    assert [note.title.split(" by ")[0] for note in crm.notes.values()] == [
        "Ticket #1001 was removed from the portal",
        "Ticket #1001 was restored in the portal",
        "Ticket #1001 was removed from the portal",
    ]


def test_a_lost_answer_while_a_ticket_is_restored_says_so_once(desk, crm):
    ticket = mirrored(desk)
    desk.receive(gone := replace(ticket, version=2, deleted_at=desk.clock, deleted_by="Sam Peters"))
    desk.settle()
    crm.fail("create_note", UnreachableError("lost"), when="after")
    desk.receive(replace(gone, version=3, deleted_at=None, deleted_by=None))
    for _ in range(3):
        desk.settle(seconds=70)
    assert len(crm.notes) == 2
    assert desk.receipt().state == "in_sync"


def test_nothing_of_a_removed_ticket_can_be_decided(desk):
    ticket = mirrored(desk)
    desk.receive(replace(ticket, version=2, deleted_at=desk.clock, deleted_by="Sam Peters"))
    desk.settle()
    with pytest.raises(DecisionError, match="was removed"):
        desk.decide(decisions.set_value, ticket.ticket_id, "priority", "high", **WHO)
