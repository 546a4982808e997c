"""Administrators look after the support staff: add, deactivate, permissions, availability (S35, S36)."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.people import audit, policy, second_factor, staff_accounts
from portal_service.people.models import Staff
from portal_service.tickets import choices
from portal_service.tickets.errors import Invalid, Refused
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.texts import name_of
from portal_service.web.visits import Visit, acting, this_visit
from shared.settings import LANGUAGES

people_pages = Blueprint("staff_people", __name__, url_prefix="/staff/people")

_CHANGES_SHOWN = 30


@people_pages.before_request
def only_admins() -> None:
    """For everybody else these pages do not exist."""
    if not policy.may_manage_access(this_visit().signed_in):
        abort(404)


@people_pages.get("")
def everybody() -> ResponseReturnValue:
    visit = this_visit()
    return render_template(
        "people/staff_list.html",
        section="people",
        lines=staff_accounts.all_staff(visit.session),
        permission_words=_permission_words(visit),
        changes=audit.latest(visit.session, limit=_CHANGES_SHOWN, offer=False),
    )


@people_pages.get("/new")
def new() -> ResponseReturnValue:
    return _new_page(Entered({"language": language()}))


@people_pages.post("/new")
def add() -> ResponseReturnValue:
    form = entered()
    given = staff_accounts.NewStaff(
        name=form["name"],
        email=form["email"],
        username=form["username"],
        language=form["language"] if form["language"] in LANGUAGES else language(),
        is_admin=form["is_admin"] == "yes",
    )
    try:
        with _managing() as visit:
            made = staff_accounts.add(visit.session, given, by=visit.staff, now=visit.now)
            staff_id = made.id
    except Invalid as invalid:
        form.refuse(invalid.errors)
        return _new_page(form)
    flash(_("Added. A mail with a link to choose a password is on its way."), "ok")
    return redirect(url_for("staff_people.one", staff_id=staff_id), 303)


@people_pages.get("/<uuid:staff_id>")
def one(staff_id: uuid.UUID) -> ResponseReturnValue:
    return _page(staff_id, Entered())


@people_pages.post("/<uuid:staff_id>/permissions")
def allow(staff_id: uuid.UUID) -> ResponseReturnValue:
    form = entered()
    try:
        with _managing() as visit:
            staff_accounts.allow(
                visit.session,
                _found(visit, staff_id),
                form.id("request_type_id"),
                form.id("product_id"),
                by=visit.staff,
                now=visit.now,
            )
    except Invalid as invalid:
        form.refuse(invalid.errors)
        return _page(staff_id, form)
    return _saved(staff_id)


@people_pages.post("/<uuid:staff_id>/permissions/<uuid:permission_id>/remove")
def disallow(staff_id: uuid.UUID, permission_id: uuid.UUID) -> ResponseReturnValue:
    with _managing() as visit:
        staff_accounts.disallow(visit.session, _found(visit, staff_id), permission_id, by=visit.staff, now=visit.now)
    return _saved(staff_id)


@people_pages.post("/<uuid:staff_id>/availability")
def availability(staff_id: uuid.UUID) -> ResponseReturnValue:
    available = entered()["available"] == "yes"
    with _managing() as visit:
        staff = _found(visit, staff_id)
        staff_accounts.set_available(visit.session, staff, available=available, by=visit.staff, now=visit.now)
    return _saved(staff_id)


@people_pages.post("/<uuid:staff_id>/admin")
def admin(staff_id: uuid.UUID) -> ResponseReturnValue:
    wanted = entered()["is_admin"] == "yes"
    with _managing(staff_id) as visit:
        staff_accounts.set_admin(visit.session, _found(visit, staff_id), is_admin=wanted, by=visit.staff, now=visit.now)
        flash(_("Saved."), "ok")
    return redirect(url_for("staff_people.one", staff_id=staff_id), 303)


@people_pages.post("/<uuid:staff_id>/<any(deactivate, activate, invite_again, log_out, remove_second_step):act>")
def change(staff_id: uuid.UUID, act: str) -> ResponseReturnValue:
    """What needs no more than a press."""
    do, told = {
        "deactivate": (staff_accounts.deactivate, _("Deactivated and logged out everywhere.")),
        "activate": (staff_accounts.activate, _("This person can log in again.")),
        "invite_again": (staff_accounts.invite_again, _("A new link is on its way; older ones have ended.")),
        "log_out": (staff_accounts.log_out, _("All browsers of this person are logged out.")),
        "remove_second_step": (
            staff_accounts.remove_second_step,
            _("The second step is removed: the password lets this person in again."),
        ),
    }[act]
    with _managing(staff_id) as visit:
        do(visit.session, _found(visit, staff_id), by=visit.staff, now=visit.now)
        flash(told, "ok")
    return redirect(url_for("staff_people.one", staff_id=staff_id), 303)


@contextmanager
def _managing(staff_id: uuid.UUID | None = None) -> Iterator[Visit]:
    """A transaction of an administrator, looked at again inside of it; what is refused is told and not done."""
    try:
        with acting() as visit:
            if not policy.may_manage_access(visit.signed_in):
                abort(404)
            yield visit
    except Refused as refused:
        if staff_id is None:
            raise
        flash(_(refused.message_key), "bad")


def _found(visit: Visit, staff_id: uuid.UUID) -> Staff:
    return visit.session.get(Staff, staff_id) or abort(404)


def _saved(staff_id: uuid.UUID) -> ResponseReturnValue:
    flash(_("Saved."), "ok")
    return redirect(url_for("staff_people.one", staff_id=staff_id), 303)


def _new_page(form: Entered) -> ResponseReturnValue:
    return render_template("people/staff_new.html", section="people", form=form), form.status_code


def _page(staff_id: uuid.UUID, form: Entered) -> ResponseReturnValue:
    visit = this_visit()
    staff = _found(visit, staff_id)
    login = staff_accounts.login_of(visit.session, staff)
    line = next(line for line in staff_accounts.all_staff(visit.session) if line.staff.id == staff.id)
    page = render_template(
        "people/staff_one.html",
        section="people",
        person=staff,
        line=line,
        login=login,
        factors=second_factor.factors_of(visit.session, login) if login else None,
        permission_words=_permission_words(visit),
        types=[(item.id, name_of(item)) for item in choices.request_types(visit.session)],
        products=choices.products(visit.session),
        changes=audit.latest(visit.session, limit=_CHANGES_SHOWN, about=staff.name, offer=False),
        form=form,
    )
    return page, form.status_code


def _permission_words(visit: Visit) -> dict[uuid.UUID, str]:
    """The names of types and products by id."""
    types = {item.id: name_of(item) for item in choices.all_request_types(visit.session)}
    return {**types, **dict(choices.all_products(visit.session))}
