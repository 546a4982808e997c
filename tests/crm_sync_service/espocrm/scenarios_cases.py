"""What EspoCRM does with Cases, and what the connector makes of it. Each scenario holds on its own."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    AmbiguousError,
    CrmError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    StaleError,
    UnauthorisedError,
    UnreachableError,
)
from tests.crm_sync_service.espocrm.world import ACME, ADA, GLOBEX, GRACE, World, everything, note


def a_repeated_create_names_the_first(world: World) -> None:
    new = world.new()
    case = world.crm.create_case(new)
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_case(new)
    assert refused.value.record_id == case.id
    assert world.count("Case") == 1


def a_clash_of_keys_that_looks_like_a_fault_names_the_first(world: World) -> None:
    world.state.duplicate_checked.clear()
    a_repeated_create_names_the_first(world)


def a_lost_answer_is_settled_by_the_key(world: World) -> None:
    world.crmside.fail("hang_up", "POST", "Case")
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_case(world.new())
    assert world.crm.get_case(str(refused.value.record_id)).fields["subject"] == "Printer"


def an_answer_cut_off_is_settled_by_the_key(world: World) -> None:
    world.crmside.fail("cut", "POST", "Case")
    with pytest.raises(AlreadyExistsError):
        world.crm.create_case(world.new())


def a_create_that_may_still_arrive_stays_unclear(world: World) -> None:
    world.crmside.fail("hang_up_before", "POST", "Case")
    new = world.new()
    with pytest.raises(UnreachableError):
        world.crm.create_case(new)
    assert world.crm.find_case(new) is None
    assert len(world.sent("POST", "Case")) == 1


def two_creates_at_once_make_one(world: World) -> None:
    new = world.new()
    world.crm.info()
    rival = world.open()
    world.state.between.append(lambda: rival.create_case(new))
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_case(new)
    assert world.count("Case") == 1
    assert refused.value.record_id == world.crm.find_case(new).id


def another_duplicate_check_does_not_stop_a_create(world: World) -> None:
    """An administrator let Cases be checked by another field too."""
    world.state.duplicate_checked.add(("Case", "product"))
    first, second = world.case(), world.case()
    assert first.id != second.id


def a_key_held_by_two_is_a_question(world: World) -> None:
    new = world.new()
    for _ in range(2):
        world.state.keep("Case", name="twin", portalTicketId=new.key)
    with pytest.raises(AmbiguousError) as asked:
        world.crm.find_case(new)
    assert len(asked.value.record_ids) == 2


def a_fault_that_passes_is_tried_again(world: World) -> None:
    world.crmside.fail("500_before", "POST", "Case")
    world.case()
    assert world.count("Case") == 1


def a_record_that_always_fails_concerns_only_its_ticket(world: World) -> None:
    world.crmside.fail("500_before", "POST", "Case", times=9)
    with pytest.raises(CrmError, match="fails at writing"):
        world.case()
    assert len(world.sent("POST", "Case")) == 2


def a_server_without_database_is_unreachable(world: World) -> None:
    new = world.new()
    world.crm.find_case(new)
    world.crmside.database_is_down = True
    with pytest.raises(UnreachableError):
        world.crm.create_case(new)


def a_key_that_is_dropped_in_silence_leaves_no_case(world: World) -> None:
    """The role may not write the field."""
    world.crm.find_case(world.new())
    del world.state.custom["Case"]["portalTicketId"]
    with pytest.raises(ForbiddenError, match="portalTicketId"):
        world.crm.create_case(world.new())
    assert world.count("Case") == 0


def a_key_field_that_is_named_must_be_there(world: World) -> None:
    crm = world.open(options={"ticket_id_field": "ticketKey"})
    with pytest.raises(UnauthorisedError, match="no field ticketKey on Case: install the extension"):
        crm.create_case(world.new())
    assert world.sent("POST") == []
    assert [item.fatal for item in crm.missing()] == [True]


def without_the_key_fields_the_texts_hold_the_keys(world: World) -> None:
    """An EspoCRM without our extension: weaker, but nothing is doubled by a repeated attempt."""
    del world.state.custom["Case"]["portalTicketId"], world.state.custom["Note"]["portalReplyId"]
    found = world.crm.missing()
    assert [item.fatal for item in found] == [False, False]
    assert all("so two attempts at the same moment could make a second" in item.what for item in found)
    assert not world.crm.capabilities.unique_keys
    new = world.new(description="It burns")
    world.crmside.fail("hang_up", "POST", "Case")
    with pytest.raises(AlreadyExistsError) as error:
        world.crm.create_case(new)
    case = world.crm.find_case(new)
    assert (case and case.id) == error.value.record_id
    assert world.crm.find_case(world.new()) is None
    with pytest.raises(AlreadyExistsError):
        world.crm.create_case(new)
    assert world.count("Case") == 1
    case = world.crm.update_case(case.id, {"description": "It smokes"}, version=case.version)
    assert case.fields["description"] == "It smokes"
    assert world.row(case)["description"] == f"It smokes\n\n[casebridge {new.key}]"
    assert [row.stamp for row in everything(world.crm.changed_cases, None)] == [case.stamp]
    reply = note(case, body="#send-to-customer hello")
    note_id = world.crm.create_note(reply)
    with pytest.raises(AlreadyExistsError):
        world.crm.create_note(reply)
    (read,) = world.crm.notes_of(case.id)
    assert (read.id, read.key, read.for_customer, "casebridge" in read.body) == (note_id, reply.key, False, False)


def a_key_field_that_is_not_unique_is_looked_at_first(world: World) -> None:
    """Such as one that was made in EspoCRM's own pages."""
    world.state.unique.clear()
    world.state.duplicate_checked.clear()
    new = world.new()
    case = world.crm.create_case(new)
    with pytest.raises(AlreadyExistsError) as error:
        world.crm.create_case(new)
    assert (error.value.record_id, world.count("Case")) == (case.id, 1)
    assert [item.fatal for item in world.crm.missing()] == [False, False]


