"""The pages on which people without a log-in file a ticket (S05, S06, S09)."""

import random
import re
import uuid
from collections.abc import Sequence

from flask import Response, flash, g, jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal_service.files.staging import Upload
from portal_service.files.web import browser_id, drop_upload, keep, receive_files, take_upload
from portal_service.guests import filing, keys
from portal_service.guests.visiting import NEW, find_opened, guest_pages, remember
from portal_service.messages import message
from portal_service.people import throttle
from portal_service.people.browsers import browser_name
from portal_service.people.entry import visitor_address
from portal_service.tickets import actions, choices, filing_form
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.filing_form import NATURES
from portal_service.tickets.filing_web import ANOTHER, same_words
from portal_service.tickets.models import Ticket
from portal_service.tickets.received import told_about
from portal_service.tickets.text import REQUIRED
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered, filled_in
from portal_service.web.texts import NATURE, name_of
from portal_service.web.visits import this_portal, this_visit
from shared import error_pages
from shared.clock import utc_now
from shared.ids import new_id

_MOST_UPLOADS = 60
_ANYBODY = "anybody"
_QUESTION = "question"
_FIELDS = {"request_type_id": "type"}
"""Fields of the form that are called otherwise in a ticket."""
_PHONE = re.compile(r"[0-9 +()/.\-]{5,30}")

EXPIRED = message(
    "Nothing was sent yet, because this page was open for too long. Everything you typed is still here: please press "
    "the button again."
)
BAD_PHONE = message("Please give a phone number, such as +31 20 123 4567.")
TURNED_OFF = message("Requests are filed with a log-in here. Please log in, or register first.")


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
    number, key = session.get(NEW, (0, ""))
    found = find_opened(this_visit().session, number, "view")
    if found is None:
        return redirect(url_for("guest.look_up"), 303)
    return render_template(
        "guests/received.html",
        **told_about(found.ticket, this_portal().settings.clocks),
        key=key,
        link=keys.direct_link(found.ticket.number, key),
        email=found.actor.email,
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
        remember(key_id)
        session[NEW] = (number, key)
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
