"""The other things pages do: knowledge, drafts, people, registrations, one's own log-in."""

import re
from collections.abc import Callable
from html import unescape
from io import BytesIO

import pyotp
import pytest
from flask import Flask

from portal_service.api.operations import OPERATIONS
from portal_service.demo import PASSWORD
from tests.portal_service.api.calling import Program, code_of, faults, program_of

BODY = {"title": "How to restart", "body": "Press the button.", "kind": "documentation", "visibility": "users"}


@pytest.fixture
def alex(app: Flask) -> Program:
    """A program of an administrator."""
    return program_of(app, "alex")


def test_an_article_from_draft_to_comment(app: Flask, alex: Program, carol: Program, nobody: Program) -> None:
    sam = program_of(app, "nora")
    begun = sam.post("/editor/articles", {**BODY, "language": "en"})
    assert begun.status_code == 201, begun.text
    path, slug = f"/editor/articles/{begun.json['id']}", begun.json["slug"]
    assert code_of(sam.post(f"{path}/publish", {})) == (403, "not_allowed")
    assert carol.get(f"/articles/{slug}").status_code == 404
    assert alex.post(f"{path}/publish", {}).json["state"] == "published"
    assert carol.get(f"/articles/{slug}").json["body"] == "Press the button."
    assert nobody.get(f"/articles/{slug}").status_code == 404
    changed = sam.put(path, {**BODY, "body": "Press it twice.", "seen": 1})
    assert (changed.json["version"], changed.json["latest"]) == (1, 2)
    assert code_of(sam.put(path, {**BODY, "body": "Never.", "seen": 1})) == (409, "refused")
    assert [one["number"] for one in sam.get(f"{path}/versions").json["items"]] == [2, 1]
    assert sam.post(f"{path}/versions/1/restore").json["body"] == "Press the button."
    said = carol.post(f"/articles/{slug}/comments", {"body": "It worked."}).json["items"]
    assert [one["body"] for one in said] == ["It worked."]
    assert carol.put(f"/articles/{slug}/vote", {"helpful": True}).status_code == 204
    assert sam.delete(f"{path}/comments/{said[0]['id']}").status_code == 204
    assert alex.post(f"{path}/withdraw").json["state"] == "withdrawn"
    assert carol.get(f"/articles/{slug}").status_code == 404


def test_suggestions_for_what_is_being_written(carol: Program) -> None:
    found = carol.post("/suggestions", {"subject": "forgot my password", "description": ""}).json["items"]
    assert "reset-your-password" in {one["slug"] for one in found}
    assert carol.post("/articles/reset-your-password/solved", {"type": "level-1"}).status_code == 204


def test_a_solved_ticket_offers_an_article_without_its_customer(sam: Program, carol: Program) -> None:
    number = carol.file(description="I am Carol Jansen of Acme Instruments and cannot log in.")
    assert sam.get(f"/tickets/{number}/article").status_code == 404
    sam.post(f"/tickets/{number}/close")
    offer = sam.get(f"/tickets/{number}/article").json
    assert "Jansen" not in offer["body"]
    assert offer["findings"]
    review = {**BODY, "title": offer["title"], "body": offer["body"], "language": "en", "read": True}
    assert faults(sam.post(f"/tickets/{number}/article", review)).keys() == {"confirm"}
    confirmed = {**review, "confirmed": [one["key"] for one in offer["findings"]]}
    assert sam.post(f"/tickets/{number}/article", confirmed).json["state"] == "draft"


def test_downloads_arrive_byte_for_byte(alex: Program, nobody: Program) -> None:
    upload = alex.call("POST", "/uploads", data={"file": (BytesIO(b"PK\x03\x04 new"), "setup.zip")}).json
    offered = alex.post(
        "/editor/downloads",
        {"title": "Portal Server", "version": "9.9", "released_on": "2026-01-02", "file": upload["id"]},
    )
    assert offered.status_code == 201, offered.text
    listed = next(one for one in nobody.get("/downloads").json["items"] if one["version"] == "9.9")
    assert nobody.get(f"/downloads/{listed['id']}/file").data == b"PK\x03\x04 new"
    assert alex.patch(f"/editor/downloads/{listed['id']}", {"withdrawn": True}).json["withdrawn_at"]
    assert nobody.get(f"/downloads/{listed['id']}/file").status_code == 404


