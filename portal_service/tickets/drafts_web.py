"""Drafts over HTTP: saved while typing, listed at home, deleted; and kept when a form arrives too late."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint, abort, flash, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_datetime
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError, generate_csrf
from werkzeug.exceptions import HTTPException

from portal_service.files.web import file_ids, files_owner, receive_files
from portal_service.messages import message
from portal_service.people.models import Contact, User
from portal_service.tickets import actions, choices, drafts
from portal_service.tickets.drafts import ChangedElsewhereError, Place, Typed
from portal_service.tickets.errors import Invalid
from portal_service.tickets.filing_form import KEPT
from portal_service.tickets.filing_web import Filing, form_page, read_filing, ticket_token, typed_in
from portal_service.tickets.rescue import read_rescue_token
from portal_service.web.forms import Entered, entered
from portal_service.web.texts import name_of
from portal_service.web.visits import Visit, acting, admit, release, this_portal, this_visit
from shared import error_pages
from shared.clock import utc_now

draft_pages = Blueprint("drafts", __name__, url_prefix="/drafts")

EXPIRED = message(
    "Nothing was sent yet, because this page was open for too long or you logged in again meanwhile. Everything you "
    "typed is still here: please press the button again."
)

FOREIGN = message(
    "This page belonged to another log-in, so nothing was sent. What was typed is kept there as a draft; you are "
    "logged in as somebody else now."
)


@dataclass(frozen=True)
class ShownDraft:
    """A draft as its owner sees it listed."""

    draft: drafts.Draft
    type_name: str
    contact_name: str | None
    url: str


@draft_pages.get("/token")
def token() -> ResponseReturnValue:
    """A fresh form token for a page whose own has ended, and who is logged in by now."""
    return jsonify(csrf_token=generate_csrf(), visitor=str(this_visit().signed_in.id))


@draft_pages.post("/<type_key>")
@draft_pages.post("/<type_key>/<uuid:contact_id>")
def save(type_key: str, contact_id: uuid.UUID | None = None) -> ResponseReturnValue:
    """Keep what was typed; answers a script in JSON and a form with a page."""
    read_filing(this_visit(), type_key, contact_id)
    form = entered()
    files = receive_files(form)
    owner = files_owner()
    try:
        with acting() as visit:
            filed = actions.find_imported(visit.session, ticket_token(form))
            if filed is not None and filed.contact_id == (contact_id or visit.signed_in.contact_id):
                return _already_filed(filed.number)
            place = read_filing(visit, type_key, contact_id).place(visit.signed_in)
            draft = drafts.save(
                visit.session, place, typed_in(form, files), revision=_revision(form), owner=owner, now=visit.now
            )
            revision = draft.revision if draft else 0
    except ChangedElsewhereError as changed:
        return jsonify(error=_(drafts.CHANGED_ELSEWHERE), revision=changed.revision), 409
    except Invalid as invalid:
        form.refuse(invalid.errors)
        if _wants_json():
            return jsonify(error=_(invalid.errors[""])), 422
    if _wants_json():
        return jsonify(revision=revision, saved=format_datetime(utc_now(), "HH:mm"))
    return _saved(form, read_filing(this_visit(), type_key, contact_id))


@draft_pages.post("/<uuid:draft_id>/discard")
def discard(draft_id: uuid.UUID) -> ResponseReturnValue:
    with acting() as visit:
        if not drafts.discard(visit.session, visit.signed_in.id, draft_id):
            abort(404)
        is_staff = visit.signed_in.staff_id is not None
    flash(_("The draft is deleted."), "ok")
    return redirect(_list_url(is_staff), 303)


def own_drafts() -> Sequence[ShownDraft]:
    """The visitor's drafts for the pages that list them, newest first."""
    visit = this_visit()
    found = drafts.drafts_of(visit.session, visit.signed_in.id, now=visit.now)
    if not found:
        return []
    names = {one.key: name_of(one) for one in choices.all_request_types(visit.session)}
    return [_shown(visit, draft, names[draft.type_key]) for draft in found if draft.type_key in names]


