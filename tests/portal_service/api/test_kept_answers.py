"""What an idempotency key is for, and how long."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import update

from portal_service.api.models import KeptAnswer
from shared.clock import utc_now
from tests.portal_service.api.calling import Program, code_of, program_of

KEY = {"Idempotency-Key": "order-4711"}


def test_a_key_is_for_one_request_of_one_token(carol: Program, app: Flask) -> None:
    request = carol.request(subject="Mine")
    assert carol.post("/tickets", request, headers=KEY).status_code == 201
    other = carol.post("/tickets", {**request, "subject": "Another"}, headers=KEY)
    assert code_of(other) == (422, "key_reused")
    elsewhere = program_of(app, "carol").post("/tickets", {**request, "subject": "Another"}, headers=KEY)
    assert elsewhere.status_code == 201


def test_what_was_refused_is_tried_again(carol: Program) -> None:
    request = carol.request()
    assert code_of(carol.post("/tickets", {**request, "subject": " "}, headers=KEY)) == (422, "invalid")
    assert carol.post("/tickets", request, headers=KEY).status_code == 201


def test_a_day_later_the_key_is_free_again(carol: Program) -> None:
    request = carol.request()
    first = carol.post("/tickets", request, headers=KEY)
    with carol.database.write() as session:
        session.execute(update(KeptAnswer).values(created_at=utc_now() - timedelta(hours=24, seconds=1)))
    assert carol.post("/tickets", request, headers=KEY).json["number"] != first.json["number"]


def test_a_key_has_to_be_one(carol: Program) -> None:
    answer = carol.post("/tickets", carol.request(), headers={"Idempotency-Key": "x" * 201})
    assert code_of(answer) == (400, "malformed")
