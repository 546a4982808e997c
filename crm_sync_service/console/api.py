"""The console's pages as JSON, and what people decide there."""

import uuid
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request
from flask_wtf.csrf import generate_csrf
from sqlalchemy.orm import Session

from crm_sync_service import jobs
from crm_sync_service.console import contact_choices, decided, drift_report, ticket_page
from crm_sync_service.console.conflict_views import side_named, state_named, why_given
from crm_sync_service.console.conflicts import read_inbox
from crm_sync_service.console.context import console, now, require, visitor, who
from crm_sync_service.console.failures import FailureGroup, group_failures, read_failures
from crm_sync_service.console.held import read_held
from crm_sync_service.console.job_views import RIGHTS, read_wish
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.console.overview import read_overview
from crm_sync_service.console.plain import as_json
from crm_sync_service.decisions import DecisionError
from crm_sync_service.operation_models import Job
from crm_sync_service.operations import backfill_figures, drift_runs

api = Blueprint("api", __name__, url_prefix="/api/v1")
_Act = Callable[[Session], ConsoleAction]


@api.before_request
def only_those_who_may_act() -> None:
    if request.method == "POST":
        require("act")


@api.get("/session")
def session() -> Response:
    """Who is logged in, and the token that every POST must carry as the header X-CSRFToken."""
    user = visitor()
    assert user is not None, "the guard lets nobody else in"
    return jsonify(name=user.name, role=user.role, csrf_token=generate_csrf())


@api.get("/overview")
def overview() -> Response:
    broker = console().watch.look()
    with console().database.read() as db:
        return jsonify(as_json(read_overview(db, broker, now=now())))


@api.get("/failures")
def failures() -> Response:
    with console().database.read() as db:
        groups = group_failures(read_failures(db))
    return jsonify({"at": as_json(now()), "groups": [_group(group) for group in groups]})


def _group(group: FailureGroup) -> dict[str, Any]:
    derived = {"count": len(group.failures), "since": as_json(group.since), "needs_person": group.needs_person}
    return {**as_json(group), **derived}


@api.get("/held")
def held() -> Response:
    with console().database.read() as db:
        lines, more = read_held(db, before=request.args.get("before", type=int))
    return jsonify(fields=as_json(lines), more=more)


@api.get("/conflicts")
def conflicts() -> Response:
    state = state_named(request.args.get("state", "waiting"))
    with console().database.read() as db:
        return jsonify(as_json(read_inbox(db, state, before=request.args.get("before", type=int))))


@api.post("/conflicts/<int:conflict_id>/decision")
def decide(conflict_id: int) -> Response:
    """{"winner": "portal" or "crm", "why": optional}"""
    given = _given()
    winner, why = side_named(given.get("winner")), why_given(given.get("why"))
    return _do(lambda db: decided.decide_conflict(db, conflict_id, winner=winner, why=why, who=who(), now=now()))


@api.post("/conflicts/<int:conflict_id>/reversal")
def reverse(conflict_id: int) -> Response:
    why = why_given(_given().get("why"))
    return _do(lambda db: decided.reverse_conflict(db, conflict_id, why=why, who=who(), now=now()))


@api.get("/contacts")
def contacts() -> Response:
    with console().database.read() as db:
        questions = contact_choices.read_questions(db, after=request.args.get("after", ""))
    return jsonify(questions=as_json(questions))


@api.post("/contacts/choice")
def choose_contact() -> Response:
    """{"email", "contact": the CRM's id}"""
    given = _given()
    email, crm_id = str(given.get("email", "")), str(given.get("contact", ""))
    return _do(lambda db: decided.choose_contact(db, email, crm_id, who=who(), now=now()))


@api.get("/tickets/<uuid:ticket_id>")
def ticket(ticket_id: uuid.UUID) -> Response:
    with console().database.read() as db:
        page = ticket_page.read_ticket(db, ticket_id, now=now())
    if page is None:
        abort(404, "No ticket with this id has come from the portal.")
    derived = {"notes": page.notes, "skipped": page.skipped, "to_write": page.to_write}
    return jsonify({**as_json(page), **derived, "ticket": page.raw})


