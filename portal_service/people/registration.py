"""Self-registration: asked for, confirmed by mail, approved or refused by staff (S01, S02)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session, joinedload

from portal_service.messages import message
from portal_service.people import letters, one_time, passwords, throttle
from portal_service.people.auth import LoginRefused, username_key, verify_again
from portal_service.people.credentials import ExternalLogin, OneTimeToken, Registration
from portal_service.people.lookup import contacts_with_address, users_with_address
from portal_service.people.models import Account, Contact, ContactEmail, Staff, User
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.text import REQUIRED, clean_body, clean_line
from shared.emails import email_key, is_email
from shared.ids import new_id

CONFIRM = "confirm-registration"
CONFIRM_WITHIN = timedelta(days=2)
_KEEP_REFUSED = timedelta(days=30)
_MOST_PER_ADDRESS = 20
_MOST_PER_EMAIL = 3
_MAX_REASON = 2000

TAKEN = message("This user name is taken. Please choose another one.")
NO_EMAIL = message("Please give an e-mail address like name@company.com.")
TOO_LONG = message("Please use at most 150 characters.")
REASON_TOO_LONG = message("Please use at most 2,000 characters.")
DECIDED = message("This registration was decided already.")
NO_ACCOUNT = message("Please choose the account this person belongs to.")
NOT_A_MATCH = message("This contact cannot be chosen: it has a log-in already or another address.")


@dataclass(frozen=True, kw_only=True)
class Application:
    """What an applicant entered."""

    username: str
    password: str
    name: str
    email: str
    company: str = ""
    language: str = "en"


def register(session: Session, application: Application, *, now: datetime, address: str = "") -> None:
    """Ask for a log-in; a mail to the address says how to go on, also to an address that is known already.

    Whoever reads the answer learns nothing about the address. Raises Invalid; catch it inside the transaction, because
    the attempt it counted has to be committed.
    """
    new = _cleaned(application)
    by_address = per_address_limit(address)
    if throttle.is_exceeded(session, [by_address], now=now):
        raise Invalid({"": throttle.THROTTLED})
    throttle.count(session, [by_address], now=now)
    errors = _errors(session, new)
    if errors:
        raise Invalid(errors)
    # Before the address is looked up, so that every answer takes the same time.
    password_hash = passwords.hash_password(new.password)
    by_email = throttle.limit("register", email_key(new.email), _MOST_PER_EMAIL)
    if throttle.is_exceeded(session, [by_email], now=now):
        return
    throttle.count(session, [by_email], now=now)
    known = users_with_address(session, new.email)
    if known:
        letters.already_known(session, new.email, known, language=new.language, now=now)
    elif not is_waiting(session, new.email):
        _begin(session, new, password_hash, now=now)


def open_registration(session: Session, token: str, *, now: datetime) -> Registration | None:
    """The registration a confirmation link belongs to, as long as the link works."""
    found = one_time.look_up(session, CONFIRM, token, now=now)
    return session.get(Registration, found.user_id) if found else None


def confirm(session: Session, token: str, password: str, *, now: datetime) -> None:
    """Prove the address by the link and, by the password, that it was the same person who registered. Raises Refused.

    Without the password somebody could register with another's address and wait for that person to follow the link.
    Catch the refusal inside the transaction, because the attempt it counted has to be committed.
    """
    registration = open_registration(session, token, now=now)
    if registration is None:
        raise Refused(DECIDED)
    try:
        verify_again(session, registration.user, password, now=now)
    except LoginRefused as refused:
        raise Refused(refused.message_key) from refused
    if one_time.spend(session, CONFIRM, token, now=now) is None:
        raise Refused(DECIDED)
    wait_for_approval(session, registration, now=now)


def wait_for_approval(session: Session, registration: Registration, *, now: datetime) -> None:
    """The address is proved: from now on staff see the registration, and are told of it."""
    registration.user.state = "awaiting_approval"
    registration.confirmed_at = now
    letters.registration_waits(session, registration, now=now)


def awaiting(session: Session) -> Sequence[Registration]:
    """Registrations that wait for a decision, the oldest first."""
    query = select(Registration).join(Registration.user).where(User.state == "awaiting_approval")
    return session.scalars(query.options(joinedload(Registration.user)).order_by(Registration.confirmed_at)).all()


def awaiting_count() -> Select[int]:
    """How many; to be read with other numbers."""
    return select(func.count()).select_from(User).where(User.state == "awaiting_approval")


def decided(session: Session, *, limit: int) -> Sequence[Registration]:
    """What was decided lately, the newest first."""
    query = select(Registration).where(Registration.decided_at.is_not(None)).order_by(Registration.decided_at.desc())
    return session.scalars(query.options(joinedload(Registration.user)).limit(limit)).all()


def matches(session: Session, registration: Registration) -> Sequence[Contact]:
    """The contacts of the directory who have the applicant's address and no log-in yet; of several none is guessed."""
    return contacts_with_address(session, registration.email, without_login=True)


