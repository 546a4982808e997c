"""Passkeys (WebAuthn): to log in without a password, or as the second step after it."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

import webauthn
from sqlalchemy import select
from sqlalchemy.orm import Session
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from portal_service import site
from portal_service.messages import message
from portal_service.people import one_time, second_factor
from portal_service.people.credentials import Passkey
from portal_service.people.lookup import name_of
from portal_service.people.models import User
from portal_service.people.sessions import may_log_in
from portal_service.tickets.errors import Refused
from portal_service.tickets.text import clean_line

_ADD, _LOG_IN = "passkey-add", "passkey-log-in"
_WITHIN = timedelta(minutes=5)
_MAX_NAME = 100
_MAX_PASSKEYS = 20

NOT_ACCEPTED = message("This passkey was not accepted. Please try again, or log in in another way.")
TOO_MANY = message("You have 20 passkeys already. Please remove one first.")


def are_possible() -> bool:
    """Whether browsers offer passkeys here: they belong to a name, never to a bare IP address."""
    try:
        ip_address(site.current().host)
    except ValueError:
        return True
    return False


def options_to_add(session: Session, user: User, *, now: datetime) -> str:
    """What the browser needs to make a passkey, as JSON."""
    options = webauthn.generate_registration_options(
        rp_id=site.current().host,
        rp_name=second_factor.ISSUER,
        user_id=user.id.bytes,
        user_name=user.username,
        user_display_name=name_of(user),
        exclude_credentials=_descriptors(session, user),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return _remember(session, _ADD, options, user, now=now)


def add(session: Session, user: User, answer: str, *, name: str, now: datetime) -> list[str]:
    """Keep a passkey the browser made; returns new recovery codes if the user has none. Raises Refused."""
    if len(_keys(session, user)) >= _MAX_PASSKEYS:
        raise Refused(TOO_MANY)
    challenge = _spend(session, _ADD, answer, user, now=now)
    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.current().host,
            expected_origin=site.current().portal_url,
        )
    except WebAuthnException as error:
        raise Refused(NOT_ACCEPTED) from error
    credential_id = webauthn.helpers.bytes_to_base64url(made.credential_id)
    if session.scalar(select(Passkey.id).where(Passkey.credential_id == credential_id)):
        raise Refused(NOT_ACCEPTED)
    session.add(
        Passkey(
            user_id=user.id,
            credential_id=credential_id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            name=clean_line(name)[:_MAX_NAME] or "Passkey",
            created_at=now,
        )
    )
    session.flush()
    return second_factor.factor_added(session, user, now=now)


def options_to_log_in(session: Session, user: User | None, *, now: datetime) -> str:
    """What the browser needs to prove a passkey, as JSON; without a user any passkey of this portal."""
    required, preferred = UserVerificationRequirement.REQUIRED, UserVerificationRequirement.PREFERRED
    options = webauthn.generate_authentication_options(
        rp_id=site.current().host,
        allow_credentials=_descriptors(session, user) if user else [],
        user_verification=preferred if user else required,
    )
    return _remember(session, _LOG_IN, options, user, now=now)


def verify(session: Session, answer: str, user: User | None, *, now: datetime) -> User:
    """Whose passkey answered. After a password it has to be `user`'s; alone it has to know its owner, too.

    Raises Refused.
    """
    challenge = _spend(session, _LOG_IN, answer, user, now=now)
    found = session.scalar(select(Passkey).where(Passkey.credential_id == str(_parsed(answer).get("id"))))
    if found is None or (user is not None and found.user_id != user.id) or not may_log_in(found.user):
        raise Refused(NOT_ACCEPTED)
    try:
        proved = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.current().host,
            expected_origin=site.current().portal_url,
            credential_public_key=found.public_key,
            credential_current_sign_count=found.sign_count,
            require_user_verification=user is None,
        )
    except WebAuthnException as error:
        raise Refused(NOT_ACCEPTED) from error
    found.sign_count = proved.new_sign_count
    found.last_used_at = now
    return found.user


def remove(session: Session, user: User, passkey: Passkey, *, now: datetime) -> None:
    session.delete(passkey)
    session.flush()
    second_factor.factor_removed(session, user, now=now)


def _keys(session: Session, user: User) -> Sequence[Passkey]:
    return session.scalars(select(Passkey).where(Passkey.user_id == user.id)).all()


def _descriptors(session: Session, user: User) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=webauthn.base64url_to_bytes(key.credential_id)) for key in _keys(session, user)
    ]


def _remember(session: Session, purpose: str, options: Any, user: User | None, *, now: datetime) -> str:
    challenge = webauthn.helpers.bytes_to_base64url(options.challenge)
    one_time.issue(session, purpose, user=user, lifetime=_WITHIN, token=challenge, now=now)
    return webauthn.options_to_json(options)


def _spend(session: Session, purpose: str, answer: str, user: User | None, *, now: datetime) -> bytes:
    """The challenge an answer belongs to, if we gave it to this very user and nobody has used it."""
    try:
        client_data = json.loads(webauthn.base64url_to_bytes(_parsed(answer)["response"]["clientDataJSON"]))
        challenge = str(client_data["challenge"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(NOT_ACCEPTED) from error
    found = one_time.spend(session, purpose, challenge, now=now)
    if found is None or found.user_id != (user.id if user else None):
        raise Refused(NOT_ACCEPTED)
    return webauthn.base64url_to_bytes(challenge)


def _parsed(answer: str) -> dict[str, Any]:
    try:
        parsed = json.loads(answer)
    except ValueError as error:
        raise Refused(NOT_ACCEPTED) from error
    if not isinstance(parsed, dict):
        raise Refused(NOT_ACCEPTED)
    return parsed