def both_ways_of_saying_unique_count(world: World) -> None:
    world.state.says_unique = {"unique": True}
    assert list(world.crm.missing()) == []


def a_field_made_in_the_pages_is_found(world: World) -> None:
    """EspoCRM's field manager puts a c before each name."""
    world.state.custom["Case"] = {"cPortalTicketId": 64, "cProduct": 100}
    world.state.unique = {("Case", "cPortalTicketId")}
    case = world.case(product="Switch")
    assert world.row(case)["cProduct"] == "Switch"
    assert world.crm.get_case(case.id).fields["product"] == "Switch"


def a_create_tells_the_number(world: World) -> None:
    assert world.case().number == "1"


def a_name_with_angles_is_stored_readably(world: World) -> None:
    subject = "Re: a <b> = List<String> <x@y.example>"
    case = world.case(subject=subject)
    stored = "Re: a ＜b＞ ＝ List＜String＞ ＜x@y.example＞"
    assert case.fields["subject"] == stored == world.crm.normalise("subject", subject)
    assert world.crm.normalise("subject", stored) == stored


def a_long_name_is_cut_as_announced(world: World) -> None:
    subject = f"{'🔥' * 254} and more"
    assert world.case(subject=subject).fields["subject"] == world.crm.normalise("subject", subject) == "🔥" * 254


def a_description_is_not_altered(world: World) -> None:
    words = "  <b>a = b</b>\n\nList<String> \u0001 “q” & 'q' 火事 🔥  "
    assert world.case(description=words).fields["description"] == words


def equal_values_are_not_written(world: World) -> None:
    case = world.case()
    again = world.crm.update_case(case.id, {"priority": "Normal", "contact": ADA}, version=case.version)
    assert again.stamp == case.stamp
    assert world.sent("PATCH") == []


def only_what_differs_is_written(world: World) -> None:
    case = world.case()
    world.crm.update_case(case.id, {"priority": "High", "status": "New", "account": ACME}, version=case.version)
    assert world.sent("PATCH")[0].values == {"priority": "High"}


def a_change_by_somebody_else_is_stale(world: World) -> None:
    case = world.case()
    world.crmside.edit(case.id, status="Pending")
    with pytest.raises(StaleError):
        world.crm.update_case(case.id, {"priority": "High"}, version=case.version)
    assert world.row(case)["priority"] == "Normal"


def a_change_between_look_and_write_is_stale(world: World) -> None:
    """The server's own check sees what came after our look."""
    case = world.case()
    world.crm.get_case(case.id)
    answer = world.crmside.answer

    def edited_first(request):
        if request.method == "PATCH":
            world.crmside.answer = answer
            world.crmside.edit(case.id, status="Pending")
        return answer(request)

    world.crmside.answer = edited_first
    with pytest.raises(StaleError):
        world.crm.update_case(case.id, {"priority": "High"}, version=case.version)


def two_changes_in_one_version_are_told_apart(world: World) -> None:
    """Writers at once make one version of two, within one second."""
    case = world.case()
    world.row(case)["status"] = "Pending"
    assert world.crm.get_case(case.id).stamp != case.stamp
    with pytest.raises(StaleError):
        world.crm.update_case(case.id, {"priority": "High"}, version=case.version)


