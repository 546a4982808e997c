"""A customer files a request (S14 - S18, S24, S25, S27, S29) and nothing of what was typed is ever lost."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from portal_service.people.models import Account, Contact
from portal_service.tickets.models import Product, Ticket
from portal_service.web.visits import SESSION_COOKIE
from shared.database import Database
from tests.portal_service.web.browsing import Visitor, Visitors, text_of


def test_step_one_cannot_be_passed_without_a_type(carol: Visitor) -> None:
    assert carol.get("/requests/new?type=").status_code == 200
    assert "Please choose one" in text_of(carol.get("/requests/new?type="))
    assert carol.get("/requests/new?type=billing").location == "/requests/new/billing"
    assert carol.get("/requests/new/made-up").status_code == 404


def test_a_request_arrives_as_it_was_entered(carol: Visitor, png: bytes) -> None:
    words = "  Línea 1 – 传感器 📡\r\n\r\n<b>not bold</b>\tend  "
    number = carol.file_request(
        subject="Sensors & gateways",
        description=words,
        link_url="https://example.com/a?b=c#d",
        nature="incident",
        browser="Firefox 144, Linux",
        error_text="E-1",
        call_time="2096-12-01T14:30",
        files=[("shot.png", png), ("shot.png", png), ("manual.pdf", b"%PDF-1.7\n%%EOF\n")],
    )
    ticket = carol.ticket(number)
    assert ticket.description == words.replace("\r\n", "\n")
    assert ticket.link_url == "https://example.com/a?b=c#d"
    assert ticket.priority == "high"
    assert ticket.origin == "portal"
    assert ticket.details == {
        "Nature of the request": "Incident",
        "Preferred call time": "2096-12-01 14:30 Europe/Amsterdam",
        "Browser": "Firefox 144, Linux",
        "Error text": "E-1",
    }
    page = carol.get(f"/cases/{number}").text
    assert "&lt;b&gt;not bold&lt;/b&gt;" in page
    assert page.count("shot.png</a>") == 2
    assert "manual.pdf</a>" in page


def test_the_confirmation_says_number_person_and_what_happens_next(carol: Visitor) -> None:
    number = carol.file_request()
    page = text_of(carol.get(f"/requests/{number}/received"))
    assert f"#{number}" in page
    assert carol.ticket(number).assignee.name in page
    assert "What happens next" in page
    assert "carol@acme.example" in page


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": " "}, "subject"),
        ({"subject": "x" * 256}, "subject"),
        ({"description": "\n"}, "description"),
        ({"product_id": ""}, "product_id"),
        ({"product_id": "not-an-id"}, "product_id"),
        ({"account_id": ""}, "account_id"),
        ({"link_url": "javascript:alert(1)"}, "link_url"),
        ({"call_time": "soon"}, "call_time"),
    ],
)
def test_an_error_stands_at_its_field_and_the_text_is_kept(
    carol: Visitor, database: Database, changes: dict[str, str], field: str
) -> None:
    before = _count(database)
    typed = {"description": "Words that took half an hour", "browser": "Netscape 4", **changes}
    response = carol.post("/requests/new/level-1", **carol.request(**typed))
    assert response.status_code == 422
    assert _count(database) == before
    box = re.search(rf'<(?:input|select|textarea|div)[^>]*id="{field}(?:-about)?"[^>]*', response.text)
    assert box
    assert f'id="{field}-about"' in response.text
    if "description" not in changes:
        assert "Words that took half an hour" in response.text
    assert 'value="Netscape 4"' in response.text


def test_a_category_does_instead_of_a_product(carol: Visitor) -> None:
    number = carol.file_request(product_id="", category_id=carol.category("Other"))
    assert carol.ticket(number).product is None
    assert "Other" in text_of(carol.get(f"/cases/{number}"))


def test_an_account_of_somebody_else_is_refused(carol: Visitor) -> None:
    globex = carol.id_of(Account, "Globex GmbH & Söhne")
    response = carol.post("/requests/new/level-1", **carol.request(account_id=globex))
    assert response.status_code == 422
    assert "Globex" not in response.text


def test_a_form_sent_twice_is_one_ticket(carol: Visitor, database: Database) -> None:
    form = carol.request()
    first = carol.post("/requests/new/level-1", **form)
    again = carol.post("/requests/new/level-1", **form)
    assert first.location == again.location
    assert "already arrived" in text_of(carol.get(again.location))
    with database.read() as session:
        assert session.scalar(select(func.count()).where(Ticket.subject == form["subject"])) == 1


def test_a_double_click_is_one_ticket(carol: Visitor, visitors: Visitors, database: Database) -> None:
    form, cookie = carol.request(), carol.client.get_cookie(SESSION_COOKIE)
    assert cookie

    def send(_: int) -> str:
        tab = visitors.anonymous()
        tab.client.set_cookie(SESSION_COOKIE, cookie.value)
        return str(tab.post("/requests/new/level-1", **form).location)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(send, range(4)))) == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).where(Ticket.subject == form["subject"])) == 1


def test_the_token_of_somebody_elses_form_tells_nothing(carol: Visitor, dave: Visitor) -> None:
    form = carol.request()
    carol.post("/requests/new/level-1", **form)
    response = dave.post("/requests/new/level-1", **{**dave.request(), "form_token": form["form_token"]})
    assert response.status_code == 404


def test_a_file_too_large_or_of_another_kind_is_named_and_the_others_are_kept(carol: Visitor, png: bytes) -> None:
    typed = carol.request()
    files = [("good.png", png), ("big.log", b"x" * 200_001), ("virus.exe", b"MZ"), ("fake.png", b"no picture")]
    response = carol.post("/requests/new/level-1", **typed, files=files)
    assert response.status_code == 422
    page = text_of(response)
    for name in ("big.log is too large", "virus.exe is of a kind", "fake.png is not what its name says"):
        assert name in page
    kept = re.findall(r'name="kept_files" value="([^"]+)"', response.text)
    assert len(kept) == 1
    number = carol.file_request(kept_files=kept[0])
    assert "good.png" in carol.get(f"/cases/{number}/files").text


def test_a_kept_file_is_of_use_to_its_owner_only(carol: Visitor, dave: Visitor, png: bytes) -> None:
    response = carol.post("/requests/new/level-1", **carol.request(subject=""), files=[("secret.png", png)])
    token = re.findall(r'name="kept_files" value="([^"]+)"', response.text)[0]
    for stolen in (token, token[:-1] + ("A" if token[-1] != "A" else "B"), "rubbish"):
        number = dave.file_request(kept_files=stolen)
        assert "secret.png" not in dave.get(f"/cases/{number}/files").text


def test_a_body_over_the_limit_is_refused_with_advice(carol: Visitor) -> None:
    kind = "multipart/form-data; boundary=x"
    response = carol.client.post("/requests/new/level-1", data=b"x" * 4_000_000, content_type=kind)
    assert response.status_code == 413
    assert "large" in text_of(response)


def test_service_request_asks_until_when(carol: Visitor) -> None:
    number = carol.file_request(nature="service", needed_by="2096-12-24")
    ticket = carol.ticket(number)
    assert ticket.details == {"Nature of the request": "Service request", "Needed by": "2096-12-24"}
    assert ticket.priority == "normal"


def test_the_browser_is_filled_in_for_the_customer(carol: Visitor) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
    page = carol.get("/requests/new/level-1", headers={"User-Agent": agent}).text
    assert 'value="Firefox 144, Linux"' in page


def test_staff_file_for_a_contact_who_becomes_the_requester(sam: Visitor, carol: Visitor, database: Database) -> None:
    contact = sam.id_of(Contact, "Carol Jansen")
    assert "Carol Jansen" in sam.get("/staff/tickets/new?q=carol").text
    assert "Dave" not in sam.get("/staff/tickets/new?q=acme").text
    page = sam.get(f"/staff/tickets/new/{contact}/level-1").text
    token = re.findall(r'name="form_token" value="([^"]+)"', page)[0]
    account = re.findall(r'name="account_id" value="([^"]+)"', page)[0]
    response = sam.post(
        f"/staff/tickets/new/{contact}/level-1",
        form_token=token,
        account_id=account,
        product_id=sam.id_of(Product, "Portal Server"),
        subject="By phone",
        description="She called.",
    )
    number = int(response.location.rsplit("/", 1)[-1])
    ticket = sam.ticket(number)
    assert (ticket.contact.name, ticket.filed_by, ticket.origin) == ("Carol Jansen", "Sam Peters", "staff")
    assert "filed by Sam Peters" in text_of(carol.get(f"/cases/{number}"))


def _count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Ticket)) or 0
