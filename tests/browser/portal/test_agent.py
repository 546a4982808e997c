"""An agent in a real browser: answer, note, transfer, pending, check mark, trash, on behalf of a contact."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def sam(request: pytest.FixtureRequest, visit: Visit) -> Page:
    return visit("sam", java_script_enabled=request.param)


@pytest.fixture
def number(visit: Visit) -> str:
    """A ticket of Carol's."""
    page = visit("carol")
    page.goto("/requests/new/level-1")
    page.get_by_label("Product", exact=True).select_option(label="Report Builder")
    page.get_by_label("Subject").fill("The export is empty")
    page.get_by_label("Description").fill("I press export and get an empty page.")
    page.get_by_role("button", name="Submit the request").click()
    page.wait_for_url("**/received")
    return re.findall(r"/requests/(\d+)/", page.url)[0]


def test_the_whole_way_of_a_ticket(sam: Page, number: str, visit: Visit) -> None:
    sam.goto("/staff/tickets")
    sam.get_by_role("link", name=f"#{number}", exact=True).click()
    sam.get_by_label("Reply", exact=True).fill("Which version do you use?")
    sam.get_by_role("button", name="Ask and set pending").click()
    expect(sam.get_by_role("status").first).to_contain_text("waits for the answer")
    expect(sam.get_by_label("Status", exact=True)).to_have_value("pending")

    sam.get_by_text("Add an internal note").click()
    sam.get_by_label("Internal note").fill("Looks like the font problem")
    sam.get_by_role("button", name="Add the note").click()
    expect(sam.locator("article.internal_note")).to_contain_text("Looks like the font problem")

    sam.get_by_role("link", name="Transfer").click()
    sam.get_by_label("Assigned to").select_option(label="Nora Bakker")
    sam.get_by_label("Account").select_option(label="Globex GmbH & Söhne")
    sam.get_by_label("Product").select_option(label="Sync Engine")
    sam.get_by_label("Internal note").fill("Nora knows it")
    sam.get_by_role("button", name="Transfer").click()
    expect(sam.get_by_label("Account")).to_contain_text("Globex")
    expect(sam.locator("article.internal_note").last).to_contain_text("Nora knows it")

    carol = visit("carol")
    carol.goto(f"/cases/{number}/comments")
    expect(carol.get_by_role("main")).to_contain_text("Which version do you use?")
    expect(carol.get_by_role("main")).not_to_contain_text("Nora knows it")
    carol.get_by_label("Your answer").fill("Version 7")
    carol.get_by_role("button", name="Send", exact=True).click()
    expect(carol.get_by_role("main")).to_contain_text("We are working on it.")

    sam.reload()
    sam.get_by_role("button", name="Close this ticket").click()
    expect(sam.get_by_role("status").first).to_contain_text("is closed")


def test_the_check_mark_and_the_trash_of_the_list(sam: Page, number: str) -> None:
    sam.goto(f"/staff/tickets?q={number}&status=all")
    sam.get_by_role("button", name=f"Close ticket #{number}").click()
    expect(sam).to_have_url(re.compile(f"q={number}"))
    expect(sam.get_by_role("row").last).to_contain_text("Closed")
    sam.get_by_role("link", name=f"Delete ticket #{number}").click()
    expect(sam.get_by_role("heading", level=1)).to_have_text(f"Delete ticket #{number}?")
    sam.get_by_role("button", name="Delete").click()
    expect(sam.get_by_role("main")).to_contain_text("is deleted. Its Case stays in the CRM.")
    assert sam.goto(f"/staff/tickets/{number}").status == 404


def test_the_right_column_is_saved(sam: Page, number: str) -> None:
    sam.goto(f"/staff/tickets/{number}")
    sam.get_by_label("Priority").select_option("urgent")
    sam.get_by_role("button", name="Save").click()
    expect(sam.get_by_label("Priority")).to_have_value("urgent")
    sam.get_by_text("History").click()
    expect(sam.locator(".timeline").last).to_contain_text("Priority: Normal → Urgent")


def test_filing_for_a_contact_starts_with_the_contact(sam: Page) -> None:
    sam.get_by_role("link", name="New ticket").click()
    sam.get_by_role("searchbox").fill("sofia")
    sam.get_by_role("main").get_by_role("button", name="Search").click()
    sam.get_by_role("link", name="Sofía García").click()
    sam.get_by_role("radio", name="Billing").check()
    sam.get_by_role("button", name="Next").click()
    sam.get_by_label("Category").select_option(label="Other")
    sam.get_by_label("Subject").fill("She phoned")
    sam.get_by_label("Description").fill("About the invoice.")
    sam.get_by_role("button", name="File the ticket").click()
    expect(sam.get_by_role("status").first).to_contain_text("is filed")
    expect(sam.get_by_role("main")).to_contain_text("filed by Sam Peters")
