"""The pages of people without a log-in: file a ticket, find it again, read it, answer (S05 - S10)."""

import random
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from flask import Blueprint, Response, abort, flash, g, jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal_service.crm.freshness import freshness
from portal_service.files.models import Attachment
from portal_service.files.staging import Upload
from portal_service.files.web import (
    PICTURES,
    browser_id,
    drop_upload,
    keep,
    receive_files,
    send_attachment,
    take_upload,
)
from portal_service.guests import filing, keys
from portal_service.guests.models import GuestKey, GuestTicket
from portal_service.messages import message
from portal_service.people import policy, throttle
from portal_service.people.browsers import browser_name
from portal_service.people.entry import visitor_address
from portal_service.people.pace import same_time
from portal_service.tickets import actions, choices, filing_form, queries
from portal_service.tickets.actor import Actor
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.fields import assignee_name
from portal_service.tickets.filing_form import NATURES
from portal_service.tickets.filing_web import ANOTHER, same_words
from portal_service.tickets.lifecycle import UNFINISHED
from portal_service.tickets.models import Ticket
from portal_service.tickets.received import told_about
from portal_service.tickets.text import REQUIRED, clean_line
from portal_service.tickets.web import said_just_now
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered, filled_in
from portal_service.web.texts import NATURE, name_of
from portal_service.web.visits import Visit, this_portal, this_visit
from shared import error_pages
from shared.clock import utc_now
from shared.ids import new_id

guest_pages = Blueprint("guest", __name__, url_prefix="/guest")

MOST_GUESSES = 20
_MOST_KEYS = 20
_MOST_UPLOADS = 60
_ANYBODY = "anybody"
_QUESTION = "question"
_FIELDS = {"request_type_id": "type"}
"""Fields of the form that are called otherwise in a ticket."""
_PHONE = re.compile(r"[0-9 +()/.\-]{5,30}")
_KEYS, _NEW = "guest_keys", "guest_new"

EXPIRED = message(
    "Nothing was sent yet, because this page was open for too long. Everything you typed is still here: please press "
    "the button again."
)
WRONG_KEY = message("No ticket fits this number and key. Please check both; a replaced key no longer works.")
BAD_PHONE = message("Please give a phone number, such as +31 20 123 4567.")
TURNED_OFF = message("Requests are filed with a log-in here. Please log in, or register first.")


@dataclass(frozen=True)
class Opened:
    """A ticket that one of this browser's keys opens, within one transaction."""

    session: Session
    ticket: Ticket
    key: GuestKey

    @property
    def actor(self) -> Actor:
        assert self.ticket.contact is not None
        return filing.guest_actor(self.ticket.contact)


@guest_pages.get("")
def look_up() -> ResponseReturnValue:
    return _look_up_page(Entered({"number": request.args.get("number", "")[:20]}))


@guest_pages.post("")
def open_by_key() -> ResponseReturnValue:
    form = entered()
    number = _number(form["number"])
    if _let_in(number, form["key"], form):
        return redirect(url_for("guest.ticket", number=number), 303)
    return _look_up_page(form)


@guest_pages.get("/open/<ticket:number>/<key>")
def open_by_link(number: int, key: str) -> ResponseReturnValue:
    """The link of a mail (S08, S09). The key goes no further than this address: pages opened from here never see it."""
    form = Entered({"number": str(number)})
    if _let_in(number, key, form):
        return redirect(url_for("guest.ticket", number=number), 303)
    return _look_up_page(form)


@guest_pages.post("/link")
def mail_link() -> ResponseReturnValue:
    form = entered()
    try:
        with same_time(), this_portal().database.write() as writing:
            filing.mail_link(
                writing,
                _number(form["number"]),
                clean_line(form["email"])[:320],
                address=visitor_address(),
                now=utc_now(),
            )
    except Refused as refused:
        form.refuse({"email": refused.message_key})
        return _look_up_page(form)
    flash(_("If this number and address belong together, a mail with a link is on its way."), "ok")
    return redirect(url_for("guest.look_up", number=form["number"][:20]), 303)