def test_a_question_of_the_troubleshooter(sam: Program, nobody: Program) -> None:
    options = [{"text_en": "Yes", "type_key": "level-1"}, {"text_en": "No", "article_slug": "reset-your-password"}]
    added = sam.post("/editor/questions", {"text_en": "Is it on?", "begins": True, "options": options})
    assert added.status_code == 201, added.text
    path = f"/editor/questions/{added.json['id']}"
    assert faults(sam.put(path, {"text_en": "Is it on?", "options": options[:1]})).keys() == {""}
    asked = {one["text_en"] for one in nobody.get("/troubleshooter").json["items"]}
    assert "Is it on?" in asked
    assert sam.delete(path).status_code == 204


def test_drafts_are_those_of_the_pages(carol: Program, dave: Program) -> None:
    kept = carol.put("/drafts", {"type": "level-1", "values": {"subject": "Half"}}).json["items"][0]
    assert carol.get("/drafts").json["items"] == [kept]
    old = carol.put("/drafts", {"type": "level-1", "values": {"subject": "Whole"}, "revision": kept["revision"] + 5})
    assert code_of(old) == (409, "changed")
    assert dave.delete(f"/drafts/{kept['id']}").status_code == 404
    assert carol.delete(f"/drafts/{kept['id']}").status_code == 204
    assert carol.put("/drafts", {"type": "no-such-type", "values": {"subject": "x"}}).status_code == 404


def test_calls_to_make(sam: Program, carol: Program) -> None:
    number = carol.file(call_time="2099-01-02T10:00", call_zone="Europe/Amsterdam")
    line = next(one for one in sam.get("/staff/calls").json["items"] if one["number"] == number)
    assert line["call_at"] == "2099-01-02T09:00:00+00:00"
    assert sam.post(f"/tickets/{number}/called").status_code == 200
    assert number not in {one["number"] for one in sam.get("/staff/calls").json["items"]}


def test_administrators_look_after_the_staff(alex: Program, sam: Program) -> None:
    added = alex.post("/staff", {"name": "New One", "email": "new@support.example", "username": "newone"})
    assert added.status_code == 201, added.text
    path = f"/staff/{added.json['id']}"
    allowed = alex.post(f"{path}/permissions", {}).json["permissions"]
    assert alex.delete(f"{path}/permissions/{allowed[0]['id']}").status_code == 204
    assert alex.patch(path, {"available": False, "active": False}).json["active"] is False
    own = next(one for one in alex.get("/staff/accounts").json["items"] if one["username"] == "alex")
    assert code_of(alex.patch(f"/staff/{own['id']}", {"active": False})) == (409, "refused")
    assert alex.get("/staff/changes").json["items"][0]["about"] == "New One"
    mine = next(one for one in alex.get("/staff/accounts").json["items"] if one["username"] == "sam")
    assert alex.post(f"/staff/{mine['id']}/log-out").status_code == 204
    assert sam.get("/me").status_code == 401


def test_administrators_grant_accounts(alex: Program, sam: Program, carol: Program, dave: Program) -> None:
    number = dave.file()
    globex = dave.get("/me").json["account"]["id"]
    contact = sam.get("/contacts?q=carol").json["items"][0]["id"]
    path = f"/contacts/{contact}/accounts/{globex}"
    assert sam.put(path, {"level": "read_all"}).status_code == 404
    assert alex.put(path, {"level": "read_all"}).status_code == 200
    assert carol.get(f"/tickets/{number}").status_code == 200
    assert alex.delete(path).status_code == 204
    assert carol.get(f"/tickets/{number}").status_code == 404
    assert alex.post(f"/contacts/{contact}/log-out").status_code == 204
    assert carol.get("/me").status_code == 401


