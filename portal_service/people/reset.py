"""A new password: by a link in a mail for those who forgot it, by the old one for those who are logged in."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.messages import message
from portal_service.people import letters, one_time, passwords, throttle
from portal_service.people.auth import LoginRefused, forgive_name, username_key, verify_again
from portal_service.people.lookup import address_of, users_with_address
from portal_service.people.models import LoginSession, User
from portal_service.people.sessions import end_all_sessions, may_log_in
from portal_service.tickets.errors import Invalid, Refused
from shared.emails import email_key

RESET = "reset-password"
RESET_WITHIN = timedelta(minutes=30)
_MOST_PER_ADDRESS = 20
_MOST_PER_PERSON = 3

LINK_ENDED = message("This link no longer works. Ask for a new one.")
SAME = message("This is the password you have already. Please choose another one.")


def ask_for_reset(session: Session, who: str, *, address: str, now: datetime) -> None:
    """Mail a link to everybody meant by a user name or an e-mail address; nothing tells whether there is anybody.

    Raises Refused when too many asked from one address.
    """
    by_address = throttle.per_address("reset", address, _MOST_PER_ADDRESS)
    if throttle.is_exceeded(session, [by_address], now=now):
        raise Refused(throttle.THROTTLED)
    by_person = throttle.limit("reset", email_key(who) if "@" in who else username_key(who), _MOST_PER_PERSON)
    too_often = throttle.is_exceeded(session, [by_person], now=now)
    throttle.count(session, [by_address, by_person], now=now)
    if too_often:
        return
    for user in _meant(session, who):
        to = address_of(user)
        if to is not None:
            token = one_time.issue(session, RESET, user=user, lifetime=RESET_WITHIN, now=now)
            letters.reset_password(session, user, to, token, now=now)


def user_of_link(session: Session, token: str, *, now: datetime) -> User | None:
    """Whose password a link changes, as long as it works."""
    found = one_time.look_up(session, RESET, token, now=now)
    user = session.get(User, found.user_id) if found else None
    return user if user is not None and may_log_in(user) else None


def reset(session: Session, token: str, password: str, *, now: datetime) -> None:
    """Set a new password; every browser is logged out and every other link ends. Raises Invalid and Refused."""
    user = user_of_link(session, token, now=now)
    if user is None:
        raise Refused(LINK_ENDED)
    _check(user, password)
    if one_time.spend(session, RESET, token, now=now) is None:
        raise Refused(LINK_ENDED)
    forgive_name(session, user)
    _set(session, user, password, now=now)


def change(
    session: Session, user: User, *, current: str, password: str, login: LoginSession | None, now: datetime
) -> None:
    """Change the password of somebody logged in; every other browser is logged out.

    Raises Invalid; catch it inside the transaction, because a wrong password is counted.
    """
    try:
        verify_again(session, user, current, now=now)
    except LoginRefused as refused:
        raise Invalid({"current": refused.message_key}) from refused
    if current == password:
        raise Invalid({"password": SAME})
    _check(user, password)
    _set(session, user, password, besides=login, now=now)


def _meant(session: Session, who: str) -> list[User]:
    if "@" in who:
        found = list(users_with_address(session, who))
        if found:
            return found
    user = session.scalar(select(User).where(User.username_key == username_key(who)))
    return [user] if user is not None and may_log_in(user) else []


def _check(user: User, password: str) -> None:
    wrong = passwords.password_error(password, about=(user.username, address_of(user) or ""))
    if wrong:
        raise Invalid({"password": wrong})


def _set(session: Session, user: User, password: str, *, besides: LoginSession | None = None, now: datetime) -> None:
    user.password_hash = passwords.hash_password(password)
    one_time.revoke_all(session, user)
    end_all_sessions(session, user, besides=besides)
    letters.security_changed(session, user, "password_changed", now=now)
