"""Asking for the password again before something that an open token alone must not do."""

from flask import Response

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.people.auth import LoginRefused, verify_again
from portal_service.people.throttle import THROTTLED


def check_password(call: Call) -> Response | None:
    """None for the right password, else the answer; it is not raised, because the failure it counted is committed."""
    try:
        verify_again(call.session, call.signed_in, call.body["password"], now=call.now)
    except LoginRefused as refused:
        if refused.message_key == THROTTLED:
            return problems.answer(problems.ApiProblem(429, "too_many_attempts", THROTTLED))
        return problems.answer(problems.invalid({"password": refused.message_key}))
    return None
