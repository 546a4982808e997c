"""Support staff as administrators manage them: who there is, who may take which tickets, who may log in (S35, S36)."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from portal_service.crm import users as crm_users
from portal_service.messages import message
from portal_service.people import audit, letters, one_time, passwords, second_factor
from portal_service.people.auth import username_key
from portal_service.people.models import Staff, StaffPermission, User
from portal_service.people.reset import RESET
from portal_service.people.sessions import end_all_sessions
from portal_service.tickets.errors import UNKNOWN, Invalid, Refused
from portal_service.tickets.lifecycle import UNFINISHED
from portal_service.tickets.models import Product, RequestType, Ticket
from portal_service.tickets.text import REQUIRED, clean_line
from shared.emails import email_key, is_email
from shared.ids import new_id

INVITED_FOR = timedelta(days=7)
_LONGEST = 150

TAKEN = message("This user name is taken. Please choose another one.")
ADDRESS_TAKEN = message("Somebody of the staff has this address already.")
NO_EMAIL = message("Please give an e-mail address like name@company.com.")
TOO_LONG = message("Please use at most 150 characters.")
LAST_ADMIN = message("There must be an administrator: make somebody else one first.")
NOT_YOURSELF = message("Ask another administrator: nobody takes away his own rights by mistake.")
HAS_IT_ALREADY = message("This is allowed already.")
NOT_ACTIVE = message("This person is deactivated: no link can let him in.")


@dataclass(frozen=True, kw_only=True)
class StaffLine:
    """One agent in the list."""

    staff: Staff
    login: User | None
    open_tickets: int


@dataclass(frozen=True, kw_only=True)
class NewStaff:
    """What an administrator entered."""

    name: str
    email: str
    username: str
    language: str
    is_admin: bool = False


def all_staff(session: Session) -> list[StaffLine]:
    """Those who work here first, by name."""
    query = select(Staff).options(selectinload(Staff.permissions)).order_by(Staff.active.desc(), func.lower(Staff.name))
    logins = {user.staff_id: user for user in session.scalars(select(User).where(User.staff_id.is_not(None)))}
    rows = session.execute(
        select(Ticket.assignee_id, func.count())
        .where(Ticket.status.in_(UNFINISHED), Ticket.deleted_at.is_(None))
        .group_by(Ticket.assignee_id)
    )
    counts = {row[0]: row[1] for row in rows}
    return [
        StaffLine(staff=staff, login=logins.get(staff.id), open_tickets=counts.get(staff.id, 0))
        for staff in session.scalars(query)
    ]


def login_of(session: Session, staff: Staff) -> User | None:
    return session.scalar(select(User).where(User.staff_id == staff.id))


def add(session: Session, given: NewStaff, *, by: Staff, now: datetime) -> Staff:
    """A new agent, who chooses a password by a mailed link; takes no tickets before somebody allows some.

    Raises Invalid.
    """
    user = _add(session, given, by=by, now=now)
    _invite(session, user, clean_line(given.email), now=now)
    return _staff_of(user)


def add_administrator(session: Session, given: NewStaff, *, now: datetime) -> str:
    """From the command line: the first administrator, or one more, or the right and a new link for an agent there is.

    Returns the token of the link, which works once and for `INVITED_FOR`. Raises Invalid, also for a customer's log-in.
    """
    user = session.scalar(select(User).where(User.username_key == username_key(clean_line(given.username))))
    if user is None or user.staff is None:
        user = _add(session, replace(given, is_admin=True), by=None, now=now)
    else:
        staff = _staff_of(user)
        staff.is_admin, staff.active, staff.deactivated_at = True, True, None
        audit.record(session, "admin_given", by=None, about=staff.name, now=now)
    return one_time.issue(session, RESET, user=user, lifetime=INVITED_FOR, now=now)


def _staff_of(user: User) -> Staff:
    assert user.staff is not None
    return user.staff


def _add(session: Session, given: NewStaff, *, by: Staff | None, now: datetime) -> User:
    new = NewStaff(
        name=clean_line(given.name),
        email=clean_line(given.email),
        username=clean_line(given.username),
        language=given.language,
        is_admin=given.is_admin,
    )
    errors = _errors(session, new)
    if errors:
        raise Invalid(errors)
    staff = Staff(id=new_id(), name=new.name, email=new.email, active=True, available=True, is_admin=new.is_admin)
    user = User(
        id=new_id(),
        username=new.username,
        username_key=username_key(new.username),
        password_hash=passwords.no_password(),
        staff=staff,
        language=new.language,
        state="approved",
    )
    session.add_all([staff, user])
    session.flush()
    found = crm_users.find_for(session, staff)
    if found is not None:
        crm_users.link(session, staff, found.crm_id, now=now)
    audit.record(session, "staff_added", by=by, about=staff.name, now=now, detail=f"{new.username}, {new.email}")
    return user


def invite_again(session: Session, staff: Staff, *, by: Staff, now: datetime) -> None:
    """Mail a new link to choose a password. Raises Refused for somebody deactivated or without a log-in."""
    user = login_of(session, staff)
    if user is None or not staff.active:
        raise Refused(NOT_ACTIVE)
    one_time.revoke_all(session, user)
    _invite(session, user, staff.email, now=now)
    audit.record(session, "staff_invited", by=by, about=staff.name, now=now)


def allow(
    session: Session,
    staff: Staff,
    request_type_id: uuid.UUID | None,
    product_id: uuid.UUID | None,
    *,
    by: Staff,
    now: datetime,
) -> None:
    """Let an agent take tickets of a type and a product; None is any. Raises Invalid."""
    chosen = session.get(RequestType, request_type_id) if request_type_id else None
    product = session.get(Product, product_id) if product_id else None
    if request_type_id is not None and chosen is None:
        raise Invalid({"request_type_id": UNKNOWN})
    if product_id is not None and product is None:
        raise Invalid({"product_id": UNKNOWN})
    if any((one.request_type_id, one.product_id) == (request_type_id, product_id) for one in staff.permissions):
        raise Invalid({"request_type_id": HAS_IT_ALREADY})
    staff.permissions.append(StaffPermission(request_type_id=request_type_id, product_id=product_id))
    session.flush()
    _log_permission(session, "permission_given", staff, chosen, product, by=by, now=now)


def disallow(session: Session, staff: Staff, permission_id: uuid.UUID, *, by: Staff, now: datetime) -> None:
    """Take a permission back; tickets the agent has stay with him."""
    found = next((one for one in staff.permissions if one.id == permission_id), None)
    if found is None:
        return
    chosen = session.get(RequestType, found.request_type_id) if found.request_type_id else None
    product = session.get(Product, found.product_id) if found.product_id else None
    staff.permissions.remove(found)
    session.flush()
    _log_permission(session, "permission_taken", staff, chosen, product, by=by, now=now)


def set_available(session: Session, staff: Staff, *, available: bool, by: Staff, now: datetime) -> None:
    """Whether new tickets go to an agent (S36)."""
    if staff.available != available:
        staff.available = available
        audit.record(session, "available" if available else "away", by=by, about=staff.name, now=now)


def set_admin(session: Session, staff: Staff, *, is_admin: bool, by: Staff, now: datetime) -> None:
    """Raises Refused where nobody would be left, or somebody would do it to himself."""
    if staff.is_admin == is_admin:
        return
    if not is_admin:
        _need_another_admin(session, staff, by=by)
    staff.is_admin = is_admin
    audit.record(session, "admin_given" if is_admin else "admin_taken", by=by, about=staff.name, now=now)


def deactivate(session: Session, staff: Staff, *, by: Staff, now: datetime) -> None:
    """Log somebody out everywhere and let him in no more; his tickets stay his until they are transferred.

    Raises Refused where no administrator would be left, or somebody would do it to himself.
    """
    _need_another_admin(session, staff, by=by)
    staff.active, staff.deactivated_at = False, staff.deactivated_at or now
    end_access(session, staff)
    audit.record(session, "staff_deactivated", by=by, about=staff.name, now=now)


def activate(session: Session, staff: Staff, *, by: Staff, now: datetime) -> None:
    """Let somebody in again, with the password he had."""
    staff.active, staff.deactivated_at = True, None
    audit.record(session, "staff_activated", by=by, about=staff.name, now=now)


def log_out(session: Session, staff: Staff, *, by: Staff, now: datetime) -> None:
    """End all sessions and links, for example after a lost laptop."""
    end_access(session, staff)
    audit.record(session, "logged_out", by=by, about=staff.name, now=now)


def remove_second_step(session: Session, staff: Staff, *, by: Staff, now: datetime) -> None:
    """For somebody who lost phone and codes; a mail tells him."""
    user = login_of(session, staff)
    if user is not None:
        second_factor.remove_all(session, user, now=now)
    end_access(session, staff)
    audit.record(session, "second_step_removed", by=by, about=staff.name, now=now)


def end_access(session: Session, staff: Staff) -> None:
    """No browser stays logged in and no mailed link works."""
    user = login_of(session, staff)
    if user is not None:
        end_all_sessions(session, user)
        one_time.revoke_all(session, user)


def _errors(session: Session, new: NewStaff) -> dict[str, str]:
    texts = {"name": new.name, "email": new.email, "username": new.username}
    errors = {field: REQUIRED for field, text in texts.items() if not text}
    errors |= {field: TOO_LONG for field, text in texts.items() if len(text) > _LONGEST}
    if new.email and not is_email(new.email):
        errors["email"] = NO_EMAIL
    if any(email_key(address) == email_key(new.email) for address in session.scalars(select(Staff.email))):
        errors["email"] = ADDRESS_TAKEN
    if new.username and session.scalar(select(User.id).where(User.username_key == username_key(new.username))):
        errors["username"] = TAKEN
    return errors


def _invite(session: Session, user: User, address: str, *, now: datetime) -> None:
    token = one_time.issue(session, RESET, user=user, lifetime=INVITED_FOR, now=now)
    letters.staff_invited(session, user, address, token, now=now)


def _need_another_admin(session: Session, staff: Staff, *, by: Staff) -> None:
    """Locks those who are one, so that two cannot send each other off at the same moment."""
    if staff.id == by.id:
        raise Refused(NOT_YOURSELF)
    query = select(Staff).where(Staff.is_admin).order_by(Staff.id).with_for_update()
    admins = session.scalars(query.execution_options(populate_existing=True)).all()
    can_log_in = set(session.scalars(select(User.staff_id).where(User.state == "approved")))
    left = [one for one in admins if one.active and one.id != staff.id and one.id in can_log_in]
    if not left or by.id not in {one.id for one in left}:
        raise Refused(LAST_ADMIN)


def _log_permission(
    session: Session,
    action: str,
    staff: Staff,
    request_type: RequestType | None,
    product: Product | None,
    *,
    by: Staff,
    now: datetime,
) -> None:
    words = f"{request_type.name_en if request_type else 'any type'}, {product.name if product else 'any product'}"
    audit.record(session, action, by=by, about=staff.name, now=now, detail=words)
