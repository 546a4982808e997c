"""What EspoCRM does with contacts, accounts, users and products, and what it has to be told before all works."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from crm_sync_service.connectors.base import AlreadyExistsError, AmbiguousError, InvalidError
from tests.crm_sync_service.espocrm.world import ACME, ADA, BOB, GLOBEX, GRACE, World, contact, everything


def a_contact_is_found_by_any_address_in_any_case(world: World) -> None:
    world.state.merge("Contact", GRACE, into=ADA)
    for address in ("ADA@acme.example", "Grace@ACME.example"):
        assert [one.crm_id for one in world.crm.contacts_by_email(address)] == [ADA]
    assert list(world.crm.contacts_by_email("")) == []


def a_filter_that_is_ignored_finds_nobody(world: World) -> None:
    """EspoCRM answers a filter it does not understand with all records."""
    answer = world.crmside._answer

    def ignoring(request):
        request.query = {name: value for name, value in request.query.items() if name != "where"}
        return answer(request)

    world.crmside._answer = ignoring
    assert [one.crm_id for one in world.crm.contacts_by_email("ada@acme.example")] == [ADA]
    assert list(world.crm.contacts_by_email("nobody@acme.example")) == []
    world.state.keep("Case", name="somebody's", portalTicketId="another key")
    assert world.crm.find_case(world.new()) is None


def a_namesake_is_somebody_else(world: World) -> None:
    made = world.crm.create_contact(contact("Ada Lovelace", "other-ada@acme.example"))
    assert made.crm_id != ADA
    assert made.name == "Ada Lovelace"


def a_known_address_is_not_made_again(world: World) -> None:
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_contact(contact("Adele Other", "ADA@acme.example"))
    assert refused.value.record_id == ADA


def an_address_of_two_is_a_question(world: World) -> None:
    world.state.keep("Contact", "twin", lastName="Twin", emailAddress="ada@acme.example")
    with pytest.raises(AmbiguousError):
        world.crm.create_contact(contact("Ada", "ada@acme.example"))


def a_lost_answer_about_a_contact_is_settled_by_the_address(world: World) -> None:
    world.crmside.fail("hang_up", "POST", "Contact")
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_contact(contact("Neo", "neo@x.example"))
    assert [one.crm_id for one in world.crm.contacts_by_email("neo@x.example")] == [refused.value.record_id]


def contacts_made_at_once_become_one(world: World) -> None:
    """The duplicate check does not see what is made meanwhile."""
    rival = world.open()
    made = []
    world.state.between.append(lambda: made.append(rival.create_contact(contact("Neo", "neo@x.example"))))
    with pytest.raises(AlreadyExistsError) as refused:
        world.crm.create_contact(contact("Neo", "neo@x.example"))
    assert refused.value.record_id == made[0].crm_id
    assert [one.crm_id for one in world.crm.contacts_by_email("neo@x.example")] == [made[0].crm_id]


def threads_of_one_worker_make_one_contact(world: World) -> None:
    def attempt(_: int) -> str | None:
        try:
            return world.crm.create_contact(contact("Neo", "neo@x.example")).crm_id
        except AlreadyExistsError as error:
            return error.record_id

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(attempt, range(6)))) == 1
    assert len(world.crm.contacts_by_email("neo@x.example")) == 1


def a_bad_address_is_told_of(world: World) -> None:
    with pytest.raises(InvalidError, match="e-mail address"):
        world.crm.create_contact(contact("Neo", "not an address@"))


def names_of_people_are_stored_readably(world: World) -> None:
    made = world.crm.create_contact(contact("  Jean <Luc> van der Berg ", "jean@x.example"))
    row = world.state.tables["Contact"][made.crm_id]
    assert (row["firstName"], row["lastName"]) == ("Jean ＜Luc＞ van der", "Berg")
    assert world.crm.create_contact(contact("Cher", "cher@x.example")).name == "Cher"


def the_directory_has_every_address_of_a_contact(world: World) -> None:
    """A list shows the primary one only."""
    newest = world.crm.changed_directory("contact", None, page=None).newest
    world.clock += timedelta(seconds=5)
    world.state.merge("Contact", GRACE, into=ADA)
    rows = world.crm.changed_directory("contact", newest, page=None).rows
    assert {row.crm_id: row.emails for row in rows} == {ADA: ("ada@acme.example", "grace@acme.example")}


def contacts_that_did_not_change_are_read_once(world: World) -> None:
    for _ in range(3):
        everything(lambda since, *, page: world.crm.changed_directory("contact", since, page=page), None)
    assert len(world.sent("GET", "Contact/")) == 2


def what_was_merged_or_deleted_is_absent_from_a_full_listing(world: World) -> None:
    world.state.merge("Account", ACME, into=GLOBEX)
    world.state.delete("Contact", GRACE)
    assert [one.crm_id for one in world.crm.changed_directory("account", None, page=None).rows] == [GLOBEX]
    assert [one.crm_id for one in world.crm.changed_directory("contact", None, page=None).rows] == [ADA]


def a_user_who_was_deactivated_is_inactive(world: World) -> None:
    newest = world.crm.changed_directory("user", None, page=None).newest
    world.clock += timedelta(seconds=5)
    world.state.update("User", BOB, {"isActive": False}, by="admin")
    rows = world.crm.changed_directory("user", newest, page=None).rows
    assert [(row.crm_id, row.name, row.active) for row in rows] == [(BOB, "Bob Backend", False)]


def products_are_what_cases_name(world: World) -> None:
    world.case(product="Router")
    world.case(product="Switch")
    world.case(product=None)
    rows = everything(lambda since, *, page: world.crm.changed_directory("product", since, page=page), None)
    assert {(row.crm_id, row.name) for row in rows} == {("Router", "Router"), ("Switch", "Switch")}


def products_of_the_settings_are_offered_too(world: World) -> None:
    crm = world.open(options={"products": ["Firewall"]})
    assert [row.name for row in crm.changed_directory("product", None, page=None).rows] == ["Firewall"]


def without_a_field_for_it_no_product_is_written_or_missed(world: World) -> None:
    del world.state.custom["Case"]["product"]
    case = world.case(product="Router")
    assert case.fields.get("product") is None
    assert world.crm.normalise("product", "Router") is None


def nothing_is_missing_where_all_is_set_up(world: World) -> None:
    assert list(world.crm.missing()) == []


def what_is_missing_is_said_with_a_remedy(world: World) -> None:
    world.crmside.version = "7.5.6"
    world.crmside.rights["Case"] |= {"read": "own", "delete": "no"}
    world.crmside.rights["Contact"] = False
    world.crmside.assignment_permission = "no"
    world.crmside.rights["GlobalStream"] = False
    world.state.unique.clear()
    del world.state.custom["Case"]["product"]
    found = world.crm.missing()
    words = " | ".join(f"{item.what}: {item.remedy}" for item in found)
    for part in (
        "read all Cases",
        "create Contacts",
        "portalTicketId",
        "portalReplyId",
        "product",
        "7.5.6",
        "Assignment Permission",
        "GlobalStream",
    ):
        assert part in words
    fatal = [item.fatal for item in found]
    assert fatal == sorted(fatal, reverse=True)


def a_field_that_was_added_meanwhile_is_seen(world: World) -> None:
    length = world.state.custom["Note"].pop("portalReplyId")
    assert [item.fatal for item in world.crm.missing()] == [False]
    world.state.custom["Note"]["portalReplyId"] = length
    assert list(world.crm.missing()) == []


def fields_are_described_by_attribute(world: World) -> None:
    found = world.crm.case_fields()
    assert found["status"].options == {
        "New": "New",
        "Assigned": "Assigned",
        "Pending": "Waiting",
        "Closed": "Closed",
        "Rejected": "Rejected",
        "Duplicate": "Duplicate",
    }
    assert found["portalTicketId"].length == 64
    assert {"accountId", "contactId", "assignedUserId", "contactsIds", "name"} <= found.keys()
    assert found["name"].required


def a_trial_is_removed(world: World) -> None:
    case = world.case()
    world.crm.remove("case", case.id)
    assert world.count("Case") == 0
