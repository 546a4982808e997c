"""Who may call the API and how it answers to what it cannot read."""

import json

import pytest

from crm_sync_service.desk.models import CASE_STATUSES
from tests.crm_sync_service.desk.client import UNKNOWN_ID, Api, fresh_id

PATHS = ["/meta", "/cases", f"/cases/{UNKNOWN_ID}", "/notes", "/contacts", "/counters", "/faults", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", ["", "wrong", "a-key-that-only-the-tests-kno", "ключ"])
def test_nothing_is_told_without_the_right_key(app, path, key):
    answer = app.test_client().get(
        f"/api/v1{path}", headers={"Authorization": f"Bearer {key}".encode().decode("latin-1")}
    )
    assert (answer.status_code, answer.json["error"]) == (401, "unauthorised")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_log_in_to_the_pages_is_no_key_and_no_header_is_no_key(app):
    assert app.test_client().post("/api/v1/cases", json={"name": "x"}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"name=x",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"version": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_told(api, body):
    for method, path in [("POST", "/cases"), ("PATCH", f"/cases/{fresh_id()}"), ("POST", "/notes")]:
        answer = api(method, path, data=body, content_type="application/json")
        assert (answer.status_code, answer.json["error"]) == (400, "malformed")
        assert answer.json["message"]


def test_a_body_that_is_too_large_is_told(api):
    body = json.dumps({"name": "x", "description": "y" * 1_100_000})
    answer = api("POST", "/cases", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["error"]) == (413, "too_large")


def test_what_is_not_there_is_said_in_json(api):
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = api(method, "/nothing/here")
        assert (answer.status_code, answer.json["error"]) == (404, "not_found")


def test_meta_names_the_options_the_limits_and_always_the_same_instance(api, app):
    meta = api.get("/meta").json
    assert meta["options"] == {"status": list(CASE_STATUSES), "priority": ["low", "medium", "high", "critical"]}
    assert (meta["limits"]["name"], meta["limits"]["description"]) == (255, 65_535)
    assert meta["instance_id"] == Api(app.test_client()).get("/meta").json["instance_id"]
    assert meta["now"].endswith("Z")


def test_the_counters_know_every_request_by_route_and_status(api):
    case = api.case()
    api.post("/cases", {"id": case["id"], "name": "again"})
    for _ in range(3):
        api.get(f"/cases/{case['id']}")
    counted = {
        (row["method"], row["path"], row["status"]): row["count"] for row in api.get("/counters").json["requests"]
    }
    assert counted["POST", "/api/v1/cases", "201"] == 1
    assert counted["POST", "/api/v1/cases", "409"] == 1
    assert counted["GET", "/api/v1/cases/{id}", "200"] == 3
