"""Why a call was not answered: RFC 9457 problem details, with the faults of single fields under `errors`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response
from flask_babel import gettext as _

from portal_service.files.errors import FileRefused
from portal_service.messages import message
from portal_service.people.policy import NOT_ALLOWED
from portal_service.people.throttle import THROTTLED
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.fields import DELETED
from shared import error_pages

NO_TOKEN = message("This call needs a token that is valid: send it as “Authorization: Bearer …”.")
NO_SCOPE = message("The token lacks the scope that this call needs: %(scope)s.")
CHANGED = message("The ticket was changed in the meantime: read it again.")
TOO_OFTEN = message("This token has made too many calls. Wait for the number of seconds that Retry-After names.")
OTHER_REQUEST = message("This idempotency key was used for another request.")
BAD_REQUEST = message("The request is not formed as the documentation says. See errors.")
INVALID = message("Some values cannot be accepted. See errors.")
NOT_JSON = message("Send the body as JSON, with “Content-Type: application/json”.")
NO_FORM = message("Send the file as “multipart/form-data”.")

_STATUS = {NOT_ALLOWED: (403, "not_allowed"), THROTTLED: (429, "too_many_attempts"), DELETED: (404, "not_found")}


@dataclass
class ApiProblem(Exception):  # noqa: N818 (reads as what it is: a problem of RFC 9457)
    """Ends a call; `code` is for programs, `detail` a message key, `errors` message keys by field."""

    status: int
    code: str
    detail: str = ""
    args_of_detail: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def not_found() -> ApiProblem:
    """One answer for what is unknown, foreign or forbidden."""
    return ApiProblem(404, "not_found")


def no_token() -> ApiProblem:
    return ApiProblem(401, "no_token", NO_TOKEN, headers={"WWW-Authenticate": 'Bearer realm="casebridge"'})


def no_scope(scope: str) -> ApiProblem:
    challenge = f'Bearer realm="casebridge", error="insufficient_scope", scope="{scope}"'
    return ApiProblem(403, "insufficient_scope", NO_SCOPE, {"scope": scope}, headers={"WWW-Authenticate": challenge})


def malformed(errors: Mapping[str, str]) -> ApiProblem:
    return ApiProblem(400, "malformed", BAD_REQUEST, errors=errors)


def invalid(errors: Mapping[str, str]) -> ApiProblem:
    return ApiProblem(422, "invalid", INVALID, errors=errors)


def refused_field(name: str) -> ApiProblem:
    """The caller may make this call, but not with this field."""
    return invalid({name: NOT_ALLOWED})


def refused(error: Refused) -> ApiProblem:
    """409 unless the reason is of a kind that HTTP has a status for."""
    status, code = _STATUS.get(error.message_key, (409, "refused"))
    return ApiProblem(status, code, "" if status == 404 else error.message_key)


def leaking(error: Invalid) -> ApiProblem:
    """An article that still tells of a customer, with what was found; anything else as usual."""
    found = error.errors.get("leaks")
    if found is None:
        return invalid(error.errors)
    return ApiProblem(422, "invalid", error.errors[""], {"what": found})


def register(blueprint: Blueprint) -> None:
    """Answer what the actions refuse."""
    blueprint.register_error_handler(ApiProblem, answer)
    blueprint.register_error_handler(Invalid, lambda error: answer(from_invalid(error)))
    blueprint.register_error_handler(Refused, lambda error: answer(refused(error)))
    blueprint.register_error_handler(FileRefused, _answer_file)


def from_invalid(error: Invalid) -> ApiProblem:
    return (
        ApiProblem(429, "too_many_attempts", THROTTLED) if THROTTLED in error.errors.values() else invalid(error.errors)
    )


def answer(problem: ApiProblem) -> Response:
    """The problem in the language the caller asked for."""
    detail = _(problem.detail, **problem.args_of_detail) if problem.detail else ""
    errors = [{"field": name, "detail": _(text)} for name, text in problem.errors.items()]
    return _response(problem, detail, errors)


def _answer_file(error: FileRefused) -> Response:
    text = _(error.message_key, **error.message_args)
    return _response(invalid({}), _(INVALID), [{"field": "file", "detail": text}])


def _response(problem: ApiProblem, detail: str, errors: list[dict[str, Any]]) -> Response:
    response = error_pages.answer(error_pages.Problem(status=problem.status, detail=detail))
    told = json.loads(response.get_data(as_text=True)) | {"code": problem.code, "errors": errors}
    response.set_data(json.dumps(told, ensure_ascii=False))
    response.headers.update(dict(problem.headers))
    return response
