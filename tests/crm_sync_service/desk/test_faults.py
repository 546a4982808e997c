"""Failures on demand."""

import contextlib
from collections import Counter
from datetime import timedelta

import httpx
import pytest

from shared.clock import to_text, utc_now
from tests.crm_sync_service.desk.client import KEY, fresh_id


def test_a_desk_that_is_not_told_to_fail_cannot_be_made_to(api):
    for method in ("GET", "PUT", "DELETE"):
        answer = api(method, "/faults", json={"before_500": 1})
        assert (answer.status_code, answer.json["error"]) == (404, "not_found")
    assert api.case()


def test_500_before_anything_is_done(faulty_api):
    faulty_api("PUT", "/faults", json={"before_500": 1})
    assert faulty_api.post("/cases", {"name": "x"}).status_code == 500
    faulty_api.delete("/faults")
    assert faulty_api.rows("/cases") == []


def test_a_lost_answer_comes_after_the_work_is_done(faulty_api):
    faulty_api("PUT", "/faults", json={"lost_answer": 1, "seed": 3})
    ends = Counter()
    for _ in range(12):
        try:
            answer = faulty_api.post("/cases", {"id": fresh_id(), "name": "x"})
            assert answer.mimetype == "text/html"
            ends[answer.status_code] += 1
        except ConnectionResetError:
            ends["closed"] += 1
    assert set(ends) == {500, "closed"}
    faulty_api.delete("/faults")
    assert len(faulty_api.rows("/cases")) == 12


def test_429_says_when_to_come_back(faulty_api):
    faulty_api("PUT", "/faults", json={"rate_limited": 1, "retry_after": 7})
    answer = faulty_api.get("/cases")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


def test_401_and_503_last_until_their_moment(faulty_api):
    later, before = to_text(utc_now() + timedelta(hours=1)), to_text(utc_now() - timedelta(seconds=1))
    faulty_api("PUT", "/faults", json={"unauthorised_until": later})
    assert faulty_api.get("/cases").status_code == 401
    faulty_api("PUT", "/faults", json={"unauthorised_until": before, "outage_until": later})
    assert faulty_api.get("/cases").status_code == 503
    faulty_api("PUT", "/faults", json={"unauthorised_until": before, "outage_until": before})
    assert faulty_api.get("/cases").status_code == 200


def test_a_stalled_request_is_done_all_the_same(faulty_api):
    faulty_api("PUT", "/faults", json={"stall": 1, "stall_seconds": 0.05, "seed": 1})
    started = utc_now()
    assert faulty_api.case()
    assert utc_now() - started >= timedelta(seconds=0.05)
    struck = faulty_api.get("/faults").json["struck"]
    assert struck in ({"stall_0": 1}, {"stall_1": 1})


def test_the_same_seed_fails_in_the_same_way_and_about_as_often_as_asked(faulty_api):
    def run():
        faulty_api("PUT", "/faults", json={"before_500": 0.2, "rate_limited": 0.1, "seed": 42})
        return [faulty_api.get("/meta").status_code for _ in range(200)]

    first = run()
    assert first == run()
    assert 20 < first.count(500) < 60
    assert 5 < first.count(429) < 40


@pytest.mark.parametrize(
    "plan", [{"before_500": 1.5}, {"before_500": "often"}, {"lost_answers": 1}, {"stall_seconds": -1}, {"seed": "x"}]
)
def test_a_plan_that_cannot_be_is_refused_and_the_old_one_stays(faulty_api, plan):
    faulty_api("PUT", "/faults", json={"rate_limited": 1})
    assert faulty_api("PUT", "/faults", json=plan).status_code == 422
    assert faulty_api.get("/faults").json["rate_limited"] == 1


def test_the_pages_and_the_controls_are_spared(faulty_api):
    faulty_api("PUT", "/faults", json={"before_500": 1})
    assert faulty_api.get("/counters").status_code == 200
    assert faulty_api._client.get("/login").status_code == 200


def test_under_gunicorn_a_lost_answer_is_a_connection_closed_without_a_word(crm_process):
    with httpx.Client(base_url=f"{crm_process}/api/v1", headers={"Authorization": f"Bearer {KEY}"}) as client:
        client.put("/faults", json={"lost_answer": 1, "seed": 3}).raise_for_status()
        ends = Counter()
        for _ in range(12):
            with contextlib.suppress(httpx.RemoteProtocolError):
                ends[client.post("/cases", json={"name": "x"}).status_code] += 1
        client.delete("/faults").raise_for_status()
        assert set(ends) == {500}
        assert 0 < ends[500] < 12
        assert len(client.get("/cases").json()["rows"]) == 12


def test_under_gunicorn_a_body_that_is_too_large_gets_its_answer(crm_process):
    with httpx.Client(base_url=f"{crm_process}/api/v1", headers={"Authorization": f"Bearer {KEY}"}) as client:
        answer = client.post("/cases", json={"name": "x", "description": "y" * 20_000_000})
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
        assert client.post("/cases", json={"name": "x"}).status_code == 201