def rescue() -> str | None:
    """Keep, as a draft of its owner, what a form brings whose sender is logged out; returns where it goes on.

    None if this was no form of a request. Files that came with the form itself are not kept: nobody vouches for them.
    """
    place = read_rescue_token(request.form.get("rescue", "")) if request.endpoint in _LATE else None
    if place is None:
        return None
    form = entered()
    typed = Typed(values={name: form[name] for name in KEPT}, files=file_ids(request.form.getlist("kept_files")))
    try:
        with this_portal().database.write() as session:
            if session.get(User, place.user_id) is None:
                return None
            drafts.save(session, place, typed, revision=None, owner=str(place.user_id), now=utc_now())
    except Invalid:
        return None
    return _form_url(place)


def answer_expired_form(_error: CSRFError) -> ResponseReturnValue:
    """A form of a request whose token has ended is shown again as it was typed; other forms get the usual page."""
    show = _LATE.get(request.endpoint or "")
    if show is None:
        return error_pages.answer(error_pages.Problem(status=400, form_expired=True))
    try:
        return admit() or show()
    except HTTPException as refused:
        return error_pages.answer(error_pages.Problem(status=refused.code or 400))


def _show_again() -> ResponseReturnValue:
    place = read_rescue_token(request.form.get("rescue", ""))
    if place is None or place.user_id != this_visit().signed_in.id:
        return _not_yours()
    form = entered()
    files = receive_files(form)
    if _wants_json():
        return jsonify(error=_(EXPIRED)), 400
    form.refuse({"": EXPIRED})
    arguments = request.view_args or {}
    filing = read_filing(this_visit(), arguments["type_key"], arguments.get("contact_id"))
    return form_page(filing, form, files), form.status_code


def _not_yours() -> ResponseReturnValue:
    """Somebody else logged in meanwhile: he never sees what was typed, its owner finds it among his drafts."""
    if _wants_json():
        return jsonify(error=_(FOREIGN)), 400
    release()
    rescue()
    flash(_(FOREIGN), "warn")
    return redirect(url_for("home.home"), 303)


_LATE: dict[str, Callable[[], ResponseReturnValue]] = {
    "requests.submit": _show_again,
    "staff.file_for_contact": _show_again,
    "drafts.save": _show_again,
}
"""Endpoints a form of a request is sent to."""


def _revision(form: Entered) -> int | None:
    """The revision the window knows; a form without a script just saves."""
    if form["force"] or not _wants_json():
        return None
    text = form["draft_revision"]
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _wants_json() -> bool:
    return bool(request.accept_mimetypes.best == "application/json")


def _already_filed(number: int) -> ResponseReturnValue:
    if _wants_json():
        return jsonify(filed=number), 409
    flash(_("This request had already arrived; it was not filed twice."), "ok")
    return redirect(url_for("tickets.ticket", number=number), 303)


def _saved(form: Entered, filing: Filing) -> ResponseReturnValue:
    if form.errors:
        return form_page(filing, form), form.status_code
    flash(
        _("Your draft is kept for %(days)s days. Go on whenever you like, on any device.", days=drafts.LIFETIME.days),
        "ok",
    )
    return redirect(_list_url(filing.by_staff), 303)


def _list_url(is_staff: bool) -> str:
    return url_for("staff.choose_contact" if is_staff else "home.home", _anchor="drafts")


def _form_url(place: Place) -> str:
    if place.contact_id is None:
        return url_for("requests.describe", type_key=place.type_key)
    return url_for("staff.describe", contact_id=place.contact_id, type_key=place.type_key)


def _shown(visit: Visit, draft: drafts.Draft, type_name: str) -> ShownDraft:
    contact = visit.session.get(Contact, draft.contact_id) if draft.contact_id else None
    place = Place(user_id=draft.user_id, type_key=draft.type_key, contact_id=draft.contact_id)
    return ShownDraft(draft, type_name, contact.name if contact else None, _form_url(place))
