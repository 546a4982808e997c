"""Administrators see which mails did not reach anybody and why, and have them sent again."""

import uuid
from datetime import timedelta

import structlog
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import select

from portal_service.channels import sending
from portal_service.channels.models import OutgoingMail, SuppressedAddress
from portal_service.people import policy
from portal_service.web.visits import acting, this_visit

mail_pages = Blueprint("mails", __name__, url_prefix="/staff/mails")

_SHOWN = 100
RECENT = timedelta(days=7)

log = structlog.get_logger(__name__)


@mail_pages.before_request
def only_admins() -> None:
    """For everybody else these pages do not exist."""
    if not policy.may_manage_access(this_visit().signed_in):
        abort(404)


@mail_pages.get("")
def undelivered() -> ResponseReturnValue:
    session = this_visit().session
    suppressed = select(SuppressedAddress).order_by(SuppressedAddress.since.desc()).limit(_SHOWN)
    return render_template(
        "mails/undelivered.html",
        section="mails",
        given_up=sending.given_up(session, limit=_SHOWN),
        put_off=sending.put_off(session, limit=_SHOWN),
        suppressed=session.scalars(suppressed).all(),
        is_kept=sending.is_kept,
    )


@mail_pages.post("/<uuid:mail_id>/again")
def again(mail_id: uuid.UUID) -> ResponseReturnValue:
    with acting() as visit:
        mail = visit.session.get(OutgoingMail, mail_id)
        if mail is None or mail.failed_at is None or not sending.is_kept(mail):
            abort(404)
        sending.try_again(visit.session, mail, now=visit.now)
        log.info("mail_sent_again", mail_id=str(mail_id), by=str(visit.staff.id))
    flash(_("The mail goes out again within seconds."), "ok")
    return redirect(url_for("mails.undelivered"), 303)


@mail_pages.post("/addresses/lift")
def lift() -> ResponseReturnValue:
    with acting() as visit:
        sending.lift(visit.session, request.form.get("key", "")[:320])
        log.info("mail_address_lifted", by=str(visit.staff.id))
    flash(_("Mails go to this address again."), "ok")
    return redirect(url_for("mails.undelivered"), 303)
