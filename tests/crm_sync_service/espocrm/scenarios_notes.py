"""What EspoCRM does with Notes, webhooks and log-ins, and what the connector makes of it."""

import json
from datetime import timedelta
from unittest.mock import patch

import pytest

from crm_sync_service.connectors import http
from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    RateLimitedError,
    UnauthorisedError,
    UnreachableError,
)
from tests.crm_sync_service.espocrm.simulator import KEY, sign
from tests.crm_sync_service.espocrm.world import World, everything, note

HOOKS = "https://casebridge.example/hooks/espocrm"


def a_repeated_note_names_the_first(world: World) -> None:
    """A clash of Notes always looks like a fault."""
    new = note(world.case())
    note_id = world.crm.create_note(new)
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_note(new)
    assert refused.value.record_id == note_id
    assert len(world.posts()) == 1


def a_lost_answer_to_a_note_is_settled_by_the_key(world: World) -> None:
    new = note(world.case())
    world.crmside.fail("hang_up", "POST", "Note")
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_note(new)
    assert [post["id"] for post in world.posts()] == [refused.value.record_id]


def a_note_by_an_earlier_api_user_is_found(world: World) -> None:
    """The list of Notes shows only one's own."""
    new = note(world.case())
    note_id = world.crm.create_note(new)
    world.state.tables["Note"][note_id]["createdById"] = "earlier"
    assert world.crm.find_note(new) == note_id


def a_note_on_a_deleted_case_tells_that_it_is_gone(world: World) -> None:
    """EspoCRM answers as if a right were missing."""
    case = world.case()
    world.state.delete("Case", case.id)
    with pytest.raises(GoneError):
        world.crm.create_note(note(case))


