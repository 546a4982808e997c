"""The mails about log-ins and registrations. None holds a password, and links that work once are never repeated."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service import site
from portal_service.channels.mail_out import Recipient, queue_mail
from portal_service.people.credentials import Registration
from portal_service.people.lookup import address_of, name_of
from portal_service.people.models import Staff, User
from shared.ids import new_id


def confirm_registration(session: Session, registration: Registration, token: str, *, now: datetime) -> None:
    """The link that proves the address."""
    _send(
        session,
        "confirm_registration",
        _applicant(registration),
        now=now,
        path=f"/register/confirm/{token}",
        secret=True,
        username=registration.user.username,
    )


def already_known(session: Session, email: str, users: Sequence[User], *, language: str, now: datetime) -> None:
    """Somebody registered with an address that has a log-in; its owner learns which, the visitor does not."""
    to = Recipient(name=name_of(users[0]), address=email, language=users[0].language or language)
    names = ", ".join(user.username for user in users)
    _send(session, "already_known", to, now=now, path="/password/forgot", username=names)


def registration_waits(session: Session, registration: Registration, *, now: datetime) -> None:
    """Those who manage people learn that somebody waits; where nobody does, every agent."""
    agents = session.scalars(select(User).join(User.staff).where(Staff.active, User.state == "approved")).all()
    managers = [user for user in agents if user.staff and user.staff.is_admin] or agents
    for user in managers:
        to = _user(user)
        if to is not None:
            _send(
                session,
                "registration_waits",
                to,
                now=now,
                path=f"/staff/registrations/{registration.user_id}",
                key=f"registration-waits:{registration.user_id}",
                applicant=registration.name,
                email=registration.email,
                company=registration.company,
            )


def registration_approved(session: Session, user: User, registration: Registration, *, now: datetime) -> None:
    """One mail to the applicant, now that the log-in works (S02)."""
    to = _applicant(registration)
    _send(session, "approved", to, now=now, path="/login", key=f"approved:{user.id}", username=user.username)


def registration_refused(session: Session, registration: Registration, *, now: datetime) -> None:
    """The reason, in the words of whoever decided."""
    key = f"refused:{registration.user_id}"
    _send(session, "refused", _applicant(registration), now=now, path="/knowledge", key=key, quote=registration.reason)


def reset_password(session: Session, user: User, address: str, token: str, *, now: datetime) -> None:
    to = Recipient(name=name_of(user), address=address, language=user.language)
    _send(session, "reset", to, now=now, path=f"/password/reset/{token}", secret=True, username=user.username)


def staff_invited(session: Session, user: User, address: str, token: str, *, now: datetime) -> None:
    """A new agent chooses a password by this link."""
    to = Recipient(name=name_of(user), address=address, language=user.language)
    path = f"/password/reset/{token}"
    _send(session, "staff_invited", to, now=now, path=path, secret=True, username=user.username)


def security_changed(session: Session, user: User, kind: str, *, now: datetime) -> None:
    """Tells the owner what changed in his log-in: `password_changed`, `factor_added` or `factor_removed`."""
    to = _user(user)
    if to is not None:
        _send(session, kind, to, now=now, path="/password/forgot", username=user.username)


def _send(
    session: Session,
    kind: str,
    to: Recipient,
    *,
    now: datetime,
    path: str,
    key: str | None = None,
    secret: bool = False,
    **words: Any,
) -> None:
    """Without a `key` every call is a mail of its own."""
    url = f"{site.current().portal_url}{path}"
    key = key or f"{kind}:{new_id()}"
    queue_mail(session, kind, key=key, recipient=to, now=now, words=words, url=url, secret=secret)


def _applicant(registration: Registration) -> Recipient:
    return Recipient(name=registration.name, address=registration.email, language=registration.user.language)


def _user(user: User) -> Recipient | None:
    address = address_of(user)
    return Recipient(name=name_of(user), address=address, language=user.language) if address else None
