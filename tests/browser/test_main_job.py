"""The main job from end to end: real processes, a real browser, a customer, an agent and an account manager."""

import re
import struct
import time
import zlib

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack import Stack

pytestmark = pytest.mark.browser

PROCESSES = ("crm", "portal", "portal-worker", "sync-worker")
PASSWORD = "casebridge-demo"
WITHIN_MS = 15_000
"""How long a person here looks for a change; how soon it really is there is measured, not tested."""


def png() -> bytes:
    """A picture of two by two pixels."""
    rows = b"".join(b"\0" + b"\x20\x80\xc0" * 2 for _ in range(2))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


PNG = png()
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    stack = Stack(tmp_path_factory.mktemp("main-job"))
    stack.prepare()
    for name in PROCESSES:
        stack.start(name, wait=False)
    for name in PROCESSES:
        stack.wait_ready(name)
    yield stack
    stack.stop()


def log_in(chromium: Browser, url: str, username: str) -> Page:
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(30_000)
    page.goto(f"{url}/login")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password", exact=True).press("Enter")
    expect(page).not_to_have_url(re.compile("/login"))
    return page


def until_seen(page: Page, check, *, within_ms: int = WITHIN_MS) -> None:
    """Load the page again until `check(page)` holds: a person who looks for it."""
    deadline = time.monotonic() + within_ms / 1000
    while True:
        page.reload()
        try:
            check(page)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def submit(page: Page, subject: str) -> str:
    page.get_by_role("link", name="Submit a request").first.click()
    page.get_by_label("Level 1 support").check()
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Product", exact=True).select_option(label="Portal Server")
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("Description").fill("It burns.\n\nSince 9:00 <again> — 火事 & ärger")
    page.get_by_label("URL").fill("https://printer.example/status?a=1&b=2")
    page.locator("input[type=file][multiple]").set_input_files(
        [
            {"name": "screen shot.png", "mimeType": "image/png", "buffer": PNG},
            {"name": "manual.pdf", "mimeType": "application/pdf", "buffer": PDF},
        ]
    )
    page.get_by_role("button", name="Submit the request").click()
    number = page.locator("#case-number")
    expect(number).to_have_text(re.compile(r"#\d+"))
    expect(page.get_by_text("What happens next")).to_be_visible()
    return number.inner_text().removeprefix("#")


def case_page(stack: Stack, chromium: Browser, number: str) -> Page:
    """The Case of a ticket as an account manager finds it by the ticket's number."""
    page = log_in(chromium, stack.url("crm"), "anna")
    page.goto(f"{stack.url('crm')}/cases?q={number}")
    until_seen(page, lambda p: expect(p.get_by_role("row").nth(1)).to_be_visible(timeout=200))
    page.locator("tbody tr").first.get_by_role("link").first.click()
    return page


def change(page: Page, field: str, *, option: str) -> None:
    page.get_by_label(f"Edit {field}", exact=True).click()
    page.get_by_label(field, exact=True).select_option(label=option)
    page.locator("details[open] form").get_by_role("button", name="Save").click()


def fact(page: Page, field: str):
    return page.locator(".fact", has=page.locator("dt", has_text=re.compile(f"^{field}$"))).locator(".value")


def test_a_request_becomes_a_case_with_everything_an_account_manager_needs(stack, chromium):
    customer = log_in(chromium, stack.url("portal"), "carol")
    number = submit(customer, "Printer on fire")
    page = case_page(stack, chromium, number)
    expect(page.get_by_role("heading", name="Printer on fire")).to_be_visible()
    for field, value in (
        ("Account", "Acme Instruments"),
        ("Contact", "Carol Jansen"),
        ("Product", "Portal Server"),
        ("Ticket", f"Ticket {number}"),
    ):
        expect(fact(page, field)).to_contain_text(value)
    expect(fact(page, "Assigned to")).not_to_contain_text("Nobody")
    description = page.locator("#field-description .verbatim")
    expect(description).to_contain_text("Since 9:00 <again> — 火事 & ärger")
    expect(description).to_contain_text("https://printer.example/status?a=1&b=2")
    expect(page.locator("#contacts")).to_contain_text("Carol Jansen")
    attachments = [href for href in hrefs(page, "#field-description a") if "/files/" in href]
    assert [httpx.get(url).content for url in attachments] == [PNG, PDF]
    assert httpx.get(attachments[0][:-3] + "abc").status_code == 404
    page.locator("#contacts").get_by_role("link", name="Carol Jansen").click()
    expect(page.get_by_role("link", name="Printer on fire")).to_be_visible()


