"""Filing a request in a real browser: nothing typed is lost, nothing is sent twice, nobody sees another's draft."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from portal_service.demo import PASSWORD
from tests.browser.looks import faults_in_every_look, visited
from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser

FORM = "/requests/new/level-1"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
_DROP = """(names) => {
  const data = new DataTransfer();
  names.forEach((name) => data.items.add(new File(["a line of a log"], name)));
  const form = document.querySelector("form[data-save]");
  for (const type of ["dragover", "drop"]) {
    form.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}"""


VERBATIM = "Línea uno\n\n  <b>二行目</b> & “drie” 🙂👩‍🔧"


def file(name: str, content: bytes = b"a line of a log") -> dict[str, object]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def type_in(page: Page, subject: str, *, product: str | None = "Report Builder") -> None:
    if product:
        page.get_by_label("Product", exact=True).select_option(label=product)
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("Description").fill("I press export\nand get an empty page.")


def send(page: Page) -> int:
    """Submit the form; returns the number of the ticket."""
    page.get_by_role("button", name="Submit the request").click()
    page.wait_for_url("**/received")
    return int(re.findall(r"\d+", page.get_by_role("heading", level=1).inner_text())[0])


def log_in(page: Page, username: str) -> None:
    page.goto("/login")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)


def saved(page: Page) -> None:
    expect(page.locator("[data-draft-status]")).to_contain_text("Draft saved")


def expect_chosen(page: Page, *names: str) -> None:
    expect(page.locator(".chosen li")).to_have_text([re.compile(re.escape(name)) for name in names])


def drafts_at_home(page: Page) -> list[str]:
    page.goto("/")
    return page.locator("#drafts .cover").all_inner_texts()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_two_steps_and_the_first_cannot_be_skipped(visit: Visit, scripts: bool) -> None:
    page = visit("erin", java_script_enabled=scripts)
    page.get_by_role("banner").get_by_role("link", name="Submit a request").click()
    page.get_by_role("button", name="Next").click()
    expect(page).to_have_url(re.compile("/requests/new$"))
    by_phone = page.get_by_role("complementary", name="By phone")
    expect(by_phone.get_by_role("link", name="1-866-281-8350")).to_have_attribute("href", "tel:1-866-281-8350")  # S57
    expect(by_phone).to_contain_text(re.compile("Office hours: .*09:00.*17:30"))  # S58
    expect(by_phone).to_contain_text(re.compile("file a request all the same|Requests are taken at any time"))
    page.goto("/requests/new?type=")
    expect(page.get_by_role("alert")).to_contain_text("Please choose one")
    page.get_by_role("radio", name="Billing").check()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("button", name="Submit the request")).to_be_visible()
    expect(by_phone).to_contain_text("1-866-281-8350")


def test_what_is_told_lands_on_the_ticket_with_its_labels(visit: Visit) -> None:
    page = visit("erin")
    page.goto(FORM)
    type_in(page, "Everything filled in")
    page.get_by_label("Description").fill(VERBATIM)
    expect(page.get_by_label("Needed by")).to_be_hidden()
    page.get_by_label("I need something new or changed").check()  # S27: a service request says by when
    page.get_by_label("Needed by").fill("2096-12-24")
    page.get_by_label("URL").fill("https://reports.initech.example/17")
    page.locator("details.more summary").click()
    expect(page.get_by_label("Browser")).to_have_value(re.compile("Chrome"))
    page.get_by_label("Preferred call time").fill("2096-12-01T14:30")
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    page.get_by_label("Preferred representative").select_option(label="Mila Novak")
    page.get_by_label("Person or group concerned").fill("Sales")
    page.get_by_label("Error text").fill("E-1")
    number = send(page)
    told = page.get_by_role("main")
    expect(told).to_contain_text("You asked for Mila Novak, who cannot take it now.")
    expect(told).to_contain_text(re.compile(r"looks at it by \d+ "))
    expect(told).to_contain_text("1 Dec 2096, 14:30 Asia/Tokyo")
    page.goto(f"/cases/{number}")
    shown = page.get_by_role("main")
    expect(shown.locator(".verbatim").first).to_have_js_property("textContent", VERBATIM)  # S15
    for words in ("Service request", "24 Dec 2096", "Sales", "E-1", "https://reports.initech.example/17"):
        expect(shown).to_contain_text("I need something new" if words == "Service request" else words)
    agent = visit("sam")
    agent.goto("/staff/tickets/calls")
    expect(agent.get_by_role("row", name=re.compile(f"#{number}"))).not_to_contain_text("overdue")
    agent.get_by_role("button", name=f"Phoned about #{number}").click()
    expect(agent.get_by_role("row", name=re.compile(f"#{number}"))).to_have_count(0)


def test_a_favourite_who_is_there_gets_it_and_an_incident_is_urgent(visit: Visit) -> None:
    page = visit("erin")
    page.goto(FORM)
    type_in(page, "Stopped working")
    page.get_by_label("Something that worked is broken").check()
    page.locator("details.more summary").click()
    page.get_by_label("Preferred representative").select_option(label="Nora Bakker")
    number = send(page)
    expect(page.get_by_role("main")).to_contain_text("Nora Bakker looks at it")
    agent = visit("nora")
    agent.goto(f"/staff/tickets/{number}")
    expect(agent.get_by_label("Priority")).to_have_value("high")


def test_the_draft_is_saved_while_typing_and_goes_on_elsewhere(visit: Visit) -> None:
    page = visit("erin")
    page.goto(FORM)
    type_in(page, "Begun at my desk")
    page.get_by_label("Files").set_input_files([file("a.log"), file("a.log", b"another")])  # type: ignore[list-item]
    expect(page.locator(".chosen li")).to_have_count(2)
    expect(page.locator(".chosen progress")).to_have_count(0)
    saved(page)
    phone = visit("erin", viewport={"width": 390, "height": 844})
    expect(phone.locator("#drafts")).to_contain_text("Begun at my desk")
    phone.get_by_role("link", name="Begun at my desk").click()
    expect(phone.get_by_label("Description")).to_have_value("I press export\nand get an empty page.")
    expect_chosen(phone, "a.log", "a.log")
    number = send(phone)
    expect(phone.get_by_role("main")).to_contain_text("2 files arrived")
    assert "Begun at my desk" not in drafts_at_home(phone)
    page.get_by_label("Subject").fill("Begun at my desk, typed on")
    expect(page.locator("[data-draft-status]")).to_contain_text(f"#{number}")


def test_a_draft_is_finished_later_or_deleted_without_scripts(visit: Visit) -> None:
    page = visit("erin", java_script_enabled=False)
    page.goto("/requests/new/sales")
    type_in(page, "How much is it?", product=None)
    page.get_by_role("button", name="Finish later").click()
    expect(page.get_by_role("status")).to_contain_text("Your draft is kept for 30 days")
    page.get_by_role("link", name="How much is it?").click()
    expect(page.get_by_label("Subject")).to_have_value("How much is it?")
    page.goto("/")
    with page.expect_navigation():
        page.get_by_role("button", name="Delete the draft “How much is it?”").click()
    assert "How much is it?" not in drafts_at_home(page)


def test_offline_words_stay_in_the_browser_and_are_saved_when_it_is_back(visit: Visit) -> None:
    page = visit("erin")
    page.goto("/requests/new/billing")
    page.context.set_offline(True)
    type_in(page, "Written in the train")
    expect(page.locator("[data-draft-status]")).to_contain_text("No connection")
    page.get_by_label("Files").set_input_files([file("notes.txt")])  # type: ignore[list-item]
    expect(page.locator(".chosen li")).to_contain_text("Did not arrive")
    page.context.set_offline(False)
    saved(page)
    page.get_by_role("button", name="Upload notes.txt again").click()
    expect(page.locator(".chosen li")).to_contain_text("uploaded")
    saved(page)
    page.reload()
    expect(page.get_by_label("Subject")).to_have_value("Written in the train")
    expect_chosen(page, "notes.txt")
    send(page)


def test_words_a_crashed_browser_could_not_save_are_there_again(visit: Visit) -> None:
    page = visit("erin")
    page.goto("/requests/new/level-2")
    page.context.route("**/drafts/**", lambda route: route.abort())
    type_in(page, "Then the power went off")
    expect(page.locator("[data-draft-status]")).to_contain_text("No connection")
    context = page.context
    page.close(run_before_unload=False)
    context.unroute("**/drafts/**")
    again = context.new_page()
    again.goto("/requests/new/level-2")
    expect(again.get_by_label("Subject")).to_have_value("Then the power went off")
    saved(again)
    send(again)


def test_two_windows_are_asked_which_words_stay(visit: Visit) -> None:
    one = visit("erin")
    one.goto("/requests/new/custom-programming")
    other = one.context.new_page()
    other.goto("/requests/new/custom-programming")
    type_in(one, "From the first window")
    saved(one)
    type_in(other, "From the second window")
    expect(other.locator("[data-draft-status]")).to_contain_text("changed in another window")
    other.get_by_role("button", name="Keep what is here").click()
    saved(other)
    assert "From the second window" in drafts_at_home(other)
    one.get_by_label("Subject").fill("From the first window, again")
    expect(one.locator("[data-draft-status]")).to_contain_text("changed in another window")
    one.get_by_role("button", name="Show the other one").click()
    expect(one.get_by_label("Subject")).to_have_value("From the second window")
    send(one)


def test_logging_in_again_in_another_tab_loses_nothing(visit: Visit) -> None:
    page = visit("erin")
    page.goto(FORM)
    type_in(page, "Longer than the session")
    saved(page)
    page.context.clear_cookies()
    page.get_by_label("Subject").fill("Longer than the session lasted")
    expect(page.locator("[data-draft-status]")).to_contain_text("You are logged out")
    log_in(page.context.new_page(), "erin")
    if _is_asked_again(page):
        send(page)
    page.goto("/cases?q=Longer+than+the+session+lasted")
    expect(page.get_by_role("row")).to_have_count(2)


def _is_asked_again(page: Page) -> bool:
    """The page may show the form once more before it can be sent; its words stand there then."""
    with page.expect_navigation():
        page.get_by_role("button", name="Submit the request").click()
    if "/received" in page.url:
        return False
    expect(page.get_by_role("alert")).to_contain_text("Nothing was sent yet")
    expect(page.get_by_label("Subject")).to_have_value("Longer than the session lasted")
    return True


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_form_sent_after_the_session_ended_is_there_after_the_log_in(visit: Visit, scripts: bool) -> None:
    page = visit("erin", java_script_enabled=scripts)
    page.goto("/requests/new/sales")
    type_in(page, "Sent too late")
    page.context.clear_cookies()
    page.get_by_role("button", name="Submit the request").click()
    expect(page).to_have_url(re.compile("/login"))
    expect(page.get_by_role("status")).to_contain_text("What you typed is kept")
    page.get_by_label("User name").fill("erin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Subject")).to_have_value("Sent too late")
    send(page)


def test_nobody_else_sees_what_was_typed(visit: Visit) -> None:
    page = visit("erin")
    page.goto("/requests/new/billing")
    type_in(page, "Only for Erin's eyes")
    saved(page)
    page.get_by_label("Subject").fill("Only for Erin's eyes, really")
    other = page.context.new_page()
    other.context.clear_cookies()
    log_in(other, "dave")
    other.goto("/requests/new/billing")
    expect(other.get_by_label("Subject")).to_have_value("")
    assert "Only for Erin" not in other.content()
    page.get_by_role("button", name="Submit the request").click()
    expect(page.get_by_role("status").first).to_contain_text("belonged to another log-in")
    assert drafts_at_home(page) == []
    other.context.clear_cookies()
    log_in(other, "erin")
    assert "Only for Erin's eyes, really" in drafts_at_home(other)
    other.get_by_role("link", name="Only for Erin's eyes").click()
    send(other)


def test_files_are_dropped_checked_removed_and_named_when_refused(visit: Visit) -> None:
    page = visit("erin")
    page.goto(FORM)
    page.evaluate(_DROP, ["dropped.log", "setup.exe", "n" * 296 + ".log"])
    expect(page.locator(".chosen .refused")).to_contain_text("setup.exe is of a kind that is not accepted")
    page.get_by_label("Files").set_input_files([file("empty.txt", b""), file("fake.png"), file("manual.pdf", PDF)])  # type: ignore[list-item]
    expect(page.locator(".chosen .refused")).to_have_count(3)
    expect(page.locator(".chosen .refused").last).to_contain_text("fake.png is not what its name says")
    page.get_by_role("button", name="Remove dropped.log").click()
    type_in(page, "With some files")
    send(page)
    expect(page.get_by_role("main")).to_contain_text("2 files arrived")


def test_a_form_sent_before_its_files_arrived_waits_for_them(visit: Visit, tmp_path: Path) -> None:
    page = visit("erin")
    page.goto(FORM)
    page.route("**/uploads", _slowly)
    (tmp_path / "long.log").write_bytes(b"a line of a log\n" * 100_000)
    type_in(page, "Impatient")
    page.get_by_label("Files").set_input_files(tmp_path / "long.log")
    page.get_by_role("button", name="Submit the request").click()
    expect(page.locator("[data-progress]")).to_have_text("Waiting for the files…")
    page.wait_for_url("**/received")
    expect(page.get_by_role("main")).to_contain_text("1 file arrived")


def _slowly(route: Route) -> None:
    time.sleep(0.5)
    route.continue_()


def test_the_tips_open_beside_the_draft(visit: Visit) -> None:
    page = visit("erin")
    page.goto("/requests/new/sales")
    page.get_by_label("Subject").fill("Half a sentence")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Tips for a request").click()
    expect(opened.value.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_label("Subject")).to_have_value("Half a sentence")


def test_back_and_send_again_is_no_second_ticket(visit: Visit) -> None:
    page = visit("erin")
    page.goto("/requests/new/billing")
    type_in(page, "Sent once only")
    number = send(page)
    page.go_back(wait_until="load")
    if page.get_by_label("Subject").input_value():
        assert send(page) == number
    page.goto(f"/cases?q={number}")
    expect(page.get_by_role("row")).to_have_count(2)
    page.goto("/cases?q=Sent+once+only")
    expect(page.get_by_role("row")).to_have_count(2)


def test_a_key_opens_the_case_without_a_log_in(visit: Visit) -> None:
    page = visit("erin", permissions=["clipboard-read", "clipboard-write"])
    page.goto("/requests/new/sales")
    type_in(page, "With a key")
    number = send(page)
    page.get_by_role("button", name="Make an access key").click()
    key = page.locator(".access-key").inner_text()
    page.locator(f'[data-copy="{key}"]').click()
    expect(page.locator(f'[data-copy="{key}"]')).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == key
    page.reload()
    expect(page.locator(".access-key")).to_have_count(0)
    stranger = visit()
    stranger.goto("/guest")
    stranger.get_by_label("Ticket number").first.fill(str(number))
    stranger.get_by_label("Access key").fill(key.lower())
    stranger.get_by_role("button", name="Open the ticket").click()
    expect(stranger.get_by_role("heading", level=1)).to_have_text("With a key")
    stranger.goto("/cases")
    expect(stranger).to_have_url(re.compile("/login"))


def test_an_agent_files_for_a_contact_and_can_go_on_later(visit: Visit) -> None:
    page = visit("sam")
    page.get_by_role("link", name="New ticket").click()
    page.get_by_role("searchbox").fill("initech.example")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Erin O'Neill").click()
    page.get_by_role("radio", name="Billing").check()
    page.get_by_role("button", name="Next").click()
    type_in(page, "She called about an invoice")
    saved(page)
    page.goto("/staff/tickets/new")
    expect(page.locator("#drafts")).to_contain_text("for Erin O'Neill")
    page.get_by_role("link", name="She called about an invoice").click()
    page.get_by_role("button", name="File the ticket").click()
    expect(page.get_by_role("main")).to_contain_text("filed by Sam Peters")
    customer = visit("erin")
    assert customer.goto(page.url.replace("/staff/tickets", "/cases")).status == 200  # type: ignore[union-attr]
    assert customer.goto("/staff/tickets/new").status == 404  # type: ignore[union-attr]


def test_a_guest_gets_a_key_and_the_next_one_at_this_computer_sees_nothing(visit: Visit) -> None:
    page = visit()
    page.goto("/guest/new")
    page.get_by_label("Your name").fill("Gina")
    page.get_by_label("Description").fill("What Gina wrote")
    page.wait_for_function("() => Object.keys(localStorage).some((key) => key.endsWith(':guest'))")
    page.reload()
    expect(page.get_by_label("Your name")).to_have_value("Gina")
    page.context.clear_cookies()
    page.reload()
    expect(page.get_by_label("Your name")).to_have_value("")
    assert page.evaluate("JSON.stringify(localStorage)").count("Gina") == 0


def test_the_pages_of_filing_suit_everybody(visit: Visit) -> None:
    page, guest, agent = visit("li"), visit(), visit("sam")
    page.goto(FORM)
    page.locator("details.more summary").click()
    page.get_by_label("Files").set_input_files([file("a.log"), file("b.exe")])  # type: ignore[list-item]
    expect(page.locator(".chosen li")).to_have_count(2)
    type_in(page, "Fit for everybody")
    saved(page)
    faults = faults_in_every_look(page) + visited(page, "/requests/new")
    page.goto(FORM)
    send(page)
    page.get_by_role("button", name="Make an access key").click()
    expect(page.locator(".access-key")).to_be_visible()
    faults += faults_in_every_look(page) + visited(guest, "/guest/new") + visited(agent, "/staff/tickets/calls")
    assert not faults, "\n".join(faults)
