"""The agent's pages: queue, review, notes, right column, transfer, check mark, trash (S36 - S44, S60, S66, S67)."""

import re

from portal_service.people.models import Account, Staff
from portal_service.tickets.models import Product
from shared.database import Database
from tests.portal_service.web.browsing import Visitor, text_of


def test_the_queue_counts_by_status_and_can_be_narrowed(sam: Visitor, carol: Visitor, dave: Visitor) -> None:
    mine = carol.file_request(subject="Alpha")
    other = dave.file_request(subject="Beta")
    page = sam.get("/staff/tickets")
    assert "Alpha" in page.text
    assert "Beta" in page.text
    counts = dict(re.findall(r">(\w+) <span class=\"count\">(\d+)<", page.text))
    assert int(counts["New"]) >= 2
    globex = sam.id_of(Account, "Globex GmbH & Söhne")
    narrowed = sam.get(f"/staff/tickets?account={globex}&status=new").text
    assert f"#{other}<" in narrowed
    assert f"#{mine}<" not in narrowed
    assert f"#{mine}<" in sam.get("/staff/tickets?q=carol+jansen").text
    assert "No ticket fits" in sam.get("/staff/tickets?q=nothing-like-it").text


def test_mine_and_nobodys(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    _assign(sam, number, "Nora Bakker")
    assert f"#{number}<" not in sam.get("/staff/tickets?assignee=me").text
    _assign(sam, number, "Sam Peters")
    assert f"#{number}<" in sam.get("/staff/tickets?assignee=me").text
    _assign(sam, number, None)
    assert f"#{number}<" in sam.get("/staff/tickets?assignee=nobody").text
    assert f"#{number}<" not in sam.get("/staff/tickets?assignee=me").text


def test_the_first_look_is_the_review(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    assert carol.ticket(number).status == "new"
    sam.get(f"/staff/tickets/{number}")
    ticket = carol.ticket(number)
    assert ticket.status == "open"
    assert ticket.reviewed_at is not None
    version = ticket.version
    sam.get(f"/staff/tickets/{number}")
    assert carol.ticket(number).version == version


def test_a_note_looks_different_and_says_who_reads_it(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    sam.post(f"/staff/tickets/{number}/note", body="Ask Tariq")
    page = sam.get(f"/staff/tickets/{number}").text
    note = re.findall(r'<article class="entry internal_note.*?</article>', page, re.DOTALL)
    assert len(note) == 1
    assert "Internal note" in note[0]
    assert "Ask Tariq" in note[0]


def test_an_error_stays_in_its_own_box_with_the_words(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    response = sam.post(f"/staff/tickets/{number}/note", body="x" * 60_001)
    assert response.status_code == 422
    assert "x" * 60_001 in response.text
    assert 'id="note-body-about"><p class="error">This is too long' in response.text
    assert sam.post(f"/staff/tickets/{number}/reply", body="").status_code == 422


def test_the_right_column_saves_only_what_was_changed_in_it(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    form = _right_column(sam, number)
    # Meanwhile a colleague changed the priority; this form knows nothing of it.
    sam.post(f"/staff/tickets/{number}/edit", **{**form, "priority": "urgent"})
    sam.post(f"/staff/tickets/{number}/edit", **{**form, "product_id": sam.id_of(Product, "Mobile App")})
    ticket = sam.ticket(number)
    assert ticket.priority == "urgent"
    assert ticket.product.name == "Mobile App"


def test_what_was_said_cannot_be_edited_and_the_attempt_is_remembered(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    response = sam.post(f"/staff/tickets/{number}/edit", description="He never said that")
    assert response.status_code == 422
    assert "cannot be edited" in text_of(response)
    assert sam.ticket(number).description == "I press export\nand get an empty page."
    assert "Was refused a change" in sam.get(f"/staff/tickets/{number}").text
    assert "refused" not in carol.get(f"/cases/{number}").text


def test_a_wrong_value_in_the_right_column_is_shown_at_its_field(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    form = _right_column(sam, number)
    response = sam.post(f"/staff/tickets/{number}/edit", **{**form, "product_id": ""})
    assert response.status_code == 422
    assert 'id="product_id-about"><p class="error">Please choose a product or a category.' in response.text
    assert sam.post(f"/staff/tickets/{number}/edit", **{**form, "status": "gone"}).status_code == 422


def test_transfer_is_one_step(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    sam.get(f"/staff/tickets/{number}")
    version = sam.ticket(number).version
    response = sam.post(
        f"/staff/tickets/{number}/transfer",
        assignee_id=sam.id_of(Staff, "Tariq Aziz"),
        account_id=sam.id_of(Account, "Globex GmbH & Söhne"),
        product_id=sam.id_of(Product, "Sync Engine"),
        note="He has seen this before",
    )
    assert response.status_code == 303
    ticket = sam.ticket(number)
    assert (ticket.assignee.name, ticket.account.name, ticket.product.name) == (
        "Tariq Aziz",
        "Globex GmbH & Söhne",
        "Sync Engine",
    )
    assert ticket.version == version + 1
    assert "He has seen this before" in sam.get(f"/staff/tickets/{number}").text


def test_the_check_mark_closes_in_list_and_page(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    queue = "/staff/tickets?status=new&sort=number"
    assert f'formaction="/staff/tickets/{number}/close"' in sam.get(queue).text
    response = sam.post(f"/staff/tickets/{number}/close", next=queue)
    assert response.location == queue
    assert f"#{number}</a> is closed" in sam.get(queue).text
    assert sam.ticket(number).status == "closed"
    assert f'formaction="/staff/tickets/{number}/close"' not in sam.get("/staff/tickets?status=all").text
    again = sam.post(f"/staff/tickets/{number}/close", follow=True)
    assert "present status" in text_of(again)


def test_the_trash_asks_first_and_the_ticket_is_gone_for_everybody(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    page = sam.get(f"/staff/tickets/{number}/delete?next=/staff/tickets?status=new")
    assert "Its Case in the CRM stays" in text_of(page)
    assert sam.ticket(number).deleted_at is None
    response = sam.post(f"/staff/tickets/{number}/delete", next="/staff/tickets?status=new")
    assert response.location == "/staff/tickets?status=new"
    assert sam.ticket(number).deleted_by == "Sam Peters"
    for path in (f"/staff/tickets/{number}", f"/staff/tickets/{number}/delete"):
        assert sam.get(path).status_code == 404
    assert carol.get(f"/cases/{number}").status_code == 404
    assert sam.post(f"/staff/tickets/{number}/reply", body="x").status_code == 404


def test_after_a_form_nobody_is_sent_to_another_site(sam: Visitor, carol: Visitor) -> None:
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\\\\evil"):
        number = carol.file_request()
        assert sam.post(f"/staff/tickets/{number}/close", next=target).location == f"/staff/tickets/{number}"
        page = sam.get(f"/staff/tickets/{number}/delete", query_string={"next": target}).text
        back = re.findall(r'<a class="button" href="([^"]*)">Keep it', page)
        assert back == [f"/staff/tickets/{number}"]
        assert sam.post("/staff/availability", next=target).location == "/staff/tickets"


def test_away_means_no_new_tickets(sam: Visitor, carol: Visitor) -> None:
    page = sam.post("/staff/availability", follow=True)
    assert "You are away" in page.text
    for _ in range(5):
        assert carol.ticket(carol.file_request()).assignee.name != "Sam Peters"
    assert "You are available" in sam.post("/staff/availability", available="yes", follow=True).text


def test_why_it_was_assigned_is_told(sam: Visitor, carol: Visitor, database: Database) -> None:
    number = carol.file_request(favourite_staff_id=carol.id_of(Staff, "Mila Novak"))
    page = text_of(sam.get(f"/staff/tickets/{number}"))
    assert "Asked for: Mila Novak, but: is away." in page or "Asked for: Mila Novak, but: has no permission" in page
    assert "open tickets" in page


def _assign(sam: Visitor, number: int, name: str | None) -> None:
    ticket = sam.ticket(number)
    staff = sam.id_of(Staff, name) if name else ""
    sam.post(f"/staff/tickets/{number}/edit", assignee_id=staff, was_assignee_id=str(ticket.assignee_id or ""))


def _right_column(sam: Visitor, number: int) -> dict[str, str]:
    """What the form of the right column sends when nothing was touched."""
    page = sam.get(f"/staff/tickets/{number}").text
    was = dict(re.findall(r'name="(was_\w+)" value="([^"]*)"', page))
    return {**was, **{name.removeprefix("was_"): value for name, value in was.items()}}
