"""Registering and confirming for everybody; approving and refusing for staff (S01, S02)."""

import uuid

from flask import Blueprint, abort, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.people import registration
from portal_service.people.credentials import Registration
from portal_service.people.entry import visitor_address
from portal_service.tickets.account_search import account_choice, searches
from portal_service.tickets.errors import Invalid, Refused
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import Visit, acting, this_portal, this_visit
from shared.clock import utc_now

register_pages = Blueprint("register", __name__, url_prefix="/register")
decide_pages = Blueprint("registrations", __name__, url_prefix="/staff/registrations")

_DECIDED_SHOWN = 20
_SENT_TO = "registered_address"


@register_pages.get("")
def form() -> ResponseReturnValue:
    return _form_page(Entered())


@register_pages.post("")
def register() -> ResponseReturnValue:
    asked = entered()
    application = registration.Application(
        username=asked["username"],
        password=asked["password"],
        name=asked["name"],
        email=asked["email"],
        company=asked["company"],
        language=language(),
    )
    with this_portal().database.write() as writing:
        try:
            registration.register(writing, application, now=utc_now(), address=visitor_address())
        except Invalid as invalid:
            # Caught in here: the attempt it counted has to be committed.
            asked.refuse(invalid.errors)
    if asked.errors:
        return _form_page(asked)
    session[_SENT_TO] = asked["email"].strip()[:320]
    return redirect(url_for("register.sent"), 303)


@register_pages.get("/sent")
def sent() -> ResponseReturnValue:
    return render_template("people/register_sent.html", email=session.get(_SENT_TO))


@register_pages.get("/confirm/<token>")
def confirm_form(token: str) -> ResponseReturnValue:
    """Opening the link changes nothing: mail filters open links too."""
    return _confirm_page(token, Entered())


@register_pages.post("/confirm/<token>")
def confirm(token: str) -> ResponseReturnValue:
    asked = entered()
    with this_portal().database.write() as writing:
        try:
            registration.confirm(writing, token, asked["password"], now=utc_now())
        except Refused as refused:
            asked.refuse({"password": refused.message_key})
    if asked.errors:
        return _confirm_page(token, asked)
    return redirect(url_for("register.confirmed"), 303)


@register_pages.get("/confirmed")
def confirmed() -> ResponseReturnValue:
    return render_template("people/register_confirmed.html")


@decide_pages.get("")
def waiting() -> ResponseReturnValue:
    visit = this_visit()
    return render_template(
        "staff/registrations.html",
        section="registrations",
        waiting=registration.awaiting(visit.session),
        decided=registration.decided(visit.session, limit=_DECIDED_SHOWN),
    )


@decide_pages.get("/<uuid:user_id>")
def look(user_id: uuid.UUID) -> ResponseReturnValue:
    return _decide_page(user_id, Entered())


@decide_pages.post("/<uuid:user_id>/approve")
def approve(user_id: uuid.UUID) -> ResponseReturnValue:
    asked = entered()
    if searches(asked):
        return _decide_page(user_id, asked)
    try:
        with acting() as visit:
            found = _found(visit, user_id)
            registration.approve(
                visit.session,
                found,
                by=visit.staff,
                contact_id=asked.id("contact_id"),
                account_id=asked.id("account_id"),
                now=visit.now,
            )
            name = found.name
    except Invalid as invalid:
        asked.refuse(invalid.errors)
        return _decide_page(user_id, asked)
    except Refused as refused:
        return _decided_already(refused)
    flash(_("%(name)s can log in now and gets a mail that says so.", name=name), "ok")
    return redirect(url_for("registrations.waiting"), 303)


@decide_pages.post("/<uuid:user_id>/refuse")
def refuse(user_id: uuid.UUID) -> ResponseReturnValue:
    asked = entered()
    try:
        with acting() as visit:
            found = _found(visit, user_id)
            registration.refuse(visit.session, found, reason=asked["reason"], by=visit.staff, now=visit.now)
            name = found.name
    except Invalid as invalid:
        asked.refuse(invalid.errors)
        return _decide_page(user_id, asked)
    except Refused as refused:
        return _decided_already(refused)
    flash(_("The registration of %(name)s is refused; the reason is on its way by mail.", name=name), "ok")
    return redirect(url_for("registrations.waiting"), 303)


def _form_page(asked: Entered) -> ResponseReturnValue:
    return render_template("people/register.html", form=asked), asked.status_code


def _confirm_page(token: str, asked: Entered) -> ResponseReturnValue:
    visit = this_visit()
    found = registration.open_registration(visit.session, token, now=visit.now)
    if found is None:
        return render_template("people/link_ended.html", again_url=url_for("register.form")), 410
    return render_template("people/register_confirm.html", registration=found, form=asked), asked.status_code


def _decide_page(user_id: uuid.UUID, asked: Entered) -> ResponseReturnValue:
    visit = this_visit()
    found = _found(visit, user_id)
    contacts = registration.matches(visit.session, found)
    if not asked.values and contacts:
        # One contact is offered as chosen; among several somebody has to choose.
        asked.values["contact_id"] = str(contacts[0].id) if len(contacts) == 1 else "?"
    page = render_template(
        "staff/registration.html",
        section="registrations",
        registration=found,
        contacts=contacts,
        accounts=account_choice(visit.session, asked),
        form=asked,
    )
    return page, asked.status_code


def _decided_already(refused: Refused) -> ResponseReturnValue:
    flash(_(refused.message_key), "bad")
    return redirect(url_for("registrations.waiting"), 303)


def _found(visit: Visit, user_id: uuid.UUID) -> Registration:
    """A registration whose address is proved; others are nobody's business yet."""
    found = visit.session.get(Registration, user_id)
    return found if found is not None and found.confirmed_at is not None else abort(404)