def a_write_lost_to_another_shows_in_the_feed(world: World) -> None:
    """Both passed the check of one version; ours came first, and the answer to it does not tell."""
    case = world.case()
    after = world.crm.update_case(case.id, {"priority": "High"}, version=case.version)
    world.row(case)["priority"] = "Low"
    rows = everything(world.crm.changed_cases, after.stamp[:19])
    assert [row.stamp for row in rows if row.case_id == case.id] != [after.stamp]


def a_lost_answer_to_a_change_that_failed_is_settled_by_reading(world: World) -> None:
    case = world.case()
    world.crmside.fail("500", "PATCH", "Case/.*")
    assert world.crm.update_case(case.id, {"priority": "High"}, version=None).fields["priority"] == "High"
    assert len(world.sent("PATCH")) == 1


def a_change_that_always_fails_concerns_only_its_ticket(world: World) -> None:
    case = world.case()
    world.crmside.fail("500_before", "PATCH", "Case/.*", times=9)
    with pytest.raises(CrmError, match="fails at writing"):
        world.crm.update_case(case.id, {"priority": "High"}, version=None)


def records_that_are_gone_are_named(world: World) -> None:
    case = world.case()
    world.state.delete("Account", GLOBEX)
    world.crmside.person("tmp", isActive=False)
    for fields in ({"account": GLOBEX}, {"assignee": "tmp"}, {"assignee": "nobody"}, {"contact": "nobody"}):
        with pytest.raises(InvalidError) as refused:
            world.crm.update_case(case.id, fields, version=None)
        assert refused.value.fields.keys() == fields.keys()
    with pytest.raises(InvalidError) as refused:
        world.case(account=GLOBEX)
    assert refused.value.fields.keys() == {"account"}


def an_option_that_is_none_is_named(world: World) -> None:
    with pytest.raises(InvalidError) as refused:
        world.case(status="Open")
    assert refused.value.fields == {"status": "it is none of the allowed options"}


def a_number_that_is_refused_does_not_cost_the_case(world: World) -> None:
    world.state.custom["Case"]["portalTicketNumber"] = 2
    case = world.case(ticket_number="1001")
    assert case.fields["ticket_number"] is None
    assert case.fields["account"] == ACME


def a_deleted_case_is_not_found_and_not_listed(world: World) -> None:
    case, other = world.case(), world.case()
    world.state.delete("Case", case.id)
    with pytest.raises(NotFoundError):
        world.crm.get_case(case.id)
    with pytest.raises(NotFoundError):
        world.crm.update_case(case.id, {"priority": "High"}, version=case.version)
    assert [row.case_id for row in everything(world.crm.changed_cases, None)] == [other.id]


def an_administrators_key_shows_deleted_cases_as_gone(world: World) -> None:
    case = world.case()
    world.state.delete("Case", case.id)
    world.state.tables["User"][world.crmside.users[next(iter(world.crmside.users))]]["type"] = "admin"
    with pytest.raises(GoneError):
        world.crm.get_case(case.id)


def a_merge_of_accounts_shows_in_a_full_listing(world: World) -> None:
    """It moves neither time nor version."""
    case = world.case()
    world.clock += timedelta(hours=1)
    world.state.merge("Account", ACME, into=GLOBEX)
    rows = everything(world.crm.changed_cases, None)
    assert [row.stamp for row in rows] == [world.crm.get_case(case.id).stamp]
    assert rows[0].stamp != case.stamp
    assert world.crm.get_case(case.id).fields["account"] == GLOBEX


def the_contact_is_primary_and_in_the_list(world: World) -> None:
    row = world.row(world.case(contact=ADA))
    assert (row["contactId"], row["contactsIds"]) == (ADA, [ADA])


def another_contact_leaves_those_of_people(world: World) -> None:
    case = world.case(contact=ADA)
    after = world.crm.update_case(case.id, {"contact": GRACE}, version=case.version)
    assert after.fields["contact"] == GRACE
    assert set(world.row(case)["contactsIds"]) == {ADA, GRACE}


def a_contact_that_was_set_is_shown_though_the_answer_lags(world: World) -> None:
    """The answer to a change lists the contacts as they were before it."""
    case = world.case(contact=None)
    after = world.crm.update_case(case.id, {"contact": ADA}, version=case.version)
    assert after.fields["contact"] == ADA
    assert world.sent("POST", f"Case/{case.id}/contacts") == []


