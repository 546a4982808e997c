"""Staff look at what a contact may see; admins change it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.people import access, audit, policy, second_factor, sessions
from portal_service.people.models import Account, Contact
from portal_service.tickets.account_search import account_choice, searches
from portal_service.tickets.errors import Invalid
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import Visit, acting, this_visit

access_pages = Blueprint("access", __name__, url_prefix="/staff/contacts/<uuid:contact_id>")
log = structlog.get_logger(__name__)


@access_pages.get("")
def show(contact_id: uuid.UUID) -> ResponseReturnValue:
    return _page(contact_id, Entered())


@access_pages.post("/accounts")
def grant(contact_id: uuid.UUID) -> ResponseReturnValue:
    form = entered()
    if searches(form):
        return _page(contact_id, form)
    try:
        with _managing() as visit:
            contact = _contact(visit, contact_id)
            account = access.grant(visit.session, contact, form.id("account_id"), form["level"])
            _log(visit, "access_granted", contact, f"{account.name}: {form['level']}")
    except Invalid as invalid:
        form.refuse(invalid.errors)
        return _page(contact_id, form)
    flash(_("Saved."), "ok")
    return redirect(url_for("access.show", contact_id=contact_id), 303)


@access_pages.post("/accounts/<uuid:account_id>/withdraw")
def withdraw(contact_id: uuid.UUID, account_id: uuid.UUID) -> ResponseReturnValue:
    with _managing() as visit:
        contact, account = _contact(visit, contact_id), visit.session.get(Account, account_id)
        access.withdraw(visit.session, contact, account_id)
        _log(visit, "access_withdrawn", contact, account.name if account else "")
    flash(_("Saved."), "ok")
    return redirect(url_for("access.show", contact_id=contact_id), 303)


@access_pages.post("/log-out")
def log_out(contact_id: uuid.UUID) -> ResponseReturnValue:
    """End all sessions of a contact, for example after a lost laptop."""
    with _managing() as visit:
        contact = _contact(visit, contact_id)
        user = access.login_of(visit.session, contact)
        if user is not None:
            sessions.end_all_sessions(visit.session, user)
            _log(visit, "logged_out", contact)
    flash(_("All browsers of this person are logged out."), "ok")
    return redirect(url_for("access.show", contact_id=contact_id), 303)


@access_pages.post("/second-step/remove")
def remove_second_step(contact_id: uuid.UUID) -> ResponseReturnValue:
    """For somebody who lost phone and codes; all his browsers are logged out and a mail tells him."""
    with _managing() as visit:
        contact = _contact(visit, contact_id)
        user = access.login_of(visit.session, contact) or abort(404)
        second_factor.remove_all(visit.session, user, now=visit.now)
        sessions.end_all_sessions(visit.session, user)
        _log(visit, "second_step_removed", contact)
    flash(_("The second step is removed: the password lets this person in again."), "ok")
    return redirect(url_for("access.show", contact_id=contact_id), 303)


@contextmanager
def _managing() -> Iterator[Visit]:
    """A transaction for those who may change what others see; for everybody else the form does not exist."""
    if not policy.may_manage_access(this_visit().signed_in):
        abort(404)
    with acting() as visit:
        yield visit


def _log(visit: Visit, action: str, contact: Contact, detail: str = "") -> None:
    audit.record(visit.session, action, by=visit.staff, about=contact.name, now=visit.now, detail=detail)
    log.info(action, contact=str(contact.id), by=str(visit.staff.id))


def _contact(visit: Visit, contact_id: uuid.UUID) -> Contact:
    return visit.session.get(Contact, contact_id) or abort(404)


def _page(contact_id: uuid.UUID, form: Entered) -> ResponseReturnValue:
    visit = this_visit()
    contact = _contact(visit, contact_id)
    login = access.login_of(visit.session, contact)
    page = render_template(
        "staff/contact.html",
        contact=contact,
        accesses=access.accesses(contact),
        login=login,
        factors=second_factor.factors_of(visit.session, login) if login else None,
        may_manage=policy.may_manage_access(visit.signed_in),
        accounts=account_choice(visit.session, form),
        form=form,
    )
    return page, form.status_code
