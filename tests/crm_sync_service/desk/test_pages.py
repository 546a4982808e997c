"""The pages as an account manager uses them, without JavaScript."""

import re

import pytest

from tests.crm_sync_service.desk.client import UNKNOWN_ID, Visitor, demo, fresh_id, words_of


@pytest.fixture
def case(api):
    """A Case as the sync service writes it."""
    return api.case(
        name="Reports <b>empty</b> & late",
        description="See https://acme.example/r?a=1&b=2.\n<script>alert(1)</script>\nThanks",
        status="assigned",
        priority="high",
        account_id=demo("account", "acme"),
        contact_id=demo("contact", "carol"),
        product_id=demo("product", "reports"),
        assigned_user_id=demo("user", "nora"),
        ticket_number="1001",
        ticket_url="http://127.0.0.1:8000/tickets/1001",
    )


@pytest.fixture
def page(anna, case):
    """Its page, opened anew."""
    return lambda: anna.get(f"/cases/{case['id']}")


def stored(api, case):
    return api.get(f"/cases/{case['id']}").json


def history(api, anna, case):
    """The rows of the change history, newest first, as words."""
    section = anna.get(f"/cases/{case['id']}").text.split('id="history"')[1]
    rows = re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)[1:]
    return [words_of(type("Row", (), {"text": re.sub(r"<summary>.*?</summary>", "", row)})) for row in rows]


def test_a_case_shows_all_that_an_account_manager_looks_for(page, api, case):
    api.note(case["id"], title="Reply 1", body="Any news?", created_at="2026-11-20T09:00:00Z")
    words = words_of(page())
    for expected in (
        "C-00001",
        "Reports <b>empty</b> & late",
        "Assigned",
        "High",
        "Acme Instruments",
        "Carol Jansen",
        "Report Builder",
        "Nora Bakker",
        "Ticket 1001",
        "Carol Jansen Customer 20 Nov 2026, 10:00 CET Reply 1 Any news?",
        "by Casebridge sync",
    ):
        assert expected in words
    assert re.search(r"Created \d+ \w+ \d{4}, \d\d:\d\d CES?T", words)


def test_a_description_is_text_with_links_that_work_and_nothing_else(page):
    html = page().text
    assert '<a href="https://acme.example/r?a=1&amp;b=2" rel="noopener' in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nThanks" in html
    assert "<script>alert" not in html


def test_no_page_holds_a_style_or_script_of_its_own(anna, page, case):
    paths = ["/cases", "/contacts", "/accounts", "/users", "/products", "/me", f"/contacts/{demo('contact', 'carol')}"]
    for answer in [page(), *(anna.get(path) for path in paths)]:
        assert answer.status_code == 200
        assert not re.search(r"<style|style=|<script(?![^>]* src=)|\son\w+=", answer.text)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("field", "typed", "expected"),
    [
        ("status", "pending_input", "pending_input"),
        ("priority", "critical", "critical"),
        ("assigned_user_id", demo("user", "anna"), demo("user", "anna")),
        ("assigned_user_id", "", None),
        ("account_id", demo("account", "globex"), demo("account", "globex")),
        ("account_id", "globex", demo("account", "globex")),
        ("product_id", "Mobile App", demo("product", "mobile")),
        ("name", "  Better subject ", "Better subject"),
    ],
)
def test_a_field_is_edited_in_place(anna, api, case, field, typed, expected):
    answer = anna.case_form(case["id"], field, typed, version=case["version"])
    assert answer.status_code == 303
    assert answer.location == f"/cases/{case['id']}#field-{field}"
    now = stored(api, case)
    assert (now[field], now["modified_by"], now["version"]) == (expected, "Anna Visser", 2)
    assert "is saved" in words_of(anna.get(f"/cases/{case['id']}"))


def test_a_description_typed_in_a_browser_is_stored_with_plain_line_ends(anna, api, case):
    anna.case_form(case["id"], "description", "One\r\n\r\nTwo\r\n", version=1)
    assert stored(api, case)["description"] == "One\n\nTwo\n"


def test_saving_what_is_there_already_changes_nothing(anna, api, case):
    assert anna.case_form(case["id"], "status", "assigned", version=1).status_code == 303
    assert (
        anna.case_form(case["id"], "description", case["description"].replace("\n", "\r\n"), version=1).status_code
        == 303
    )
    assert stored(api, case) == case