def an_unlinked_contact_reads_as_none_and_comes_back(world: World) -> None:
    """EspoCRM leaves it as the primary one."""
    case = world.case(contact=ADA)
    world.state.link(case.id, [ADA], remove=True)
    seen = world.crm.get_case(case.id)
    assert seen.fields["contact"] is None
    after = world.crm.update_case(case.id, {"contact": ADA}, version=seen.version)
    assert after.fields["contact"] == ADA
    assert world.row(case)["contactsIds"] == [ADA]


def a_deleted_contact_cannot_come_back(world: World) -> None:
    case = world.case(contact=ADA)
    world.state.delete("Contact", ADA)
    with pytest.raises(InvalidError) as refused:
        world.crm.update_case(case.id, {"contact": ADA}, version=None)
    assert refused.value.fields.keys() == {"contact"}


def no_contact_empties_the_primary_one(world: World) -> None:
    case = world.case(contact=ADA)
    assert world.crm.update_case(case.id, {"contact": None}, version=None).fields["contact"] is None


def the_feed_shows_what_changed_in_the_same_second(world: World) -> None:
    case = world.case()
    newest = world.crm.changed_cases(None, page=None).newest
    world.crmside.edit(case.id, status="Pending")
    rows = everything(world.crm.changed_cases, newest)
    assert [row.stamp for row in rows] == [world.crm.get_case(case.id).stamp]


def a_crowded_second_is_read_in_pages(world: World) -> None:
    made = {world.state.keep("Case", name=f"Case {number}") for number in range(450)}
    rows = everything(world.crm.changed_cases, None)
    assert {row.case_id for row in rows} == made
    assert len(rows) == 450


def nothing_is_lost_when_rows_move_between_pages(world: World) -> None:
    made = []
    for number in range(250):
        world.clock += timedelta(seconds=1)
        made.append(world.state.keep("Case", name=f"Case {number}"))
    first = world.crm.changed_cases(None, page=None)
    for case_id in made[:50]:
        world.state.delete("Case", case_id)
    rest = world.crm.changed_cases(None, page=first.next)
    assert {row.case_id for row in (*first.rows, *rest.rows)} == set(made)


def a_stamp_that_is_none_is_never_asked_for(world: World) -> None:
    world.case()
    with pytest.raises(InvalidError):
        world.crm.changed_cases("yesterday-ish", page=None)
    with pytest.raises(InvalidError):
        world.crm.find_case(replace(world.new(), key=""))


def every_list_has_a_size(world: World) -> None:
    case = world.case()
    everything(world.crm.changed_cases, None)
    everything(world.crm.changed_notes, None)
    world.crm.notes_of(case.id)
    world.crm.contacts_by_email("ada@acme.example")
    for kind in ("account", "contact", "user", "product"):
        everything(lambda since, *, page, kind=kind: world.crm.changed_directory(kind, since, page=page), None)
    names = {"Case", "Note", "Account", "Contact", "User", "GlobalStream", f"Case/{case.id}/posts"}
    lists = [one for one in world.sent("GET") if one.path in names]
    assert {one.path for one in lists} == names - {"Note"}
    assert all(0 < int(one.query["maxSize"]) <= 200 for one in lists)


def characters_that_the_database_refuses_are_named(world: World) -> None:
    """As MariaDB does in strict mode where a table has three bytes a character."""
    world.state.narrow = "refuses"
    _emoji_are_named(world)


def characters_that_the_database_loses_are_named(world: World) -> None:
    world.state.narrow = "loses"
    _emoji_are_named(world)


def _emoji_are_named(world: World) -> None:
    case = world.case(subject="It burns 🔥", description="🇳🇱 ü")
    assert (case.fields["subject"], case.fields["description"]) == ("It burns [fire]", "[n][l] ü")
    assert not world.crm.capabilities.text.wide()
    world.crm.update_case(case.id, {"subject": "It burns 🔥"}, version=None)
    assert world.sent("PATCH") == []
    world.crm.create_note(note(case, body="😀"))
    assert [one["post"] for one in world.posts()] == ["[grinning face]"], "and what was tried out is gone"


def a_first_look_can_begin_at_the_end(world: World) -> None:
    assert (world.crm.newest_stamp("cases"), world.crm.newest_stamp("notes")) == (None, None)
    world.case()
    world.clock += timedelta(hours=1)
    last = world.case()
    world.crm.create_note(note(last))
    for rights in (True, False):
        world.crmside.rights["GlobalStream"] = rights
        crm = world.open()
        since = crm.rewind(crm.newest_stamp("cases") or "", timedelta(minutes=2))
        assert [row.case_id for row in everything(crm.changed_cases, since)] == [last.id]
        since = crm.rewind(crm.newest_stamp("notes") or "", timedelta(seconds=2))
        assert [row.case_id for row in everything(crm.changed_notes, since)] == [last.id]