def approve(
    session: Session,
    registration: Registration,
    *,
    by: Staff,
    contact_id: uuid.UUID | None = None,
    account_id: uuid.UUID | None = None,
    now: datetime,
) -> None:
    """Let an applicant in, as a known contact or as a new one of an account; one mail tells him.

    The CRM learns of a new contact by his first ticket. Raises Invalid and Refused.
    """
    user = _undecided(session, registration)
    contact = _chosen(session, registration, contact_id)
    account = session.get(Account, account_id) if account_id else None
    if contact.account is None:
        if account is None or not account.active:
            raise Invalid({"account_id": NO_ACCOUNT})
        contact.account = account
    session.add(contact)
    contact.guest = False
    user.contact = contact
    user.state = "approved"
    _decide(registration, by=by, now=now)
    session.flush()
    letters.registration_approved(session, user, registration, now=now)


def refuse(session: Session, registration: Registration, *, reason: str, by: Staff, now: datetime) -> None:
    """Decline a registration; the applicant reads the reason. Raises Invalid and Refused."""
    user = _undecided(session, registration)
    reason = clean_body(reason).strip()
    if not reason or len(reason) > _MAX_REASON:
        raise Invalid({"reason": REASON_TOO_LONG if reason else REQUIRED})
    user.state = "rejected"
    registration.reason = reason
    _decide(registration, by=by, now=now)
    letters.registration_refused(session, registration, now=now)


def forget_stale(session: Session, *, now: datetime) -> None:
    """Delete what nobody confirmed in time and what was refused long ago; the user names are free again."""
    unconfirmed = (User.state == "unconfirmed") & (Registration.created_at < now - CONFIRM_WITHIN)
    refused = (User.state == "rejected") & (Registration.decided_at < now - _KEEP_REFUSED)
    ids = list(session.scalars(select(User.id).join(Registration).where(unconfirmed | refused)))
    for column in (OneTimeToken.user_id, ExternalLogin.user_id, Registration.user_id, User.id):
        session.execute(delete(column.class_).where(column.in_(ids)))


def per_address_limit(address: str) -> throttle.Limit:
    """How often somebody may try to register."""
    return throttle.per_address("register", address, _MOST_PER_ADDRESS)


def _begin(session: Session, new: Application, password_hash: str, *, now: datetime) -> None:
    user = User(
        id=new_id(),
        username=new.username,
        username_key=username_key(new.username),
        password_hash=password_hash,
        language=new.language,
        state="unconfirmed",
    )
    registration = Registration(
        user=user,
        name=new.name,
        email=new.email,
        email_key=email_key(new.email),
        company=new.company,
        created_at=now,
    )
    session.add_all([user, registration])
    session.flush()
    token = one_time.issue(session, CONFIRM, user=user, lifetime=CONFIRM_WITHIN, now=now)
    letters.confirm_registration(session, registration, token, now=now)


def _cleaned(given: Application) -> Application:
    return Application(
        username=clean_line(given.username),
        password=given.password,
        name=clean_line(given.name),
        email=clean_line(given.email),
        company=clean_line(given.company),
        language=given.language,
    )


def _errors(session: Session, new: Application) -> dict[str, str]:
    texts = {"username": new.username, "name": new.name, "company": new.company}
    errors = {field: REQUIRED for field, text in texts.items() if not text}
    errors |= {field: TOO_LONG for field, text in texts.items() if len(text) > 150}
    if not is_email(new.email):
        errors["email"] = NO_EMAIL
    wrong = passwords.password_error(new.password, about=(new.username, new.email))
    if wrong:
        errors["password"] = wrong
    if new.username and session.scalar(select(User.id).where(User.username_key == username_key(new.username))):
        errors["username"] = TAKEN
    return errors


def is_waiting(session: Session, email: str) -> bool:
    """Whether somebody with this proved address waits for staff already."""
    waiting = select(Registration.user_id).join(Registration.user).where(User.state == "awaiting_approval")
    return session.scalar(waiting.where(Registration.email_key == email_key(email)).limit(1)) is not None


def _undecided(session: Session, registration: Registration) -> User:
    user = registration.user
    session.refresh(user, with_for_update=True)
    if user.state != "awaiting_approval":
        raise Refused(DECIDED)
    return user


def _chosen(session: Session, registration: Registration, contact_id: uuid.UUID | None) -> Contact:
    if contact_id is None:
        new = Contact(id=new_id(), name=registration.name, active=True)
        new.emails = [ContactEmail(position=0, address=registration.email, key=registration.email_key)]
        return new
    known = next((one for one in matches(session, registration) if one.id == contact_id), None)
    if known is None:
        raise Invalid({"contact_id": NOT_A_MATCH})
    return known


def _decide(registration: Registration, *, by: Staff, now: datetime) -> None:
    registration.decided_at = now
    registration.decided_by = by.name
