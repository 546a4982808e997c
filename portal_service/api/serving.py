"""From a request to its answer: read, admit, count, act, write down."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any, cast

import structlog
from flask import Response, g, request
from marshmallow import Schema, ValidationError
from sqlalchemy.exc import DBAPIError
from werkzeug.datastructures import MultiDict

from portal_service.api import kept, problems
from portal_service.api.calls import Call, identified, transaction
from portal_service.api.fields import BAD_CHOICE, BAD_FORM, BAD_LENGTH, BAD_RANGE, BAD_TYPE, MISSING, NOT_KNOWN
from portal_service.api.operations import Answer, Operation
from portal_service.people import tokens
from portal_service.web.visits import this_portal
from shared.clock import utc_now

MOST_NUMBER = 10**15
"""No ticket has a larger number: it would be more than a database can hold."""
_POLICY = "minute"
_OWN_WORDS = {
    "Missing data": MISSING,
    "Unknown field": NOT_KNOWN,
    "Must be": BAD_RANGE,
    "Shorter": BAD_LENGTH,
    "Longer": BAD_LENGTH,
}
"""How what marshmallow says in English begins; anything else it says of its own is about types."""

log = structlog.get_logger(__name__)


def serve(operation: Operation, path: Mapping[str, Any]) -> Response:
    """Answer a call. Raises what `problems` answers."""
    _admit_first(operation)
    if path.get("number", 0) > MOST_NUMBER:
        raise problems.not_found()
    query = _query(operation)
    body = _body(operation)
    key = _key(operation)
    if key is not None:
        return kept.once(operation, key, _hash(), lambda call: _act(operation, call, path, query, body))
    with transaction(operation) as call:
        return _act(operation, call, path, query, body)


def _act(
    operation: Operation, call: Call, path: Mapping[str, Any], query: Mapping[str, Any], body: Mapping[str, Any]
) -> Response:
    call.query, call.body = query, body
    told = operation.view(call, **path)
    if isinstance(told, Response):
        return told
    answer = told if isinstance(told, Answer) else Answer(told)
    text = "" if answer.data is None else json.dumps(answer.data, ensure_ascii=False)
    response = Response(text, answer.status or operation.status, mimetype="application/json" if text else None)
    if not text:
        response.headers.pop("Content-Type", None)
    response.headers.update(answer.headers)
    return response if operation.changes else _unless_known(response)


def _unless_known(response: Response) -> Response:
    """The answer with an ETag of all that it says, or 304 for a caller who has it already.

    What belongs to a ticket begins with the ticket's version, which is what If-Match looks at.
    """
    digest = hashlib.sha256(response.get_data()).hexdigest()[:16]
    version, _weak = response.get_etag()
    response.set_etag(f"{version}-{digest}" if version else digest)
    return cast("Response", response.make_conditional(request))


def _admit_first(operation: Operation) -> None:
    """Before anything of the request is looked at: whose token it is, and whether he called too often.

    Raises ApiProblem.
    """
    with this_portal().database.read() as session:
        token = identified(session, operation).token
    if token is None:
        return
    usage = _count(token.id)
    g.api_usage = usage
    if usage is not None and usage.exceeded:
        wait = {"Retry-After": str(usage.reset_seconds)}
        raise problems.ApiProblem(429, "too_many_calls", problems.TOO_OFTEN, headers=wait)


def _count(token_id: uuid.UUID) -> tokens.Usage | None:
    """None when nothing can be written, because reading goes on then."""
    portal = this_portal()
    try:
        with portal.database.write() as session:
            return tokens.count_use(session, token_id, limit=portal.settings.api_calls_per_minute, now=utc_now())
    except DBAPIError as error:
        log.warning("call_not_counted", error=str(error.orig))
        return None


def tell_usage(response: Response) -> Response:
    """RateLimit headers (draft-ietf-httpapi-ratelimit-headers) on every answer to a token."""
    usage: tokens.Usage | None = g.get("api_usage")
    if usage is not None:
        response.headers["RateLimit-Policy"] = f'"{_POLICY}";q={usage.limit};w=60'
        response.headers["RateLimit"] = f'"{_POLICY}";r={usage.left};t={usage.reset_seconds}'
    return response


def _query(operation: Operation) -> Mapping[str, Any]:
    given = _single(request.args)
    if operation.query is None:
        if given:
            raise problems.malformed(dict.fromkeys(given, NOT_KNOWN))
        return {}
    return _load(operation.query(), given)


def _single(args: "MultiDict[str, str]") -> dict[str, str]:
    """Each parameter once. Raises ApiProblem when one is given twice."""
    twice = [name for name in args if len(args.getlist(name)) > 1]
    if twice:
        raise problems.malformed(dict.fromkeys(twice, BAD_FORM))
    return args.to_dict()


def _body(operation: Operation) -> Mapping[str, Any]:
    if operation.upload:
        if request.mimetype != "multipart/form-data":
            raise problems.ApiProblem(415, "unsupported_media_type", problems.NO_FORM)
        return {"file": request.files.get("file")}
    if operation.body is None:
        return {}
    if request.mimetype != "application/json":
        raise problems.ApiProblem(415, "unsupported_media_type", problems.NOT_JSON)
    try:
        given = json.loads(request.get_data(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise problems.malformed({"": BAD_FORM}) from None
    return _load(operation.body(), given)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not in JSON")


def _load(schema: Schema, given: Any) -> Mapping[str, Any]:
    try:
        loaded: Mapping[str, Any] = schema.load(given)
    except ValidationError as error:
        raise problems.malformed(_flat(error.messages_dict)) from error
    return loaded


def _flat(messages: Mapping[Any, Any], prefix: str = "") -> dict[str, str]:
    """marshmallow's nested messages by dotted name."""
    found: dict[str, str] = {}
    for name, told in messages.items():
        path = prefix if name == "_schema" else f"{prefix}.{name}".lstrip(".")
        if isinstance(told, Mapping):
            found |= _flat(told, path)
        else:
            found[path] = _own_words(str(told[0]))
    return found


def _own_words(text: str) -> str:
    if text in {BAD_FORM, BAD_LENGTH, BAD_CHOICE}:
        return text
    return next((own for start, own in _OWN_WORDS.items() if text.startswith(start)), BAD_TYPE)


def _key(operation: Operation) -> str | None:
    """The Idempotency-Key. Raises ApiProblem for one that is none."""
    given = request.headers.get("Idempotency-Key")
    if given is None or not operation.repeatable:
        return None
    if not kept.is_key(given):
        raise problems.malformed({"Idempotency-Key": BAD_FORM})
    return given


def _hash() -> str:
    """What makes two requests the same."""
    parts = (
        request.method,
        request.full_path,
        request.headers.get("If-Match", ""),
        request.headers.get("Accept-Language", ""),
    )
    digest = hashlib.sha256("\n".join(parts).encode())
    digest.update(request.get_data())
    return digest.hexdigest()
