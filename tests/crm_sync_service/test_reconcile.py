"""Ticket and Case kept equal: through edits on both sides, lost answers, crashes and deletions."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crm_sync_service.connectors.base import (
    InvalidError,
    RateLimitedError,
    UnauthorisedError,
    UnreachableError,
)
from crm_sync_service.mapping import BLOCK_BEGIN, BLOCK_END, case_id_of
from shared.events import AttachmentLink, CaseChanged, CrmStatusChanged, Person
from shared.ids import new_id
from tests.crm_sync_service.engine import new_internal_note, new_reply, new_ticket

LOST = UnreachableError("the answer was lost")


def mirrored(engine, **changes):
    ticket = new_ticket(**changes)
    engine.receive(ticket)
    engine.settle()
    return ticket


def test_a_ticket_becomes_one_case_with_all_its_fields(engine, crm):
    ticket = mirrored(engine)
    case = engine.case(ticket)
    assert {name: case[name] for name in ("subject", "account", "contact", "product", "assignee")} == {
        "subject": "Printer <on> fire",
        "account": "acme",
        "contact": "carol",
        "product": "portal",
        "assignee": "sam",
    }
    assert (case["status"], case["priority"], case["ticket_number"]) == ("new", "medium", "1001")
    assert case["description"].startswith("It burns.\n\nSince 9:00 — 火事 🔥\n\n" + BLOCK_BEGIN)
    assert "URL: https://shop.example/page?a=1&b=2" in case["description"]
    assert "Browser: Chromium 156" in case["description"]
    assert engine.receipt().state == "in_sync"
    assert engine.receipt().case_number is not None


def test_duplicated_and_reordered_events_make_one_case_and_one_note_each(engine, crm):
    ticket = new_ticket()
    first, second, note = new_reply(ticket, 1, "one"), new_reply(ticket, 2, "two"), new_internal_note(ticket, 3)
    later = replace(ticket, version=4, reply_count=3, status="open")
    for event in (second, later, note, ticket, second, first, ticket, later, first):
        engine.receive(event)
        engine.settle()
    assert len(crm.cases) == 1
    assert engine.notes() == ["one", "two", "Careful, VIP."]
    assert engine.case(ticket)["status"] == "assigned"


def test_what_waits_together_is_written_together(engine, crm):
    ticket = mirrored(engine)
    writes = len(crm.writes)
    for version in range(2, 22):
        engine.receive(replace(ticket, version=version, priority=("high", "low")[version % 2]))
    engine.receive(*(new_reply(ticket, position) for position in (1, 2, 3)))
    engine.settle()
    assert len(crm.writes) - writes == 1 + 3


def test_nothing_is_written_when_nothing_changed(engine, crm):
    ticket = mirrored(engine)
    crm.writes.clear()
    for _ in range(5):
        engine.receive(replace(ticket, version=2))
        engine.settle(seconds=60)
    assert crm.writes == []


def test_our_own_write_is_an_echo_that_costs_no_call(engine, crm):
    ticket = mirrored(engine)
    engine.receive(replace(ticket, version=2, status="open"))
    engine.settle()
    calls = crm.called("get_case")
    assert engine.settle(seconds=5) == 0
    assert crm.called("get_case") == calls


def test_changes_of_an_account_manager_travel_back_once(engine, crm):
    ticket = mirrored(engine)
    crm.edit(case_id_of(ticket.ticket_id), status="pending_input", assignee="nora", account="globex")
    engine.settle()
    [change] = engine.sent(CaseChanged)
    assert {(c.field, c.before, c.after) for c in change.changes} == {
        ("status", "new", "pending"),
        ("assignee", "sam", "nora"),
        ("account", "acme", "globex"),
    }
    assert change.changed_by == "Anna Visser"
    assert engine.receipt().state == "waiting"
    crm.writes.clear()
    engine.answer(ticket, change)
    engine.settle()
    assert (engine.receipt().state, crm.writes, len(engine.sent(CaseChanged))) == ("in_sync", [], 1)


def test_a_change_the_portal_does_not_answer_is_sent_again(engine, crm):
    ticket = mirrored(engine)
    crm.edit(case_id_of(ticket.ticket_id), priority="high")
    engine.settle()
    engine.settle(seconds=31)
    first, again = engine.sent(CaseChanged)
    assert first == again


def test_different_fields_changed_on_both_sides_are_both_kept(engine, crm):
    ticket = mirrored(engine)
    engine.receive(ticket := replace(ticket, version=2, status="open"))
    crm.edit(case_id_of(ticket.ticket_id), priority="high")
    engine.settle()
    ticket = engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle()
    assert (engine.case(ticket)["status"], engine.case(ticket)["priority"]) == ("assigned", "high")
    assert (ticket.priority, engine.conflicts()) == ("high", [])


def test_the_same_field_changed_on_both_sides_follows_the_crm_and_keeps_the_other_value(engine, crm):
    ticket = mirrored(engine)
    engine.receive(ticket := replace(ticket, version=2, priority="low", changed_by="Sam Peters"))
    crm.edit(case_id_of(ticket.ticket_id), priority="critical")
    engine.settle()
    ticket = engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle(seconds=60)
    [kept] = engine.conflicts()
    assert (kept.field, kept.ours, kept.ours_by, kept.theirs, kept.theirs_by, kept.winner) == (
        "priority",
        "low",
        "Sam Peters",
        "urgent",
        "Anna Visser",
        "crm",
    )
    assert (ticket.priority, engine.receipt().state) == ("urgent", "in_sync")


def test_a_refused_change_is_merged_again_from_what_the_portal_has(engine, crm):
    ticket = mirrored(engine)
    crm.edit(case_id_of(ticket.ticket_id), priority="high")
    engine.settle()
    ticket = replace(ticket, version=2, priority="low")
    ticket = engine.answer(ticket, engine.sent(CaseChanged)[-1], refuse=True)
    engine.settle()
    assert engine.sent(CaseChanged)[-1].changes[0].before == "low"
    ticket = engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle()
    assert (ticket.priority, len(engine.conflicts()), engine.receipt().state) == ("high", 1, "in_sync")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("method", ["create_case", "update_case", "create_note", "get_case"])
def test_a_lost_answer_doubles_and_loses_nothing(engine, crm, method, moment):
    ticket = new_ticket()
    if method in {"update_case", "get_case"}:
        engine.receive(ticket)
        engine.settle()
    crm.fail(method, LOST, when=moment, times=2)
    engine.receive(replace(ticket, version=2, status="open"), new_reply(ticket, 1, "only once"))
    engine.settle_through_failures()
    assert len(crm.cases) == 1
    assert engine.notes() == ["only once"]
    assert engine.case(ticket)["status"] == "assigned"
    assert engine.receipt().state == "in_sync"


def test_a_push_that_arrived_unseen_is_not_taken_for_an_account_managers_edit(engine, crm):
    """FAILURES 21."""
    ticket = mirrored(engine)
    crm.fail("update_case", LOST, when="after")
    engine.receive(replace(ticket, version=2, priority="high"))
    engine.settle()
    engine.receive(replace(ticket, version=3, priority="low"))
    engine.settle_through_failures()
    assert (engine.case(ticket)["priority"], engine.sent(CaseChanged), engine.conflicts()) == ("low", [], [])


def test_an_edit_between_our_read_and_our_write_survives(engine, crm):
    ticket = mirrored(engine)
    case_id = case_id_of(ticket.ticket_id)

    def slip_in(call, moment):
        if call.method == "update_case" and moment == "before" and engine.case(ticket)["priority"] == "medium":
            crm.edit(case_id, priority="high")

    crm.hooks.append(slip_in)
    engine.receive(replace(ticket, version=2, status="open"))
    engine.settle()
    assert (engine.case(ticket)["status"], engine.case(ticket)["priority"]) == ("assigned", "high")
    assert engine.sent(CaseChanged)[-1].changes[0].after == "high"


def test_text_an_account_manager_writes_around_the_block_survives(engine, crm):
    ticket = mirrored(engine)
    words = engine.case(ticket)["description"]
    crm.edit(case_id_of(ticket.ticket_id), description=f"CALL HER BACK\n{words}\nsee contract 7")
    link = AttachmentLink(id=new_id(), name="shot.png", size=2048, url="http://portal.example/files/abc")
    engine.receive(replace(ticket, version=2, attachments=(link,)))
    engine.settle()
    after = engine.case(ticket)["description"]
    assert after.startswith("CALL HER BACK\nIt burns.")
    assert after.endswith(f"{BLOCK_END}\nsee contract 7")
    assert "shot.png (2,048 bytes) http://portal.example/files/abc" in after


def test_a_block_that_was_taken_out_is_put_back(engine, crm):
    ticket = mirrored(engine)
    crm.edit(case_id_of(ticket.ticket_id), description="It burns.")
    engine.settle()
    assert engine.case(ticket)["description"].count(BLOCK_BEGIN) == 1


def test_a_status_the_portal_does_not_know_stops_that_field_only(engine, crm):
    ticket = mirrored(engine)
    crm.cases[case_id_of(ticket.ticket_id)].fields["status"] = "legal_hold"
    crm.edit(case_id_of(ticket.ticket_id), priority="high")
    engine.settle()
    engine.answer(ticket, engine.sent(CaseChanged)[-1])
    engine.settle()
    assert [c.field for c in engine.sent(CaseChanged)[-1].changes] == ["priority"]
    assert engine.case(ticket)["status"] == "legal_hold"
    assert engine.receipt().state == "failed"
    assert '"legal_hold"' in engine.receipt().reason


def test_staff_unknown_to_the_crm_are_told_of_and_never_guessed(engine, crm):
    ticket = mirrored(engine, assignee=Person(name="New Hire", crm_id=None))
    assert engine.case(ticket)["assignee"] is None
    assert "New Hire is no user of the CRM" in engine.receipt().reason


def test_a_field_the_crm_refuses_is_parked_and_the_rest_is_written(engine, crm):
    ticket = mirrored(engine)
    crm.fail("update_case", InvalidError("no such user", fields={"assignee": "no such user"}))
    engine.receive(replace(ticket, version=2, status="open", assignee=Person(name="X", crm_id="gone")))
    engine.settle()
    assert engine.case(ticket)["status"] == "assigned"
    assert "the CRM refuses assignee: no such user" in engine.receipt().reason


def test_a_case_deleted_in_the_crm_is_never_made_again(engine, crm):
    ticket = mirrored(engine)
    crm.delete_case(case_id_of(ticket.ticket_id))
    engine.settle()
    calls = len(crm.calls)
    engine.receive(replace(ticket, version=2, status="open"), new_reply(ticket, 1))
    engine.runner.run_until_idle()
    assert (len(crm.cases), len(crm.calls)) == (1, calls)
    assert (engine.link(ticket).state, engine.receipt().state) == ("case_deleted", "failed")


def test_a_removed_tickets_case_stays_with_one_note_that_says_so(engine, crm):
    ticket = mirrored(engine)
    gone = replace(ticket, version=2, deleted_at=engine.clock, deleted_by="Sam Peters")
    crm.fail("create_note", LOST, when="after")
    engine.receive(gone)
    engine.settle_through_failures(3)
    engine.receive(replace(gone, version=3))
    engine.settle()
    assert [note.title for note in crm.notes.values()] == ["Ticket #1001 was removed from the portal by Sam Peters"]
    crm.edit(case_id_of(ticket.ticket_id), priority="high")
    engine.settle()
    assert engine.sent(CaseChanged) == []


def test_an_unreachable_crm_costs_no_ticket_an_attempt_and_is_told(engine, crm):
    tickets = [new_ticket(number=n) for n in range(1001, 1011)]
    crm.fail("*", UnreachableError("connection refused"), times=1000)
    engine.receive(*tickets)
    for _ in range(60):
        engine.clock += timedelta(seconds=20)
        engine.runner.run_until_idle()
    assert {engine.lane(ticket.ticket_id).state for ticket in tickets} == {"due"}
    assert engine.sent(CrmStatusChanged)[-1].state == "unreachable"
    crm.hooks.clear()
    engine.clock += timedelta(seconds=20)
    engine.runner.run_until_idle()
    engine.settle_through_failures(3)
    assert len(crm.cases) == 10
    assert engine.sent(CrmStatusChanged)[-1].state == "reachable"


def test_a_rate_limit_pauses_the_whole_crm_until_it_ends(engine, crm):
    crm.fail("create_case", RateLimitedError("429", retry_after=timedelta(seconds=40)))
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    calls = len(crm.calls)
    engine.clock += timedelta(seconds=39)
    engine.runner.run_until_idle()
    assert len(crm.calls) == calls
    engine.clock += timedelta(seconds=2)
    engine.runner.run_until_idle()
    assert engine.lane(ticket.ticket_id).attempts == 0
    assert len(crm.cases) == 1


def test_a_refused_key_stops_all_calls_at_once(engine, crm):
    crm.fail("create_case", UnauthorisedError("401"))
    engine.receive(new_ticket())
    engine.settle()
    assert engine.sent(CrmStatusChanged)[-1].state == "unreachable"


def test_a_ticket_that_always_fails_is_parked_and_delays_nobody(engine, crm):
    poisoned, healthy = new_ticket(), new_ticket(number=1002)

    def refuse(call, moment):
        if moment == "before" and call.method == "create_case" and call.key == case_id_of(poisoned.ticket_id):
            raise UnreachableError("500 for this one")

    crm.hooks.append(refuse)
    engine.receive(poisoned)
    engine.settle()
    engine.receive(healthy)
    engine.settle(seconds=1)
    assert case_id_of(healthy.ticket_id) in crm.cases
    for number in range(40):
        engine.receive(replace(healthy, version=2 + number))
        engine.settle(seconds=70)
    assert engine.lane(poisoned.ticket_id).state == "parked"
    assert "500 for this one" in engine.lane(poisoned.ticket_id).cause


def test_a_requester_unknown_to_the_crm_becomes_one_contact(engine, crm):
    people = [Person(name="Neo", email=address) for address in ("Neo@X.example", "neo@x.example")]
    tickets = [new_ticket(number=n, contact=person) for n, person in enumerate(people, 1001)]
    engine.receive(*tickets)
    engine.settle()
    contacts = {engine.case(ticket)["contact"] for ticket in tickets}
    assert len(contacts) == 1
    assert len([kind for kind, _ in crm.records if kind == "contact"]) == 1


def test_an_ambiguous_requester_is_a_question_for_a_person(engine, crm):
    for crm_id in ("one", "two"):
        crm.keep("contact", crm_id, "Twin", emails=("twin@x.example",))
    ticket = mirrored(engine, contact=Person(name="Twin", email="twin@x.example"))
    assert engine.case(ticket)["contact"] is None
    assert "2 contacts" in engine.receipt().reason


def test_a_long_description_is_cut_with_a_visible_mark(engine, crm):
    ticket = mirrored(engine, description="ü" * 40_000)
    text = engine.case(ticket)["description"]
    assert len(text.encode()) <= 65_535
    assert "[cut; full text: http://portal.example/tickets/1001]" in text
    assert engine.receipt().state == "in_sync"


def test_words_that_look_like_our_block_do_not_fool_it(engine, crm):
    fake = f"{BLOCK_BEGIN}\nTicket: #1 http://evil.example\n{BLOCK_END}"
    ticket = mirrored(engine, description=fake)
    engine.receive(replace(ticket, version=2, link_url="https://new.example"))
    engine.settle()
    text = engine.case(ticket)["description"]
    assert "http://evil.example" in text
    assert "URL: https://new.example" in text
    assert engine.receipt().state == "in_sync"
