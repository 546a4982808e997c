"""The desk's JSON API: what the connector of the sync service, or any other program with the key, may do."""

import hmac
import uuid
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound, RequestEntityTooLarge

from crm_sync_service.desk import api_input, cases, directory, faults, feeds, notes, records
from crm_sync_service.desk.context import desk
from crm_sync_service.desk.errors import DeletedError, ExistsError, InvalidError, NotFoundError, StaleError
from crm_sync_service.desk.faults import FaultPlan
from crm_sync_service.desk.models import (
    CASE_PRIORITIES,
    CASE_STATUSES,
    NAME_LIMIT,
    TEXT_LIMIT,
    Account,
    Case,
    Contact,
    Note,
    Product,
    Record,
    Stamped,
    User,
)
from shared.clock import to_text, utc_now

API_ACTOR = "Casebridge sync"
"""Who changed it, where the API did."""
KINDS: dict[str, type[Record]] = {
    "cases": Case,
    "accounts": Account,
    "contacts": Contact,
    "users": User,
    "products": Product,
}
_SELF_CONTROL = frozenset({"api.read_faults", "api.set_faults", "api.reset_faults", "api.counters"})

api = Blueprint("api", __name__, url_prefix="/api/v1")


@api.before_request
def authenticate() -> ResponseReturnValue | None:
    given = request.headers.get("Authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {desk().settings.api_key}".encode()):
        return refused(401, "unauthorised", "Send the API key as `Authorization: Bearer <CRM_API_KEY>`.")
    return None


@api.before_request
def strike_before() -> ResponseReturnValue | None:
    """Fail on purpose, if the plan says so."""
    g.fault = None
    if not desk().settings.faults_enabled or request.endpoint in _SELF_CONTROL:
        return None
    g.fault = desk().faults.choose(now=utc_now())
    match g.fault:
        case "unauthorised":
            return refused(401, "unauthorised", "The key was withdrawn (injected).")
        case "outage":
            return refused(503, "unavailable", "The CRM is down for maintenance (injected).")
        case "before_500":
            return refused(500, "internal", "Something went wrong before anything was done (injected).")
        case "rate_limited":
            answer = refused(429, "rate_limited", "Too many requests (injected).")
            answer.headers["Retry-After"] = str(desk().faults.plan.retry_after)
            return answer
        case "stall_0":
            desk().faults.stall()
    return None


@api.after_request
def strike_after(response: Response) -> Response:
    fault = g.get("fault")
    if fault == "stall_1":
        desk().faults.stall()
    if fault is not None and fault.startswith("lost_answer"):
        return faults.lost_answer(response, closed=fault.endswith("1"))
    return response


@api.after_request
def count(response: Response) -> Response:
    # Runs before strike_after, so a lost answer counts as what it would have been.
    path = (
        request.url_rule.rule.replace("<uuid:record_id>", "{id}").replace("<path:_rest>", "{unknown}")
        if request.url_rule
        else "none"
    )
    desk().counters.count(request.method, path, str(response.status_code))
    return response


@api.get("/meta")
def meta() -> ResponseReturnValue:
    return {
        "name": "Casebridge desk",
        "version": "1",
        "instance_id": str(desk().instance_id()),
        "now": to_text(utc_now()),
        "options": {"status": list(CASE_STATUSES), "priority": list(CASE_PRIORITIES)},
        "limits": {"name": NAME_LIMIT, "description": TEXT_LIMIT, "title": NAME_LIMIT, "body": TEXT_LIMIT},
    }


@api.post("/cases")
def create_case() -> ResponseReturnValue:
    values = api_input.read_body(api_input.CaseInput())
    with desk().write() as session:
        return shown(cases.create_case(session, values, actor=API_ACTOR, now=utc_now()), status=201)


@api.patch("/cases/<uuid:record_id>")
def change_case(record_id: uuid.UUID) -> ResponseReturnValue:
    expected = api_input.expected_version()
    values = api_input.read_body(api_input.CaseInput(partial=True, exclude=["id"]))
    with desk().write() as session:
        case = cases.change_case(session, record_id, values, actor=API_ACTOR, now=utc_now(), expected_version=expected)
        records.forget_if_redacted(session, case, values)
        return shown(case)


@api.delete("/cases/<uuid:record_id>")
def delete_case(record_id: uuid.UUID) -> ResponseReturnValue:
    with desk().write() as session:
        cases.delete_case(session, record_id, actor=API_ACTOR, now=utc_now())
    return "", 204


@api.get("/cases/<uuid:record_id>/notes")
def notes_of_case(record_id: uuid.UUID) -> ResponseReturnValue:
    with desk().database.read() as session:
        records.find_live(session, Case, record_id)
        return {"rows": [desk().serialise(note) for note in notes.notes_of(session, record_id)]}


@api.post("/notes")
def create_note() -> ResponseReturnValue:
    values = api_input.read_body(api_input.NoteInput())
    with desk().write() as session:
        return shown(notes.create_note(session, values, actor=API_ACTOR, now=utc_now(), origin="api"), status=201)


@api.get("/notes/<uuid:record_id>")
def read_note(record_id: uuid.UUID) -> ResponseReturnValue:
    with desk().database.read() as session:
        return shown(records.find(session, Note, record_id))


