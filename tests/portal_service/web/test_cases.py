"""The customer's cases: home, list, tabs, replies; internal notes are nowhere (S68 - S77, S49, S61, S62, S65)."""

import re
from io import BytesIO
from typing import Any

from sqlalchemy import event

from portal_service.crm.models import CrmStatus, Mirror
from portal_service.tickets.models import Product
from shared.clock import utc_now
from shared.database import Database
from tests.portal_service.web.browsing import Visitor, text_of

SECRET = "Between us: he pressed the wrong button"


def test_home_leads_to_everything(carol: Visitor) -> None:
    number = carol.file_request(subject="On my home page")
    page = carol.get("/")
    assert "On my home page" in page.text
    links = re.findall(r'<ul class="entries">.*?</ul>', page.text, re.DOTALL)[0]
    for target in re.findall(r'href="([^"]+)"', links):
        assert carol.get(target.replace("&amp;", "&")).status_code == 200, target
    assert f"/cases/{number}" in page.text
    assert 'href="/cases"' in page.text
    assert "Submit a request" in page.text


def test_what_waits_for_the_customer_comes_first(carol: Visitor, sam: Visitor) -> None:
    waiting = carol.file_request(subject="Older, but it is your turn")
    sam.post(f"/staff/tickets/{waiting}/reply", body="Which version?", pending="yes")
    for _ in range(7):
        carol.file_request(subject="Newer")
    page = carol.get("/").text
    assert "1 case waits for your reply" in page
    assert page.index("Older, but") < page.index("Newer")


def test_the_list_is_searched_filtered_and_sorted_by_its_address(carol: Visitor) -> None:
    first = carol.file_request(subject="Alpha %_ case")
    carol.file_request(subject="Beta case", product_id=carol.id_of(Product, "Mobile App"))
    solved = carol.file_request(subject="Gamma case")
    carol.post(f"/cases/{solved}/solve")
    assert "Gamma case" not in carol.get("/cases").text
    assert "Gamma case" in carol.get("/cases?status=all").text
    assert "Beta case" not in carol.get("/cases?q=%25_").text
    assert "Alpha" in carol.get(f"/cases?q=%23{first}").text
    mobile = carol.get(f"/cases?product={carol.id_of(Product, 'Mobile App')}").text
    assert "Beta case" in mobile
    assert "Alpha" not in mobile
    ascending = carol.get("/cases?sort=subject&dir=asc&status=all").text
    assert ascending.index("Alpha") < ascending.index("Beta case") < ascending.index("Gamma case")
    descending = carol.get("/cases?sort=subject&dir=desc&status=all").text
    assert descending.index("Gamma case") < descending.index("Beta case")
    assert "No case fits" in carol.get("/cases?q=nothing-like-it").text
    for nonsense in ("sort=;drop", "status=x", "product=1", "after=zz", "dir=x", "q=" + "x" * 5000):
        assert carol.get(f"/cases?{nonsense}").status_code == 200


def test_pages_of_the_list_show_each_case_once(carol: Visitor) -> None:
    numbers = {carol.file_request() for _ in range(27)}
    first = carol.get("/cases?sort=number").text
    following = re.findall(r'href="([^"]+)" rel="next"', first)[0].replace("&amp;", "&")
    second = carol.get(following).text
    shown = [int(number) for page in (first, second) for number in re.findall(r'href="/cases/(\d+)">#', page)]
    assert len(shown) == len(set(shown))
    assert numbers <= set(shown)


def test_internal_notes_are_on_no_page_of_the_customer(carol: Visitor, sam: Visitor, png: bytes) -> None:
    number = carol.file_request()
    sam.post(f"/staff/tickets/{number}/note", body=SECRET, files=[("internal-evidence.png", png)])
    sam.post(f"/staff/tickets/{number}/transfer", **_transfer(sam, number), note=SECRET)
    sam.post(f"/staff/tickets/{number}/reply", body="Try again, please.")
    assert SECRET in sam.get(f"/staff/tickets/{number}").text
    for page in ("", "/comments", "/files"):
        text = carol.get(f"/cases/{number}{page}").text
        assert SECRET not in text
        assert "internal-evidence" not in text
        assert "internal" not in text.lower()
    assert "Try again, please." in carol.get(f"/cases/{number}/comments").text
    assert SECRET not in carol.get("/").text
    assert f"#{number}" not in carol.get("/cases?q=wrong+button").text


def test_a_reply_with_a_file_reaches_the_conversation(carol: Visitor, sam: Visitor, png: bytes) -> None:
    number = carol.file_request()
    response = carol.post(f"/cases/{number}/comments", body="See the picture\r\n<script>", files=[("shot.png", png)])
    assert response.status_code == 303
    for page in (carol.get(f"/cases/{number}/comments").text, sam.get(f"/staff/tickets/{number}").text):
        assert "See the picture<br>\n&lt;script&gt;" in page
        assert "shot.png" in page
    assert "shot.png" in carol.get(f"/cases/{number}/files").text


def test_an_empty_reply_is_refused_at_its_field(carol: Visitor) -> None:
    number = carol.file_request()
    response = carol.post(f"/cases/{number}/comments", body="  ")
    assert response.status_code == 422
    assert 'id="body-about"><p class="error">Please fill this in.' in response.text


def test_a_reply_sent_twice_is_one_reply(carol: Visitor) -> None:
    number = carol.file_request()
    for _ in range(2):
        assert carol.post(f"/cases/{number}/comments", body="Only once").status_code == 303
    assert carol.ticket(number).entry_count == 1
    carol.post(f"/cases/{number}/comments", body="Something else")
    assert carol.ticket(number).entry_count == 2


