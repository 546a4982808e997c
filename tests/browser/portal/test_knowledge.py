"""Answers before, beside and instead of a request, in a real browser (S19 - S22, S26, S78 - S84)."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser

WORDS = "Sync Engine does not start, the log says no space left on device"


def _form(visit: Visit, **options: object) -> Page:
    page = visit("carol", **options)
    page.goto("/requests/new/billing")
    return page


def test_suggestions_appear_below_the_details_and_open_beside_the_draft(visit: Visit) -> None:
    page = _form(visit)
    page.get_by_label("Description").fill(WORDS)
    offered = page.locator("[data-suggestions=description] a")
    expect(offered.first).to_contain_text("Sync Engine does not start")
    expect(page.get_by_label("Description")).to_be_focused()
    expect(page.locator("[data-suggestions-said]")).to_contain_text(re.compile("articles? may answer this"))
    below = page.get_by_label("Description").bounding_box()
    box = offered.first.bounding_box()
    assert below
    assert box
    assert box["y"] > below["y"] + below["height"] - 1
    offered.first.click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("heading", name="Sync Engine does not start")).to_be_focused()
    expect(panel).to_contain_text("engine ready")  # S20: the whole solution, and the draft is still there
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_label("Description")).to_have_value(WORDS)


def test_suggestions_are_reached_and_opened_by_keyboard(visit: Visit) -> None:
    page = _form(visit)
    page.get_by_label("Subject").fill("forgoten pasword")
    expect(page.locator("[data-suggestions=subject] a").first).to_contain_text("cannot log in")
    page.keyboard.press("Tab")
    expect(page.locator("[data-suggestions=subject] a").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Back to my request").press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("[data-suggestions=subject] a").first).to_be_focused()


def test_this_solved_it_drops_the_draft_and_is_counted(visit: Visit) -> None:
    staff = visit("sam")
    staff.goto("/staff/articles?q=password")
    spared = staff.locator("tr", has_text="You cannot log in").get_by_role("cell").last
    before = int(spared.inner_text())
    page = visit("dave")
    page.goto("/requests/new/sales")
    page.get_by_label("Subject").fill("I forgot my password")
    expect(page.locator("[data-draft-status]")).to_contain_text("Draft saved")
    page.locator("[data-suggestions=subject] a").first.click()
    page.get_by_role("button", name="This solved it").click()
    expect(page.locator(".notice.ok")).to_contain_text("Nothing was sent")
    page.goto("/requests/new/sales")
    expect(page.get_by_label("Subject")).to_have_value("")
    staff.reload()
    expect(spared).to_have_text(str(before + 1))


def test_without_scripts_a_button_looks_for_answers_in_a_new_tab(visit: Visit) -> None:
    page = _form(visit, java_script_enabled=False)
    page.get_by_label("Subject").fill("Sync Engine does not start")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Look for answers first").click()
    tab = opened.value
    with tab.expect_popup() as article:
        tab.get_by_role("link", name="Sync Engine does not start").click()
    expect(article.value.get_by_role("button", name="This solved it")).to_be_visible()
    expect(page.get_by_label("Subject")).to_have_value("Sync Engine does not start")


def test_the_tips_open_beside_the_form(visit: Visit) -> None:
    page = _form(visit)
    page.get_by_label("Subject").fill("Half a")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Tips for a request").click()
    expect(opened.value.get_by_role("heading", level=1)).to_contain_text("Tips")
    expect(page.get_by_label("Subject")).to_have_value("Half a")


@pytest.mark.parametrize("words", ["gateways", "gatway", "sensor gate"], ids=["stem", "typing error", "beginning"])
def test_everybody_searches_by_stem_typing_error_and_beginning(visit: Visit, words: str) -> None:
    page = visit()
    page.goto("/knowledge")
    page.get_by_role("searchbox").fill(words)
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".hits a").first).to_contain_text("Gateway")
    expect(page.locator(".hits mark").first).to_be_visible()


def test_the_four_kinds_are_there(visit: Visit) -> None:
    page = visit()
    for kind in ("documentation", "release_notes", "announcement", "system_requirements"):
        page.goto(f"/knowledge?kind={kind}")
        expect(page.locator(".articles li").first).to_be_visible()


def test_from_draft_with_a_preview_to_readers_who_comment_and_vote(visit: Visit) -> None:
    staff = visit("sam")
    staff.goto("/staff/articles/new")
    staff.get_by_label("Title").fill("Descale the boiler")
    staff.get_by_label("Text").fill("Use **vinegar**.\n\n1. Pour\n2. Wait")
    staff.get_by_role("button", name="Preview").click()
    expect(staff.locator(".preview strong")).to_have_text("vinegar")
    staff.get_by_role("button", name="Save as a draft").click()
    staff.get_by_role("button", name="Publish", exact=True).click()
    expect(staff.locator(".notice.ok")).to_contain_text("Published")
    page = visit()
    page.goto("/knowledge/descale-the-boiler")
    expect(page.get_by_role("heading", name="Comments 0")).to_be_visible()
    expect(page.get_by_label("Your comment")).to_have_count(0)
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_role("button", name="Yes")).to_have_attribute("aria-pressed", "true")
    reader = visit("carol")
    reader.goto("/knowledge/descale-the-boiler")
    reader.get_by_label("Your comment").fill("Worked for me")
    reader.get_by_role("button", name="Publish the comment").click()
    expect(reader.get_by_role("heading", name="Comments 1")).to_be_visible()
    staff.reload()
    expect(staff.get_by_text("1 yes, 0 no")).to_be_visible()


def test_a_solved_ticket_becomes_an_answer_without_its_customer(visit: Visit) -> None:
    customer = visit("erin")
    customer.goto("/requests/new/billing")
    customer.get_by_label("Product", exact=True).select_option(label="Report Builder")
    customer.get_by_label("Subject").fill("Erin asks: columns vanish in landscape")
    customer.get_by_label("Description").fill("In landscape the columns vanish.\nErin O'Neill, erin@initech.example")
    customer.get_by_role("button", name="Submit the request").click()
    number = re.findall(r"\d+", customer.get_by_role("heading", level=1).inner_text())[0]
    staff = visit("sam")
    staff.goto(f"/staff/tickets/{number}")
    staff.locator("#reply textarea").fill("Choose A3 paper for landscape.")
    staff.locator("#reply").get_by_role("button", name="Send", exact=True).click()
    staff.get_by_role("button", name="Close this ticket").click()
    expect(staff.get_by_role("button", name="Close this ticket")).to_have_count(0)
    staff.goto(f"/staff/tickets/{number}")
    staff.get_by_role("link", name="Make an article").click()
    text = staff.get_by_label("Text", exact=True)
    expect(text).to_have_value(re.compile("A3 paper"))
    expect(text).not_to_have_value(re.compile("Erin|initech"))
    staff.get_by_label("Title").fill("Columns vanish in landscape")
    for box in staff.get_by_label("Checked: leave it out").all():
        box.check()
    staff.get_by_label("I have read the whole text").check()
    staff.get_by_role("button", name="Save as a draft").click()
    staff.get_by_role("button", name="Publish", exact=True).click()
    reader = _form(visit)
    reader.get_by_label("Description").fill("my columns vanish in landscape")
    reader.locator("[data-suggestions=description] a").first.click()
    expect(reader.get_by_role("dialog")).to_contain_text("Choose A3 paper")
    expect(reader.get_by_role("dialog")).not_to_contain_text("Erin")


def test_the_troubleshooter_ends_in_a_filled_in_request(visit: Visit) -> None:
    page = visit("li")
    page.get_by_role("link", name="Troubleshooter").click()
    for answer in ("Sync Engine does not work", "It does not start", "No, or there is no log"):
        page.get_by_role("link", name=answer).click()
    page.get_by_role("main").get_by_role("link", name="Submit a request").click()
    expect(page.get_by_label("Subject")).to_have_value("Sync Engine does not start and writes no log")
    expect(page.get_by_label("Description")).to_have_value(re.compile("It does not start"))


def test_news_and_downloads(visit: Visit, tmp_path: Path) -> None:
    staff = visit("sam")
    staff.goto("/staff/downloads")
    staff.get_by_label("Program").fill("Field Tool")
    staff.get_by_label("Version").fill("2.1")
    (tmp_path / "tool.txt").write_text("a tool")
    staff.get_by_label("Files").set_input_files(tmp_path / "tool.txt")
    staff.get_by_role("button", name="Offer it").click()
    page = visit("carol")
    page.get_by_role("link", name="Downloads").click()
    item = page.locator("section", has_text="Field Tool 2.1")
    expect(item).to_contain_text("6 B")
    with page.expect_download() as download:
        item.get_by_role("link", name="Download tool.txt").click()
    assert download.value.path().read_text() == "a tool"
    page.goto("/")
    page.get_by_role("link", name="News", exact=False).first.click()
    expect(page.locator("article time").first).to_be_visible()