def test_a_field_that_somebody_else_changed_meanwhile_is_a_conflict_that_keeps_what_was_typed(anna, api, case):
    api.patch(f"/cases/{case['id']}", {"description": "The sync service was faster"})
    answer = anna.case_form(case["id"], "description", "My own <words>", version=1)
    assert answer.status_code == 409
    words = words_of(answer)
    assert "Description was changed meanwhile" in words
    assert "Casebridge sync changed Description" in words
    assert "The sync service was faster" in words
    assert "My own &lt;words&gt;</textarea>" in answer.text
    assert stored(api, case)["description"] == "The sync service was faster"
    # Sent again from that page it is saved: the choice was made with open eyes.
    version = re.search(r'name="version" value="(\d+)"', answer.text)[1]
    assert anna.case_form(case["id"], "description", "My own <words>", version=version).status_code == 303
    assert stored(api, case)["description"] == "My own <words>"


def test_a_chosen_value_is_kept_on_the_conflict_page_too(anna, api, case):
    api.patch(f"/cases/{case['id']}", {"assigned_user_id": demo("user", "sam")})
    answer = anna.case_form(case["id"], "assigned_user_id", demo("user", "tariq"), version=1)
    assert answer.status_code == 409
    assert "Sam Peters" in words_of(answer)
    assert f'<option value="{demo("user", "tariq")}" selected>' in answer.text


def test_leaving_a_select_as_it_was_never_takes_back_what_somebody_else_changed(anna, api, case):
    api.patch(f"/cases/{case['id']}", {"status": "resolved"})
    assert anna.case_form(case["id"], "status", "assigned", version=1).status_code == 409
    assert stored(api, case)["status"] == "resolved"


def test_a_change_of_another_field_is_no_conflict(anna, api, case):
    api.patch(f"/cases/{case['id']}", {"description": "New block of attachments"})
    assert anna.case_form(case["id"], "priority", "low", version=1).status_code == 303
    assert stored(api, case)["priority"] == "low"


def test_two_who_choose_the_same_do_not_disagree(anna, api, case):
    api.patch(f"/cases/{case['id']}", {"status": "closed"})
    assert anna.case_form(case["id"], "status", "closed", version=1).status_code == 303


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("name", "  ", "cannot be empty"),
        ("name", "x" * 256, "at most 255"),
        ("description", "y" * 65_536, "at most 65535"),
        ("status", "gone", "is none of"),
        ("account_id", "No such company", "no account called"),
        ("account_id", UNKNOWN_ID, "no account with the id"),
        ("assigned_user_id", "a", "Several fit"),
    ],
)
def test_a_value_that_cannot_be_is_shown_again_with_the_reason(anna, api, case, field, typed, words):
    answer = anna.case_form(case["id"], field, typed, version=1)
    assert answer.status_code == 422
    assert words in words_of(answer)
    if field in {"name", "description"}:
        assert typed in answer.text
    assert stored(api, case) == case


@pytest.mark.parametrize(
    ("field", "version", "status"), [("number", 1, 404), ("status", "x", 400), ("status", "", 400)]
)
def test_a_form_that_was_tampered_with_is_refused(anna, case, field, version, status):
    assert anna.case_form(case["id"], field, "x", version=version).status_code == status


def test_the_history_says_who_changed_what_from_what_to_what(anna, api, case):
    anna.case_form(case["id"], "account_id", demo("account", "globex"), version=1)
    anna.case_form(case["id"], "status", "closed", version=2)
    api.patch(f"/cases/{case['id']}", {"priority": "low"})
    rows = history(api, anna, case)
    assert [re.sub(r"^.*? CES?T ", "", row) for row in rows] == [
        "Casebridge sync Priority High Low",
        "Anna Visser Status Assigned Closed",
        "Anna Visser Account Acme Instruments Globex GmbH & Söhne",
        "Casebridge sync Created empty C-00001",
    ]


