"""Whose log-in somebody from the company's log-in service gets. Only a verified address links, and only a clear one."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.messages import message
from portal_service.people import letters
from portal_service.people.auth import NOT_ACCEPTED, NOT_APPROVED, username_key
from portal_service.people.credentials import ExternalLogin, Registration
from portal_service.people.lookup import contacts_with_address, users_with_address
from portal_service.people.models import Contact, User
from portal_service.people.passwords import no_password
from portal_service.people.registration import is_waiting, wait_for_approval
from portal_service.people.sessions import may_log_in
from portal_service.people.sso import Identity
from portal_service.tickets.errors import Refused
from portal_service.tickets.text import clean_line
from shared.emails import email_key, is_email
from shared.ids import new_id

_MAX_NAME = 150

NOT_VERIFIED = message("The company log-in vouches for no e-mail address of yours, so we cannot tell who you are.")
AMBIGUOUS = message("Several log-ins have your address. Please ask our support which one is yours.")
UNKNOWN = message("Nobody here has your address yet. Please register first, or ask our support.")
NOT_ALLOWED = message("This log-in is no longer active.")


def user_of(session: Session, who: Identity, *, sign_up: bool, language: str, now: datetime) -> User:
    """The user an identity is linked with, or is linked with now. Raises Refused.

    Catch it inside the transaction: a registration that now waits for staff has to be committed.
    """
    linked = session.scalar(
        select(ExternalLogin).where(ExternalLogin.issuer == who.issuer, ExternalLogin.subject == who.subject)
    )
    user = linked.user if linked else _new_link(session, who, sign_up=sign_up, language=language, now=now)
    if user.state == "awaiting_approval":
        raise Refused(NOT_APPROVED)
    if user.state == "rejected":
        raise Refused(NOT_ACCEPTED)
    if not may_log_in(user):
        raise Refused(NOT_ALLOWED)
    return user


def external_logins(session: Session, user: User) -> Sequence[ExternalLogin]:
    """The identities a user is linked with."""
    return session.scalars(select(ExternalLogin).where(ExternalLogin.user_id == user.id)).all()


def unlink(session: Session, user: User, link_id: uuid.UUID, *, now: datetime) -> None:
    """Part a user from an identity; nothing happens for a link of another."""
    found = session.get(ExternalLogin, link_id)
    if found is not None and found.user_id == user.id:
        session.delete(found)
        letters.security_changed(session, user, "factor_removed", now=now)


def _new_link(session: Session, who: Identity, *, sign_up: bool, language: str, now: datetime) -> User:
    if not is_email(who.email):
        raise Refused(NOT_VERIFIED)
    known = users_with_address(session, who.email)
    if len(known) > 1:
        raise Refused(AMBIGUOUS)
    if known:
        _link(session, known[0], who, now=now)
        letters.security_changed(session, known[0], "factor_added", now=now)
        return known[0]
    if not sign_up:
        raise Refused(UNKNOWN)
    contacts = [one for one in contacts_with_address(session, who.email, without_login=True) if not one.guest]
    if len(contacts) == 1:
        return _sign_up(session, who, contacts[0], language=language, now=now)
    # Nobody, or several: staff decide who it is.
    if is_waiting(session, who.email):
        raise Refused(NOT_APPROVED)
    user = _sign_up(session, who, None, language=language, now=now)
    registration = Registration(
        user=user,
        name=_name(who),
        email=who.email,
        email_key=email_key(who.email),
        created_at=now,
    )
    session.add(registration)
    session.flush()
    wait_for_approval(session, registration, now=now)
    return user


def _sign_up(session: Session, who: Identity, contact: Contact | None, *, language: str, now: datetime) -> User:
    username = _free_username(session, clean_line(who.email)[:_MAX_NAME])
    user = User(
        id=new_id(),
        username=username,
        username_key=username_key(username),
        password_hash=no_password(),
        contact=contact,
        language=language,
        state="approved" if contact else "awaiting_approval",
    )
    session.add(user)
    session.flush()
    _link(session, user, who, now=now)
    return user


def _link(session: Session, user: User, who: Identity, *, now: datetime) -> None:
    session.add(
        ExternalLogin(user_id=user.id, issuer=who.issuer, subject=who.subject, email=who.email[:320], created_at=now)
    )
    session.flush()


def _free_username(session: Session, wanted: str) -> str:
    taken = session.scalar(select(User.id).where(User.username_key == username_key(wanted)))
    return wanted if taken is None else f"{wanted[:140]}-{new_id().hex[:8]}"


def _name(who: Identity) -> str:
    return clean_line(who.name)[:_MAX_NAME] or who.email[:_MAX_NAME]
