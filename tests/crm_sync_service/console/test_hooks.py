"""POST /hooks/...: what a CRM says is verified, coalesced and never believed."""

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from crm_sync_service.connectors.base import UnreachableError
from crm_sync_service.console.hook_intake import SAME_CASE_SECONDS, Bucket
from crm_sync_service.console.hooks import MAX_BODY_BYTES
from crm_sync_service.mapping import case_id_of
from shared.clock import utc_now
from shared.ids import new_id
from tests.crm_sync_service.engine import new_ticket

KEY = base64.b64encode(b"key").decode()
"""Of the bundled CRM in `settings`."""


@pytest.fixture
def intake(app):
    """Flushed by hand, with a clock of its own."""
    intake = app.extensions["console"].hooks
    intake.seconds = 100.0
    intake.clock = intake.accepted.clock = intake.refused.clock = lambda: intake.seconds
    intake._start = lambda: None
    yield intake
    if intake._connector is not None:
        intake._connector.close()


@pytest.fixture
def pair(engine):
    """A ticket in sync with its Case."""
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()
    return ticket


def signed(body, *, key=KEY, at=None):
    moment, message = at or datetime.now(UTC), f"msg_{new_id().hex}"
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(key).sign(message, moment, body),
        "Content-Type": "application/json",
    }


def send(app, *case_ids, path="/hooks/desk/changed", **how):
    body = json.dumps({"ids": [str(case_id) for case_id in case_ids]})
    return app.test_client().post(path, data=body, headers=signed(body, **how))


def requests_of(engine, ticket):
    return engine.lane(ticket.ticket_id).requests


def test_a_signed_hook_makes_its_ticket_due_and_nothing_is_read_from_it(app, intake, engine, pair):
    assert engine.lane(pair.ticket_id).state == "idle"
    engine.crm.edit(case_id_of(pair.ticket_id), priority="critical")
    assert send(app, case_id_of(pair.ticket_id)).status_code == 204
    assert intake.flush() == 1
    assert engine.lane(pair.ticket_id).state == "due"
    engine.clock = utc_now()
    assert engine.runner.run_until_idle() == 1
    assert engine.link(pair).pending_pull["event"]["changes"][0]["after"] == "urgent"


def test_a_replayed_hook_costs_one_look_a_second(app, intake, engine, pair):
    assert send(app, case_id_of(pair.ticket_id)).status_code == 204
    assert intake.flush() == 1
    engine.clock = utc_now()
    engine.runner.run_until_idle()
    for _ in range(50):
        assert send(app, case_id_of(pair.ticket_id)).status_code == 204
        assert intake.flush() == 0
    intake.seconds += SAME_CASE_SECONDS
    assert intake.flush() == 1
    assert intake.flush() == 0


def test_ten_thousand_hooks_are_a_few_transactions_and_one_look(app, intake, engine, pair):
    ids = [str(case_id_of(pair.ticket_id)), *(str(new_id()) for _ in range(9)), "x" * 300]
    for _ in range(10_000 // len(ids)):
        intake.add(ids)
    before = requests_of(engine, pair)
    assert intake.flush() == 1
    assert intake.flush() == 0
    assert requests_of(engine, pair) == before + 1


def test_cases_that_are_not_ours_are_left_alone(app, intake):
    assert send(app, new_id(), "not-even-an-id").status_code == 204
    assert intake.flush() == 0


@pytest.mark.parametrize(
    "how", [{"key": base64.b64encode(b"other").decode()}, {"at": datetime(2026, 1, 1, tzinfo=UTC)}], ids=["key", "old"]
)
def test_a_wrong_or_old_signature_is_refused(app, intake, pair, how):
    assert send(app, case_id_of(pair.ticket_id), **how).status_code == 401
    assert intake.flush() == 0


def test_without_a_signature_it_is_refused(app, intake):
    assert app.test_client().post("/hooks/desk/changed", data="{}").status_code == 401


def test_a_signed_hook_that_makes_no_sense_is_told(app, intake):
    body = "[1]"
    assert app.test_client().post("/hooks/desk/changed", data=body, headers=signed(body)).status_code == 400


def test_a_large_body_is_refused(app, intake):
    body = "x" * (MAX_BODY_BYTES + 1)
    assert app.test_client().post("/hooks/desk/changed", data=body, headers=signed(body)).status_code == 413


def test_another_crm_is_not_known(app, intake):
    assert send(app, path="/hooks/espocrm/Case.update").status_code == 404
    assert app.test_client().get("/hooks/desk/changed").status_code == 405


def test_who_guesses_signatures_is_soon_not_heard(app, intake, pair):
    wrong = [send(app, new_id(), key=base64.b64encode(b"no").decode()).status_code for _ in range(25)]
    assert wrong == [401] * 20 + [429] * 5
    answer = send(app, case_id_of(pair.ticket_id))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    intake.seconds += 60
    assert send(app, case_id_of(pair.ticket_id)).status_code == 204


def test_a_flood_is_cut_off(app, intake):
    intake.accepted = Bucket(burst=3, per_second=1, clock=lambda: intake.seconds)
    assert [send(app, new_id()).status_code for _ in range(5)] == [204, 204, 204, 429, 429]
    intake.seconds += 1
    assert send(app, new_id()).status_code == 204


def test_what_cannot_be_verified_now_may_be_sent_again(app, intake):
    class Unreachable:
        def hinted(self, topic, body, headers):
            assert (topic, body) == ("Case.update", b"[]")
            raise UnreachableError("no answer from the CRM: gone")

        def close(self):
            pass

    intake.open = lambda _: Unreachable()
    answer = app.test_client().post("/hooks/desk/x/Case.update", data="[]")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


def test_a_hook_is_carried_out_by_itself(app, engine, pair):
    """With the thread that a server has."""
    before = requests_of(engine, pair)
    assert send(app, case_id_of(pair.ticket_id)).status_code == 204
    intake = app.extensions["console"].hooks
    assert intake.stored.wait(10)
    assert requests_of(engine, pair) == before + 1
    intake._connector.close()
