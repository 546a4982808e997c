"""What a customer does on the pages of a case: Markdown, preview, new status, rating, print, lists as files."""

import csv
import io
import re

import pytest

from portal_service.tickets.models import Product, Rating, Ticket
from portal_service.tickets.threads import MOST_ENTRIES
from shared.database import Database
from tests.portal_service.web.browsing import Visitor, text_of

SECRET = "Between us: he pressed the wrong button"


def test_a_reply_in_markdown_is_shown_safely_to_both_sides(carol: Visitor, sam: Visitor) -> None:
    number = carol.file_request()
    carol.post(f"/cases/{number}/comments", body="**Still** <b onclick=x>here</b>")
    for page in (carol.get(f"/cases/{number}/comments").text, sam.get(f"/staff/tickets/{number}").text):
        assert "<strong>Still</strong> &lt;b onclick=x&gt;here&lt;/b&gt;" in page


def test_a_preview_needs_no_script_and_sends_nothing(carol: Visitor, png: bytes) -> None:
    number = carol.file_request()
    answer = carol.post(f"/cases/{number}/comments", body="*Soon*", preview="yes", files=[("shot.png", png)])
    assert answer.status_code == 200
    assert "<em>Soon</em>" in answer.text
    assert ">\n*Soon*</textarea>" in answer.text
    assert "shot.png" in answer.text
    assert carol.ticket(number).entry_count == 0
    kept = re.findall(r'name="kept_files" value="([^"]+)"', answer.text)
    carol.post(f"/cases/{number}/comments", body="*Soon*", kept_files=kept[0])
    assert "shot.png" in carol.get(f"/cases/{number}/files").text


@pytest.mark.parametrize(("box", "what"), [("reply", "reply"), ("note", "note-")])
def test_staff_see_a_preview_in_the_box_they_write_in(sam: Visitor, carol: Visitor, box: str, what: str) -> None:
    number = carol.file_request()
    answer = sam.post(f"/staff/tickets/{number}/{box}", body="# Hello", preview="yes")
    assert answer.text.count("data-previewed") == 1
    assert "<h3>Hello</h3>" in answer.text
    assert re.findall(r'<details class="composer[^>]*id="(\w+)" open', answer.text) == [box]
    assert sam.ticket(number).entry_count == 0


def test_the_box_new_status_is_part_of_the_reply(carol: Visitor, sam: Visitor) -> None:
    number = carol.file_request()
    before = carol.ticket(number).version
    carol.post(f"/cases/{number}/comments", body="It works now", status="solved")
    ticket = carol.ticket(number)
    assert (ticket.status, ticket.version) == ("solved", before + 1)
    carol.post(f"/cases/{number}/comments", body="Thank you", status="solved")
    assert carol.ticket(number).status == "solved"
    carol.post(f"/cases/{number}/comments", body="It is back")
    assert carol.ticket(number).status == "open"
    refused = carol.post(f"/cases/{number}/comments", body="x", status="nonsense")
    assert refused.status_code == 422
    assert 'id="reply-status-about">Please choose one of the entries of the list.' in refused.text
    assert carol.post(f"/cases/{number}/comments", body="x", status="pending").status_code == 422
    sam.post(f"/staff/tickets/{number}/reply", body="Done?", status="pending")
    assert carol.ticket(number).status == "pending"


def test_a_case_is_rated_after_it_is_solved_and_staff_see_it(
    carol: Visitor, peter: Visitor, sam: Visitor, database: Database
) -> None:
    number = carol.file_request()
    assert "How did we do?" not in carol.get(f"/cases/{number}").text
    carol.post(f"/cases/{number}/solve")
    assert "How did we do?" in carol.get(f"/cases/{number}/comments").text
    missing = carol.post(f"/cases/{number}/rating", words="Nice people")
    assert missing.status_code == 422
    assert 'id="score-about">Please choose one of the five.' in missing.text
    assert "Nice people</textarea>" in missing.text
    for score in ("3", "4"):
        assert carol.post(f"/cases/{number}/rating", score=score, words="Nice people").status_code == 303
    page = text_of(sam.get(f"/staff/tickets/{number}"))
    assert "★★★★☆ Good Nice people Carol Jansen" in page
    with database.read() as session:
        assert session.query(Rating).count() == 1
    # A colleague who may read the case has no say in it.
    assert "How did we do?" not in peter.get(f"/cases/{number}").text
    peter.post(f"/cases/{number}/rating", score="1")
    assert "★★★★☆" in sam.get(f"/staff/tickets/{number}").text
    assert "Rating: Nothing" not in text_of(carol.get(f"/cases/{number}"))


def test_the_print_page_holds_everything_but_internal_notes(carol: Visitor, sam: Visitor, png: bytes) -> None:
    number = carol.file_request()
    sam.post(f"/staff/tickets/{number}/note", body=SECRET, files=[("evidence.png", png)])
    sam.post(f"/staff/tickets/{number}/reply", body="Try again", files=[("manual.png", png)])
    page = carol.get(f"/cases/{number}/print").text
    for words in ("I press export", "Try again", "manual.png"):
        assert words in page
    assert SECRET not in page
    assert "evidence" not in page


