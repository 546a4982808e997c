"""An agent's lists and the right column in a real browser: marks, trash and back, parents, what cannot be edited."""

import pytest
from playwright.sync_api import expect

from tests.browser.looks import faults_in_every_look
from tests.browser.portal.conftest import Visit
from tests.browser.portal.test_cases import file_request

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_several_tickets_are_closed_at_once(visit: Visit, scripts: bool) -> None:
    dave = visit("dave")
    numbers = [file_request(dave, f"Bulk {scripts} {index}") for index in range(2)]
    sam = visit("sam", java_script_enabled=scripts)
    sam.goto(f"/staff/tickets?q=Bulk+{scripts}")
    if scripts:
        sam.get_by_label("Mark all").check()
    else:
        for number in numbers:
            sam.get_by_label(f"Mark ticket #{number}").check()
    sam.get_by_label("Marked tickets:").select_option("Close")
    sam.get_by_role("button", name="Do it").click()
    expect(sam.get_by_role("status")).to_contain_text("2 tickets changed.")
    expect(sam.locator("tbody .badge-closed")).to_have_count(2)


def test_what_went_into_the_trash_comes_back(visit: Visit) -> None:
    number = file_request(visit("dave"), "Thrown away")
    sam = visit("sam")
    sam.goto(f"/staff/tickets/{number}")
    sam.get_by_role("link", name="Delete this ticket").click()
    sam.get_by_role("button", name="Delete").click()
    sam.get_by_role("link", name="Deleted", exact=True).click()
    assert not faults_in_every_look(sam)
    sam.get_by_role("button", name=f"Restore ticket #{number}").click()
    expect(sam.get_by_role("heading", level=1)).to_have_text("Thrown away")
    sam.goto("/staff/tickets/calls")
    assert not faults_in_every_look(sam)


def test_another_matter_becomes_a_request_of_its_own(visit: Visit) -> None:
    dave, sam = visit("dave"), visit("sam", java_script_enabled=False)
    number = file_request(dave, "The first matter", product="Sync Engine")
    dave.goto(f"/cases/{number}/comments")
    dave.get_by_label("Your reply").fill("And my colleague cannot log in.")
    dave.get_by_role("button", name="Send", exact=True).click()
    expect(dave.locator("article.entry").last).to_contain_text("cannot log in")
    dave.get_by_role("link", name="New request from here").click()
    expect(dave.get_by_role("radio", name="Level 1 support")).to_be_checked()
    dave.get_by_role("button", name="Next").click()
    expect(dave.get_by_role("main")).to_contain_text(f"Refers to #{number}: The first matter")
    expect(dave.get_by_label("Product", exact=True).locator("option:checked")).to_have_text("Sync Engine")

    sam.goto(f"/staff/tickets/{number}")
    sam.get_by_role("link", name="Split off as a ticket of its own").click()
    expect(sam.get_by_label("Description")).to_have_value("And my colleague cannot log in.")
    sam.get_by_role("button", name="File the ticket").click()
    belongs = sam.locator("section", has=sam.get_by_role("heading", name="Belongs together"))
    belongs.get_by_role("link", name=f"#{number}").click()
    expect(belongs.get_by_role("link", name="And my colleague cannot log in.")).to_be_visible()


def test_the_right_column_edits_and_history_does_not(visit: Visit) -> None:
    dave = visit("dave")
    first, second = file_request(dave, "The outage"), file_request(dave, "Seen here too")
    sam = visit("sam")
    sam.goto(f"/staff/tickets/{second}")
    column = sam.get_by_role("complementary")
    column.get_by_label("Parent").fill("999999")
    column.get_by_role("button", name="Save").click()
    expect(column.get_by_label("Parent")).to_have_attribute("aria-invalid", "true")
    expect(column).to_contain_text("No other ticket has this number.")
    column.get_by_label("Parent").fill(f"#{first}")
    for name, value in (("Priority", "High"), ("Product", "Sync Engine"), ("Category", "Installation")):
        column.get_by_label(name).select_option(value)
    column.get_by_role("button", name="Save").click()
    expect(column).to_contain_text("Belongs together")
    expect(column.get_by_label("Priority")).to_have_value("high")
    # What was said has no box to edit it, and a form made up by hand is refused and remembered (S44).
    expect(sam.locator("article.entry :is(input, textarea, button)")).to_have_count(0)
    sam.locator(".properties").evaluate(
        "form => form.append(Object.assign(document.createElement('input'), {name: 'description', value: 'Other'}))"
    )
    column.get_by_role("button", name="Save").click()
    expect(sam.get_by_role("alert")).to_contain_text("cannot be edited")
    sam.goto(f"/staff/tickets/{second}")
    sam.get_by_text("History").click()
    expect(sam.locator(".timeline").last).to_contain_text("Was refused a change (Description)")
    dave.goto(f"/cases/{second}")
    expect(dave.get_by_role("main")).to_contain_text(f"Parent case#{first}")
    expect(dave.get_by_role("main")).not_to_contain_text("Other")
    expect(dave.get_by_role("main")).to_contain_text("Sync Engine")
