"""A customer in a real browser: log in, submit a request with a screenshot and a PDF, read what happens next."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser

MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x08free" * 9
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
_PASTE = """async ([selector, bytes]) => {
  const file = new File([new Uint8Array(bytes)], "image.png", { type: "image/png" });
  const data = new DataTransfer();
  data.items.add(file);
  const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  document.querySelector(selector).dispatchEvent(event);
}"""


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_from_log_in_to_the_answer_who_has_it(visit: Visit, tmp_path: Path, scripts: bool) -> None:
    page = visit("carol", java_script_enabled=scripts)
    sent = {"manual.pdf": PDF, "recording.mp4": MP4, "other data.csv": b"a;b\r\n1;2\r\n"}  # S18: one of each
    sent |= {"screenshot.png": page.screenshot(), "photo.jpg": page.screenshot(type="jpeg")}
    for name, content in sent.items():
        (tmp_path / name).write_bytes(content)
    page.get_by_role("banner").get_by_role("link", name="Submit a request").click()
    page.get_by_role("radio", name="Level 1 support").check()
    page.get_by_role("button", name="Next").click()
    _describe(page, "The export is empty")
    page.get_by_label("URL").fill("https://reports.acme.example/17")
    page.get_by_label("Files").set_input_files([tmp_path / name for name in sent])
    page.get_by_role("button", name="Submit the request").click()
    page.wait_for_url("**/received")

    number = re.findall(r"\d+", page.get_by_role("heading", level=1).inner_text())[0]
    facts = page.get_by_role("main")
    expect(facts).to_contain_text(re.compile("Sam Peters|Nora Bakker"))
    expect(facts).to_contain_text("5 files arrived")
    expect(facts).to_contain_text("What happens next")
    page.get_by_role("link", name="Open the case").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The export is empty")
    for name, content in sent.items():
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        assert download.value.path().read_bytes() == content
    page.get_by_role("link", name="Files").click()
    expect(page).to_have_url(re.compile(f"/cases/{number}/files$"))


def test_a_missing_field_is_shown_and_everything_typed_is_still_there(visit: Visit, tmp_path: Path) -> None:
    page = visit("carol", java_script_enabled=False)
    (tmp_path / "notes.txt").write_text("kept")
    page.goto("/requests/new/billing")
    page.get_by_label("Subject").fill("Wrong invoice")
    page.get_by_label("Description").fill("It shows the old address.")
    page.get_by_label("Files").set_input_files(tmp_path / "notes.txt")
    page.get_by_role("button", name="Submit the request").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Product", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Description")).to_have_value("It shows the old address.")
    page.get_by_label("Category").select_option(label="Other")
    page.get_by_role("button", name="Submit the request").click()
    expect(page.get_by_role("main")).to_contain_text("1 file arrived")


def test_a_double_click_files_one_ticket(visit: Visit) -> None:
    page = visit("dave")
    page.goto("/requests/new/billing")
    _describe(page, "Clicked twice")
    page.get_by_role("button", name="Submit the request").dblclick()
    page.wait_for_url("**/received")
    page.goto("/cases?q=Clicked+twice")
    expect(page.get_by_role("row")).to_have_count(2)


def test_a_screenshot_is_pasted_and_a_file_too_large_refused_before_it_is_sent(visit: Visit, tmp_path: Path) -> None:
    page = visit("carol")
    page.goto("/requests/new/level-1")
    picture = page.screenshot()
    page.evaluate(_PASTE, ["#description", list(picture)])
    expect(page.locator(".chosen li")).to_have_text(re.compile(r"^Screenshot .*\.png"))
    (tmp_path / "huge.log").write_bytes(b"x" * 2_100_000)
    page.get_by_label("Files").set_input_files(tmp_path / "huge.log")
    expect(page.locator(".chosen .refused")).to_contain_text("huge.log is larger than 1.9 MB")
    _describe(page, "With a pasted picture")
    page.get_by_role("button", name="Submit the request").click()
    expect(page.get_by_role("main")).to_contain_text("1 file arrived")


def test_a_large_upload_shows_its_progress_and_arrives(visit: Visit, tmp_path: Path) -> None:
    page = visit("carol")
    page.goto("/requests/new/level-1")
    (tmp_path / "long.log").write_bytes(b"a line of a log\n" * 100_000)
    page.get_by_label("Files").set_input_files(tmp_path / "long.log")
    _describe(page, "With a long log")
    page.get_by_role("button", name="Submit the request").click()
    page.wait_for_url("**/received")
    expect(page.get_by_role("main")).to_contain_text("1 file arrived")


def test_an_error_after_a_large_upload_keeps_the_file(visit: Visit, tmp_path: Path) -> None:
    page = visit("carol")
    page.goto("/requests/new/level-1")
    (tmp_path / "long.log").write_bytes(b"a line of a log\n" * 100_000)
    page.get_by_label("Files").set_input_files(tmp_path / "long.log")
    page.get_by_label("Subject").fill("No product chosen")
    page.get_by_label("Description").fill("Words")
    page.get_by_role("button", name="Submit the request").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator(".chosen li")).to_contain_text("long.log")
    page.get_by_label("Product", exact=True).select_option(label="Report Builder")
    page.get_by_role("button", name="Submit the request").click()
    page.wait_for_url("**/received")
    expect(page.get_by_role("main")).to_contain_text("1 file arrived")


def test_what_was_typed_survives_a_reload_and_a_log_out(visit: Visit) -> None:
    page = visit("carol")
    page.goto("/requests/new/level-1")
    page.get_by_label("Description").fill("Half an hour of writing")
    page.wait_for_function("() => Object.keys(localStorage).length > 0")
    page.context.clear_cookies()
    page.goto("/requests/new/level-1")
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("User name").fill("carol")
    page.get_by_label("Password").fill("casebridge-demo")
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Description")).to_have_value("Half an hour of writing")
    _describe(page, "Sent in the end")
    page.get_by_role("button", name="Submit the request").click()
    page.wait_for_url("**/received")
    page.goto("/requests/new/level-1")
    expect(page.get_by_label("Description")).to_have_value("")


def test_the_number_is_copied(visit: Visit) -> None:
    page = visit("carol", permissions=["clipboard-read", "clipboard-write"])
    page.goto("/requests/new/billing")
    _describe(page, "Copy my number")
    page.get_by_role("button", name="Submit the request").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    number = page.get_by_role("heading", level=1).inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == number.removeprefix("#")


def test_ctrl_enter_sends_a_reply(visit: Visit) -> None:
    page = visit("carol")
    page.goto("/requests/new/billing")
    _describe(page, "Reply by keyboard")
    page.get_by_role("button", name="Submit the request").click()
    page.get_by_role("link", name="Open the case").click()
    page.get_by_role("link", name="Comments").click()
    page.get_by_label("Your reply").fill("One more thing")
    page.get_by_label("Your reply").press("Control+Enter")
    expect(page.locator("article.entry").last).to_contain_text("One more thing")
    expect(page.get_by_label("Your reply")).to_have_value("")


def _describe(page: Page, subject: str) -> None:
    page.get_by_label("Product", exact=True).select_option(label="Report Builder")
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("Description").fill("I press export\nand get an empty page.")