def hrefs(page: Page, selector: str) -> list[str]:
    return [link.get_attribute("href") or "" for link in page.locator(selector).all()]


def test_each_reply_is_one_note_and_an_internal_note_stays_among_staff(stack, chromium):
    customer = log_in(chromium, stack.url("portal"), "carol")
    number = submit(customer, "Three voices")
    agent = log_in(chromium, stack.url("portal"), "sam")
    ticket = f"{stack.url('portal')}/tickets/{number}"
    customer.goto(f"{stack.url('portal')}/tickets/{number}")
    customer.get_by_role("link", name="Comments").click()
    customer.get_by_label("Your reply").fill("First: any news?")
    customer.get_by_role("button", name="Send", exact=True).click()
    expect(customer.locator("article.entry").last).to_contain_text("First: any news?")
    agent.goto(ticket)
    agent.get_by_label("Reply", exact=True).fill("Second: which model?")
    agent.get_by_role("button", name="Ask and set pending").click()
    agent.get_by_text("Add an internal note").click()
    agent.get_by_label("Internal note").fill("Third: she is a VIP")
    agent.get_by_role("button", name="Add the note").click()
    page = case_page(stack, chromium, number)
    until_seen(page, lambda p: expect(p.locator(".note")).to_have_count(3, timeout=200))
    for position, (author, words) in enumerate(
        [("Carol Jansen", "First: any news?"), ("Sam Peters", "Second: which model?"), ("Sam Peters", "Third: she is")]
    ):
        note = page.locator(".note").nth(position)
        expect(note.locator(".by")).to_contain_text(author)
        expect(note.locator(".verbatim")).to_contain_text(words)
    expect(fact(page, "Status")).to_contain_text("Pending")
    customer.goto(ticket)
    customer.get_by_role("link", name="Comments").click()
    expect(customer.get_by_text("Second: which model?").first).to_be_visible()
    assert "VIP" not in customer.content()


def test_what_an_account_manager_changes_is_on_the_ticket_and_nothing_echoes(stack, chromium):
    customer = log_in(chromium, stack.url("portal"), "carol")
    number = submit(customer, "Back again")
    page = case_page(stack, chromium, number)
    change(page, "Priority", option="Critical")
    change(page, "Account", option="Globex GmbH & Söhne")
    change(page, "Product", option="Sensor Gateway")
    change(page, "Assigned to", option="Tariq Aziz")
    change(page, "Status", option="Pending input")
    agent = log_in(chromium, stack.url("portal"), "sam")
    agent.goto(f"{stack.url('portal')}/tickets/{number}")

    def shows_all(p: Page) -> None:
        side = p.locator("form.properties")
        for field, value in (
            ("Priority", "Urgent"),
            ("Account", "Globex GmbH & Söhne"),
            ("Product", "Sensor Gateway"),
            ("Assigned to", "Tariq Aziz"),
            ("Status", "Pending"),
        ):
            expect(side.get_by_label(field).locator("option:checked")).to_have_text(re.compile(value), timeout=200)

    until_seen(agent, shows_all)
    agent.get_by_text("History").click()
    expect(agent.locator(".timeline")).to_contain_text("Anna Visser")
    until_seen(agent, lambda p: expect(p.get_by_text("in sync").first).to_be_visible(timeout=200))
    case_id = page.url.rsplit("/", 1)[-1].partition("#")[0]
    version = stack.crm("GET", f"/cases/{case_id}").json()["version"]
    time.sleep(2)
    assert stack.crm("GET", f"/cases/{case_id}").json()["version"] == version


