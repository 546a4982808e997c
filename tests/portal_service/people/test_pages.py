"""Registering, forgotten passwords and the security page, as a browser sees them."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal_service.channels.models import OutgoingMail
from portal_service.demo import PASSWORD
from portal_service.people.models import Account, Contact, LoginSession, User
from tests.portal_service.web.browsing import Visitor, Visitors, text_of

ZOE = {"username": "zoe", "password": "four words in a row", "name": "Zoe Z", "email": "zoe@new.example",
       "company": "New Inc"}  # fmt: skip

_END = re.compile(r'action="(/settings/security/sessions/[0-9a-f]{16}/end)"')


def newest_mail(visitor: Visitor, recipient: str) -> str:
    with visitor.database.read() as session:
        query = select(OutgoingMail.text).where(OutgoingMail.recipient == recipient)
        return session.scalars(query.order_by(OutgoingMail.created_at.desc())).first() or ""


def path_in(mail: str) -> str:
    return re.findall(r"https://support\.test(/\S+)|http://localhost(/\S+)", mail)[-1][1]


@pytest.fixture
def zoe(nobody: Visitor) -> Visitor:
    """Somebody who registered and confirmed the address."""
    assert nobody.post("/register", **ZOE).location == "/register/sent"
    link = path_in(newest_mail(nobody, ZOE["email"]))
    assert nobody.post(link, password=ZOE["password"]).location == "/register/confirmed"
    return nobody


def test_registering_approving_logging_in(zoe: Visitor, sam: Visitor) -> None:
    refused = zoe.post("/login", username="zoe", password=ZOE["password"])
    assert "has not been approved yet" in text_of(refused)
    assert "Registrations 1" in text_of(sam.get("/staff/tickets"))
    link = re.findall(r'href="(/staff/registrations/[0-9a-f-]{36})"', sam.get("/staff/registrations").text)[0]
    assert "New Inc" in text_of(sam.get(link))
    missing = sam.post(f"{link}/approve")
    assert missing.status_code == 422
    assert "Please choose the account" in text_of(missing)
    approved = sam.post(f"{link}/approve", account_id=sam.id_of(Account, "Acme Instruments"), follow=True)
    assert "Zoe Z can log in now" in text_of(approved)
    assert "Your registration is approved" in newest_mail(sam, ZOE["email"])
    assert zoe.post("/login", username="zoe", password=ZOE["password"]).location == "/"
    assert "decided already" in text_of(sam.post(f"{link}/refuse", reason="late", follow=True))


def test_the_link_alone_confirms_nothing(nobody: Visitor) -> None:
    nobody.post("/register", **ZOE)
    link = path_in(newest_mail(nobody, ZOE["email"]))
    for _ in range(2):
        assert nobody.get(link).status_code == 200
    wrong = nobody.post(link, password="wrong")
    assert wrong.status_code == 422
    assert "The password is wrong." in text_of(wrong)
    assert nobody.get(link + "x").status_code == nobody.get("/register/confirm/%00").status_code == 410


def test_a_known_and_an_unknown_address_look_the_same(visitors: Visitors) -> None:
    pages = []
    for email in ("carol@acme.example", "zoe@new.example"):
        visitor = visitors.anonymous()
        answer = visitor.post("/register", **{**ZOE, "email": email, "username": f"new-{email[:3]}"})
        pages.append((answer.status_code, text_of(visitor.get(answer.location)).replace(email, "")))
    assert pages[0] == pages[1]


def test_a_faulty_registration_keeps_what_was_typed(nobody: Visitor) -> None:
    page = nobody.post("/register", **{**ZOE, "email": "zoe@", "password": "qwertyuiop"})
    assert page.status_code == 422
    assert 'value="New Inc"' in page.text
    assert "qwertyuiop" not in page.text
    assert "lists of leaked passwords" in text_of(page)


def test_a_refusal_needs_a_reason(zoe: Visitor, sam: Visitor) -> None:
    link = re.findall(r'href="(/staff/registrations/[0-9a-f-]{36})"', sam.get("/staff/registrations").text)[0]
    assert "Please fill this in." in text_of(sam.post(f"{link}/refuse", reason=" "))
    assert sam.post(f"{link}/refuse", reason="No customer").location == "/staff/registrations"
    assert "> No customer" in newest_mail(sam, ZOE["email"])
    assert "No customer" in text_of(sam.get(link))


def test_an_unconfirmed_registration_is_nobodys_business(nobody: Visitor, sam: Visitor) -> None:
    nobody.post("/register", **ZOE)
    with sam.database.read() as session:
        user_id = session.scalars(select(User.id).where(User.username == "zoe")).one()
    assert sam.get(f"/staff/registrations/{user_id}").status_code == 404
    assert "Nobody waits" in text_of(sam.get("/staff/registrations"))


def test_a_forgotten_password(nobody: Visitor, carol: Visitor) -> None:
    known = nobody.post("/password/forgot", who="carol@acme.example", follow=True)
    unknown = nobody.post("/password/forgot", who="somebody@else.example", follow=True)
    assert text_of(known) == text_of(unknown)
    link = path_in(newest_mail(nobody, "carol@acme.example"))
    weak = nobody.post(link, password="short")
    assert weak.status_code == 422
    assert "at least 10 characters" in text_of(weak)
    assert nobody.post(link, password="quite another password").location == "/login"
    assert carol.get("/cases").status_code == 303
    assert nobody.get(link).status_code == nobody.post(link, password="quite another password").status_code == 410
    assert nobody.post("/login", username="carol", password="quite another password").location == "/"


def test_asking_for_links_is_throttled(nobody: Visitor) -> None:
    assert nobody.post("/password/forgot", who=" ").status_code == 422
    for number in range(20):
        assert nobody.post("/password/forgot", who=f"x{number}").status_code == 303
    assert "Too many attempts" in text_of(nobody.post("/password/forgot", who="carol"))


def test_the_security_page_shows_and_ends_browsers(carol: Visitor, visitors: Visitors) -> None:
    other = visitors.log_in("carol")
    page = carol.get("/settings/security")
    assert text_of(page).count("This browser") == 1
    (end,) = _END.findall(page.text)
    assert carol.post(end, follow=True).status_code == 200
    assert other.get("/cases").status_code == 303
    assert carol.get("/cases").status_code == 200
    third = visitors.log_in("carol")
    carol.post("/settings/security/sessions/end-others")
    assert third.get("/cases").status_code == 303


def test_nobody_ends_the_browser_of_another(carol: Visitor, dave: Visitor, visitors: Visitors) -> None:
    visitors.log_in("carol")
    (end,) = re.findall(
        r'action="(/settings/security/sessions/[0-9a-f]{16}/end)"', carol.get("/settings/security").text
    )
    dave.post(end)
    assert end in carol.get("/settings/security").text


def test_the_password_is_changed_on_the_security_page(carol: Visitor) -> None:
    wrong = carol.post("/settings/security/password", current="wrong", password="four words in a row")
    assert wrong.status_code == 422
    assert "The password is wrong." in text_of(wrong)
    done = carol.post("/settings/security/password", current=PASSWORD, password="four words in a row", follow=True)
    assert "Your password is changed." in text_of(done)
    assert carol.get("/cases").status_code == 200


def test_somebody_deactivated_is_out_at_once(carol: Visitor) -> None:
    with carol.database.write() as session:
        session.scalars(select(Contact).where(Contact.name == "Carol Jansen")).one().active = False
    assert carol.get("/cases").status_code == 303


def test_pages_hold_no_inline_script_or_style(nobody: Visitor, carol: Visitor, sam: Visitor) -> None:
    carol.owner_is_here()
    pages = [(nobody, path) for path in ("/login", "/register", "/password/forgot", "/guest", "/guest/new")]
    pages += [(carol, f"/settings/{path}") for path in ("security", "two-factor/again", "two-factor/authenticator")]
    pages += [(sam, "/staff/registrations")]
    for visitor, path in pages:
        response = visitor.get(path)
        assert response.status_code == 200, path
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|javascript:", response.text), path


def test_a_session_that_is_used_is_kept_alive(carol: Visitor) -> None:
    with carol.database.write() as session:
        login = session.scalars(select(LoginSession)).one()
        login.last_seen_at -= timedelta(days=10)
        login.expires_at -= timedelta(days=10)
        before = login.expires_at
    assert carol.get("/cases").status_code == 200
    with carol.database.read() as session:
        assert session.scalars(select(LoginSession)).one().expires_at - before > timedelta(days=9)
