"""The one ticket that a key opens: read it, answer, mark it as solved, open it again, rate it (S06, S49, S65)."""

import uuid
from collections.abc import Sequence

from flask import abort, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.crm.freshness import freshness
from portal_service.files.models import Attachment
from portal_service.files.staging import Upload
from portal_service.files.web import PICTURES, keep, receive_files, send_attachment
from portal_service.guests import filing, keys
from portal_service.guests.models import GuestTicket
from portal_service.guests.visiting import (
    NEW,
    Action,
    Opened,
    changing,
    closed_page,
    find_opened,
    guest_pages,
    remember,
)
from portal_service.tickets import actions, queries
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.fields import assignee_name
from portal_service.tickets.lifecycle import DONE, UNFINISHED
from portal_service.tickets.web import present_rating, said_just_now, score_of
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import Visit, this_visit
from shared.clock import utc_now


@guest_pages.get("/tickets/<ticket:number>")
def ticket(number: int) -> ResponseReturnValue:
    return _ticket_page(number, Entered())


@guest_pages.post("/tickets/<ticket:number>/reply")
def reply(number: int) -> ResponseReturnValue:
    if find_opened(this_visit().session, number, "reply") is None:
        return closed_page(number)
    form = entered()
    files = receive_files(form)
    if not form.errors and not form["preview"]:
        try:
            with changing(number, "reply") as found:
                _reply(found, form, files)
        except Invalid as invalid:
            form.refuse(invalid.errors)
        except Refused as refused:
            form.refuse({"": refused.message_key})
        else:
            flash(_("Your reply is sent."), "ok")
            return redirect(url_for("guest.ticket", number=number, _anchor="last"), 303)
    return _ticket_page(number, form, files)


@guest_pages.post("/tickets/<ticket:number>/solve")
def solve(number: int) -> ResponseReturnValue:
    return _set_status(number, "solved", "close", _("Marked as solved. If it comes back, just reply."))


@guest_pages.post("/tickets/<ticket:number>/reopen")
def reopen(number: int) -> ResponseReturnValue:
    return _set_status(number, "open", "reopen", _("The case is open again."))


@guest_pages.post("/tickets/<ticket:number>/rating")
def rate(number: int) -> ResponseReturnValue:
    if find_opened(this_visit().session, number, "rate") is None:
        return closed_page(number)
    form = entered()
    try:
        with changing(number, "rate") as found:
            actions.rate(
                found.session,
                found.ticket,
                actor=found.actor,
                score=score_of(form),
                words=form["words"],
                now=utc_now(),
            )
    except Invalid as invalid:
        form.refuse(invalid.errors)
        return _ticket_page(number, Entered(), rating_form=form)
    except Refused as refused:
        flash(_(refused.message_key), "bad")
    else:
        flash(_("Thank you for your rating."), "ok")
    return redirect(url_for("guest.ticket", number=number), 303)


@guest_pages.post("/tickets/<ticket:number>/confirm")
def confirm(number: int) -> ResponseReturnValue:
    """The reader of the mail says that the ticket is his; a key from the screen proves no address."""
    with changing(number, "reply") as found:
        if not found.key.mailed:
            abort(404)
        filing.confirm_address(found.session, found.ticket, now=utc_now())
    flash(_("Thank you: now we know that the address is yours."), "ok")
    return redirect(url_for("guest.ticket", number=number), 303)


@guest_pages.post("/tickets/<ticket:number>/new-key")
def new_key(number: int) -> ResponseReturnValue:
    """For a key that others may have seen: it and all others end."""
    with changing(number, "reply") as found:
        keys.revoke_keys(found.session, found.ticket, now=utc_now())
        key = keys.issue_key(found.session, found.ticket, mailed=found.key.mailed, now=utc_now())
        made = keys.find_key(found.session, number, key)
        assert made is not None
        key_id = made.id
    remember(key_id)
    session[NEW] = (number, key)
    flash(_("All earlier keys and links of this ticket have ended. This is the new key; please keep it."), "ok")
    return redirect(url_for("guest.received"), 303)


@guest_pages.get("/tickets/<ticket:number>/files/<uuid:attachment_id>")
def download(number: int, attachment_id: uuid.UUID) -> ResponseReturnValue:
    return send_attachment(_attachment(number, attachment_id), as_attachment=True)


@guest_pages.get("/tickets/<ticket:number>/files/<uuid:attachment_id>/view")
def view_file(number: int, attachment_id: uuid.UUID) -> ResponseReturnValue:
    """A picture to show on the page; anything else comes as a download."""
    attachment = _attachment(number, attachment_id)
    return send_attachment(attachment, as_attachment=attachment.content_type not in PICTURES)


def _set_status(number: int, status: str, action: Action, said: str) -> ResponseReturnValue:
    if find_opened(this_visit().session, number, action) is None:
        return closed_page(number)
    try:
        with changing(number, action) as found:
            actions.set_status(found.session, found.ticket, status, actor=found.actor, now=utc_now())
        flash(said, "ok")
    except Refused as refused:
        flash(_(refused.message_key), "bad")
    return redirect(url_for("guest.ticket", number=number), 303)


def _attachment(number: int, attachment_id: uuid.UUID) -> Attachment:
    found = find_opened(this_visit().session, number, "view") or abort(404)
    files = queries.ticket_files(found.session, found.ticket, public_only=True)
    return next((file for file in files if file.id == attachment_id), None) or abort(404)


def _reply(found: Opened, form: Entered, files: Sequence[Upload]) -> None:
    now, actor = utc_now(), found.actor
    visit = Visit(found.session, None, now)
    status = "solved" if form["solve"] else None
    if said_just_now(visit, found.ticket, form["body"], has_files=bool(files), name=actor.name):
        if status:
            actions.set_status(found.session, found.ticket, status, actor=actor, now=now)
    else:
        actions.add_reply(
            found.session, found.ticket, actor=actor, body=form["body"], files=files, status=status, now=now
        )


def _ticket_page(
    number: int, form: Entered, files: Sequence[Upload] = (), *, rating_form: Entered | None = None
) -> ResponseReturnValue:
    visit = this_visit()
    found = find_opened(visit.session, number, "view")
    if found is None:
        return closed_page(number)
    attached = queries.ticket_files(visit.session, found.ticket, public_only=True)
    about = visit.session.get(GuestTicket, found.ticket.id)
    page = render_template(
        "guests/ticket.html",
        ticket=found.ticket,
        replies=queries.public_replies(visit.session, found.ticket),
        first_files=[file for file in attached if file.entry_id is None],
        assignee_name=assignee_name(found.ticket),
        may_solve=found.ticket.status in UNFINISHED,
        is_done=found.ticket.status in DONE,
        rating_form=rating_form or present_rating(found.ticket),
        confirm_email=about.email if about and about.confirmed_at is None and found.key.mailed else None,
        fresh=freshness(visit.session, found.ticket, visit.now),
        form=form,
        kept=keep(files),
    )
    return page, (rating_form or form).status_code