@api.post("/tickets/<uuid:ticket_id>/fields/<name>/<act>")
def change_field(ticket_id: uuid.UUID, name: str, act: str) -> Response:
    """value: {"value", "why"}; skip: {"why"}; unskip; release"""
    given = _given()
    value, why = given.get("value"), why_given(given.get("why"))
    if value is not None and not isinstance(value, str):
        abort(400, "A value is a text, or null.")
    acts = decided.field_acts(ticket_id, name, value=value, why=why, who=who(), now=now())
    return _do(_named(acts, act))


@api.post("/tickets/<uuid:ticket_id>/notes/<uuid:reply_id>/<act>")
def change_note(ticket_id: uuid.UUID, reply_id: uuid.UUID, act: str) -> Response:
    """skip: {"why"}; unskip"""
    acts = decided.note_acts(ticket_id, reply_id, why=why_given(_given().get("why")), who=who(), now=now())
    return _do(_named(acts, act))


@api.post("/tickets/<uuid:ticket_id>/case/<act>")
def change_case(ticket_id: uuid.UUID, act: str) -> Response:
    """recreate: {"why"}; relink: {"case", "why"}; unlink: {"why"}. Nothing is asked: it is done."""
    given = _given()
    case_id, why = str(given.get("case", "")), why_given(given.get("why"))
    acts = decided.case_acts(ticket_id, case_id=case_id, why=why, who=who(), now=now())
    return _do(_named(acts, act))


@api.get("/drift")
def drift() -> Response:
    with console().database.read() as db:
        runs = drift_runs(db)
    return jsonify(runs=as_json(runs), last_examples=as_json(drift_report.examples_of(runs[0])) if runs else [])


@api.get("/backfill")
def backfill() -> Response:
    with console().database.read() as db:
        return jsonify(backfill=as_json(backfill_figures(db, now=now())))


@api.post("/backfill/pause")
def pause_backfill() -> Response:
    require("configure")
    return _do(lambda db: decided.pause_backfill(db, who=who(), now=now()))


@api.post("/backfill/rate")
def change_backfill_rate() -> Response:
    """{"rate": tickets per minute}"""
    require("configure")
    rate = _given().get("rate")
    if not isinstance(rate, int):
        abort(400, "A rate is a number of tickets per minute.")
    return _do(lambda db: decided.change_backfill_rate(db, rate, who=who(), now=now()))


@api.post("/crms/<crm>/pause")
def pause(crm: str) -> Response:
    """{"why"}"""
    require("configure")
    why = why_given(_given().get("why"))
    if not why:
        abort(400, "Say why: the others read it on the overview.")
    return _do(lambda db: decided.pause_crm(db, crm, why=why, who=who(), now=now()))


@api.post("/crms/<crm>/go-on")
def go_on(crm: str) -> Response:
    require("configure")
    return _do(lambda db: decided.let_crm_go_on(db, crm, who=who(), now=now()))


@api.get("/jobs")
def job_list() -> Response:
    with console().database.read() as db:
        return jsonify(jobs=as_json(jobs.newest(db)))


@api.get("/jobs/<int:job_id>")
def job(job_id: int) -> Response:
    with console().database.read() as db:
        found = db.get(Job, job_id)
    if found is None:
        abort(404, "This job is no longer kept: only the newest are.")
    return jsonify(as_json(found))


@api.post("/jobs")
def start_job() -> Response:
    """{"kind": one of jobs.KINDS, and its options: "direction", "by", "rate", "again"}"""
    given = _given()
    kind, options = read_wish(str(given.get("kind", "")), given)
    require(RIGHTS[kind])
    return _do(lambda db: decided.start_job(db, kind, who=who(), now=now(), **options)[0])


@api.post("/jobs/<int:job_id>/stop")
def stop_job(job_id: int) -> Response:
    return _do(lambda db: decided.stop_job(db, job_id, who=who(), now=now()))


def _given() -> dict[str, Any]:
    found = request.get_json(silent=True)
    return found if isinstance(found, dict) else {}


def _named(acts: dict[str, _Act], act: str) -> _Act:
    if act not in acts:
        abort(404)
    return acts[act]


def _do(act: _Act) -> Response:
    """Do it and say what was logged; 409 with the reason if it makes no sense any more."""
    try:
        with console().database.write() as db:
            done = as_json(act(db))
    except DecisionError as error:
        abort(409, str(error))
    return jsonify(done)
