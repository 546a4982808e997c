"""Drafts, late forms and uploads over HTTP, as scripts and plain forms send them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from portal_service.app import create_app
from portal_service.clocks.hours import read_hours
from portal_service.office import Office
from portal_service.people.models import Contact
from portal_service.settings import PortalSettings
from portal_service.tickets.drafts import Draft
from portal_service.tickets.models import Ticket
from portal_service.web.visits import SESSION_COOKIE
from shared.database import Database
from tests.portal_service.web.browsing import Visitor, Visitors, text_of

FORM = "/requests/new/level-1"
JSON = {"Accept": "application/json"}


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found[1]


def send(visitor: Visitor, path: str, *, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
    """Send a form as the page of `FORM` offers it."""
    token = hidden(visitor.get("/guest").text, "csrf_token")
    return visitor.client.post(path, data={"csrf_token": token, **fields}, headers=headers)


def upload(visitor: Visitor, name: str, content: bytes, *, path: str = "/uploads") -> TestResponse:
    return send(visitor, path, headers=JSON, file=(BytesIO(content), name))


def drafts(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Draft)) or 0


def test_a_script_saves_and_is_told_the_revision(carol: Visitor, database: Database) -> None:
    first = send(carol, "/drafts/level-1", headers=JSON, subject="Typed", draft_revision="")
    assert first.json is not None
    assert first.json["revision"] == 1
    again = send(carol, "/drafts/level-1", headers=JSON, subject="Typed on", draft_revision="1")
    assert again.json is not None
    assert again.json["revision"] == 2
    late = send(carol, "/drafts/level-1", headers=JSON, subject="Elsewhere", draft_revision="1")
    assert late.status_code == 409
    assert late.json is not None
    assert late.json["revision"] == 2
    assert 'value="Typed on"' in carol.get(FORM).text
    assert drafts(database) == 1


def test_a_draft_is_its_owners_only(carol: Visitor, dave: Visitor, sam: Visitor, nobody: Visitor) -> None:
    send(carol, "/drafts/level-1", headers=JSON, subject="Carol's secret")
    link = re.findall(r'action="(/drafts/[^"]+/discard)"', carol.get("/").text)[0]
    for other in (dave, sam):
        assert "Carol&#39;s secret" not in other.get("/", follow_redirects=True).text
        assert send(other, link).status_code == 404
    assert "Carol" not in dave.get(FORM).text
    assert send(nobody, link).status_code == 303
    assert "Carol&#39;s secret" in carol.get("/").text
    assert send(carol, link).status_code == 303
    assert "Carol&#39;s secret" not in carol.get("/").text


@pytest.mark.parametrize("path", ["/drafts/no-such-type", "/drafts/level-1/00000000-0000-0000-0000-000000000001"])
def test_there_are_drafts_of_requests_one_can_file_only(carol: Visitor, sam: Visitor, path: str) -> None:
    assert send(carol, path, subject="x").status_code == 404
    assert send(sam, path, subject="x").status_code == 404
    assert send(sam, "/drafts/level-1", subject="x").status_code == 404


def test_filing_ends_the_draft_and_a_late_save_makes_none(carol: Visitor, database: Database) -> None:
    send(carol, "/drafts/level-1", headers=JSON, subject="Typed")
    form = carol.request(draft_revision="1")
    number = int(carol.post(FORM, **form).location.split("/")[-2])
    assert drafts(database) == 0
    late = send(carol, "/drafts/level-1", headers=JSON, subject="Typed", form_token=form["form_token"])
    assert (late.status_code, late.json) == (409, {"filed": number})
    assert drafts(database) == 0


def test_a_refused_form_is_kept_for_whoever_goes_away(carol: Visitor, png: bytes) -> None:
    carol.post(FORM, **carol.request(product_id="", subject="Nothing chosen"), files=[("shot.png", png)])
    page = carol.get(FORM).text
    assert 'value="Nothing chosen"' in page
    assert "shot.png" in page


def test_other_words_from_a_page_that_was_sent_are_not_lost(carol: Visitor, database: Database) -> None:
    form = carol.request(subject="First")
    number = int(carol.post(FORM, **form).location.split("/")[-2])
    second = carol.post(FORM, **{**form, "subject": "Second"})
    assert second.status_code == 422
    assert f"filed before, as #{number}" in text_of(second)
    fresh = hidden(second.text, "form_token")
    assert fresh != form["form_token"]
    assert carol.post(FORM, **{**form, "subject": "Second", "form_token": fresh}).status_code == 303
    with database.read() as session:
        assert set(session.scalars(select(Ticket.subject).where(Ticket.subject.in_(["First", "Second"])))) == {
            "First",
            "Second",
        }


def test_a_form_without_a_session_is_kept_for_its_owner_only(
    carol: Visitor, visitors: Visitors, dave: Visitor, database: Database
) -> None:
    page = carol.get(FORM).text
    rescue = hidden(page, "rescue")
    typed = {**carol.request(subject="Too late"), "rescue": rescue}
    late = visitors.anonymous()
    answer = late.post(FORM, **typed)
    assert answer.location == "/login?next=/requests/new/level-1"
    assert 'value="Too late"' in carol.get(FORM).text
    assert "Too late" not in dave.get(FORM).text
    for forged in ("", rescue[:-1] + ("A" if rescue[-1] != "A" else "B"), "x.y"):
        late.post("/requests/new/billing", **{**typed, "rescue": forged})
    assert drafts(database) == 1


def test_an_expired_form_token_shows_the_form_again_as_it_was_typed(carol: Visitor, png: bytes) -> None:
    typed = {**carol.request(subject="Open over night"), "rescue": hidden(carol.get(FORM).text, "rescue")}
    answer = carol.client.post(FORM, data={**typed, "csrf_token": "old", "files": (BytesIO(png), "shot.png")})
    assert answer.status_code == 422
    assert "press the button again" in text_of(answer)
    assert 'value="Open over night"' in answer.text
    assert "shot.png" in answer.text
    again = {**typed, "kept_files": hidden(answer.text, "kept_files"), "form_token": hidden(answer.text, "form_token")}
    number = int(carol.post(FORM, **again).location.split("/")[-2])
    assert "shot.png" in carol.get(f"/cases/{number}/files").text
    assert "form_token" not in carol.client.post("/settings", data={"language": "nl"}).text


def test_an_expired_form_of_somebody_else_goes_to_its_owner(carol: Visitor, dave: Visitor, sam: Visitor) -> None:
    typed = {**carol.request(subject="Carol's words"), "rescue": hidden(carol.get(FORM).text, "rescue")}
    answer = dave.client.post(FORM, data={**typed, "csrf_token": "old"})
    assert answer.status_code == 303
    assert "Carol" not in dave.get(FORM).text
    assert "Carol&#39;s words" in carol.get(FORM).text
    assert sam.client.post(FORM, data={**typed, "csrf_token": "old"}).status_code == 404


def test_a_guests_expired_form_is_shown_again(nobody: Visitor) -> None:
    answer = nobody.client.post("/guest/new", data={"csrf_token": "old", "subject": "A guest's words"})
    assert answer.status_code == 422
    assert "A guest&#39;s words" in answer.text


def test_an_upload_is_named_by_the_form_and_can_be_taken_back(carol: Visitor, dave: Visitor, png: bytes) -> None:
    kept, dropped = upload(carol, "kept.png", png).json, upload(carol, "dropped.png", png).json
    assert kept
    assert dropped
    send(dave, f"/uploads/{kept['token']}/delete")
    send(carol, f"/uploads/{dropped['token']}/delete")
    form = carol.request(kept_files=[kept["token"], dropped["token"], kept["token"], "rubbish"])
    number = int(carol.post(FORM, **form).location.split("/")[-2])
    files = carol.get(f"/cases/{number}/files").text
    assert files.count("kept.png</a>") == 1
    assert "dropped.png" not in files


@pytest.mark.parametrize(
    ("name", "content", "dutch"),
    [
        ("leeg.txt", b"", "is leeg"),
        ("virus.exe", b"MZ", "soort"),
        ("groot.log", b"x" * 200_001, "te groot"),
        ("nep.png", b"geen plaatje", "niet wat"),
    ],
)
def test_an_upload_is_refused_in_the_readers_language(carol: Visitor, name: str, content: bytes, dutch: str) -> None:
    carol.post("/language", language="nl", next="/")
    answer = upload(carol, name, content)
    assert answer.status_code == 422
    assert answer.json is not None
    assert dutch in answer.json["error"]


def test_nobody_fills_the_disk_with_uploads(carol: Visitor) -> None:
    answers = [upload(carol, "big.log", bytes([65 + number]) * 200_000) for number in range(14)]
    assert [answer.status_code for answer in answers] == [201] * 13 + [422]


def test_all_files_together_have_a_limit(carol: Visitor) -> None:
    tokens = [upload(carol, f"{number}.log", bytes([65 + number]) * 190_000).json for number in range(5)]
    answer = carol.post(FORM, **carol.request(kept_files=[one["token"] for one in tokens if one]))
    assert answer.status_code == 422
    assert "Together the files have more than 781 kB" in text_of(answer)


def test_a_guest_uploads_for_his_browser_only(nobody: Visitor, visitors: Visitors) -> None:
    token = upload(nobody, "guest.log", b"a line", path="/guest/uploads").json
    assert token
    assert token["token"] in nobody.post("/guest/new", kept_files=token["token"]).text
    assert token["token"] not in visitors.anonymous().post("/guest/new", kept_files=token["token"]).text
    assert send(nobody, "/uploads").status_code == 303


def test_a_fresh_form_token_is_for_whoever_is_logged_in(carol: Visitor, nobody: Visitor) -> None:
    cookie = carol.client.get_cookie(SESSION_COOKIE)
    assert cookie
    answer = carol.get("/drafts/token", headers=JSON).json
    assert answer
    assert answer["visitor"] in carol.get(FORM).text
    assert (
        carol.client.post("/language", data={"csrf_token": answer["csrf_token"], "language": "en"}).status_code == 303
    )
    assert nobody.get("/drafts/token").status_code == 303


def test_the_agents_draft_is_for_one_contact(sam: Visitor) -> None:
    carol, dave = sam.id_of(Contact, "Carol Jansen"), sam.id_of(Contact, "Dave Müller")
    send(sam, f"/drafts/level-1/{carol}", headers=JSON, subject="Carol phoned")
    assert 'value="Carol phoned"' in sam.get(f"/staff/tickets/new/{carol}/level-1").text
    assert "Carol phoned" not in sam.get(f"/staff/tickets/new/{dave}/level-1").text
    assert "Carol phoned" in sam.get("/staff/tickets/new").text


@pytest.fixture
def closed_door(settings: PortalSettings, portal_site: None) -> Iterator[Flask]:
    """A portal for people with a log-in only, whose phone is answered at no time."""
    office = Office(
        emergency_line="+31 20 000 0000", hours=read_hours("OFFICE_HOURS", "Mon-Fri 09:00-17:30 Europe/Amsterdam")
    )
    app = create_app(replace(settings, guests_may_file=False, office=office))
    yield app
    app.extensions["portal"].database.dispose()


def test_requests_of_guests_can_be_turned_off(closed_door: Flask) -> None:
    visitor = Visitors(closed_door).anonymous()
    for answer in (visitor.get("/guest/new"), visitor.post("/guest/new", subject="x")):
        assert answer.location == "/login"
    page = visitor.get("/login")
    assert "Requests are filed with a log-in here" in text_of(page)
    assert "/guest/new" not in page.text
    assert visitor.get("/guest").status_code == 200


def test_the_emergency_line_and_the_office_hours_are_shown(closed_door: Flask) -> None:
    visitor = Visitors(closed_door).log_in("carol")
    for path in ("/requests/new", FORM):
        page = text_of(visitor.get(path))
        assert "+31 20 000 0000" in page
        assert "Office hours: Monday – Friday, 09:00 – 17:30 (Europe/Amsterdam)." in page
    assert 'href="tel:+31200000000"' in visitor.get(FORM).text
    visitor.post("/language", language="nl", next="/")
    assert "Kantooruren: maandag – vrijdag, 09:00 – 17:30" in text_of(visitor.get(FORM))
