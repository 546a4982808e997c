"""Calls that may be sent again: the same key gives the same answer and does nothing twice, for 24 hours."""

import re
from collections.abc import Callable

from flask import Response, current_app
from sqlalchemy.exc import IntegrityError

from portal_service.api import problems
from portal_service.api.calls import Call, transaction
from portal_service.api.models import KeptAnswer, forget_answers
from portal_service.api.operations import Operation

KEY_PATTERN = "^[!-~]{1,200}$"
_HEADERS = ("ETag", "Location", "Content-Type")

Act = Callable[[Call], Response]


def is_key(text: str) -> bool:
    return re.fullmatch(KEY_PATTERN, text) is not None


def once(operation: Operation, key: str, request_hash: str, act: Act) -> Response:
    """Do it, or answer as before. Raises ApiProblem when the key was used for another request.

    The answer is stored in the transaction of the change. A second call that comes while the first is under way waits
    at the database for the first to commit, finds its answer, and gives that.
    """
    try:
        return _first(operation, key, request_hash, act)
    except _Repeated:
        return _again(operation, key, request_hash)


class _Repeated(Exception):  # noqa: N818 (no error: somebody else was first)
    pass


def _first(operation: Operation, key: str, request_hash: str, act: Act) -> Response:
    with transaction(operation) as call:
        kept = _claim(call, key, request_hash)
        response = act(call)
        kept.status = response.status_code
        kept.headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
        kept.body = response.get_data(as_text=True)
    return response


def _claim(call: Call, key: str, request_hash: str) -> KeptAnswer:
    assert call.token is not None
    forget_answers(call.session, now=call.now)
    kept = KeptAnswer(token_id=call.token.id, key=key, request_hash=request_hash, created_at=call.now)
    call.session.add(kept)
    try:
        call.session.flush()
    except IntegrityError as error:
        raise _Repeated from error
    return kept


def _again(operation: Operation, key: str, request_hash: str) -> Response:
    with transaction(operation) as call:
        assert call.token is not None
        found = call.session.get(KeptAnswer, (call.token.id, key))
        if found is None:
            # The other call was undone after all; whoever repeats now is the first.
            raise problems.ApiProblem(409, "in_progress")
        if found.request_hash != request_hash:
            raise problems.ApiProblem(422, "key_reused", problems.OTHER_REQUEST)
        response: Response = current_app.response_class(found.body, found.status)
        response.headers.pop("Content-Type", None)
        response.headers.update(found.headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response
