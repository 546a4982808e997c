"""A person's own settings and the safety of his log-in."""

import uuid
from typing import Any

import pytz
from flask import Response

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.operations import Who, operation
from portal_service.api.passwords import check_password
from portal_service.api.people_shapes import (
    Codes,
    ExternalOut,
    Me,
    MeIn,
    NewPassword,
    PasskeyOut,
    SecondStep,
    SessionOut,
    Sessions,
    SetupIn,
    SetupOut,
)
from portal_service.api.shapes import Password
from portal_service.people import passkeys, reset, second_factor, sessions, sso_login
from portal_service.people.browsers import browser_name
from portal_service.people.credentials import Passkey
from portal_service.people.lookup import address_of, name_of
from portal_service.people.models import User
from portal_service.people.web import NO_SUCH_ZONE
from portal_service.tickets.errors import Invalid, Refused


@operation("GET", "/me", who=Who.PERSON, tag="me", answer=Me, pages=("own.settings",))
def read_me(call: Call) -> Any:
    """Who calls, and with which scopes."""
    return _me(call)


@operation(
    "PATCH",
    "/me",
    who=Who.PERSON,
    tag="me",
    body=MeIn,
    answer=Me,
    pages=("own.save_settings", "people.choose_language"),
)
def change_me(call: Call) -> Any:
    """Choose the language and the time zone of pages and mails."""
    given = call.body
    if given.get("timezone", "UTC") not in pytz.common_timezones_set:
        raise problems.invalid({"timezone": NO_SUCH_ZONE})
    user = call.signed_in
    user.language = given.get("language", user.language)
    user.timezone = given.get("timezone", user.timezone)
    return _me(call)


@operation(
    "POST",
    "/me/password",
    who=Who.PERSON,
    tag="me",
    body=NewPassword,
    repeatable=False,
    refusals=(429,),
    pages=("security.change_password",),
)
def change_password(call: Call) -> Response | None:
    """Change the password. Every browser is logged out and every token ends, this one too."""
    given = call.body
    try:
        reset.change(
            call.session,
            call.signed_in,
            current=given["current"],
            password=given["password"],
            login=None,
            now=call.now,
        )
    except Invalid as invalid:
        # Answered, not raised: the wrong password it counted has to be committed.
        return problems.answer(problems.from_invalid(invalid))
    return None


@operation("GET", "/me/sessions", who=Who.PERSON, tag="me", answer=Sessions, pages=("security.overview",))
def list_sessions(call: Call) -> dict[str, Any]:
    """The browsers one is logged in with."""
    found = sessions.sessions_of(call.session, call.signed_in, now=call.now)
    return {
        "items": [
            SessionOut().dump(
                {
                    "id": sessions.shown_id(one),
                    "browser": browser_name(one.user_agent),
                    "address": one.address,
                    "method": one.method,
                    "created_at": one.created_at,
                    "last_seen_at": one.last_seen_at,
                }
            )
            for one in found
        ]
    }


@operation("DELETE", "/me/sessions", who=Who.PERSON, tag="me", repeatable=False, pages=("security.end_others",))
def end_sessions(call: Call) -> None:
    """Log out everywhere: every browser, and every token, this one too."""
    sessions.end_all_sessions(call.session, call.signed_in)


@operation("DELETE", "/me/sessions/<session_id>", who=Who.PERSON, tag="me", pages=("security.end_session",))
def end_session(call: Call, session_id: str) -> None:
    """Log out one browser."""
    found = sessions.sessions_of(call.session, call.signed_in, now=call.now)
    if session_id not in {sessions.shown_id(one) for one in found}:
        raise problems.not_found()
    sessions.end_one(call.session, call.signed_in, session_id)


@operation("GET", "/me/second-step", who=Who.PERSON, tag="me", answer=SecondStep, pages=("security.overview",))
def read_second_step(call: Call) -> dict[str, Any]:
    """What protects the log-in besides the password."""
    factors = second_factor.factors_of(call.session, call.signed_in)
    return {
        "authenticator": factors.authenticator is not None,
        "passkeys": PasskeyOut(many=True).dump(factors.passkeys),
        "recovery_codes_left": factors.codes_left,
        "external_logins": ExternalOut(many=True).dump(sso_login.external_logins(call.session, call.signed_in)),
    }


