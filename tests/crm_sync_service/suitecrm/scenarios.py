"""What has to hold between our connector and SuiteCRM's quirks, each scenario as one function.

`mistakes.py` switches off how the connector deals with a quirk; the scenario named there must then fail.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

import pytest

from crm_sync_service.connectors import http
from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    GoneError,
    InvalidError,
    NewCase,
    NewContact,
    NotFoundError,
    StaleError,
    UnreachableError,
)
from shared.ids import new_id
from tests.crm_sync_service.suitecrm.refusals import not_found
from tests.crm_sync_service.suitecrm.simulator import broken_json, failed
from tests.crm_sync_service.suitecrm.tables import API_USER
from tests.crm_sync_service.suitecrm.world import ACME, ALICE, CAROL, DAVE, START, TORTURE, World


def text_survives(world: World) -> None:
    for text in TORTURE:
        case = world.case(subject=text, description=f"{text}\n\n  {text}\n")
        again = world.crm.get_case(case.id).fields
        assert (again["subject"], again["description"]) == (text, f"{text}\n\n  {text}\n")
        note = world.note(case.id, title=text, body=text)
        world.crm.create_note(note)
        assert [(each.title, each.body) for each in world.crm.notes_of(case.id)] == [(text, text)]


def the_guard_is_written(world: World) -> None:
    case = world.case(subject="a <b> c")
    assert world.row(case.id)["name"] == "a <\u200bb> c"


def the_editors_html_reads_as_text(world: World) -> None:
    case = world.case(description="one <b>\ntwo & three")
    world.simulator.tables.save_form(case.id, priority="P3")
    assert world.row(case.id)["description"].startswith("<p>")
    assert world.crm.get_case(case.id).fields["description"] == "one <b> two & three"


def markup_around_a_change_stays(world: World) -> None:
    case = world.case()
    world.row(case.id)["description"] = "<p>Call <b>first</b>!</p>\n<p>BEGIN old END</p>"
    wanted = "Call first!\n\nBEGIN new <x> END"
    after = world.crm.update_case(case.id, {"description": wanted}, version=None)
    assert after.fields["description"] == wanted
    assert "<b>first</b>" in world.row(case.id)["description"]


def what_is_so_already_is_not_written(world: World) -> None:
    case = world.case(subject="a <b>", account=ACME, contact=CAROL)
    same = {name: case.fields[name] for name in ("subject", "description", "status", "account", "contact")}
    assert world.crm.update_case(case.id, same, version=case.version).stamp == case.stamp
    assert world.patches() == 0


def the_state_follows_the_status(world: World) -> None:
    case = world.case()
    assert world.row(case.id)["state"] == "Open"
    world.crm.update_case(case.id, {"status": "Closed_Closed"}, version=None)
    assert world.row(case.id)["state"] == "Closed"


def nothing_clears_a_field(world: World) -> None:
    case = world.case(assignee=ALICE, account=ACME)
    after = world.crm.update_case(case.id, {"assignee": None, "account": None}, version=None)
    assert (after.fields["assignee"], after.fields["account"]) == (None, None)


def a_new_case_is_stored(world: World) -> None:
    case = world.case()
    assert world.simulator.tables.live("Cases", case.id) is not None
    assert world.row(case.id)["portal_ticket_id_c"] == case.id


def a_contact_is_in_the_subpanel(world: World) -> None:
    case = world.case(contact=CAROL)
    assert world.simulator.tables.contacts[case.id] == [CAROL]
    assert world.crm.get_case(case.id).fields["contact"] == CAROL


def another_contact_replaces_ours_only(world: World) -> None:
    case = world.case(contact=CAROL)
    other = world.simulator.tables.keep("Contacts", str(new_id()), last_name="Colleague")["id"]
    world.simulator.tables.link_contact(case.id, other)
    assert world.crm.get_case(case.id).fields["contact"] == CAROL
    after = world.crm.update_case(case.id, {"contact": DAVE}, version=None)
    assert after.fields["contact"] == DAVE == world.crm.get_case(case.id).fields["contact"]
    assert set(world.simulator.tables.contacts[case.id]) == {other, DAVE}


def an_unclear_create_is_settled_by_reading(world: World) -> None:
    world.simulator.faults.append(("POST", broken_json))
    with pytest.raises(AlreadyExistsError):
        world.case()
    assert len(world.simulator.tables.rows["Cases"]) == 1


def an_answer_of_500_is_settled_by_reading(world: World) -> None:
    world.simulator.faults.append(("POST", failed))
    with pytest.raises(AlreadyExistsError):
        world.case()


def a_second_create_is_told_apart(world: World) -> None:
    case = world.case()
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_case(NewCase(id=case.id, key=case.id, fields={"subject": "again"}))
    assert refused.value.record_id == case.id


def a_deleted_id_is_gone(world: World) -> None:
    case = world.case()
    world.simulator.tables.delete("Cases", case.id)
    with pytest.raises(NotFoundError):
        world.crm.get_case(case.id)
    with pytest.raises(GoneError):
        world.crm.create_case(NewCase(id=case.id, key=case.id, fields={"subject": "again"}))


def the_feed_misses_nobody(world: World) -> None:
    """All saved within one second, over many pages."""
    cases = {world.case().id for _ in range(30)}
    assert world.all_in_feed() == cases


def the_feed_starts_within_the_minute(world: World) -> None:
    """A stamp without seconds must not hide what happened later in its minute."""
    case = world.case()
    newest = world.crm.changed_cases(None, page=None).newest
    world.seconds += 20
    world.simulator.tables.edit(case.id, priority="P1")
    assert [row.case_id for row in world.crm.changed_cases(newest, page=None).rows] == [case.id]


def a_late_commit_is_within_the_overlap(world: World) -> None:
    late, prompt = world.case(), world.case()
    began = world.simulator.tables.stamp()
    world.seconds += 100
    world.simulator.tables.edit(prompt.id, priority="P1")
    newest = world.crm.changed_cases(None, page=None).newest
    world.row(late.id).update(priority="P1", date_modified=began)
    since = world.crm.rewind(newest or "", world.crm.capabilities.feed_overlap)
    assert late.id in {row.case_id for row in world.crm.changed_cases(since, page=None).rows}


def what_changes_during_a_pass_comes_with_the_next(world: World) -> None:
    """The cursor may not run ahead of rows that were behind the page when they changed."""
    cases = sorted(world.case().id for _ in range(12))
    first = world.crm.changed_cases(None, page=None)
    world.seconds += 60
    world.simulator.tables.edit(cases[0], priority="P1")
    world.seconds += 3600
    world.simulator.tables.edit(cases[-1], priority="P1")
    newest, page = first.newest, first.next
    while page is not None:
        answer = world.crm.changed_cases(None, page=page)
        newest, page = max(filter(None, (newest, answer.newest))), answer.next
    since = world.crm.rewind(newest or "", world.crm.capabilities.feed_overlap)
    assert cases[0] in {row.case_id for row in world.crm.changed_cases(since, page=None).rows}


def a_record_deleted_while_listing_costs_nothing(world: World) -> None:
    case = world.case()
    world.crm.changed_cases(None, page=None)
    world.simulator.faults.append(("GET", lambda *_: not_found("Cases", case.id).answer()))
    assert world.all_in_feed() == {case.id}


def a_list_that_is_too_long_comes_in_parts(world: World) -> None:
    """Seven descriptions of the largest size together exceed what is read of one answer."""
    cases = {world.case(description="x" * 60_000).id for _ in range(7)}
    with patch.object(http, "MAX_ANSWER_BYTES", 200_000):
        assert world.all_in_feed() == cases


def every_change_has_a_stamp_of_its_own(world: World) -> None:
    case = world.case()
    changed = world.simulator.tables.edit(case.id, priority="P1")
    feed = {row.case_id: row.stamp for row in world.crm.changed_cases(None, page=None).rows}
    assert feed[case.id] == world.crm.get_case(case.id).stamp != case.stamp
    assert changed["date_modified"][:16] == case.modified_at.strftime("%Y-%m-%d %H:%M")


def a_save_without_change_keeps_the_stamp(world: World) -> None:
    case = world.case()
    world.seconds += 600
    world.simulator.tables.edit(case.id, by=API_USER)
    assert world.crm.get_case(case.id).stamp == case.stamp


def offsets_are_not_believed(world: World) -> None:
    world.simulator.quirks.wrong_offset = "-05:00"
    case = world.case()
    assert case.modified_at == START.replace(second=0)


def an_address_that_was_removed_finds_nobody(world: World) -> None:
    world.simulator.tables.emails[CAROL] = [("new@acme.example", False), ("carol@acme.example", True)]
    assert list(world.crm.contacts_by_email("carol@acme.example")) == []
    assert [entry.crm_id for entry in world.crm.contacts_by_email("NEW@acme.example")] == [CAROL]


def a_second_address_finds_its_contact(world: World) -> None:
    world.simulator.tables.emails[CAROL].append(("c.jansen@home.example", False))
    assert [entry.crm_id for entry in world.crm.contacts_by_email("c.jansen@home.example")] == [CAROL]


def records_that_are_not_there_are_refused(world: World) -> None:
    case = world.case()
    for name in ("account", "assignee", "contact"):
        with pytest.raises(InvalidError) as refused:
            world.crm.update_case(case.id, {name: str(new_id())}, version=None)
        assert set(refused.value.fields) == {name}
    assert world.patches() == 0


def unknown_options_are_refused(world: World) -> None:
    with pytest.raises(InvalidError) as refused:
        world.case(status="On the moon", priority="P9")
    assert set(refused.value.fields) == {"status", "priority"}
    assert world.simulator.tables.rows["Cases"] == {}


def a_note_of_a_deleted_case_is_taken_back(world: World) -> None:
    case = world.case()
    world.simulator.tables.delete("Cases", case.id)
    with pytest.raises(NotFoundError):
        world.crm.create_note(world.note(case.id))
    assert [row for row in world.simulator.tables.rows["Notes"].values() if row["deleted"] == "0"] == []


def notes_have_a_feed(world: World) -> None:
    case = world.case()
    before = world.crm.get_case(case.id).stamp
    note_id = world.simulator.tables.write_note(case.id, "Called her", "a < b", portal_flag="1")
    assert [(row.note_id, row.case_id) for row in world.crm.changed_notes(None, page=None).rows] == [(note_id, case.id)]
    (note,) = world.crm.notes_of(case.id)
    assert (note.title, note.body, note.author, note.for_customer) == ("Called her", "a < b", "Administrator", True)
    assert world.crm.get_case(case.id).stamp == before


def notes_of_one_second_stay_in_order(world: World) -> None:
    case = world.case()
    for position in range(1, 8):
        world.crm.create_note(replace(world.note(case.id, title=f"No. {position}"), position=position))
    assert [note.title for note in world.crm.notes_of(case.id)] == [f"No. {position}" for position in range(1, 8)]


def products_are_what_cases_name(world: World) -> None:
    for product in ("router_x1", "router_x2", None):
        world.case(product=product)
    rows = world.crm.changed_directory("product", None, page=None).rows
    assert {(row.crm_id, row.name, row.active) for row in rows} == {
        ("router_x1", "router_x1", True),
        ("router_x2", "router_x2", True),
    }


def a_case_without_account_gets_its_contacts(world: World) -> None:
    world.simulator.tables.rows["Contacts"][CAROL]["account_id"] = ACME
    case = world.case(contact=CAROL)
    assert case.fields["account"] == ACME
    assert world.crm.get_case(case.id).stamp == case.stamp


def a_token_is_renewed_before_it_ends(world: World) -> None:
    world.simulator.tokens.life = 100
    for _ in range(8):
        world.crm.info()
        world.seconds += 30
    assert world.simulator.tokens.refused == 0
    assert len(world.simulator.tokens.given) > 1


def a_revoked_token_is_replaced_once(world: World) -> None:
    world.crm.info()
    world.simulator.tokens.given[-1].revoked = True
    world.crm.info()
    assert (len(world.simulator.tokens.given), world.simulator.tokens.refused) == (2, 1)


def long_texts_are_cut_with_a_mark(world: World) -> None:
    case = world.case(subject=world.crm.normalise("subject", "x <y>" * 100))
    shown = world.crm.get_case(case.id).fields["subject"] or ""
    assert shown.endswith("…")
    assert len(world.row(case.id)["name"]) <= 255
    note = world.note(case.id, title="t" * 300, body="<ü>" * 30_000)
    world.crm.create_note(note)
    (kept,) = world.crm.notes_of(case.id)
    assert kept.title.endswith("…")
    assert kept.body.endswith("the full text is in the portal]")


def fields_that_are_not_installed_are_left_out(world: World) -> None:
    world.simulator.tables.custom = {}
    case = world.case(product="router_x1")
    assert case.fields["product"] is None is world.crm.normalise("product", "router_x1")
    world.crm.create_note(world.note(case.id))
    assert {item.what.split(":")[0] for item in world.crm.missing() if "field" in item.what} == {
        "the field portal_ticket_id_c of Cases",
        "the field product_c of Cases",
        "the field portal_message_id_c of Notes",
    }


def somebodys_change_between_reading_and_writing_is_noticed(world: World) -> None:
    case = world.case()
    world.simulator.tables.edit(case.id, priority="P1")
    with pytest.raises(StaleError):
        world.crm.update_case(case.id, {"priority": "P3"}, version=case.version)
    assert world.row(case.id)["priority"] == "P1"


def emoji_are_named_where_they_would_be_lost(world: World) -> None:
    world.simulator.quirks.narrow = True
    case = world.case(subject="It burns 🔥", description="🇳🇱 ü")
    assert (case.fields["subject"], case.fields["description"]) == ("It burns [fire]", "[n][l] ü")
    world.crm.update_case(case.id, {"subject": "It burns 🔥"}, version=None)
    assert world.patches() == 0
    world.crm.create_note(world.note(case.id, body="😀"))
    assert [note.body for note in world.crm.notes_of(case.id)] == ["[grinning face]"]
    assert any("emoji" in item.what for item in world.crm.missing())
    assert [row for row in world.simulator.tables.rows["Notes"].values() if not row["parent_id"]] != []


def a_long_name_of_a_person_is_cut_with_a_mark(world: World) -> None:
    contact_id = str(new_id())
    world.crm.create_contact(NewContact(id=contact_id, name=f"{'Anna ' * 60}{'X' * 130}", emails=("a@x.example",)))
    row = world.simulator.tables.rows["Contacts"][contact_id]
    assert [len(row["first_name"]) <= 100, len(row["last_name"])] == [True, 100]
    assert row["first_name"][-1] == row["last_name"][-1] == "…"


def a_first_look_can_begin_at_the_end(world: World) -> None:
    assert (world.crm.newest_stamp("cases"), world.crm.newest_stamp("notes")) == (None, None)
    world.case()
    world.seconds = 3600
    last = world.case()
    world.crm.create_note(world.note(last.id))
    since = world.crm.rewind(world.crm.newest_stamp("cases") or "", timedelta(minutes=5))
    assert [row.case_id for row in world.crm.changed_cases(since, page=None).rows] == [last.id]
    since = world.crm.rewind(world.crm.newest_stamp("notes") or "", timedelta(minutes=5))
    assert [row.case_id for row in world.crm.changed_notes(since, page=None).rows] == [last.id]


def traces_stay_inside(world: World) -> None:
    case = world.case()
    world.simulator.faults.append(("PATCH", failed))
    with pytest.raises(UnreachableError) as error:
        world.crm.update_case(case.id, {"priority": "P1"}, version=None)
    assert "/srv/crm" not in str(error.value)
    assert "suitecrm.log" in str(error.value)


SCENARIOS: Mapping[str, Callable[[World], None]] = {
    scenario.__name__: scenario
    for scenario in (
        text_survives,
        the_guard_is_written,
        the_editors_html_reads_as_text,
        markup_around_a_change_stays,
        what_is_so_already_is_not_written,
        the_state_follows_the_status,
        nothing_clears_a_field,
        a_new_case_is_stored,
        a_contact_is_in_the_subpanel,
        another_contact_replaces_ours_only,
        an_unclear_create_is_settled_by_reading,
        an_answer_of_500_is_settled_by_reading,
        a_second_create_is_told_apart,
        a_deleted_id_is_gone,
        the_feed_misses_nobody,
        the_feed_starts_within_the_minute,
        a_late_commit_is_within_the_overlap,
        what_changes_during_a_pass_comes_with_the_next,
        a_record_deleted_while_listing_costs_nothing,
        a_list_that_is_too_long_comes_in_parts,
        every_change_has_a_stamp_of_its_own,
        a_save_without_change_keeps_the_stamp,
        offsets_are_not_believed,
        an_address_that_was_removed_finds_nobody,
        a_second_address_finds_its_contact,
        records_that_are_not_there_are_refused,
        unknown_options_are_refused,
        a_note_of_a_deleted_case_is_taken_back,
        notes_have_a_feed,
        notes_of_one_second_stay_in_order,
        products_are_what_cases_name,
        a_case_without_account_gets_its_contacts,
        a_token_is_renewed_before_it_ends,
        a_revoked_token_is_replaced_once,
        long_texts_are_cut_with_a_mark,
        fields_that_are_not_installed_are_left_out,
        somebodys_change_between_reading_and_writing_is_noticed,
        emoji_are_named_where_they_would_be_lost,
        a_long_name_of_a_person_is_cut_with_a_mark,
        a_first_look_can_begin_at_the_end,
        traces_stay_inside,
    )
}
