"""A customer after filing, in a real browser: home, list, tabs, replies, status, rating, paper (S68 - S77)."""

import re
import secrets

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import faults
from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser


def file_request(page: Page, subject: str, *, product: str = "Report Builder") -> str:
    """File a request; returns its number."""
    page.goto("/requests/new/level-1")
    page.get_by_label("Product", exact=True).select_option(label=product)
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("Description").fill("I press export\nand get an empty page.")
    page.get_by_role("button", name="Submit the request").click()
    page.wait_for_url("**/received")
    return re.findall(r"/requests/(\d+)/", page.url)[0]


def sort_by(page: Page, column: str) -> list[str]:
    """Click on a column; returns the subjects from top to bottom."""
    with page.expect_navigation():
        page.get_by_role("columnheader", name=re.compile(f"^{column}")).get_by_role("link").click()
    return page.locator("tbody .subject").all_inner_texts()


def test_from_home_and_navigation_to_the_list_and_its_file(visit: Visit) -> None:
    page = visit("erin", permissions=["clipboard-read", "clipboard-write"])
    word = f"zebra{secrets.token_hex(4)}"
    older = file_request(page, f"Alpha {word} is slow", product="Mobile App")
    newer = file_request(page, f"Beta {word} is empty")
    page.goto("/")
    my_cases = page.get_by_role("region", name="My cases")
    my_cases.get_by_role("link", name=f"Alpha {word} is slow").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Alpha {word} is slow")
    page.get_by_role("button", name="Mark as solved").click()
    expect(page.locator(".case-line")).to_contain_text("Solved")
    page.goto("/")
    for link in (
        my_cases.get_by_role("link", name="View all cases"),
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Cases"),
    ):
        page.goto("/")
        link.click()
        expect(page).to_have_url(re.compile("/cases$"))
    rows = page.get_by_role("row")
    expect(rows.filter(has_text=f"Beta {word}")).to_have_count(1)
    expect(rows.filter(has_text=f"Alpha {word}")).to_have_count(0)

    page.get_by_role("searchbox").fill(word)
    page.get_by_label("Status").select_option("All cases")
    page.get_by_role("button", name="Show").click()
    for column in ("Case", "Subject", "Status", "Product", "Last opened"):
        once = sort_by(page, column)
        assert sort_by(page, column) == once[::-1], column

    for status, number in (("Solved", older), ("New", newer)):
        page.get_by_label("Status").select_option(status)
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tbody .number")).to_have_text([f"#{number}"])
    page.goto("/cases")
    page.get_by_role("searchbox").fill(f"#{older}")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("tbody .number")).to_have_text([f"#{older}"])
    page.get_by_role("button", name="Copy a link to this view").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    assert f"q=%23{older}" in page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    text = download.value.path().read_text("utf-8-sig")
    assert f"Alpha {word} is slow" in text
    assert f"Beta {word} is empty" not in text


def test_somebody_who_is_not_logged_in_sees_no_list(visit: Visit) -> None:
    page = visit()
    for path in ("/cases", "/cases/export.csv", "/cases/1001", "/"):
        page.goto(path)
        expect(page).to_have_url(re.compile("/login"))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_from_a_question_to_the_rating(visit: Visit, scripts: bool) -> None:
    carol, sam = visit("carol", java_script_enabled=scripts), visit("sam", java_script_enabled=scripts)
    number = file_request(carol, "Totals are wrong")
    carol.goto(f"/cases/{number}")
    expect(carol.locator(".case-line")).to_contain_text("New")
    sam.goto(f"/staff/tickets/{number}")
    carol.reload()
    expect(carol.locator(".case-line")).to_contain_text("Open")
    sam.get_by_label("Reply", exact=True).fill("Which **month**?")
    sam.get_by_label("New status").select_option("Pending")
    sam.get_by_role("button", name="Send", exact=True).click()

    carol.goto("/")
    expect(carol.get_by_role("heading", level=1)).to_contain_text("for your reply")
    carol.goto(f"/cases/{number}")
    expect(carol.locator(".case-line")).to_contain_text("Awaiting your reply")
    expect(carol.locator(".asked")).to_contain_text("Which **month**?")
    carol.locator(".asked").get_by_role("link", name="Answer").click()
    expect(carol.locator("article.entry").last.locator("strong").last).to_have_text("month")
    carol.get_by_label("Your answer").fill("May")
    carol.get_by_role("button", name="Preview").click()
    expect(carol.locator(".preview")).to_contain_text("May")
    carol.get_by_role("button", name="Send", exact=True).click()
    expect(carol.locator(".case-line")).to_contain_text("We are working on it.")
    sam.reload()
    expect(sam.locator("article.entry").last).to_contain_text("May")

    carol.get_by_role("link", name="Update").click()
    carol.get_by_label("Your reply").fill("It works now")
    carol.get_by_label("New status").select_option("Solved")
    carol.get_by_role("button", name="Send", exact=True).click()
    carol.get_by_role("link", name="Details").click()
    facts = carol.get_by_role("main")
    expect(facts).to_contain_text("Days since closed")
    carol.get_by_role("radio", name="Good", exact=True).check()
    carol.get_by_label("In your words").fill("Quick help")
    carol.get_by_role("button", name="Send the rating").click()
    expect(carol.get_by_role("region", name="How did we do?")).to_contain_text("Good")
    sam.reload()
    expect(sam.get_by_role("complementary")).to_contain_text("Quick help")

    carol.goto(f"/cases/{number}/comments")
    carol.get_by_label("Your reply").fill("No, it is back")
    carol.get_by_role("button", name="Send", exact=True).click()
    expect(carol.locator(".case-line")).to_contain_text("Open")
    expect(carol.get_by_role("link", name="Submit a new request")).to_be_visible()


