"""The guests' pages: every field asked for, one ticket and no other, one answer for every wrong key."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from portal_service.channels.models import OutgoingMail
from portal_service.tickets.models import Category, RequestType, Ticket
from tests.portal_service.web.browsing import Visitor, Visitors, text_of

GINA = "gina@new.example"
_LINK = re.compile(r"http://localhost(/guest/open/\d+/\S+)")


def filled(visitor: Visitor, **changes: Any) -> dict[str, Any]:
    """What a filled-in form of a guest sends."""
    page = visitor.get("/guest/new").text
    token = re.findall(r'name="form_token" value="([^"]+)"', page)[0]
    return {
        "form_token": token,
        "name": "Gina",
        "company": "New Inc",
        "email": GINA,
        "phone": "+31 20 123 4567",
        "type": "level-1",
        "favourite": "anybody",
        "nature": "question",
        "category_id": visitor.category("Other"),
        "subject": "How do I start?",
        "description": "I have never\nused it.",
        "call_time": "2096-12-01T10:00",
        "timezone": "Europe/Amsterdam",
        **changes,
    }


def file_(visitor: Visitor, **changes: Any) -> tuple[int, str]:
    """Number and key of a new ticket, as its page shows them."""
    answer = visitor.post("/guest/new", **filled(visitor, **changes))
    assert answer.status_code == 303, text_of(answer)
    page = visitor.get(answer.location).text
    number = re.findall(r"/guest/tickets/(\d+)", page)[0]
    return int(number), re.findall(r'data-copy="([^"]+)"', page)[0]


def mailed_link(visitor: Visitor, recipient: str = GINA) -> str:
    """The newest link somebody got."""
    with visitor.database.read() as session:
        query = select(OutgoingMail.text).where(OutgoingMail.recipient == recipient)
        text = session.scalars(query.order_by(OutgoingMail.created_at.desc())).first()
    return _LINK.findall(text or "")[-1]


def test_filing_without_a_log_in_and_coming_back_with_the_key(nobody: Visitor, visitors: Visitors) -> None:
    number, key = file_(nobody, files=[("log.txt", b"the log")])
    page = text_of(nobody.get(f"/guest/tickets/{number}"))
    assert "How do I start?" in page
    assert "1 Dec 2096, 10:00 Europe/Amsterdam" in page
    assert "log.txt" in page
    later = visitors.anonymous()
    answer = later.post("/guest", number=f"#{number}", key=key.lower())
    assert answer.location == f"/guest/tickets/{number}"
    assert later.get(answer.location).status_code == 200
    file = re.findall(rf'href="(/guest/tickets/{number}/files/[0-9a-f-]+)"', later.get(answer.location).text)[0]
    assert later.get(file).data == b"the log"
    assert visitors.anonymous().get(file).status_code == 404


def test_a_reply_is_previewed_before_it_is_sent_and_may_end_the_ticket(nobody: Visitor) -> None:
    number, _key = file_(nobody)
    preview = nobody.post(f"/guest/tickets/{number}/reply", body="I **found** it", preview="yes")
    assert preview.status_code == 200
    assert "I <strong>found</strong> it" in preview.text
    assert nobody.ticket(number).entry_count == 0
    version = nobody.ticket(number).version
    nobody.post(f"/guest/tickets/{number}/reply", body="I **found** it", solve="yes")
    ticket = nobody.ticket(number)
    assert (ticket.entry_count, ticket.status, ticket.version) == (1, "solved", version + 1)
    assert "I <strong>found</strong> it" in nobody.get(f"/guest/tickets/{number}").text


@pytest.mark.parametrize(
    "field",
    ["name", "company", "email", "phone", "type", "favourite", "nature", "subject", "description", "call_time"],
)
def test_every_field_is_required_and_what_was_typed_is_kept(nobody: Visitor, field: str) -> None:
    form = filled(nobody, **{field: ""})
    answer = nobody.post("/guest/new", **form)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text or "field-error" in answer.text
    if field != "description":
        assert "I have never\nused it." in answer.text
    with nobody.database.read() as session:
        assert session.scalar(select(Ticket).where(Ticket.subject == "How do I start?")) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"phone": "call me"}, "Please give a phone number"),
        ({"call_time": "tomorrow"}, "Please give a date"),
        ({"timezone": "Mars/Olympus"}, "time zone from the list"),
        ({"email": "gina@"}, "Please give an e-mail address"),
        ({"category_id": ""}, "Please choose a product or a category."),
        ({"type": "free-of-charge"}, "Please choose one of the entries"),
    ],
)
def test_bad_input_is_told_at_its_field(nobody: Visitor, changes: dict[str, str], said: str) -> None:
    answer = nobody.post("/guest/new", **filled(nobody, **changes))
    assert answer.status_code == 422
    assert said in text_of(answer)


def test_a_file_survives_a_faulty_form(nobody: Visitor) -> None:
    form = filled(nobody, subject="")
    page = nobody.post("/guest/new", **form, files=[("log.txt", b"the log")]).text
    kept = re.findall(r'name="kept_files" value="([^"]+)"', page)[0]
    answer = nobody.post("/guest/new", **{**form, "subject": "Again"}, kept_files=kept)
    assert answer.status_code == 303
    assert "log.txt" in text_of(nobody.get(f"/guest/tickets/{_number_of(nobody, 'Again')}"))


def _number_of(visitor: Visitor, subject: str) -> int:
    with visitor.database.read() as session:
        return session.scalars(select(Ticket.number).where(Ticket.subject == subject)).one()


def test_a_form_sent_twice_is_one_ticket(nobody: Visitor) -> None:
    form = filled(nobody)
    for _ in range(2):
        assert nobody.post("/guest/new", **form).status_code == 303
    assert nobody.get(f"/guest/tickets/{_number_of(nobody, form['subject'])}").status_code == 200


def test_wrong_old_and_foreign_keys_get_one_answer(nobody: Visitor, visitors: Visitors, carol: Visitor) -> None:
    number, key = file_(nobody)
    nobody.post(f"/guest/tickets/{number}/new-key")
    other, other_key = file_(visitors.anonymous(), email="x@y.example")
    customers = carol.file_request()
    stranger = visitors.anonymous()
    answers = set()
    for tried, with_key in (
        (number, "AAAAA-BBBBB-CCCCC-DDDDD"),
        (number, key),
        (number, other_key),
        (customers, other_key),
        (999_999, other_key),
        ("x", "%00"),
    ):
        answer = stranger.post("/guest", number=tried, key=with_key)
        assert answer.status_code == 422
        answers.add(re.sub(r'value="[^"]*"', "", re.sub(r"[0-9a-f]{32}", "", answer.text)))
    assert len(answers) == 1
    for tried in (number, other, customers, 999_999):
        assert stranger.get(f"/guest/tickets/{tried}").location == f"/guest?number={tried}"
        assert stranger.post(f"/guest/tickets/{tried}/reply", body="x").location == f"/guest?number={tried}"
        for action in ("confirm", "new-key"):
            assert stranger.post(f"/guest/tickets/{tried}/{action}").status_code == 404
    assert stranger.get(f"/guest/open/{number}/{key}").status_code == 422


def test_guessing_keys_is_throttled(nobody: Visitor, visitors: Visitors) -> None:
    number, key = file_(nobody)
    stranger = visitors.anonymous()
    for _ in range(20):
        assert "No ticket fits" in text_of(stranger.post("/guest", number=number, key="wrong"))
    assert "Too many attempts" in text_of(stranger.post("/guest", number=number, key=key))


def test_a_guest_sees_that_ticket_and_nothing_else(nobody: Visitor, carol: Visitor, sam: Visitor) -> None:
    number, _key = file_(nobody)
    foreign = carol.file_request()
    sam.post(f"/staff/tickets/{number}/note", body="Only for us")
    sam.post(f"/staff/tickets/{number}/reply", body="For you")
    page = text_of(nobody.get(f"/guest/tickets/{number}"))
    assert "For you" in page
    assert "Only for us" not in page
    assert nobody.get(f"/guest/tickets/{foreign}").status_code == 303
    for path in ("/", "/cases", f"/cases/{number}", f"/staff/tickets/{number}"):
        assert nobody.get(path).status_code == 303
    assert carol.get(f"/cases/{number}").status_code == 404


def test_a_guest_answers_adds_files_and_solves(nobody: Visitor, sam: Visitor) -> None:
    number, _key = file_(nobody)
    assert nobody.post(f"/guest/tickets/{number}/reply", body=" ").status_code == 422
    for _ in range(2):
        answer = nobody.post(f"/guest/tickets/{number}/reply", body="Here it is", solve="yes")
        assert answer.status_code == 303
    nobody.post(f"/guest/tickets/{number}/reply", body="A picture", files=[("shot.txt", b"1")])
    page = text_of(sam.get(f"/staff/tickets/{number}"))
    assert page.count("Here it is") == 1
    assert "shot.txt" in page
    assert nobody.ticket(number).status == "open"


def test_the_link_of_the_mail_proves_the_address(nobody: Visitor, visitors: Visitors, sam: Visitor) -> None:
    number, _key = file_(nobody, email="carol@acme.example", name="Carol")
    assert "A guest. Nobody has proved yet" in text_of(sam.get(f"/staff/tickets/{number}"))
    assert "is carol@acme.example your address?" not in text_of(nobody.get(f"/guest/tickets/{number}"))
    assert nobody.post(f"/guest/tickets/{number}/confirm").status_code == 404
    reader = visitors.anonymous()
    answer = reader.get(mailed_link(nobody, "carol@acme.example"))
    assert "is carol@acme.example your address?" in text_of(reader.get(answer.location))
    reader.post(f"/guest/tickets/{number}/confirm")
    ticket = nobody.ticket(number)
    assert ticket.contact is not None
    assert ticket.contact.name == "Carol Jansen"
    assert "A guest. Nobody" not in text_of(sam.get(f"/staff/tickets/{number}"))
    assert visitors.log_in("carol").get(f"/cases/{number}").status_code == 200


def test_a_new_key_ends_the_old_ones_and_the_links(nobody: Visitor, visitors: Visitors) -> None:
    number, key = file_(nobody)
    link = mailed_link(nobody)
    other = visitors.anonymous()
    assert other.get(link).status_code == 303
    page = nobody.post(f"/guest/tickets/{number}/new-key", follow=True).text
    new = re.findall(r'data-copy="([^"]+)"', page)[0]
    assert new != key
    assert other.get(f"/guest/tickets/{number}").status_code == 303
    assert other.get(link).status_code == 422
    assert other.post("/guest", number=number, key=new).status_code == 303


def test_a_lost_key_is_mailed_and_the_page_tells_nothing(nobody: Visitor, visitors: Visitors) -> None:
    number, _key = file_(nobody)
    stranger = visitors.anonymous()
    known = stranger.post("/guest/link", number=number, email=GINA)
    link = mailed_link(nobody)
    unknown = stranger.post("/guest/link", number=number, email="else@new.example")
    assert known.location == unknown.location
    assert stranger.get(link).location == f"/guest/tickets/{number}"


def test_requests_without_end_are_refused_before_files_are_stored(nobody: Visitor) -> None:
    for number in range(10):
        file_(nobody, email=f"g{number}@new.example")
    answer = nobody.post("/guest/new", **filled(nobody), files=[("a.txt", b"a")])
    assert "Too many attempts" in text_of(answer)


def test_the_choices_are_those_of_everybody(nobody: Visitor) -> None:
    page = text_of(nobody.get("/guest/new"))
    with nobody.database.read() as session:
        names = [*session.scalars(select(RequestType.name_en)), *session.scalars(select(Category.name_en))]
    assert all(name in page for name in names)
    assert "Acme Instruments" not in page


def test_a_guest_ends_reopens_and_rates_his_ticket_and_no_other(
    nobody: Visitor, visitors: Visitors, sam: Visitor
) -> None:
    number, _key = file_(nobody)
    page = f"/guest/tickets/{number}"
    assert nobody.post(f"{page}/rating", score="5", follow=True).status_code == 200
    assert nobody.ticket(number).status == "new", "only a finished ticket is rated"
    assert "How did we do?" not in nobody.get(page).text
    assert nobody.post(f"{page}/solve").location == page
    assert nobody.ticket(number).status == "solved"
    shown = nobody.get(page).text
    assert f'action="{page}/rating#rating"' in shown
    assert "Mark as solved" not in shown
    refused = nobody.post(f"{page}/rating", score="6", words="Never mind")
    assert refused.status_code == 422
    assert "Please choose one of the five." in refused.text
    assert "Never mind" in refused.text
    nobody.post(f"{page}/rating", score="4", words="Quick")
    assert "★★★★☆" in nobody.get(page).text
    assert "Quick" in sam.get(f"/staff/tickets/{number}").text
    nobody.post(f"{page}/reopen")
    assert nobody.ticket(number).status == "open"

    stranger = visitors.anonymous()
    version = nobody.ticket(number).version
    for action in ("solve", "reopen", "rating"):
        answers = [stranger.post(f"/guest/tickets/{one}/{action}", score="1") for one in (number, 999_999)]
        assert {answer.location.partition("?")[0] for answer in answers} == {"/guest"}
    assert nobody.ticket(number).version == version
