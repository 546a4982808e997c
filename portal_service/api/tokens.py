"""Logging in by API, and a person's own tokens."""

import uuid
from typing import Any

import structlog

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.operations import Answer, Who, operation
from portal_service.api.passwords import check_password
from portal_service.api.people_shapes import LogInIn, NewTokenOut, TokenIn, TokenOut, Tokens
from portal_service.messages import message
from portal_service.people import tokens
from portal_service.people.auth import LoginRefused, verify_login
from portal_service.people.entry import visitor_address
from portal_service.people.models import User
from portal_service.people.second_factor import check_code, factors_of
from portal_service.people.throttle import THROTTLED
from portal_service.people.tokens_models import ApiToken
from portal_service.tickets.errors import Refused
from portal_service.web.visits import must_have_two_factors

CODE_NEEDED = message("This log-in has a second step: send the code of the authenticator app, too.")
SET_UP_FIRST = message("Staff need a second step to log in. Please set one up on the portal's pages first.")

log = structlog.get_logger(__name__)


@operation(
    "POST",
    "/tokens",
    who=Who.ANYONE,
    tag="tokens",
    body=LogInIn,
    answer=NewTokenOut,
    status=201,
    refusals=(401, 403, 429),
    pages=("people.login", "people.log_in", "second_step.second", "second_step.check"),
)
def log_in(call: Call) -> Any:
    """Log in with user name and password, and get a token.

    With a second step, `code` is needed as well; 401 with the code `code_needed` asks for it.
    """
    try:
        user = verify_login(
            call.session, call.body["username"], call.body["password"], address=visitor_address(), now=call.now
        )
        _second_step(call, user)
    except (LoginRefused, Refused) as refused:
        # Returned, not raised: the failure it counted has to be committed.
        return problems.answer(_refusal(refused.message_key))
    return _issued(call, user)


@operation(
    "POST",
    "/me/tokens",
    who=Who.PERSON,
    tag="tokens",
    body=TokenIn,
    answer=NewTokenOut,
    status=201,
    repeatable=False,
    refusals=(429,),
    pages=("tokens.form", "tokens.make"),
)
def make_token(call: Call) -> Any:
    """Make a further token, for another program. A token gives no scope that it lacks itself."""
    missing = set(call.body["scopes"]) - set(call.token.scopes if call.token else ())
    if missing:
        raise problems.no_scope(min(missing))
    return check_password(call) or _issued(call, call.signed_in)


@operation("GET", "/me/tokens", who=Who.PERSON, tag="tokens", answer=Tokens, pages=("tokens.overview",))
def list_tokens(call: Call) -> dict[str, Any]:
    """One's own tokens that work."""
    return {"items": TokenOut(many=True).dump(tokens.tokens_of(call.session, call.signed_in, now=call.now))}


@operation("DELETE", "/me/tokens/<uuid:token_id>", who=Who.PERSON, tag="tokens", pages=("tokens.revoke",))
def revoke_token(call: Call, token_id: uuid.UUID) -> None:
    """End one of one's own tokens at once."""
    if not tokens.revoke(call.session, call.signed_in, token_id):
        raise problems.not_found()


@operation(
    "DELETE", "/tokens/current", who=Who.HOLDER, tag="tokens", scope="read", repeatable=False, pages=("own.log_out",)
)
def log_out(call: Call) -> None:
    """End the token that makes this call."""
    call.session.delete(call.token)


def issued(token: ApiToken, plain: str) -> Answer:
    """A new token, shown once and kept in no cache."""
    return Answer({**TokenOut().dump(token), "token": plain}, headers={"Cache-Control": "no-store"})


def _issued(call: Call, user: User) -> Answer:
    given = call.body
    token, plain = tokens.issue(
        call.session, user, name=given["name"], scopes=given["scopes"], days=given["days"], now=call.now
    )
    log.info("token_issued", user=str(user.id), token=str(token.id), scopes=token.scopes)
    return issued(token, plain)


def _second_step(call: Call, user: User) -> None:
    """Raises Refused; one for a code that is missing, before it counts as a wrong one."""
    if factors_of(call.session, user):
        if not call.body["code"].strip():
            raise Refused(CODE_NEEDED)
        check_code(call.session, user, call.body["code"], now=call.now)
    elif must_have_two_factors(user):
        raise Refused(SET_UP_FIRST)


def _refusal(message_key: str) -> problems.ApiProblem:
    if message_key == THROTTLED:
        return problems.ApiProblem(429, "too_many_attempts", THROTTLED, headers={"Retry-After": "900"})
    codes = {CODE_NEEDED: (401, "code_needed"), SET_UP_FIRST: (403, "second_step_missing")}
    status, code = codes.get(message_key, (401, "log_in_refused"))
    return problems.ApiProblem(status, code, message_key, headers={"WWW-Authenticate": 'Bearer realm="casebridge"'})