@guest_pages.get("/new")
def describe() -> ResponseReturnValue:
    if not this_portal().settings.guests_may_file:
        return _turned_off()
    browser = browser_name(request.user_agent.string)
    known = {"browser": browser, "timezone": "UTC", "type": request.args.get("type", ""), **filled_in()}
    return _form_page(Entered({"form_token": str(new_id()), **known}))


@guest_pages.post("/new")
def submit() -> ResponseReturnValue:
    if not this_portal().settings.guests_may_file:
        return _turned_off()
    form = entered()
    try:
        filing.check_rate(this_visit().session, visitor_address(), now=utc_now())
    except Refused as refused:
        form.refuse({"": refused.message_key})
        return _form_page(form)
    received = receive_files(form)
    form.refuse(missing(form))
    if not form.errors and _file(form, received):
        return redirect(url_for("guest.received"), 303)
    return _form_page(form, received)


@guest_pages.errorhandler(CSRFError)
def answer_expired_form(_error: CSRFError) -> ResponseReturnValue:
    """The form of a request whose token has ended is shown again as it was typed; other forms get the usual page."""
    g.is_page = True
    if request.endpoint != "guest.submit" or not this_portal().settings.guests_may_file:
        return error_pages.answer(error_pages.Problem(status=400, form_expired=True))
    form = entered()
    form.refuse({"": EXPIRED})
    return _form_page(form)


@guest_pages.post("/uploads")
def upload() -> ResponseReturnValue:
    """One file, sent by the page's script before its form is; so many from one address and no more."""
    limits = [throttle.per_address("guest-upload", visitor_address(), _MOST_UPLOADS)]
    with this_portal().database.write() as writing:
        if throttle.is_exceeded(writing, limits, now=utc_now()):
            return jsonify(error=_(throttle.THROTTLED)), 429
        throttle.count(writing, limits, now=utc_now())
    return take_upload()


@guest_pages.post("/uploads/<uuid:file_id>/delete")
def delete_upload(file_id: uuid.UUID) -> ResponseReturnValue:
    return drop_upload(file_id)


@guest_pages.after_request
def keep_no_keys(response: Response) -> Response:
    """A page that shows a key stays in no cache, also not in the one behind the back button."""
    if request.endpoint == "guest.received":
        response.headers["Cache-Control"] = "no-store"
    return response


@guest_pages.get("/received")
def received() -> ResponseReturnValue:
    number, key = session.get(_NEW, (0, ""))
    found = _find(this_visit().session, number, "view")
    if found is None:
        return redirect(url_for("guest.look_up"), 303)
    return render_template(
        "guests/received.html",
        **told_about(found.ticket, this_portal().settings.clocks),
        key=key,
        link=keys.direct_link(found.ticket.number, key),
        email=found.actor.email,
    )


@guest_pages.get("/tickets/<ticket:number>")
def ticket(number: int) -> ResponseReturnValue:
    return _ticket_page(number, Entered())


@guest_pages.post("/tickets/<ticket:number>/reply")
def reply(number: int) -> ResponseReturnValue:
    if _find(this_visit().session, number, "reply") is None:
        return _closed(number)
    form = entered()
    files = receive_files(form)
    if not form.errors and not form["preview"]:
        try:
            with _acting(number, "reply") as found:
                _reply(found, form, files)
        except Invalid as invalid:
            form.refuse(invalid.errors)
        except Refused as refused:
            form.refuse({"": refused.message_key})
        else:
            flash(_("Your reply is sent."), "ok")
            return redirect(url_for("guest.ticket", number=number, _anchor="last"), 303)
    return _ticket_page(number, form, files)