def test_registering_is_decided_by_staff(nobody: Program, sam: Program) -> None:
    asked = {"username": "zoe", "password": "four words in a row", "name": "Zoe Z", "email": "zoe@new.example",
             "company": "New Inc"}  # fmt: skip
    assert nobody.post("/registrations", asked).status_code == 202
    weak = nobody.post("/registrations", {**asked, "username": "zoe2", "password": "short"})
    assert faults(weak).keys() == {"password"}
    assert sam.get("/registrations").json["items"] == []
    assert code_of(nobody.post("/registrations/confirm", {"token": "no", "password": "no"})) == (409, "refused")


def test_settings_and_availability(carol: Program, sam: Program) -> None:
    assert carol.patch("/me", {"timezone": "Europe/Amsterdam"}).json["timezone"] == "Europe/Amsterdam"
    assert faults(carol.patch("/me", {"timezone": "Mars/Base"})).keys() == {"timezone"}
    assert sam.put("/me/availability", {"available": False}).json["available"] is False
    assert sam.get("/me").json["available"] is False
    assert carol.put("/me/availability", {"available": False}).status_code == 404


def test_logging_in_with_a_second_step(carol: Program, nobody: Program, program: Callable[..., Program]) -> None:
    setup = carol.post("/me/authenticator", {"password": PASSWORD}).json
    codes = carol.put("/me/authenticator", {"setup": setup["setup"], "code": pyotp.TOTP(setup["secret"]).now()})
    assert len(codes.json["recovery_codes"]) == 10
    asked = {"username": "carol", "password": PASSWORD}
    assert code_of(nobody.post("/tokens", asked)) == (401, "code_needed")
    assert code_of(nobody.post("/tokens", {**asked, "code": "000000"})) == (401, "log_in_refused")
    assert nobody.post("/tokens", {**asked, "code": codes.json["recovery_codes"][0]}).status_code == 201
    assert carol.get("/me/second-step").json["recovery_codes_left"] == 9
    assert carol.post("/me/authenticator/remove", {"password": "wrong"}).status_code == 422
    assert carol.post("/me/authenticator/remove", {"password": PASSWORD}).status_code == 204


def test_the_description_and_its_pages_need_no_token_no_script_and_no_other_host(nobody: Program) -> None:
    assert nobody.get("/openapi.json").json["openapi"] == "3.1.0"
    contents = nobody.get("/docs").text
    described = set(re.findall(r'href="/api/v1(/docs/[a-z]+)"', contents))
    assert len(described) > 10
    for address in ["/docs", *described]:
        page = nobody.get(address)
        assert page.status_code == 200, address
        assert len(page.data) + _loaded(nobody, page.text) < 150_000, address
        assert "http" not in re.sub(r"http://localhost[/\w]*", "", page.text), address
        ids = set(re.findall(r' id="([^"]+)"', page.text))
        assert set(re.findall(r'href="#([^"]+)"', page.text)) <= ids, "a link to a shape that is not on the page"
    assert nobody.get("/docs/index.html").status_code == 404


def test_the_pages_say_what_every_call_takes_and_gives(nobody: Program) -> None:
    pages = {one.tag: unescape(nobody.get(f"/docs/{one.tag}").text) for one in OPERATIONS}
    for one in OPERATIONS:
        assert f'<h2 id="{one.name}">' in pages[one.tag], one.name
        for shape in (one.body, one.answer):
            assert shape is None or f'<h2 id="{shape.__name__}">' in pages[one.tag], one.name
    assert "<code>score</code></dt>\n  <dd>integer, 1 to 5" in pages["tickets"]
    assert 'list of <a href="#TicketLine">' in pages["tickets"]


def _loaded(program: Program, page: str) -> int:
    """Bytes of the styles, scripts and pictures of a page."""
    found = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert found
    return sum(len(program.client.get(address, buffered=True).data) for address in found)