@api.patch("/notes/<uuid:record_id>")
def change_note(record_id: uuid.UUID) -> ResponseReturnValue:
    expected = api_input.expected_version()
    values = api_input.read_body(api_input.NoteChange())
    with desk().write() as session:
        note = notes.change_note(session, record_id, values, actor=API_ACTOR, now=utc_now(), expected_version=expected)
        records.forget_if_redacted(session, note, values)
        return shown(note)


@api.delete("/notes/<uuid:record_id>")
def delete_note(record_id: uuid.UUID) -> ResponseReturnValue:
    with desk().write() as session:
        notes.delete_note(session, record_id)
    return "", 204


@api.get("/notes")
def note_feed() -> ResponseReturnValue:
    return feed(Note)


@api.post("/contacts")
def create_contact() -> ResponseReturnValue:
    values = api_input.read_body(api_input.ContactInput())
    with desk().write() as session:
        return shown(directory.create_contact(session, values, actor=API_ACTOR, now=utc_now()), status=201)


@api.delete("/contacts/<uuid:record_id>")
def delete_contact(record_id: uuid.UUID) -> ResponseReturnValue:
    with desk().write() as session:
        directory.delete_contact(session, record_id, actor=API_ACTOR, now=utc_now())
    return "", 204


def read_feed(kind: str) -> ResponseReturnValue:
    if kind == "contacts" and "email" in request.args:
        with desk().database.read() as session:
            found = directory.contacts_with_email(session, request.args["email"])
            return {"rows": [desk().serialise(contact) for contact in found], "next": None}
    return feed(KINDS[kind])


def read_record(kind: str, record_id: uuid.UUID) -> ResponseReturnValue:
    with desk().database.read() as session:
        return shown(records.find_live(session, KINDS[kind], record_id))


for _kind in KINDS:
    api.add_url_rule(f"/{_kind}", f"{_kind}_feed", partial(read_feed, _kind))
    api.add_url_rule(f"/{_kind}/<uuid:record_id>", f"read_{_kind}", partial(read_record, _kind))


@api.get("/counters")
def counters() -> ResponseReturnValue:
    return desk().counters.as_json()


@api.get("/faults")
def read_faults() -> ResponseReturnValue:
    _refuse_unless_faults_enabled()
    return {**desk().faults.plan.as_json(), "struck": dict(desk().faults.struck)}


@api.put("/faults")
def set_faults() -> ResponseReturnValue:
    _refuse_unless_faults_enabled()
    desk().faults.use(api_input.read_fault_plan())
    return read_faults()


@api.delete("/faults")
def reset_faults() -> ResponseReturnValue:
    _refuse_unless_faults_enabled()
    desk().faults.use(FaultPlan())
    return "", 204


@api.route("/<path:_rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def anything_else(_rest: str) -> ResponseReturnValue:
    raise NotFound("There is nothing here: check the address, the id and the method.")


def _refuse_unless_faults_enabled() -> None:
    if not desk().settings.faults_enabled:
        raise NotFound("Faults can be injected only where CRM_FAULTS=1 is set.")


def feed(model: type[Stamped]) -> ResponseReturnValue:
    since, after, limit = api_input.feed_query()
    with desk().database.read() as session:
        page = feeds.read_feed(session, model, since=since, after=after, limit=limit)
        rows = [desk().serialise(row) for row in page.rows]
    following = None if page.complete else {"modified_since": rows[-1]["modified_at"], "after": rows[-1]["id"]}
    return {"rows": rows, "next": following}


def shown(row: Stamped, *, status: int = 200) -> Response:
    response = jsonify(desk().serialise(row))
    response.status_code = status
    response.headers["ETag"] = f'"{row.version}"'
    return response


def refused(status: int, code: str, message: str, **details: Any) -> Response:
    response = jsonify(error=code, message=message, **details)
    response.status_code = status
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


@api.errorhandler(api_input.MalformedError)
def malformed(error: api_input.MalformedError) -> Response:
    return refused(400, "malformed", str(error))


@api.errorhandler(RequestEntityTooLarge)
def too_large(_error: RequestEntityTooLarge) -> Response:
    return refused(413, "too_large", "The body is too large: at most 1 MiB.")


@api.errorhandler(NotFoundError)
@api.errorhandler(NotFound)
def not_found(error: Exception) -> Response:
    words = error.description if isinstance(error, NotFound) else str(error)
    return refused(404, "not_found", words or "There is nothing here.")


@api.errorhandler(DeletedError)
def deleted(error: DeletedError) -> Response:
    return refused(410, "deleted", str(error), merged_into=str(error.merged_into) if error.merged_into else None)


@api.errorhandler(ExistsError)
def exists(error: ExistsError) -> Response:
    return refused(409, "exists", str(error), deleted=error.deleted)


@api.errorhandler(StaleError)
def stale(error: StaleError) -> Response:
    with desk().database.read() as session:
        current = desk().serialise(records.find(session, error.model, error.record_id))
    return refused(412, "stale", str(error), **{error.model.__name__.lower(): current})


@api.errorhandler(InvalidError)
def invalid(error: InvalidError) -> Response:
    return refused(422, "invalid", str(error), fields=error.fields)