@guest_pages.post("/tickets/<ticket:number>/confirm")
def confirm(number: int) -> ResponseReturnValue:
    """The reader of the mail says that the ticket is his; a key from the screen proves no address."""
    with _acting(number, "reply") as found:
        if not found.key.mailed:
            abort(404)
        filing.confirm_address(found.session, found.ticket, now=utc_now())
    flash(_("Thank you: now we know that the address is yours."), "ok")
    return redirect(url_for("guest.ticket", number=number), 303)


@guest_pages.post("/tickets/<ticket:number>/new-key")
def new_key(number: int) -> ResponseReturnValue:
    """For a key that others may have seen: it and all others end."""
    with _acting(number, "reply") as found:
        keys.revoke_keys(found.session, found.ticket, now=utc_now())
        key = keys.issue_key(found.session, found.ticket, mailed=found.key.mailed, now=utc_now())
        made = keys.find_key(found.session, number, key)
        assert made is not None
        key_id = made.id
    _remember(key_id)
    session[_NEW] = (number, key)
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


def _let_in(number: int, key: str, form: Entered) -> bool:
    """Remember in this browser that the key opens the ticket; one refusal for wrong, old and foreign keys."""
    limits = [throttle.per_address("guest-key", visitor_address(), MOST_GUESSES)]
    with this_portal().database.write() as writing:
        if throttle.is_exceeded(writing, limits, now=utc_now()):
            form.refuse({"key": throttle.THROTTLED})
            return False
        found = keys.find_key(writing, number, key[:100])
        if found is None:
            throttle.count(writing, limits, now=utc_now())
            form.refuse({"key": WRONG_KEY})
            return False
        _remember(found.id)
    return True


def _remember(key_id: uuid.UUID) -> None:
    kept = [key for key in session.get(_KEYS, []) if key != key_id.hex]
    session[_KEYS] = [*kept, key_id.hex][-_MOST_KEYS:]


def _find(reading: Session, number: int, action: Literal["view", "reply"]) -> Opened | None:
    held = [uuid.UUID(hex=key) for key in session.get(_KEYS, [])]
    found = keys.opened(reading, number, held)
    if found is None or found[1].contact is None or not policy.guest_can(found[0], action, found[1]):
        return None
    return Opened(reading, found[1], found[0])


@contextmanager
def _acting(number: int, action: Literal["view", "reply"]) -> Iterator[Opened]:
    """A transaction in which a guest changes his ticket; anything that is not his does not exist."""
    with this_portal().database.write() as writing:
        yield _find(writing, number, action) or abort(404)


def _closed(number: int) -> ResponseReturnValue:
    """For whoever has no key in this browser: the page to enter one, whether the ticket exists or not."""
    return redirect(url_for("guest.look_up", number=number), 303)


def _attachment(number: int, attachment_id: uuid.UUID) -> Attachment:
    found = _find(this_visit().session, number, "view") or abort(404)
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


def missing(form: Entered) -> dict[str, str]:
    """Every field is required (S05); what is wrong, by field."""
    names = ("type", "favourite", "nature", "call_time", "phone", "company")
    errors = {name: REQUIRED for name in names if not form[name].strip()}
    if form["phone"].strip() and not _PHONE.fullmatch(form["phone"].strip()):
        errors["phone"] = BAD_PHONE
    errors |= filing_form.time_errors(form, now=utc_now())
    return errors | filing.guest_errors(_guest(form))


def _guest(form: Entered) -> filing.Guest:
    return filing.Guest(name=form["name"], email=form["email"], language=language())


