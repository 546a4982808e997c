"""Going to the company's log-in service and coming back."""

import secrets
from datetime import timedelta

import structlog
from flask import Blueprint, abort, current_app, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.exc import IntegrityError

from portal_service import site
from portal_service.messages import message
from portal_service.people import one_time, throttle
from portal_service.people.entry import let_in, visitor_address, welcome
from portal_service.people.sso import Identity, Provider, Request, SsoError
from portal_service.people.sso_login import user_of
from portal_service.tickets.errors import Refused
from portal_service.web.catalogues import language
from portal_service.web.visits import release, this_portal
from shared.clock import utc_now

sso_pages = Blueprint("sso", __name__, url_prefix="/sso")
log = structlog.get_logger(__name__)

_PURPOSE = "sso"
_WITHIN = timedelta(minutes=10)
_STATE = "sso_state"
_MOST_STARTS = 60

NOT_DONE = message("The log-in was not finished. Please try again, or log in in another way.")
NO_ANSWER = message("The company log-in does not answer as it should. Try again later, or log in in another way.")


@sso_pages.get("/start")
def start() -> ResponseReturnValue:
    provider = _provider()
    state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
    limits = [throttle.per_address("sso", visitor_address(), _MOST_STARTS)]
    release()
    with this_portal().database.write() as writing:
        if throttle.is_exceeded(writing, limits, now=utc_now()):
            return _back(throttle.THROTTLED)
        throttle.count(writing, limits, now=utc_now())
        data = {"nonce": nonce, "verifier": verifier, "next": request.args.get("next", "")[:2000]}
        one_time.issue(writing, _PURPOSE, lifetime=_WITHIN, data=data, token=state, now=utc_now())
    try:
        url = provider.authorization_url(_request(state, nonce, verifier))
    except SsoError as error:
        log.warning("sso_failed", step="start", reason=str(error))
        return _back(NO_ANSWER)
    session[_STATE] = state
    return redirect(url, 303)


@sso_pages.get("/callback")
def callback() -> ResponseReturnValue:
    """Only the browser that started a log-in can finish it, once."""
    provider, state = _provider(), session.pop(_STATE, "")
    release()
    begun = None
    if state and secrets.compare_digest(state.encode(), request.args.get("state", "").encode()):
        with this_portal().database.write() as writing:
            begun = one_time.spend(writing, _PURPOSE, state, now=utc_now())
    # A provider that names itself in its answer has to be the one we asked (RFC 9207).
    foreign = request.args.get("iss", provider.settings.issuer) != provider.settings.issuer
    if begun is None or foreign or "code" not in request.args:
        log.warning("sso_failed", step="callback", reason=request.args.get("error", "no log-in of this browser")[:200])
        return _back(NOT_DONE)
    try:
        asked = _request(state, begun.data["nonce"], begun.data["verifier"])
        who = provider.identify(request.args["code"], asked)
    except SsoError as error:
        log.warning("sso_failed", step="identify", reason=str(error))
        return _back(NO_ANSWER)
    try:
        return _log_in(who, begun.data["next"], sign_up=provider.settings.sign_up)
    except IntegrityError:
        # The same person came in twice at the same moment; the other one was first.
        return _log_in(who, begun.data["next"], sign_up=False)


def _log_in(who: Identity, target: str, *, sign_up: bool) -> ResponseReturnValue:
    refused = ""
    with this_portal().database.write() as writing:
        try:
            user = user_of(writing, who, sign_up=sign_up, language=language(), now=utc_now())
        except Refused as refusal:
            # Caught in here: a registration that now waits has to be committed.
            refused = refusal.message_key
        else:
            token = let_in(writing, user, method="sso")
    return _back(refused) if refused else welcome(user, token, target)


def _provider() -> Provider:
    provider: Provider | None = current_app.extensions["portal_sso"]
    return provider or abort(404)


def _request(state: str, nonce: str, verifier: str) -> Request:
    return Request(
        state=state, nonce=nonce, verifier=verifier, redirect_uri=f"{site.current().portal_url}/sso/callback"
    )


def _back(message_key: str) -> ResponseReturnValue:
    flash(_(message_key), "bad")
    return redirect(url_for("people.login"), 303)