def test_staff_transfer_in_one_step_close_delete_and_file_for_a_contact(stack, chromium):
    customer = log_in(chromium, stack.url("portal"), "carol")
    number = submit(customer, "Handed over")
    agent = log_in(chromium, stack.url("portal"), "nora")
    agent.goto(f"{stack.url('portal')}/tickets/{number}")
    agent.get_by_role("link", name="Transfer").click()
    agent.get_by_label("Assigned to").select_option(label=re_option(agent, "Assigned to", "Tariq Aziz"))
    agent.get_by_label("Product").select_option(label="Mobile App")
    agent.get_by_label("Internal note").fill("Tariq knows this machine")
    agent.get_by_role("button", name="Transfer").click()
    page = case_page(stack, chromium, number)
    until_seen(page, lambda p: expect(fact(p, "Assigned to")).to_have_text("Tariq Aziz", timeout=200))
    expect(fact(page, "Product")).to_have_text("Mobile App")
    until_seen(page, lambda p: expect(p.locator(".note")).to_contain_text("Tariq knows this machine", timeout=200))

    agent.goto(f"{stack.url('portal')}/tickets/{number}")
    agent.get_by_role("button", name="Close this ticket").click()
    until_seen(page, lambda p: expect(fact(p, "Status")).to_contain_text("Closed", timeout=200))

    agent.goto(f"{stack.url('portal')}/tickets/{number}")
    agent.get_by_role("link", name="Delete this ticket").click()
    agent.get_by_role("button", name="Delete").click()
    until_seen(page, lambda p: expect(p.locator("#notes")).to_contain_text("Nora Bakker", timeout=200))
    customer.goto(f"{stack.url('portal')}/tickets/{number}")
    expect(customer.get_by_text("Handed over")).to_have_count(0)

    agent.get_by_role("link", name="New ticket").first.click()
    agent.get_by_role("link", name=re.compile("Dave Müller")).first.click()
    agent.get_by_label("Level 2 support").check()
    agent.get_by_role("button", name="Next").click()
    agent.get_by_label("Product", exact=True).select_option(label="Portal Server")
    agent.get_by_label("Subject").fill("He phoned")
    agent.get_by_label("Description").fill("Sync stops at night")
    agent.get_by_role("button", name="File the ticket").click()
    expect(agent.get_by_role("heading", name="He phoned")).to_be_visible()
    filed = re.search(r"/tickets/(\d+)", agent.url)
    assert filed
    page = case_page(stack, chromium, filed[1])
    expect(fact(page, "Contact")).to_contain_text("Dave Müller")


def re_option(page: Page, field: str, begins: str) -> str:
    """The full label of the option that begins so (agents are shown with their number of open tickets)."""
    labels = page.get_by_label(field).locator("option").all_inner_texts()
    return next(label for label in labels if label.startswith(begins))


def test_an_account_managers_note_reaches_the_customer_once_and_only_when_asked(stack, chromium):
    customer = log_in(chromium, stack.url("portal"), "carol")
    number = submit(customer, "Talk to me")
    page = case_page(stack, chromium, number)
    for words, for_customer in (("Between us: she is a VIP.", False), ("We send a new printer.", True)):
        page.get_by_text("Add a Note").click()
        page.get_by_label("Note", exact=True).fill(words)
        page.get_by_label("Send to customer").set_checked(for_customer)
        page.get_by_role("button", name="Save the Note").click()
        expect(page.locator(".note .verbatim", has_text=words)).to_be_visible()
    customer.goto(f"{stack.url('portal')}/tickets/{number}")
    customer.get_by_role("link", name="Comments").click()
    reply = customer.locator(".entry", has_text="We send a new printer.")
    until_seen(
        customer, lambda p: expect(p.locator(".entry .verbatim").last).to_contain_text("new printer", timeout=200)
    )
    expect(reply.first).to_contain_text("Anna Visser")
    assert "VIP" not in customer.content()
    agent = log_in(chromium, stack.url("portal"), "sam")
    agent.goto(f"{stack.url('portal')}/tickets/{number}")
    until_seen(agent, lambda p: expect(p.get_by_text("in sync").first).to_be_visible(timeout=200))
    page.reload()
    expect(page.locator(".note")).to_have_count(2)