def a_note_on_no_case_is_not_made(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.crm.create_note(note(world.case(), case_id=""))
    assert world.posts() == []


def a_right_that_is_missing_is_not_taken_for_a_deleted_case(world: World) -> None:
    case = world.case()
    world.crmside.rights["Note"] = {"create": "no", "read": "own"}
    with pytest.raises(ForbiddenError):
        world.crm.create_note(note(case))


def notes_come_back_in_order_with_key_and_author(world: World) -> None:
    case = world.case()
    ours = note(case, body="<b>a = b</b>\n🔥 @alice")
    world.crm.create_note(ours)
    world.crmside.post(case.id, "Called her")
    found = world.crm.notes_of(case.id)
    assert [(one.key, one.body, one.author) for one in found] == [
        (ours.key, ours.body, "casebridge"),
        (None, "Called her", "Bob Backend"),
    ]


def internal_notes_are_marked_so(world: World) -> None:
    world.crm.create_note(note(world.case(), side="internal"))
    assert world.posts()[0]["isInternal"] is True


def a_note_without_a_place_for_a_title_keeps_what_only_the_title_says(world: World) -> None:
    title = "Ticket #1001 was removed from the portal by Sam"
    world.crm.create_note(note(world.case(), side="system", title=title, body="This Case stays."))
    assert world.posts()[0]["post"] == f"{title}\n\nThis Case stays."


def only_a_marked_post_goes_to_the_customer(world: World) -> None:
    case = world.case()
    world.crmside.post(case.id, "#send-to-customer We have found it.")
    world.crmside.post(case.id, "#send-to-customer for colleagues", internal=True)
    world.crmside.post(case.id, "not yet #send-to-customer")
    world.crm.create_note(note(case, body="#send-to-customer said the customer"))
    found = {one.body: one.for_customer for one in world.crm.notes_of(case.id)}
    assert [body for body, goes in found.items() if goes] == ["We have found it."]


def many_notes_of_one_case_are_all_read(world: World) -> None:
    case = world.case()
    for number in range(430):
        world.state.keep("Note", parentType="Case", parentId=case.id, post=str(number), type="Post")
    assert [one.body for one in world.crm.notes_of(case.id)] == [str(number) for number in range(430)]


def long_posts_are_read_in_smaller_pages(world: World) -> None:
    """Two hundred of them could exceed what an answer may have."""
    case = world.case()
    made = [world.crmside.post(case.id, f"{number} {'x' * 2_000}") for number in range(60)]
    with patch.object(http, "MAX_ANSWER_BYTES", 30_000):
        assert [one.id for one in world.crm.notes_of(case.id)] == made
        assert {row.note_id for row in everything(world.crm.changed_notes, None)} == set(made)


def replies_of_people_show_in_the_feed(world: World) -> None:
    """The list of Notes shows an API user only its own."""
    case = world.case()
    newest = world.crm.changed_notes(None, page=None).newest
    post = world.crmside.post(case.id, "Called her")
    rows = everything(world.crm.changed_notes, newest)
    assert [(row.note_id, row.case_id) for row in rows] == [(post, case.id)]


def a_long_stream_is_read_down_to_where_we_were(world: World) -> None:
    case = world.case()
    first = world.crmside.post(case.id, "the first")
    newest = world.crm.changed_notes(None, page=None).newest
    made = {world.state.keep("Note", parentType="Case", parentId=case.id, type="Post") for _ in range(450)}
    rows = everything(world.crm.changed_notes, newest)
    assert {row.note_id for row in rows} == {first, *made}


def the_feed_of_notes_goes_back_as_far_as_asked(world: World) -> None:
    case = world.case()
    posts = [world.crmside.post(case.id, str(number)) for number in range(20)]
    newest = world.crm.changed_notes(None, page=None).newest
    back = world.crm.rewind(newest, timedelta(seconds=10))
    assert {row.note_id for row in everything(world.crm.changed_notes, back)} == set(posts[-11:])


def without_the_global_stream_each_case_is_asked(world: World) -> None:
    world.crmside.rights["GlobalStream"] = False
    quiet, case = world.case(), world.case()
    world.clock += timedelta(minutes=5)
    first = world.crmside.post(case.id, "Called her")
    page = world.crm.changed_notes(None, page=None)
    assert [row.note_id for row in page.rows] == [first]
    second = world.crmside.post(case.id, "Again, in the same second")
    asked = len(world.sent("GET", f"Case/{quiet.id}"))
    rows = everything(world.crm.changed_notes, page.newest)
    assert {row.note_id for row in rows} == {first, second}
    assert len(world.sent("GET", f"Case/{quiet.id}")) == asked


def a_right_to_the_stream_that_comes_and_goes_loses_nothing(world: World) -> None:
    case = world.case()
    newest = world.crm.changed_notes(None, page=None).newest
    world.clock += timedelta(minutes=5)
    world.crmside.rights["GlobalStream"] = False
    posts = {world.crmside.post(case.id, "one")}
    page = world.crm.changed_notes(newest, page=None)
    assert {row.note_id for row in page.rows} == posts
    world.crmside.rights["GlobalStream"] = True
    posts.add(world.crmside.post(case.id, "two"))
    assert {row.note_id for row in everything(world.open().changed_notes, page.newest)} == posts


# Log-ins.


def a_refused_key_is_not_tried_again_at_once(world: World) -> None:
    crm = world.open(api_key="another-key")
    for _ in range(20):
        with pytest.raises(UnauthorisedError, match="CRM_API_KEY"):
            crm.info()
    assert len(world.crmside.requests) == 1
    world.seconds += 31
    with pytest.raises(UnauthorisedError):
        crm.info()
    assert len(world.crmside.requests) == 2


def a_lock_out_of_our_address_is_sat_out(world: World) -> None:
    for _ in range(11):
        with pytest.raises(UnauthorisedError):
            world.open(api_key="of a neighbour").info()
    asked = len(world.crmside.requests)
    for _ in range(5):
        with pytest.raises(RateLimitedError, match="locked") as paused:
            world.crm.info()
    assert paused.value.retry_after == timedelta(seconds=60)
    assert len(world.crmside.requests) == asked + 1
    world.seconds += 61
    assert world.crm.info().version == "9.2.7"


def a_deactivated_api_user_is_told_of(world: World) -> None:
    world.state.tables["User"][world.crmside.users[KEY]]["isActive"] = False
    with pytest.raises(UnauthorisedError, match="active"):
        world.crm.info()


def signed_requests_are_understood(world: World) -> None:
    """The signature covers the path without the query."""
    world.crmside.hmac_users["hmac-key"] = ("the-secret", world.crmside.users[KEY])
    crm = world.open(api_key="hmac-key", secret_key="the-secret")
    case = crm.create_case(world.new())
    crm.update_case(case.id, {"priority": "High"}, version=case.version)
    assert [row.case_id for row in everything(crm.changed_cases, None)] == [case.id]
    with pytest.raises(UnauthorisedError):
        world.open(api_key="hmac-key", secret_key="another").info()


def another_database_behind_the_same_address_is_noticed(world: World) -> None:
    before = world.crm.info()
    assert world.crm.info() == before
    world.state.tables["User"][world.crmside.users[KEY]]["createdById"] = "another administrator"
    assert world.crm.info().instance != before.instance


def maintenance_is_no_answer(world: World) -> None:
    world.crmside.maintenance = True
    with pytest.raises(UnreachableError, match="maintenance"):
        world.crm.info()


def a_page_instead_of_data_is_no_answer(world: World) -> None:
    world.crmside.fail("html", "GET", "Case/x")
    with pytest.raises(UnreachableError, match="web page"):
        world.crm.get_case("x")


def an_address_without_the_api_is_told_of(world: World) -> None:
    with pytest.raises(UnreachableError, match="CRM_API_URL"):
        world.open(url=f"{world.crmside.url}/somewhere").info()
    assert world.open(url=f"{world.crmside.url}/api/v1/").info().version == "9.2.7"


def a_refusal_by_a_firewall_concerns_only_this_request(world: World) -> None:
    """It has words, but not EspoCRM's header with the reason."""
    case = world.case()
    answer = world.crmside._answer

    def firewall(request):
        response = answer(request)
        if b"<script>" in request.body:
            response.status, response.body, response.headers = 403, b"<h1>Blocked</h1>", {"Content-Type": "text/html"}
        return response

    world.crmside._answer = firewall
    with pytest.raises(InvalidError, match="firewall"):
        world.crm.update_case(case.id, {"description": "<script>"}, version=None)


# Webhooks.


def _webhook(world: World, event: str) -> tuple[str, str]:
    row = next(row for row in world.state.live("Webhook") if row["event"] == event)
    return row["id"], row["secretKey"]


def webhooks_are_registered_once_with_an_address_each(world: World) -> None:
    world.crm.register_webhooks(HOOKS)
    world.crm.register_webhooks(HOOKS)
    rows = world.state.live("Webhook")
    assert {(row["event"], row["url"]) for row in rows} == {
        ("Case.update", f"{HOOKS}/Case.update"),
        ("Case.delete", f"{HOOKS}/Case.delete"),
    }
    assert len(rows) == 2
    assert all(row["skipOwn"] for row in rows)


def a_webhook_registered_twice_by_hand_is_cleared_up(world: World) -> None:
    for _ in range(2):
        world.state.keep("Webhook", event="Case.update", url=f"{HOOKS}/Case.update", secretKey="s" * 20)
    world.crm.register_webhooks(HOOKS)
    assert len(world.state.live("Webhook")) == 2


def without_the_right_to_webhooks_it_is_said_and_nothing_fails(world: World) -> None:
    world.crmside.rights["Webhook"] = False
    (words,) = world.crm.register_webhooks(HOOKS)
    assert "correct its role" in words


def an_internal_address_that_is_refused_is_said_and_nothing_fails(world: World) -> None:
    """From 9.3 on."""
    world.crmside.internal_webhooks = False
    words = world.crm.register_webhooks("http://127.0.0.1:8001/hooks/espocrm")
    assert len(words) == 2
    assert all("webhookAllowedAddressList" in each for each in words)
    assert world.state.live("Webhook") == []


def a_signed_hint_names_its_cases(world: World) -> None:
    world.crm.register_webhooks(HOOKS)
    body = json.dumps([{"id": "c1", "status": "Pending"}, {"id": "c2"}, {"id": "c1"}]).encode()
    headers = sign(*_webhook(world, "Case.update"), body)
    assert world.crm.hinted("Case.update", body, headers) == ["c1", "c2"]
    old = {name: value for name, value in headers.items() if name != "Signature"}
    assert world.open().hinted("Case.update", body, old) == ["c1", "c2"]


def a_hint_that_is_not_genuine_is_refused(world: World) -> None:
    world.crm.register_webhooks(HOOKS)
    webhook_id, secret = _webhook(world, "Case.update")
    body = b'[{"id":"c1"}]'
    good = sign(webhook_id, secret, body)
    forged = [
        ("Case.update", b'[{"id":"c2"}]', good),
        ("Case.update", body, sign(webhook_id, "another secret", body)),
        ("Case.update", body, sign(webhook_id, "", body)),
        ("Case.delete", body, good),
        ("Case.update", body, {}),
        ("Case.update", body, {"Signature": "%%%"}),
        ("Case.update", body, sign("unknown", secret, body)),
    ]
    for topic, content, headers in forged:
        with pytest.raises(UnauthorisedError):
            world.crm.hinted(topic, content, headers)


def nonsense_from_outside_costs_no_calls(world: World) -> None:
    for number in range(20):
        with pytest.raises(UnauthorisedError):
            world.crm.hinted("Case.update", b"[]", sign(f"unknown{number}", "s", b"[]"))
    assert len(world.sent("GET", "Webhook")) == 1


def a_hint_without_ids_is_invalid(world: World) -> None:
    world.crm.register_webhooks(HOOKS)
    for body in (b"", b"{", b'{"id":"c1"}', b'[{"name":"x"}]', b"[1]", b'[{"id":null}]'):
        with pytest.raises(InvalidError):
            world.crm.hinted("Case.update", body, sign(*_webhook(world, "Case.update"), body))