def test_contacts_are_added_by_name_or_address_and_removed_again(anna, api, case):
    peter, dave = demo("contact", "peter"), demo("contact", "dave")
    assert anna.post(f"/cases/{case['id']}/contacts", value="PETER@acme.example").status_code == 303
    assert anna.post(f"/cases/{case['id']}/contacts", value="dave müller").status_code == 303
    assert set(stored(api, case)["contact_ids"]) == {demo("contact", "carol"), peter, dave}
    assert anna.post(f"/cases/{case['id']}/contacts/{peter}/remove").status_code == 303
    assert set(stored(api, case)["contact_ids"]) == {demo("contact", "carol"), dave}
    assert "Dave Müller" in words_of(anna.get(f"/cases/{case['id']}"))


def test_the_primary_contact_cannot_be_removed(anna, api, case):
    assert anna.post(f"/cases/{case['id']}/contacts/{demo('contact', 'carol')}/remove").status_code == 422
    assert stored(api, case) == case


def test_a_contact_that_is_not_found_is_asked_for_again(anna, case):
    answer = anna.post(f"/cases/{case['id']}/contacts", value="Zorro")
    assert answer.status_code == 422
    assert "no contact called “Zorro”" in words_of(answer)
    assert 'value="Zorro"' in answer.text


def test_a_note_written_here_stays_here_and_comes_behind_those_that_were_there(anna, api, case, page):
    api.note(case["id"], position=1)
    api.note(case["id"], position=2, title="Reply 2")
    form = {"id": fresh_id(), "title": "Call", "body": "She <will> call back.\r\nTomorrow."}
    assert anna.post(f"/cases/{case['id']}/notes", **form).status_code == 303
    api.note(case["id"], position=3, title="Reply 3")
    notes = api.rows(f"/cases/{case['id']}/notes")
    assert [note["title"] for note in notes] == ["Reply 1", "Reply 2", "Call", "Reply 3"]
    mine = notes[2]
    assert (mine["author"], mine["side"], mine["origin"]) == ("Anna Visser", "internal", "desk")
    assert mine["body"] == "She <will> call back.\nTomorrow."
    assert "Anna Visser CRM only" in words_of(page())
    assert stored(api, case)["version"] == 1


def test_a_note_goes_to_the_customer_only_where_a_ticket_is_and_only_when_asked(anna, api, case, page):
    url = f"/cases/{case['id']}/notes"
    assert "Send to customer" in words_of(page())
    anna.post(url, id=fresh_id(), body="Between us.")
    anna.post(url, id=fresh_id(), body="We send a new one.", for_customer="yes")
    assert [note["for_customer"] for note in api.rows(url)] == [False, True]
    assert "Anna Visser For the customer" in words_of(page())


def test_a_note_sent_twice_is_one_note(anna, api, case):
    form = {"id": fresh_id(), "title": "", "body": "Pressed twice"}
    for _ in range(2):
        assert anna.post(f"/cases/{case['id']}/notes", **form).status_code == 303
    assert len(api.rows(f"/cases/{case['id']}/notes")) == 1


def test_an_empty_or_endless_note_is_shown_again_with_the_reason(anna, api, case):
    empty = anna.post(f"/cases/{case['id']}/notes", id=fresh_id(), title="My title", body=" \r\n")
    assert empty.status_code == 422
    assert "the Note is empty" in words_of(empty)
    assert 'value="My title"' in empty.text
    assert anna.post(f"/cases/{case['id']}/notes", id=fresh_id(), body="x" * 70_000).status_code == 422
    assert api.rows("/notes") == []


def test_a_case_is_deleted_after_a_question_and_says_so_afterwards(anna, api, case, page):
    question = words_of(anna.get(f"/cases/{case['id']}/delete"))
    assert "Delete C-00001?" in question
    assert "Ticket 1001 stays in the portal" in question
    assert stored(api, case)["deleted"] is False
    assert anna.post(f"/cases/{case['id']}/delete").location == "/cases"
    gone = page()
    assert gone.status_code == 410
    assert "C-00001 was deleted Anna Visser did it at" in words_of(gone)
    assert "C-00001" not in anna.get("/cases").text.split("<table")[-1]


def test_what_is_written_into_a_case_that_was_deleted_meanwhile_is_given_back(anna, api, case):
    api.delete(f"/cases/{case['id']}")
    for answer in (
        anna.post(f"/cases/{case['id']}/notes", id=fresh_id(), body="My long Note"),
        anna.case_form(case["id"], "description", "My long Note", version=1),
    ):
        assert answer.status_code == 410
        assert "not saved" in words_of(answer)
        assert "My long Note</textarea>" in answer.text


