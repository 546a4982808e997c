"""The pages in a real browser: editing in place, conflicts, keyboard, phone, dark mode."""

from threading import Thread

import pytest
from playwright.sync_api import expect
from werkzeug.serving import make_server

from tests.browser.looks import faults_in_every_look
from tests.crm_sync_service.desk.client import PASSWORD, demo

pytestmark = pytest.mark.browser
WAIT_MS = 30_000


@pytest.fixture
def address(app):
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def open_desk(chromium, address):
    """Opens a page of the desk for somebody who has logged in there; complains of anything in the console."""
    complaints = []
    contexts = []

    def open_(path, *, username="anna", **options):
        context = chromium.new_context(base_url=address, **options)
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        page.get_by_label("User name").fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"**{path}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [words for words in complaints if "409" not in words] == []


@pytest.fixture
def case(api):
    return api.case(
        name="Report is late",
        description="First\n\nhttps://acme.example/report",
        account_id=demo("account", "acme"),
        contact_id=demo("contact", "carol"),
        assigned_user_id=demo("user", "nora"),
        ticket_number="1001",
        ticket_url="http://127.0.0.1:8000/tickets/1001",
    )


def edit(page, label):
    """Open the form of a field; returns what to type into and the button to press."""
    page.get_by_label(f"Edit {label}").click()
    form = page.locator("details.edit[open]")
    return form.locator("[name=value]"), form.get_by_role("button", name="Save")


def test_fields_are_edited_in_place(open_desk, api, case):
    page = open_desk(f"/cases/{case['id']}")
    status, save = edit(page, "Status")
    expect(status).to_be_focused()
    status.select_option("Pending input")
    save.click()
    expect(page.get_by_role("status")).to_contain_text("Status is saved")
    assigned_to, save = edit(page, "Assigned to")
    assigned_to.select_option("Anna Visser")
    save.click()
    expect(page.locator("#field-assigned_user_id .value")).to_have_text("Anna Visser")
    description, save = edit(page, "Description")
    description.fill("Written anew\nin two lines")
    save.click()
    expect(page.locator(".description .verbatim")).to_have_text("Written anew\nin two lines")
    stored = api.get(f"/cases/{case['id']}").json
    assert (stored["status"], stored["assigned_user_id"]) == ("pending_input", demo("user", "anna"))
    assert stored["description"] == "Written anew\nin two lines"
    expect(page.locator("#history tbody tr")).to_have_count(4)


def test_escape_and_cancel_close_a_form_without_saving(open_desk, api, case):
    page = open_desk(f"/cases/{case['id']}")
    subject, _ = edit(page, "Subject")
    subject.fill("Not this")
    page.keyboard.press("Escape")
    expect(page.locator("details.edit[open]")).to_have_count(0)
    expect(page.get_by_label("Edit Subject")).to_be_focused()
    subject, _ = edit(page, "Subject")
    expect(subject).to_have_value("Report is late")
    page.locator("details.edit[open]").get_by_role("link", name="Cancel").click()
    expect(page.locator("details.edit[open]")).to_have_count(0)
    assert api.get(f"/cases/{case['id']}").json == case


def test_a_form_closes_when_something_else_is_clicked_unless_something_was_typed(open_desk, case):
    page = open_desk(f"/cases/{case['id']}")
    edit(page, "Status")
    page.get_by_role("heading", name="Notes").click()
    expect(page.locator("details.edit[open]")).to_have_count(0)
    status, _ = edit(page, "Status")
    status.select_option("Closed")
    page.get_by_role("heading", name="Notes").click()
    expect(page.locator("details.edit[open]")).to_have_count(1)


def test_two_account_managers_change_one_field_and_the_second_decides_with_open_eyes(open_desk, api, case):
    anna, bram = (open_desk(f"/cases/{case['id']}", username=name) for name in ("anna", "bram"))
    mine, save_mine = edit(bram, "Description")
    mine.fill("Bram's long text")
    hers, save_hers = edit(anna, "Description")
    hers.fill("Anna was faster")
    save_hers.click()
    expect(anna.get_by_role("status")).to_contain_text("saved")
    save_mine.click()
    expect(bram.get_by_role("heading", level=1)).to_have_text("Description was changed meanwhile")
    expect(bram.get_by_role("alert")).to_contain_text("Anna Visser changed Description")
    expect(bram.get_by_label("Description")).to_have_value("Bram's long text")
    bram.get_by_role("button", name="Save mine instead").click()
    expect(bram.locator(".description .verbatim")).to_have_text("Bram's long text")
    assert api.get(f"/cases/{case['id']}").json["description"] == "Bram's long text"


def test_a_double_click_on_save_makes_one_note(open_desk, api, case):
    page = open_desk(f"/cases/{case['id']}")
    page.get_by_text("Add a Note").click()
    page.get_by_label("Note", exact=True).fill("Called her")
    page.get_by_role("button", name="Save the Note").dblclick()
    expect(page.locator(".note")).to_have_count(1)
    expect(page.locator(".note")).to_contain_text("CRM only")
    assert [note["body"] for note in api.rows("/notes")] == ["Called her"]


def test_filters_take_effect_when_they_are_chosen(open_desk, api, case):
    api.case(name="Done", status="closed")
    page = open_desk("/cases")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Status", exact=True).select_option("Closed")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Search cases").fill("nothing like it")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing matches")).to_be_visible()


def test_everything_works_without_javascript(open_desk, api, case):
    page = open_desk(f"/cases/{case['id']}", java_script_enabled=False)
    page.locator("#field-priority summary").click()
    page.locator("#edit-priority").select_option("critical")
    page.locator("#field-priority button").click()
    expect(page.locator("#field-priority .value")).to_have_text("Critical")
    page.get_by_text("Add a contact").click()
    page.get_by_label("Name or e-mail address").fill("peter@acme.example")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#contacts li")).to_have_count(2)
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete the Case").click()
    expect(page.get_by_text("C-00001 is deleted")).to_be_visible()


def test_no_page_has_barriers_or_scrolls_sideways(open_desk, api, case):
    api.note(case["id"], body="https://acme.example/" + "long" * 60)
    page = open_desk("/cases")
    paths = [
        "/cases",
        f"/cases/{case['id']}",
        f"/contacts/{demo('contact', 'carol')}",
        f"/accounts/{demo('account', 'acme')}",
        f"/contacts/{demo('contact', 'carol')}/merge",
        f"/cases/{case['id']}/delete",
        "/users",
        "/me",
    ]
    for path in paths:
        page.goto(path)
        assert not faults_in_every_look(page), path
