"""Everything a page can do, the API can: each page names its call, or stands here with a reason."""

import re
from pathlib import Path

from flask import Flask

from portal_service.api.openapi import description, openapi_path
from portal_service.api.operations import OPERATIONS

_HOWTO = Path(__file__).parents[3] / "docs" / "howto" / "api.md"

WITHOUT_A_CALL = {
    "static": "files of the pages themselves",
    "shared.static": "files of the pages themselves",
    "inside.healthz": "for those who run the portal; JSON already",
    "inside.readyz": "for those who run the portal; JSON already",
    "inside.metrics": "for Prometheus",
    "second_step.options": "passkeys: only a browser can make and use them",
    "second_step.passkey": "passkeys: only a browser can make and use them",
    "two_factor.passkey_form": "passkeys: only a browser can make and use them",
    "two_factor.passkey_options": "passkeys: only a browser can make and use them",
    "two_factor.add_passkey": "passkeys: only a browser can make and use them",
    "sso.start": "the company log-in leads a browser to another site; make a token on the page afterwards",
    "sso.callback": "the company log-in leads a browser to another site; make a token on the page afterwards",
    "api_docs.contents": "how to use the API: for programs there is openapi.json",
    "api_docs.topic": "how to use the API: for programs there is openapi.json",
    "drafts.token": "a fresh form token: the API has no forms",
    "signed_files.signed": "the link is the permission, for account managers without a log-in",
    "case_exports.export_cases": "the list of tickets as CSV: the same list is GET /tickets",
    "staff_lists.export": "the list of tickets as CSV: the same list is GET /tickets",
    "cases.printable": "the ticket laid out for paper: the same content is GET /tickets/{number}",
}


def page_endpoints(app: Flask) -> set[str]:
    return {rule.endpoint for rule in app.url_map.iter_rules() if not rule.endpoint.startswith("api.")}


def test_every_page_has_its_call(app: Flask) -> None:
    covered = {page for operation in OPERATIONS for page in operation.pages}
    pages = page_endpoints(app)
    assert pages - covered - WITHOUT_A_CALL.keys() == set(), "name the page at the call that does the same"
    assert covered - pages == set(), "these pages are no more"
    assert WITHOUT_A_CALL.keys() - pages == set(), "these pages are no more"
    assert covered & WITHOUT_A_CALL.keys() == set()


def test_every_call_is_served_and_described(app: Flask) -> None:
    served = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("api.")}
    described = {one["operationId"] for path in description()["paths"].values() for one in path.values()}
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert {f"api.{name}" for name in names} <= served
    assert described == set(names)
    assert description()["openapi"] == "3.1.0"
    assert all(one["summary"] for path in description()["paths"].values() for one in path.values())


def test_the_howto_names_every_call() -> None:
    text = _HOWTO.read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([A-Z]+ /\S+)` \|", text, re.MULTILINE))
    calls = {f"{one.method} {openapi_path(one)}" for one in OPERATIONS}
    assert rows == calls
