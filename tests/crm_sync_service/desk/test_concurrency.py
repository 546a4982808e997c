"""Several clients at once: threads against one desk, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.crm_sync_service.desk.client import Api, fresh_id

CLIENTS = 8


@pytest.fixture
def database_url(url_of_backend):
    return url_of_backend


@pytest.fixture
def at_once(app):
    """Calls a function with a client and a number, in as many threads, all started together."""

    def run(work):
        barrier = Barrier(CLIENTS)

        def one(number):
            api = Api(app.test_client())
            barrier.wait(timeout=10)
            return work(api, number)

        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(one, range(CLIENTS)))

    return run


def test_of_parallel_creates_with_one_id_exactly_one_succeeds(api, at_once):
    for _ in range(5):
        case_id = fresh_id()
        answers = at_once(lambda api, n, case_id=case_id: api.post("/cases", {"id": case_id, "name": f"Try {n}"}))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * (CLIENTS - 1)
        winner = next(answer for answer in answers if answer.status_code == 201)
        assert api.get(f"/cases/{case_id}").json == winner.json
    assert len(api.rows("/cases")) == 5


def test_of_parallel_creates_of_one_note_exactly_one_succeeds(api, at_once):
    note = {"id": fresh_id(), "case_id": api.case()["id"], "body": "Hi", "author": "Carol", "side": "customer"}
    answers = at_once(lambda api, _: api.post("/notes", note))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (CLIENTS - 1)
    assert len(api.rows("/notes")) == 1


def test_of_parallel_changes_for_one_version_exactly_one_wins(api, at_once):
    case = api.case()
    for version in range(1, 5):
        answers = at_once(
            lambda api, n, v=version: api.patch(f"/cases/{case['id']}", {"name": f"Change {n} of {v}"}, version=v)
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * (CLIENTS - 1)
        winner = next(answer for answer in answers if answer.status_code == 200)
        assert api.get(f"/cases/{case['id']}").json == winner.json
        assert winner.json["version"] == version + 1


def test_parallel_changes_of_different_fields_without_a_version_are_all_kept(api, at_once):
    case = api.case()
    changes = [
        {"name": "New name"},
        {"status": "closed"},
        {"priority": "low"},
        {"description": "New"},
        {"ticket_number": "1001"},
        {"ticket_url": "http://127.0.0.1:8000/1001"},
        {},
        {},
    ]
    at_once(lambda api, n: api.patch(f"/cases/{case['id']}", changes[n]))
    stored = api.get(f"/cases/{case['id']}").json
    for change in changes:
        assert stored | change == stored
    assert stored["version"] == 7


def test_numbers_and_stamps_of_parallel_creates_are_all_different(api, at_once):
    cases = [case for made in at_once(lambda api, _: [api.case() for _ in range(5)]) for case in made]
    assert len({case["number"] for case in cases}) == len(cases) == CLIENTS * 5
    assert len({case["modified_at"] for case in cases}) == len(cases)
    assert api.rows("/cases") == sorted(cases, key=lambda case: case["modified_at"])


def test_a_reader_that_follows_the_feed_while_others_write_sees_every_version_that_lasts(api, at_once):
    def write_or_follow(api, number):
        if number:
            return [api.case()["id"] for _ in range(15)]
        seen, since = set(), "2000-01-01T00:00:00Z"
        while len(seen) < 15 * (CLIENTS - 1):
            for row in api.rows("/cases", modified_since=since, limit=500):
                seen.add(row["id"])
                since = row["modified_at"]
        return seen

    seen, *written = at_once(write_or_follow)
    assert seen == {case_id for ids in written for case_id in ids}
