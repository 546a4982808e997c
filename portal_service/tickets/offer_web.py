"""Administrators say what can be chosen: request types and categories (S14, S17)."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.people import audit, policy
from portal_service.tickets import offer
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.models import Category, RequestType
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import Visit, acting, this_visit

offer_pages = Blueprint("offer", __name__, url_prefix="/staff/offer")

KINDS: Mapping[str, offer.Kind] = {"types": RequestType, "categories": Category}
_KIND = "/<any(types, categories):kind>"
_CHANGES_SHOWN = 30


@offer_pages.before_request
def only_admins() -> None:
    """For everybody else these pages do not exist."""
    if not policy.may_manage_access(this_visit().signed_in):
        abort(404)


@offer_pages.get("")
def everything() -> ResponseReturnValue:
    reading = this_visit().session
    return render_template(
        "staff/offer.html",
        section="offer",
        types=offer.everything(reading, RequestType),
        categories=offer.everything(reading, Category),
        changes=audit.latest(reading, limit=_CHANGES_SHOWN, offer=True),
    )


@offer_pages.get(f"{_KIND}/new")
def new(kind: str) -> ResponseReturnValue:
    return _page(kind, None, Entered())


@offer_pages.post(f"{_KIND}/new")
def add(kind: str) -> ResponseReturnValue:
    form = entered()
    try:
        with _managing() as visit:
            made = offer.add(visit.session, KINDS[kind], _texts(form), by=visit.staff, now=visit.now)
            item_id = made.id
    except Invalid as invalid:
        form.refuse(invalid.errors)
        return _page(kind, None, form)
    flash(_("Added. It is on offer from now on."), "ok")
    return _listed(item_id)


@offer_pages.get(f"{_KIND}/<uuid:item_id>")
def one(kind: str, item_id: uuid.UUID) -> ResponseReturnValue:
    item = _found(this_visit(), kind, item_id)
    return _page(kind, item, Entered({name: getattr(item, name) or "" for name in offer.text_names(item)}))


@offer_pages.post(f"{_KIND}/<uuid:item_id>")
def change(kind: str, item_id: uuid.UUID) -> ResponseReturnValue:
    form = entered()
    try:
        with _managing() as visit:
            found = _found(visit, kind, item_id)
            offer.change(visit.session, found, _texts(form), by=visit.staff, now=visit.now)
    except Invalid as invalid:
        form.refuse(invalid.errors)
        return _page(kind, _found(this_visit(), kind, item_id), form)
    flash(_("Saved."), "ok")
    return _listed(item_id)


@offer_pages.post(f"{_KIND}/<uuid:item_id>/<any(up, down):way>")
def move(kind: str, item_id: uuid.UUID, way: str) -> ResponseReturnValue:
    with _managing() as visit:
        found = _found(visit, kind, item_id)
        place = offer.place_of(visit.session, found) + (1 if way == "down" else -1)
        offer.move(visit.session, found, place, by=visit.staff, now=visit.now)
    return _listed(item_id)


@offer_pages.post(f"{_KIND}/<uuid:item_id>/<any(withdraw, offer):act>")
def press(kind: str, item_id: uuid.UUID, act: str) -> ResponseReturnValue:
    do, told = {
        "withdraw": (offer.withdraw, _("Withdrawn. Tickets that have it keep it.")),
        "offer": (offer.offer_again, _("It is on offer again.")),
    }[act]
    try:
        with _managing() as visit:
            do(visit.session, _found(visit, kind, item_id), by=visit.staff, now=visit.now)
    except Refused as refused:
        flash(_(refused.message_key), "bad")
    else:
        flash(told, "ok")
    return _listed(item_id)


@contextmanager
def _managing() -> Iterator[Visit]:
    """A transaction of an administrator, looked at again inside of it."""
    with acting() as visit:
        if not policy.may_manage_access(visit.signed_in):
            abort(404)
        yield visit


def _found(visit: Visit, kind: str, item_id: uuid.UUID) -> offer.Item:
    return offer.find(visit.session, KINDS[kind], item_id) or abort(404)


def _texts(form: Entered) -> offer.Texts:
    return offer.Texts(**{name: form[name] for name in ("name_en", "name_nl", "hint_en", "hint_nl")})


def _listed(item_id: uuid.UUID) -> ResponseReturnValue:
    """Back to the list, where the one that was changed is."""
    return redirect(url_for("offer.everything", _anchor=f"item-{item_id}"), 303)


def _page(kind: str, item: offer.Item | None, form: Entered) -> ResponseReturnValue:
    page = render_template("staff/offer_one.html", section="offer", kind=kind, item=item, form=form)
    return page, form.status_code