@operation(
    "POST",
    "/me/authenticator",
    who=Who.PERSON,
    tag="me",
    body=Password,
    answer=SetupOut,
    status=201,
    repeatable=False,
    refusals=(429,),
    pages=("two_factor.again", "two_factor.check_again", "two_factor.begin"),
)
def begin_authenticator(call: Call) -> Any:
    """Begin to set up an authenticator app; nothing changes before its first code arrived."""
    if (refusal := check_password(call)) is not None:
        return refusal
    setup = second_factor.begin_setup(call.session, call.signed_in, now=call.now)
    return {"setup": setup.token, "secret": setup.secret, "uri": setup.uri}


@operation(
    "PUT",
    "/me/authenticator",
    who=Who.PERSON,
    tag="me",
    body=SetupIn,
    answer=Codes,
    repeatable=False,
    pages=("two_factor.finish",),
)
def finish_authenticator(call: Call) -> Any:
    """Turn the app on with its first code. The answer holds recovery codes where there are none yet."""
    try:
        codes = second_factor.finish_setup(
            call.session, call.signed_in, call.body["setup"], call.body["code"], now=call.now
        )
    except Refused as refused:
        raise problems.invalid({"code": refused.message_key}) from refused
    return {"recovery_codes": codes}


@operation(
    "POST",
    "/me/authenticator/remove",
    who=Who.PERSON,
    tag="me",
    body=Password,
    repeatable=False,
    refusals=(429,),
    pages=("two_factor.remove_authenticator",),
)
def remove_authenticator(call: Call) -> Response | None:
    """Remove the authenticator app."""
    refusal = check_password(call)
    if refusal is None:
        second_factor.remove_authenticator(call.session, call.signed_in, now=call.now)
    return refusal


@operation(
    "POST",
    "/me/recovery-codes",
    who=Who.PERSON,
    tag="me",
    body=Password,
    answer=Codes,
    status=201,
    repeatable=False,
    refusals=(409, 429),
    pages=("two_factor.new_codes",),
)
def make_recovery_codes(call: Call) -> Any:
    """Make new recovery codes; the old ones end. Only for log-ins with a second step."""
    if (refusal := check_password(call)) is not None:
        return refusal
    if not second_factor.factors_of(call.session, call.signed_in):
        raise problems.ApiProblem(409, "refused")
    return {"recovery_codes": second_factor.new_codes(call.session, call.signed_in)}


@operation(
    "POST",
    "/me/passkeys/<uuid:passkey_id>/remove",
    who=Who.PERSON,
    tag="me",
    body=Password,
    repeatable=False,
    refusals=(429,),
    pages=("two_factor.remove_passkey",),
)
def remove_passkey(call: Call, passkey_id: uuid.UUID) -> Response | None:
    """Remove a passkey. Only a browser can add one."""
    found = call.session.get(Passkey, passkey_id)
    if found is None or found.user_id != call.signed_in.id:
        raise problems.not_found()
    refusal = check_password(call)
    if refusal is None:
        passkeys.remove(call.session, call.signed_in, found, now=call.now)
    return refusal


@operation(
    "POST",
    "/me/external-logins/<uuid:link_id>/remove",
    who=Who.PERSON,
    tag="me",
    body=Password,
    repeatable=False,
    refusals=(429,),
    pages=("two_factor.remove_external",),
)
def remove_external_login(call: Call, link_id: uuid.UUID) -> Response | None:
    """End a log-in through the company."""
    links = sso_login.external_logins(call.session, call.signed_in)
    if link_id not in {link.id for link in links}:
        raise problems.not_found()
    refusal = check_password(call)
    if refusal is None:
        sso_login.unlink(call.session, call.signed_in, link_id, now=call.now)
    return refusal


def _me(call: Call) -> Any:
    user = call.signed_in
    account = user.contact.account if user.contact else None
    return Me().dump(
        {
            "id": user.id,
            "username": user.username,
            "name": name_of(user),
            "email": address_of(user),
            "role": _role(user),
            "language": user.language,
            "timezone": user.timezone,
            "account": account,
            "available": user.staff.available if user.staff else None,
            "scopes": call.token.scopes if call.token else [],
        }
    )


def _role(user: User) -> str:
    if user.staff is None:
        return "customer"
    return "admin" if user.staff.is_admin else "agent"
