"""Lists of staff: several tickets at once, no update for hours, calls to make, deleted tickets (S24, S47, S66, S67)."""

import re
from datetime import timedelta

from portal_service.people.models import Staff
from portal_service.tickets.models import Ticket
from shared.clock import utc_now
from shared.database import Database
from tests.portal_service.web.browsing import Visitor, text_of


def test_marked_tickets_are_closed_together_and_a_refusal_is_told(sam: Visitor, carol: Visitor) -> None:
    numbers = [carol.file_request() for _ in range(3)]
    sam.post(f"/staff/tickets/{numbers[0]}/close")
    assert f'name="number" value="{numbers[1]}" form="row-action"' in sam.get("/staff/tickets").text
    answer = sam.post("/staff/tickets/bulk", number=[str(number) for number in numbers], bulk="close", follow=True)
    said = text_of(answer)
    assert "2 tickets changed." in said
    assert f"Not changed, because their status does not allow it: #{numbers[0]}" in said
    assert {sam.ticket(number).status for number in numbers} == {"closed"}


def test_marked_tickets_are_given_to_somebody(sam: Visitor, carol: Visitor) -> None:
    numbers = [carol.file_request() for _ in range(2)]
    marked = {"number": [str(number) for number in numbers]}
    for wanted, name in (("me", "Sam Peters"), (sam.id_of(Staff, "Tariq Aziz"), "Tariq Aziz")):
        sam.post("/staff/tickets/bulk", **marked, bulk=wanted)
        assert {sam.ticket(number).assignee.name for number in numbers} == {name}
    for wanted in ("", "nonsense"):
        sam.post("/staff/tickets/bulk", **marked, bulk=wanted)
    assert "Please mark tickets" in text_of(sam.post("/staff/tickets/bulk", bulk="close", follow=True))
    assert {sam.ticket(number).assignee.name for number in numbers} == {"Tariq Aziz"}
    elsewhere = sam.post("/staff/tickets/bulk", **marked, bulk="me", next="//evil.example")
    assert elsewhere.location == "/staff/tickets"


def test_tickets_without_an_update_are_found(sam: Visitor, carol: Visitor, database: Database) -> None:
    quiet, busy = carol.file_request(subject="Forgotten"), carol.file_request(subject="Busy")
    with database.write() as session:
        session.get_one(Ticket, quiet).last_activity_at = utc_now() - timedelta(hours=30)
    page = sam.get("/staff/tickets?quiet=24").text
    assert f"#{quiet}<" in page
    assert f"#{busy}<" not in page
    assert f"#{quiet}<" not in sam.get("/staff/tickets?quiet=48").text
    assert "No update for 24 h" in sam.get("/staff/tickets").text


def test_calls_to_make_stand_in_order_and_overdue_ones_are_marked(
    sam: Visitor, carol: Visitor, database: Database
) -> None:
    late, soon = carol.file_request(subject="Late call"), carol.file_request(subject="Call soon")
    with database.write() as session:
        session.get_one(Ticket, late).call_at = utc_now() - timedelta(hours=1)
        session.get_one(Ticket, soon).call_at = utc_now() + timedelta(hours=1)
    page = text_of(sam.get("/staff/tickets/calls"))
    assert page.index("Late call") < page.index("Call soon")
    rows = re.findall(r"<tr>.*?</tr>", sam.get("/staff/tickets/calls").text, re.DOTALL)
    overdue = [row for row in rows if "overdue" in row]
    assert any("Late call" in row for row in overdue)
    assert not any("Call soon" in row for row in overdue)


def test_a_deleted_ticket_is_restored_from_its_list(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request(subject="Deleted by mistake")
    sam.post(f"/staff/tickets/{number}/delete")
    page = sam.get("/staff/tickets/deleted").text
    assert "Deleted by mistake" in page
    assert "by Sam Peters" in page
    assert carol.post(f"/staff/tickets/{number}/restore").status_code == 404
    assert sam.post(f"/staff/tickets/{number}/restore").location == f"/staff/tickets/{number}"
    assert carol.get(f"/cases/{number}").status_code == 200
    assert "Restored it" in sam.get(f"/staff/tickets/{number}").text
    assert "Deleted by mistake" not in sam.get("/staff/tickets/deleted").text
    for wrong in (number, 999_999):
        assert sam.post(f"/staff/tickets/{wrong}/restore").status_code == 404


def test_a_wrong_parent_is_told_at_its_field(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    for wrong in ("999999", str(number), "x", "#"):
        answer = sam.post(f"/staff/tickets/{number}/edit", parent_number=wrong, was_parent_number="")
        assert answer.status_code == 422 or wrong == "#"
    assert (
        'id="parent_number-about"><p class="error">No other ticket has this number.'
        in sam.post(f"/staff/tickets/{number}/edit", parent_number="x", was_parent_number="").text
    )