def test_merging_two_contacts_moves_addresses_and_cases(anna, api, case):
    carol, peter = demo("contact", "carol"), demo("contact", "peter")
    offer = anna.get(f"/contacts/{carol}/merge", q="peter")
    assert "Peter de Vries peter@acme.example" in words_of(offer)
    assert f'value="{carol}"' not in offer.text
    answer = anna.post(f"/contacts/{carol}/merge", into=peter)
    assert answer.location == f"/contacts/{peter}"
    words = words_of(anna.get(f"/contacts/{peter}"))
    assert "carol@acme.example" in words
    assert "C-00001" in words
    gone = anna.get(f"/contacts/{carol}")
    assert gone.status_code == 410
    assert f'href="/contacts/{peter}"' in gone.text


def test_merging_two_accounts_moves_contacts_and_cases(anna, api, case):
    anna.post(f"/accounts/{demo('account', 'acme')}/merge", into=demo("account", "initech"))
    words = words_of(anna.get(f"/accounts/{demo('account', 'initech')}"))
    assert "Carol Jansen" in words
    assert "C-00001" in words


def test_merging_two_cases_moves_notes_and_leads_on(anna, api, case):
    api.note(case["id"], body="Moved along")
    kept = api.case(name="The one to keep")
    assert anna.post(f"/cases/{case['id']}/merge", into=kept["id"]).status_code == 303
    assert [note["body"] for note in api.rows(f"/cases/{kept['id']}/notes")] == ["Moved along"]
    gone = api.get(f"/cases/{case['id']}")
    assert (gone.status_code, gone.json["merged_into"]) == (410, kept["id"])
    assert demo("contact", "carol") in stored(api, kept)["contact_ids"]


@pytest.mark.parametrize("into", ["", "x", demo("contact", "carol"), UNKNOWN_ID])
def test_a_merge_into_nothing_or_itself_is_refused(anna, into):
    answer = anna.post(f"/contacts/{demo('contact', 'carol')}/merge", into=into)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert anna.get(f"/contacts/{demo('contact', 'carol')}").status_code == 200


def test_a_contact_shows_its_addresses_its_account_and_all_its_cases(anna, api, case):
    beside = api.case(name="Only beside", contact_id=demo("contact", "dave"), contact_ids=[demo("contact", "carol")])
    api.case(name="Not hers", contact_id=demo("contact", "dave"))
    words = words_of(anna.get(f"/contacts/{demo('contact', 'carol')}"))
    for expected in ("carol@acme.example", "Acme Instruments", "C-00001", beside["number"]):
        assert expected in words
    assert "Not hers" not in words


def test_a_contact_and_an_account_are_edited_in_place(anna, api):
    carol, acme = demo("contact", "carol"), demo("account", "acme")
    form = {"value": "carol@acme.example\r\n\r\nc.jansen@home.example", "version": 1}
    assert anna.post(f"/contacts/{carol}/fields/emails", **form).status_code == 303
    assert api.get(f"/contacts/{carol}").json["emails"] == ["carol@acme.example", "c.jansen@home.example"]
    assert anna.post(f"/accounts/{acme}/fields/name", value="Acme Group", version=1).status_code == 303
    assert api.get(f"/accounts/{acme}").json["name"] == "Acme Group"
    wrong = anna.post(f"/contacts/{carol}/fields/emails", value="carol at acme", version=2)
    assert wrong.status_code == 422
    assert "is not an e-mail address" in words_of(wrong)


@pytest.mark.parametrize(
    "path", [f"/cases/{UNKNOWN_ID}", f"/contacts/{UNKNOWN_ID}", f"/accounts/{UNKNOWN_ID}/merge", "/cases/x"]
)
def test_what_is_not_there_has_a_page_that_says_so(anna, path):
    assert anna.get(path).status_code == 404


def test_a_stranger_can_neither_read_nor_write(app, api, case):
    stranger = Visitor(app)
    assert stranger.get(f"/cases/{case['id']}").status_code == 302
    assert stranger.case_form(case["id"], "status", "closed", version=1).status_code == 401
    assert stored(api, case) == case