def _file(form: Entered, files: Sequence[Upload], *, again: bool = False) -> bool:
    """File what was entered; a form sent twice gives the same ticket twice."""
    token = f"{keys.GUEST_REF}{form.id('form_token') or new_id()}"
    try:
        with this_portal().database.write() as writing:
            found = _earlier(writing, token, form) or filing.file_as_guest(
                writing,
                _guest(form),
                new_ticket(writing, form, files, token),
                address=visitor_address(),
                now=utc_now(),
                rng=random.SystemRandom(),
            )
            key = keys.issue_key(writing, found, mailed=False, now=utc_now())
            number, made = found.number, keys.find_key(writing, found.number, key)
            key_id = made.id if made else None
    except Invalid as invalid:
        form.refuse({_FIELDS.get(field, field): error for field, error in invalid.errors.items()})
    except Refused as refused:
        form.refuse({"": refused.message_key})
    except IntegrityError:
        # The same form arrived twice at the same moment; the other one was first.
        if again:
            raise
        return _file(form, files, again=True)
    else:
        assert key_id is not None
        _remember(key_id)
        session[_NEW] = (number, key)
        return True
    return False


def _earlier(writing: Session, token: str, form: Entered) -> Ticket | None:
    """The ticket this very form made before. Raises Invalid when it says something else by now."""
    found = actions.find_imported(writing, token)
    if found is not None and not same_words(found, form):
        form.values["form_token"] = str(new_id())
        raise Invalid({"": _(ANOTHER, number=found.number)})
    return found


def new_ticket(writing: Session, form: Entered, files: Sequence[Upload], token: str) -> actions.NewTicket:
    chosen = choices.request_type(writing, form["type"])
    return actions.NewTicket(
        request_type_id=chosen.id if chosen else None,
        account_id=None,
        contact_id=None,
        product_id=form.id("product_id"),
        category_id=form.id("category_id"),
        subject=form["subject"],
        description=form["description"],
        details=filing_form.details(form, more={"Company": form["company"], "Phone number": form["phone"]}),
        call_at=filing_form.call_time(form),
        priority=filing_form.priority(form),
        external_ref=token,
        favourite_staff_id=form.id("favourite"),
        files=tuple(files),
    )


def _turned_off() -> ResponseReturnValue:
    flash(_(TURNED_OFF), "warn")
    return redirect(url_for("people.login"), 303)


def _number(text: str) -> int:
    """The number somebody typed, with or without #; 0, which no ticket has, for anything else."""
    digits = text.strip().removeprefix("#")
    return int(digits) if re.fullmatch(r"[0-9]{1,15}", digits) else 0


def _look_up_page(form: Entered) -> ResponseReturnValue:
    return render_template("guests/look_up.html", form=form, section="guest"), form.status_code


def _form_page(form: Entered, files: Sequence[Upload] = ()) -> ResponseReturnValue:
    reading = this_visit().session
    page = render_template(
        "guests/form.html",
        form=form,
        kept=keep(files),
        types=[(one.key, name_of(one)) for one in choices.request_types(reading)],
        products=choices.products(reading),
        categories=[(one.id, name_of(one)) for one in choices.categories(reading)],
        representatives=[(_ANYBODY, _("Whoever is free first")), *choices.agents(reading)],
        natures=[*((key, NATURE[label]) for key, label in NATURES.items()), (_QUESTION, _("Neither: a question"))],
        zones=filing_form.zones(),
        browser_id=browser_id(),
    )
    return page, form.status_code


def _ticket_page(number: int, form: Entered, files: Sequence[Upload] = ()) -> ResponseReturnValue:
    visit = this_visit()
    found = _find(visit.session, number, "view")
    if found is None:
        return _closed(number)
    attached = queries.ticket_files(visit.session, found.ticket, public_only=True)
    about = visit.session.get(GuestTicket, found.ticket.id)
    page = render_template(
        "guests/ticket.html",
        ticket=found.ticket,
        replies=queries.public_replies(visit.session, found.ticket),
        first_files=[file for file in attached if file.entry_id is None],
        assignee_name=assignee_name(found.ticket),
        may_solve=found.ticket.status in UNFINISHED,
        confirm_email=about.email if about and about.confirmed_at is None and found.key.mailed else None,
        fresh=freshness(visit.session, found.ticket, visit.now),
        form=form,
        kept=keep(files),
    )
    return page, form.status_code
