"""Lists in pages, limits per token, and what every answer says about them."""

import dataclasses
import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from portal_service.api import articles
from portal_service.app import create_app
from portal_service.settings import PortalSettings
from tests.portal_service.api.calling import BASE, Program, code_of, program_of


def walk(program: Program, path: str, *, between: Callable[[], object] = lambda: None) -> list[int]:
    """The numbers on all pages, by the Link headers; `between` happens after each page."""
    numbers: list[int] = []
    link: str | None = path
    while link:
        answer = program.get(link)
        numbers += [one["number"] for one in answer.json["items"]]
        found = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        assert (found is None) == (answer.json["next"] is None)
        link = found[1].removeprefix(BASE) if found else None
        between()
    return numbers


@pytest.mark.parametrize("order", ["sort=number&order=desc", "sort=created_at&order=desc", "sort=subject&order=asc"])
def test_pages_hold_while_tickets_come_in(carol: Program, order: str) -> None:
    numbers = [carol.file(subject=f"Paged {index % 3}") for index in range(5)]
    seen = walk(
        carol,
        f"/tickets?q=Paged&limit=2&{order}",
        between=lambda: carol.file(subject="Paged 0"),
    )
    assert len(seen) == len(set(seen))
    assert set(numbers) <= set(seen)


def test_a_cursor_of_another_list_is_no_place_in_this(carol: Program) -> None:
    for _ in range(2):
        carol.file()
    cursor = carol.get("/tickets?limit=1&sort=number").json["next"]
    assert code_of(carol.get(f"/tickets?limit=1&sort=subject&after={cursor}")) == (422, "invalid")
    assert code_of(carol.get("/articles?after=bm8tc3VjaC1zbHVn")) == (422, "invalid")


def test_comments_come_in_pages_too(carol: Program) -> None:
    number = carol.file()
    for index in range(3):
        carol.post(f"/tickets/{number}/comments", {"body": f"Word {index}"})
    first = carol.get(f"/tickets/{number}/comments?limit=2").json
    last = carol.get(f"/tickets/{number}/comments?limit=2&after={first['next']}").json
    assert [one["body"] for one in first["items"] + last["items"]] == ["Word 0", "Word 1", "Word 2"]
    assert last["next"] is None


@pytest.fixture
def strict(settings: PortalSettings, portal_site: None) -> Iterator[Flask]:
    """A portal where a token has three calls a minute."""
    app = create_app(dataclasses.replace(settings, api_calls_per_minute=3))
    yield app
    app.extensions["portal"].database.dispose()


def test_a_token_that_calls_too_often_has_to_wait(strict: Flask) -> None:
    carol, other = program_of(strict, "carol"), program_of(strict, "carol")
    answers = [carol.get("/me") for _ in range(4)]
    left = [int(re.search(r"r=(\d+)", answer.headers["RateLimit"])[1]) for answer in answers]  # type: ignore[index]
    if left != [2, 1, 0, 0]:  # a new minute began in between
        answers = [carol.get("/me") for _ in range(4)]
    assert code_of(answers[3]) == (429, "too_many_calls")
    assert answers[0].headers["RateLimit-Policy"] == '"minute";q=3;w=60'
    assert 0 < int(answers[3].headers["Retry-After"]) <= 60
    assert other.get("/me").status_code == 200


def test_who_has_no_token_has_to_wait_too(nobody: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(articles, "of_address", lambda: {"suggest@here": 2})
    asked = [nobody.post("/suggestions", {"subject": "password"}) for _ in range(6)]
    assert 2 <= [one.status_code for one in asked].count(200) <= 4, "a new minute may begin meanwhile"
    refused = next(one for one in asked if one.status_code != 200)
    assert code_of(refused) == (429, "too_many_calls")
    assert refused.headers["Retry-After"] == "60"