def test_the_tabs_go_by_keyboard_and_the_details_tell_all(visit: Visit) -> None:
    page = visit("carol", permissions=["clipboard-read", "clipboard-write"])
    number = file_request(page, "Keyboard only")
    page.goto(f"/cases/{number}")
    page.get_by_role("link", name="Details").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/cases/{number}/comments$"))
    page.get_by_role("link", name="Comments").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/cases/{number}/files$"))
    page.get_by_role("link", name="Files").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/cases/{number}$"))

    page.wait_for_load_state()
    facts = page.get_by_role("main").inner_text()
    for name, value in (
        ("Case number", f"#{number}"),
        ("Account", "Acme Instruments"),
        ("Submitted through", "Customer portal"),
        ("Impact", "Normal"),
        ("Product", "Report Builder"),
        ("Group", "Level 1 support"),
        ("Reason", ""),
        ("Created", "CE[S]?T"),
    ):
        assert re.search(rf"{name}\s+.*{value}", facts), name
    expect(page.locator(".prose-wide")).to_have_text("I press export\nand get an empty page.")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == number


def test_a_preview_sends_nothing_and_the_words_survive_a_reload(visit: Visit) -> None:
    page = visit("carol")
    number = file_request(page, "To be previewed")
    page.goto(f"/cases/{number}/comments")
    page.get_by_label("Your reply").fill("1. one\n2. **two** <img src=x>")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".preview li")).to_have_text(["one", "two <img src=x>"])
    assert not faults(page)
    assert page.url.endswith("/comments")
    page.wait_for_function("() => Object.keys(localStorage).some((key) => key.includes('reply-'))")
    page.reload()
    expect(page.get_by_label("Your reply")).to_have_value("1. one\n2. **two** <img src=x>")
    expect(page.locator("article.entry")).to_have_count(1)


def test_how_fresh_it_is_is_told_again_while_somebody_looks(visit: Visit) -> None:
    page = visit("carol")
    number = file_request(page, "Watched")
    page.clock.install()
    page.goto(f"/cases/{number}")
    expect(page.locator(".case-foot")).to_contain_text("CRM: 1 change waiting")
    with page.expect_response(f"**/tickets/{number}/freshness") as answer:
        page.clock.run_for(11_000)
    assert answer.value.ok
    expect(page.locator(".case-foot")).to_contain_text("waiting")


def test_the_case_fits_on_paper(visit: Visit) -> None:
    page = visit("carol", viewport={"width": 390, "height": 844}, color_scheme="dark")
    number = file_request(page, "On paper")
    page.goto(f"/cases/{number}")
    page.get_by_role("button", name="Mark as solved").click()
    assert not faults(page)
    page.get_by_role("link", name="Print").click()
    expect(page.get_by_role("button", name="Print")).to_be_visible()
    assert not faults(page)
    page.emulate_media(media="print")
    expect(page.get_by_role("banner")).to_be_hidden()
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    expect(page.get_by_role("main")).to_contain_text("and get an empty page.")
