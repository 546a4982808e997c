"""A person's own API tokens, on their pages."""

import re

from portal_service.demo import PASSWORD
from tests.portal_service.api.calling import Program
from tests.portal_service.web.browsing import Visitor, text_of

_PLAIN = re.compile(r"cbt_[A-Za-z0-9_-]{43}")


def make(visitor: Visitor, **fields: str) -> str:
    """A new token, made on the page by its owner."""
    visitor.post("/settings/two-factor/again", password=PASSWORD)
    page = visitor.post("/settings/tokens/new", **{"name": "Nightly report", "read": "yes", "days": "7", **fields})
    assert page.headers["Cache-Control"] == "no-store"
    return _PLAIN.search(page.text)[0]  # type: ignore[index]


def test_a_token_is_shown_once_works_and_ends(carol: Visitor) -> None:
    program = Program(carol.client.application, make(carol))
    assert program.get("/me").json["username"] == "carol"
    listed = carol.get("/settings/tokens")
    assert "Nightly report Read until" in text_of(listed)
    assert not _PLAIN.search(listed.text)
    revoke = re.findall(r'action="(/settings/tokens/[0-9a-f-]{36}/revoke)"', listed.text)
    assert "refused from now on" in text_of(carol.post(revoke[0], follow=True))
    assert program.get("/me").status_code == 401


def test_an_open_browser_makes_no_token(carol: Visitor) -> None:
    for answer in (carol.get("/settings/tokens/new"), carol.post("/settings/tokens/new", name="x", read="yes")):
        assert answer.location.startswith("/settings/two-factor/again")


def test_a_customer_cannot_give_what_he_does_not_have(carol: Visitor, dave: Visitor) -> None:
    carol.post("/settings/two-factor/again", password=PASSWORD)
    refused = carol.post("/settings/tokens/new", name="x", staff="yes", days="7")
    assert refused.status_code == 422
    assert carol.post("/settings/tokens/new", name="", read="yes", days="7").status_code == 422
    assert carol.post("/settings/tokens/new", name="x", read="yes", days="8").status_code == 422
    make(carol)
    revoke = re.findall(r'action="(/settings/tokens/[0-9a-f-]{36}/revoke)"', carol.get("/settings/tokens").text)
    assert dave.post(revoke[0]).status_code == 404


def test_logging_out_everywhere_ends_tokens(carol: Visitor) -> None:
    program = Program(carol.client.application, make(carol))
    carol.post("/settings/security/sessions/end-others")
    assert program.get("/me").status_code == 401