def test_reason_and_group_and_a_parent_one_may_see(carol: Visitor, dave: Visitor, sam: Visitor) -> None:
    first, foreign = carol.file_request(subject="The first"), dave.file_request(subject="Of another company")
    second = carol.file_request(category_id=carol.category("Installation"), product_id="")
    page = text_of(carol.get(f"/cases/{second}"))
    assert "Reason Installation" in page
    assert "Group Level 1 support" in page
    sam.post(f"/staff/tickets/{second}/edit", parent_number=f"#{first}", was_parent_number="")
    assert f"Parent case #{first} The first" in text_of(carol.get(f"/cases/{second}"))
    assert "Belongs together" in sam.get(f"/staff/tickets/{first}").text
    sam.post(f"/staff/tickets/{second}/edit", parent_number=str(foreign), was_parent_number=str(first))
    page = carol.get(f"/cases/{second}").text
    assert "Of another company" not in page
    assert f"#{foreign}" not in page
    assert "Parent case" not in page


def test_a_search_finds_finished_cases_also_by_number(carol: Visitor) -> None:
    number = carol.file_request(subject="Long forgotten")
    carol.post(f"/cases/{number}/solve")
    for words in ("forgotten", str(number), f"%23{number}"):
        assert "Long forgotten" in carol.get(f"/cases?q={words}&status=").text
    assert "Long forgotten" not in carol.get("/cases?q=forgotten&status=open").text
    assert "Long forgotten" in carol.get("/cases?status=solved").text


def test_each_column_sorts_both_ways(carol: Visitor) -> None:
    page = carol.get("/cases?status=all").text
    heads = re.findall(r'<th scope="col"[^>]*><a href="([^"]+)">([^<]+)', page)
    assert [name for _link, name in heads] == ["Case", "Subject", "Status", "Product", "Last opened", "Last activity"]
    for link, _name in heads:
        sorted_once = carol.get(link.replace("&amp;", "&")).text
        assert re.search(r'aria-sort="(a|de)scending"', sorted_once)


def test_an_address_with_strange_names_is_an_ordinary_list(carol: Visitor, sam: Visitor) -> None:
    for nonsense in ("endpoint=x", "_scheme=javascript", "_external=1&_anchor=x", "values=1", "self=1", "quiet=x"):
        for visitor, path in ((carol, "/cases"), (sam, "/staff/tickets")):
            page = visitor.get(f"{path}?{nonsense}")
            assert page.status_code == 200
            assert "javascript:" not in page.text


def test_the_list_as_a_file_follows_its_filters_and_runs_nothing(carol: Visitor, dave: Visitor, sam: Visitor) -> None:
    numbers = [carol.file_request(subject=subject) for subject in ("=1+1", "Plain")]
    solved, foreign = carol.file_request(subject="Solved"), dave.file_request(subject="Foreign")
    carol.post(f"/cases/{solved}/solve")
    sam.post(f"/staff/tickets/{numbers[0]}/note", body=SECRET)
    page = carol.get("/cases?sort=number").text
    link = re.findall(r'href="([^"]+)" download', page)[0].replace("&amp;", "&")
    answer = carol.get(link)
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = {row["Case"]: row for row in csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))}
    assert rows[str(numbers[0])]["Subject"] == "'=1+1"
    assert rows[str(numbers[1])]["Product"] == "Portal Server"
    assert str(solved) not in rows
    assert str(foreign) not in rows
    assert SECRET not in answer.text
    everything = sam.get("/staff/tickets/export.csv?status=all").text
    for number in (*numbers, solved, foreign):
        assert f'"{number}"' in everything
    assert SECRET not in everything
    product = carol.id_of(Product, "Mobile App")
    assert "Plain" not in carol.get(f"/cases/export.csv?product={product}").text


def test_a_long_conversation_is_shown_in_pieces(carol: Visitor, sam: Visitor, database: Database) -> None:
    number = carol.file_request()
    for index in range(MOST_ENTRIES + 3):
        sam.post(f"/staff/tickets/{number}/reply", body=f"Answer no. {index}.")
    newest = carol.get(f"/cases/{number}/comments").text
    assert "Answer no. 2." not in newest
    assert f"Answer no. {MOST_ENTRIES + 2}." in newest
    link = re.findall(r'href="([^"]+\?before=\d+)"', newest)[0]
    earlier = carol.get(link).text
    assert "Answer no. 2." in earlier
    assert "This is the beginning." in earlier
    assert carol.get(f"/cases/{number}/comments?before=x").text.count('class="entry') == MOST_ENTRIES + 1


def test_freshness_is_told_anew_to_those_who_may_know(
    carol: Visitor, dave: Visitor, sam: Visitor, nobody: Visitor
) -> None:
    number = carol.file_request()
    assert "1 change waiting" in text_of(carol.get(f"/tickets/{number}/freshness"))
    assert "waiting" in text_of(sam.get(f"/tickets/{number}/freshness"))
    assert dave.get(f"/tickets/{number}/freshness").status_code == 404
    assert nobody.get(f"/tickets/{number}/freshness").status_code == 303


def test_the_number_can_be_copied_and_the_update_button_leads_to_the_box(carol: Visitor) -> None:
    number = carol.file_request()
    page = carol.get(f"/cases/{number}").text
    assert f'data-copy="{number}"' in page
    assert f'href="/cases/{number}/comments#reply">Update<' in page
    assert 'id="reply"' in carol.get(f"/cases/{number}/comments").text


def test_days_since_closed_count_in_the_readers_zone(carol: Visitor, database: Database) -> None:
    number = carol.file_request()
    carol.post(f"/cases/{number}/solve")
    with database.write() as session:
        ticket = session.get_one(Ticket, number)
        assert ticket.resolved_at is not None
        ticket.resolved_at = ticket.resolved_at.replace(year=ticket.resolved_at.year - 1)
    days = re.findall(r"Days since closed (\d+)", text_of(carol.get(f"/cases/{number}")))
    assert days in (["365"], ["366"])
