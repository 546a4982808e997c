"""Who gets in where: every route asks for the right visitor, every form for its token, and every 404 is the same."""

import base64
import re
import uuid

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.routing import Rule

from portal_service.models import Base
from portal_service.web.visits import Audience
from tests.portal_service.web.browsing import Visitor, Visitors

_FILLINGS = {"ticket": "1001", "int": "1", "uuid": str(uuid.uuid4())}
"""What stands for a part of an address, by the kind of the part."""
_OUTSIDE = {"inside", "shared", "api", None}
"""Health, metrics, static files and what programs use with a token: not pages of the portal."""


def _pages(app: Flask, *audiences: Audience, method: str = "GET") -> list[str]:
    """The address of every page for these audiences."""
    known = app.extensions["portal_audiences"]
    return [
        _fill(rule)
        for rule in app.url_map.iter_rules()
        if method in (rule.methods or ()) and known.get(rule.endpoint.rpartition(".")[0]) in audiences
    ]


def _fill(rule: Rule) -> str:
    return re.sub(r"<(?:([^:<>]+):)?\w+>", lambda part: _filling(part[1] or ""), rule.rule)


def _filling(kind: str) -> str:
    choice = re.match(r"any\((\w+)", kind)
    return choice[1] if choice else _FILLINGS.get(kind, "anything")


def test_every_page_belongs_to_an_audience(app: Flask) -> None:
    owners = {rule.endpoint.rpartition(".")[0] or None for rule in app.url_map.iter_rules()}
    assert owners - _OUTSIDE == set(app.extensions["portal_audiences"])


def test_a_stranger_is_sent_to_the_log_in_and_back(app: Flask, nobody: Visitor) -> None:
    pages = _pages(app, Audience.SIGNED_IN, Audience.CUSTOMER, Audience.STAFF)
    assert len(pages) > 15
    for page in pages:
        response = nobody.get(page)
        assert response.status_code == 303, page
        assert response.location.startswith("/login?next="), page


def test_a_stranger_changes_nothing(app: Flask, nobody: Visitor) -> None:
    forms = _pages(app, Audience.SIGNED_IN, Audience.CUSTOMER, Audience.STAFF, method="POST")
    assert len(forms) > 12
    for form in forms:
        response = nobody.post(form)
        assert response.status_code == 303, form
        assert response.location == "/login", form


def test_staff_pages_do_not_exist_for_customers(app: Flask, carol: Visitor) -> None:
    for page in _pages(app, Audience.STAFF):
        assert carol.get(page).status_code == 404, page
    for form in _pages(app, Audience.STAFF, method="POST"):
        assert carol.post(form).status_code == 404, form


def test_customer_pages_do_not_exist_for_staff(app: Flask, sam: Visitor) -> None:
    for page in _pages(app, Audience.CUSTOMER):
        assert sam.get(page).status_code == 404, page
    for form in _pages(app, Audience.CUSTOMER, method="POST"):
        assert sam.post(form).status_code == 404, form


@pytest.mark.parametrize("who", ["nobody", "carol", "sam"])
def test_no_form_is_taken_without_its_token(app: Flask, who: str, request: pytest.FixtureRequest) -> None:
    visitor: Visitor = request.getfixturevalue(who)
    before = _rows(visitor)
    for form in _pages(app, *Audience, method="POST"):
        answer = visitor.client.post(form, data={"body": "x"})
        # A form of a request may be shown again or lead back to the log-in, with what was typed; nothing is done.
        is_request = form.startswith(("/requests/new", "/staff/tickets/new", "/guest/new", "/drafts/"))
        assert answer.status_code == 400 or (is_request and answer.status_code in {303, 404, 422}), form
    assert _rows(visitor) == before


def _rows(visitor: Visitor) -> dict[str, int]:
    """How many rows each table has."""
    with visitor.database.read() as session:
        tables = Base.metadata.sorted_tables
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def test_open_pages_need_nobody(nobody: Visitor) -> None:
    for page in ("/login", "/knowledge", "/knowledge/tips-for-a-good-ticket"):
        assert nobody.get(page).status_code == 200, page


def test_unknown_foreign_and_deleted_look_the_same(carol: Visitor, dave: Visitor, sam: Visitor) -> None:
    foreign, deleted = dave.file_request(), carol.file_request()
    sam.post(f"/staff/tickets/{deleted}/delete")
    for tail in ("", "/comments", "/files"):
        answers = {_without_id(carol.get(f"/cases/{number}{tail}").text) for number in (999_999, foreign, deleted)}
        assert len(answers) == 1
        assert carol.get(f"/cases/{foreign}{tail}").status_code == 404
    for action in ("comments", "solve", "reopen"):
        answers = {
            _without_id(carol.post(f"/cases/{number}/{action}", body="x").text)
            for number in (999_999, foreign, deleted)
        }
        assert len(answers) == 1
    assert dave.ticket(foreign).entry_count == 0


def test_huge_and_malformed_numbers_are_just_not_found(carol: Visitor, sam: Visitor) -> None:
    for number in ("0", "99999999999999999999999", "1e3", "-1", "%00", "1001'"):
        assert carol.get(f"/cases/{number}").status_code == 404, number
        assert sam.get(f"/staff/tickets/{number}").status_code == 404, number


def test_a_cursor_made_up_by_somebody_shows_the_first_page(carol: Visitor) -> None:
    number = carol.file_request()
    for value in (
        '["number", 1, 99999999999999999999999]',
        '["subject", {"a": 1}, 1]',
        '["subject", [1], 1]',
        "[]",
        "x",
    ):
        cursor = base64.urlsafe_b64encode(value.encode()).decode()
        for sort in ("number", "subject"):
            response = carol.get("/cases", query_string={"after": cursor, "sort": sort, "status": "all"})
            assert response.status_code == 200, value
    assert f"#{number}" in carol.get("/cases?after=%FF&sort=number").text


def test_the_account_is_visible_where_it_was_granted(carol: Visitor, peter: Visitor) -> None:
    number = carol.file_request(subject="Only for Acme")
    assert "Only for Acme" in peter.get("/cases").text
    assert peter.get(f"/cases/{number}").status_code == 200


def test_the_ticket_link_of_a_mail_opens_each_readers_own_page(
    carol: Visitor, sam: Visitor, dave: Visitor, nobody: Visitor
) -> None:
    number = carol.file_request()
    assert carol.get(f"/tickets/{number}").location == f"/cases/{number}"
    assert sam.get(f"/tickets/{number}").location == f"/staff/tickets/{number}"
    assert dave.get(f"/tickets/{number}", follow_redirects=True).status_code == 404
    assert nobody.get(f"/tickets/{number}").location == f"/login?next=/tickets/{number}"


def test_pages_hold_no_inline_script_or_style(visitors: Visitors, carol: Visitor, sam: Visitor) -> None:
    number = carol.file_request()
    pages = [(carol, "/"), (carol, "/cases"), (carol, f"/cases/{number}/comments"), (carol, "/requests/new/level-1")]
    pages += [(sam, "/staff/tickets"), (sam, f"/staff/tickets/{number}"), (visitors.anonymous(), "/login")]
    for visitor, path in pages:
        response = visitor.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|javascript:", response.text), path


def _without_id(page: str) -> str:
    return re.sub(r"[0-9a-f]{32}", "", page)