def test_an_answer_to_a_question_takes_the_case_up_again(carol: Visitor, sam: Visitor) -> None:
    number = carol.file_request()
    sam.post(f"/staff/tickets/{number}/reply", body="Which version do you use?", pending="yes")
    page = text_of(carol.get(f"/cases/{number}"))
    assert "Awaiting your reply" in page
    assert "asked: “Which version do you use?”" in page
    carol.post(f"/cases/{number}/comments", body="Version 7")
    assert carol.ticket(number).status == "open"


def test_solve_and_reopen(carol: Visitor) -> None:
    number = carol.file_request()
    page = carol.post(f"/cases/{number}/solve", follow=True)
    assert "Marked as solved" in page.text
    assert "Days since closed" in page.text
    assert carol.ticket(number).status == "solved"
    assert f"/cases/{number}/reopen" in page.text
    carol.post(f"/cases/{number}/reopen")
    assert carol.ticket(number).status == "open"
    carol.post(f"/cases/{number}/comments", body="Solved by now", status="solved")
    assert carol.ticket(number).status == "solved"
    carol.post(f"/cases/{number}/comments", body="No, it is back")
    assert carol.ticket(number).status == "open"


def test_freshness_is_honest_and_keeps_the_crms_words_from_customers(
    carol: Visitor, sam: Visitor, database: Database
) -> None:
    number = carol.file_request()
    ticket = carol.ticket(number)
    assert "waiting" in text_of(carol.get(f"/cases/{number}"))
    with database.write() as session:
        mirror = Mirror(ticket_id=ticket.id, receipt_number=1, state="in_sync", version=ticket.version, notes=0)
        mirror.compared_at = utc_now()
        mirror.case_number, mirror.case_url = "C-00012", "http://localhost:8002/cases/1"
        session.add(mirror)
    assert "in sync, 0 s ago" in text_of(carol.get(f"/cases/{number}"))
    with database.write() as session:
        session.get_one(Mirror, ticket.id).state = "failed"
        session.get_one(Mirror, ticket.id).reason = "422 product_id unknown"
    assert "422 product_id unknown" not in carol.get(f"/cases/{number}").text
    assert "safe with us" in text_of(carol.get(f"/cases/{number}"))
    staff_page = sam.get(f"/staff/tickets/{number}").text
    assert "422 product_id unknown" in staff_page or "waiting" in staff_page
    assert 'href="http://localhost:8002/cases/1"' in staff_page


def test_staff_are_told_when_the_crm_is_away(sam: Visitor, carol: Visitor, database: Database) -> None:
    with database.write() as session:
        session.add(CrmStatus(crm="desk", state="unreachable", since=utc_now(), checked_at=utc_now(), reason="refused"))
    assert "The CRM has not answered since" in text_of(sam.get("/staff/tickets"))
    assert "The CRM has not answered" not in text_of(carol.get("/"))
    number = carol.file_request()
    assert "your ticket is safe" in text_of(carol.get(f"/cases/{number}"))


def test_pages_are_light(carol: Visitor, sam: Visitor, database: Database) -> None:
    for _ in range(26):
        number = carol.file_request(subject="x" * 255, description="y" * 2000)
    for index in range(12):
        sam.post(f"/staff/tickets/{number}/reply", body=f"Answer {index}", files=[("log.txt", b"a line")])
    unseen = carol.file_request(files=[("log.txt", b"a line")])
    statements = _statements(database)
    for visitor, path in (
        (carol, "/"),
        (carol, "/cases"),
        (carol, f"/cases/{number}"),
        (carol, f"/cases/{number}/comments"),
        (carol, f"/cases/{number}/files"),
        (carol, f"/cases/{number}/print"),
        (carol, "/requests/new/level-1"),
        (carol, f"/requests/{unseen}/received"),
        (sam, "/staff/tickets"),
        (sam, f"/staff/tickets/{unseen}"),  # opening a ticket for the first time changes it
        (sam, f"/staff/tickets/{number}"),
        (sam, "/staff/tickets/calls"),
        (sam, "/staff/tickets/deleted"),
    ):
        statements.clear()
        response = visitor.get(path)
        assert len(response.data) < 150_000, path
        assert len(statements) <= 12, (path, len(statements), statements)
    assert sam.ticket(unseen).reviewed_at is not None


def test_filing_a_request_takes_at_most_eight_statements(carol: Visitor, database: Database) -> None:
    """However many tickets there are; a draft and files cost more."""
    for _ in range(5):
        carol.file_request()
    no_file = (BytesIO(), "")  # as browsers send an empty field for files
    form = carol.request() | {"csrf_token": carol.form_token(), "files": no_file}
    statements = _statements(database)
    response = carol.client.post("/requests/new/level-1", data=form)
    assert response.status_code == 303
    assert len(statements) <= 8, (len(statements), statements)


def _statements(database: Database) -> list[str]:
    """What the database is asked from now on, but for the beginnings of transactions."""
    found: list[str] = []

    def keep(*args: Any) -> None:
        if not args[2].startswith("BEGIN"):
            found.append(args[2])

    event.listen(database.engine, "before_cursor_execute", keep)
    return found


def _transfer(sam: Visitor, number: int) -> dict[str, str]:
    ticket = sam.ticket(number)
    return {
        "assignee_id": str(ticket.assignee_id),
        "account_id": str(ticket.account_id),
        "product_id": str(ticket.product_id),
    }
