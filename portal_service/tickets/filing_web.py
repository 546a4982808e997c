"""Filing a ticket in two steps: what kind, then what about (S14 - S29). Customers for themselves, staff for others."""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal_service.files.staging import Upload
from portal_service.files.storage import StoredFile
from portal_service.files.web import files_owner, keep, kept_files, receive_files
from portal_service.guests.keys import issue_key
from portal_service.messages import message
from portal_service.people.browsers import browser_name
from portal_service.people.models import Contact, User
from portal_service.tickets import actions, choices, drafts, filing_form, queries, referring
from portal_service.tickets.account_search import AccountChoice, account_choice, searches
from portal_service.tickets.drafts import Place, Typed
from portal_service.tickets.errors import Invalid
from portal_service.tickets.filing_form import INFORMATION, KEPT, NATURES
from portal_service.tickets.models import Reply, RequestType, Ticket
from portal_service.tickets.received import told_about
from portal_service.tickets.records import Records
from portal_service.tickets.rescue import rescue_token
from portal_service.tickets.text import clean_body, clean_line
from portal_service.tickets.web import own_case
from portal_service.web.forms import Entered, entered, filled_in
from portal_service.web.texts import NATURE, name_of
from portal_service.web.visits import Visit, acting, this_portal, this_visit
from shared.clock import utc_now
from shared.ids import new_id

request_pages = Blueprint("requests", __name__, url_prefix="/requests")

_FOLDED = (*INFORMATION, "call_time", "favourite_staff_id", "details", "timezone")
_FILLED_IN = {"browser", "timezone"}
_KEY = "case_key"
ANOTHER = message(
    "A request from this page was filed before, as #%(number)s. If this is another one, press the button again."
)


@dataclass(frozen=True, kw_only=True)
class Filing:
    """Who files what kind of ticket for whom."""

    type: RequestType
    contact: Contact
    by_staff: bool

    def place(self, user: User) -> Place:
        """Where the draft of such a request is."""
        return Place(user_id=user.id, type_key=self.type.key, contact_id=self.contact.id if self.by_staff else None)


@request_pages.get("/new")
def choose_type() -> ResponseReturnValue:
    chosen = request.args.get("type")
    if chosen:
        return redirect(url_for("requests.describe", type_key=chosen, **_referring()), 303)
    earlier = earlier_ticket(this_visit(), request.args.get("from", ""))
    return choose_type_page(url_for("requests.choose_type"), missing=chosen is not None, earlier=earlier)


@request_pages.get("/new/<type_key>")
def describe(type_key: str) -> ResponseReturnValue:
    return new_form_page(read_filing(this_visit(), type_key))


@request_pages.post("/new/<type_key>")
def submit(type_key: str) -> ResponseReturnValue:
    form = entered()
    if any(upload.filename for upload in request.files.getlist("files")):
        read_filing(this_visit(), type_key)
    received = receive_files(form)
    number = file_ticket(form, received, type_key)
    if number is not None:
        return redirect(url_for("requests.received", number=number), 303)
    return form_page(read_filing(this_visit(), type_key), form, received), form.status_code


@request_pages.get("/<ticket:number>/received")
def received(number: int) -> ResponseReturnValue:
    visit = this_visit()
    found = own_case(visit, number)
    shown_for, key = session.pop(_KEY, (0, ""))
    return render_template(
        "tickets/received.html",
        **told_about(found, this_portal().settings.clocks),
        email=visit.contact.email,
        key=key if shown_for == number else "",
    )


@request_pages.post("/<ticket:number>/key")
def make_key(number: int) -> ResponseReturnValue:
    """A key that opens this one ticket where its owner is not logged in (S06)."""
    with acting() as visit:
        session[_KEY] = (number, issue_key(visit.session, own_case(visit, number), mailed=False, now=visit.now))
    return redirect(url_for("requests.received", number=number), 303)


def file_ticket(
    form: Entered, files: Sequence[Upload], type_key: str, contact_id: uuid.UUID | None = None
) -> int | None:
    """File what was entered, an agent for this contact; returns the ticket's number, or None where something is wrong.

    A form sent twice gives the same ticket twice: its token is stored with the ticket. What is wrong stands in the
    form then, which is kept as a draft, so that nothing is lost when the visitor goes away.
    """
    form.values.setdefault("timezone", this_visit().signed_in.timezone)
    if searches(form):
        return None
    form.refuse(filing_form.time_errors(form, now=utc_now()))
    number = None if form.errors else _file(form, files, type_key, contact_id)
    if number is None:
        _keep_draft(form, files, type_key, contact_id)
    return number


def choose_type_page(
    next_url: str, *, missing: bool, on_behalf_of: Contact | None = None, earlier: Ticket | None = None
) -> str:
    return render_template(
        "tickets/choose_type.html",
        types=choices.request_types(this_visit().session),
        next_url=next_url,
        missing=missing,
        chosen=request.args.get("chosen") or (earlier.request_type.key if earlier else None),
        on_behalf_of=on_behalf_of,
        earlier=earlier,
    )


def new_form_page(filing: Filing) -> str:
    """The form with the visitor's draft, or blank but for what the page can fill in itself.

    A link brings words along, or names an earlier ticket that the new one refers to (S55).
    """
    visit = this_visit()
    draft = drafts.find(visit.session, filing.place(visit.signed_in), now=visit.now)
    brought = _brought_along(visit)
    if draft is None or any(brought.values()):
        return form_page(filing, _blank_form(filing, visit, brought))
    form = Entered({"form_token": str(new_id()), "timezone": _zone(filing, visit), **draft.values})
    form.values["draft_revision"] = str(draft.revision)
    return form_page(filing, form, kept_files(draft.files), draft=draft)


def form_page(filing: Filing, form: Entered, files: Sequence[Upload] = (), *, draft: drafts.Draft | None = None) -> str:
    visit = this_visit()
    reading = visit.session
    own = choices.accounts_of(reading, filing.contact)
    place = filing.place(visit.signed_in)
    earlier = earlier_ticket(visit, form["parent_number"])
    return render_template(
        "tickets/form.html",
        form=form,
        kept=keep(files),
        type=filing.type,
        other_types=[] if filing.type.active else [(one.id, name_of(one)) for one in choices.request_types(reading)],
        draft=draft,
        earlier=earlier,
        carried=referring.files_of(split) if (split := _split_off(visit, earlier, form)) else [],
        rescue=rescue_token(place),
        save_url=url_for("drafts.save", type_key=place.type_key, contact_id=place.contact_id),
        on_behalf_of=filing.contact if filing.by_staff else None,
        back_url=_first_step(filing),
        accounts=account_choice(reading, form) if filing.by_staff and not own else AccountChoice(options=own),
        products=choices.products(reading),
        categories=[(category.id, name_of(category)) for category in choices.categories(reading)],
        representatives=choices.agents(reading),
        natures=[*((key, NATURE[label]) for key, label in NATURES.items()), ("", _("Neither: a question"))],
        zones=filing_form.zones(),
        more_open=any(form[name] or name in form.errors for name in _FOLDED if name not in _FILLED_IN),
    )


def typed_in(form: Entered, files: Sequence[Upload]) -> Typed:
    """What a draft keeps of a form."""
    return Typed(values={name: form[name] for name in KEPT}, files=[file.id for file in files])


def earlier_ticket(visit: Visit, text: str) -> Ticket | None:
    """The ticket a new one refers to, if there is such a one and the visitor may read it."""
    number = referring.number_in(text)
    if not number:
        return None
    if visit.signed_in.staff_id is not None:
        return queries.ticket_for_staff(visit.session, number)
    return queries.ticket_for_contact(visit.session, visit.contact, number)


def _brought_along(visit: Visit) -> Mapping[str, str]:
    earlier = earlier_ticket(visit, request.args.get("from", ""))
    if earlier is None:
        return filled_in()
    asked = Entered({"split_from": request.args.get("reply", "")})
    return referring.values_of(earlier, _split_off(visit, earlier, asked))


def _split_off(visit: Visit, earlier: Ticket | None, form: Entered) -> Reply | None:
    """The reply that an agent makes a ticket of its own of."""
    position = referring.number_in(form["split_from"])
    if earlier is None or not position or visit.signed_in.staff_id is None:
        return None
    return referring.reply_of(visit.session, earlier, position)


def _referring() -> dict[str, Any]:
    """The part of an address that names the earlier ticket."""
    return {"from": request.args["from"]} if request.args.get("from") else {}


def _blank_form(filing: Filing, visit: Visit, brought: Mapping[str, str]) -> Entered:
    browser = "" if filing.by_staff else browser_name(request.user_agent.string)
    return Entered({"form_token": str(new_id()), "browser": browser, "timezone": _zone(filing, visit), **brought})


def _zone(filing: Filing, visit: Visit) -> str:
    """The time zone in which the requester thinks of a call."""
    if not filing.by_staff:
        return visit.signed_in.timezone
    query = select(User.timezone).where(User.contact_id == filing.contact.id)
    return visit.session.scalar(query) or visit.signed_in.timezone


def _first_step(filing: Filing) -> str:
    if filing.by_staff:
        return url_for("staff.choose_type", contact_id=filing.contact.id, chosen=filing.type.key)
    return url_for("requests.choose_type", chosen=filing.type.key, **_referring())


def read_filing(
    visit: Visit, type_key: str, contact_id: uuid.UUID | None = None, *, found: Records | None = None
) -> Filing:
    """Whose request this is: a customer's own, or one an agent files for a contact; anything else does not exist."""
    kind = found.request_type if found else choices.request_type(visit.session, type_key)
    by_staff = visit.signed_in.staff_id is not None
    if kind is None or by_staff != (contact_id is not None):
        abort(404)
    contact = visit.session.get(Contact, contact_id) if contact_id else visit.contact
    if contact is None or not contact.active:
        abort(404)
    return Filing(type=kind, contact=contact, by_staff=by_staff)


def _file(form: Entered, files: Sequence[Upload], type_key: str, contact_id: uuid.UUID | None) -> int | None:
    token = ticket_token(form)
    try:
        with acting(as_known=True) as visit:
            found = _records(visit, form, type_key, contact_id, token)
            if found.earlier is not None:
                return _again(visit, found.earlier, form)
            asked = read_filing(visit, type_key, contact_id, found=found)
            ticket = _submit(visit, asked, form, files, token, found=found)
            if form["draft_revision"]:
                drafts.forget(visit.session, asked.place(visit.signed_in))
            return ticket.number
    except Invalid as invalid:
        form.refuse(invalid.errors)
    except IntegrityError:
        # The same form arrived twice at the same moment; the other one was first.
        with acting() as visit:
            earlier = actions.find_imported(visit.session, token)
            if earlier is None:
                raise
            return _again(visit, earlier, form)
    return None


def _records(visit: Visit, form: Entered, type_key: str, contact_id: uuid.UUID | None, token: str) -> Records:
    return actions.read_records(
        visit.session,
        type_key=type_key,
        account_id=form.id("account_id"),
        contact_id=contact_id or visit.signed_in.contact_id,
        product_id=form.id("product_id"),
        category_id=form.id("category_id"),
        external_ref=token,
    )


def _submit(
    visit: Visit, asked: Filing, form: Entered, files: Sequence[Upload], token: str, *, found: Records
) -> Ticket:
    """Raises Invalid."""
    earlier = earlier_ticket(visit, form["parent_number"])
    split = _split_off(visit, earlier, form)
    carried = referring.files_of(split) if split else []
    new = _new_ticket(form, (*carried, *files), asked, visit, token)
    ticket = actions.submit_ticket(
        visit.session,
        new,
        actor=visit.actor,
        now=visit.now,
        rng=random.SystemRandom(),
        records=found if asked.type.active else None,
    )
    if earlier is not None:
        referring.refer(visit.session, ticket, earlier, actor=visit.actor, now=visit.now, split=split is not None)
    return ticket


def _again(visit: Visit, earlier: Ticket, form: Entered) -> int | None:
    """The number of the ticket this very form made before, for those who may see it.

    Other words than those of that ticket are no repetition, but a second request from a page that was used before.
    """
    if not visit.signed_in.staff_id:
        own_case(visit, earlier.number)
    if not same_words(earlier, form):
        form.refuse({"": _(ANOTHER, number=earlier.number)})
        form.values["form_token"] = str(new_id())
        return None
    flash(_("This request had already arrived; it was not filed twice."), "ok")
    return earlier.number


def _keep_draft(form: Entered, files: Sequence[Upload], type_key: str, contact_id: uuid.UUID | None) -> None:
    owner = files_owner()
    try:
        with acting() as visit:
            place = read_filing(visit, type_key, contact_id).place(visit.signed_in)
            draft = drafts.save(visit.session, place, typed_in(form, files), revision=None, owner=owner, now=visit.now)
            form.values["draft_revision"] = str(draft.revision) if draft else ""
    except Invalid as invalid:
        form.refuse({name: text for name, text in invalid.errors.items() if name not in form.errors})


def _new_ticket(
    form: Entered, files: tuple[StoredFile, ...], filing: Filing, visit: Visit, token: str
) -> actions.NewTicket:
    return actions.NewTicket(
        request_type_id=filing.type.id if filing.type.active else form.id("request_type_id"),
        account_id=form.id("account_id"),
        contact_id=filing.contact.id,
        product_id=form.id("product_id"),
        category_id=form.id("category_id"),
        subject=form["subject"],
        description=form["description"],
        link_url=form.text("link_url"),
        details=filing_form.details(form),
        call_at=filing_form.call_time(form),
        priority=filing_form.priority(form),
        origin="staff" if filing.by_staff else "portal",
        filed_by=visit.staff.name if filing.by_staff else None,
        external_ref=token,
        favourite_staff_id=form.id("favourite_staff_id"),
        files=files,
    )


def same_words(ticket: Ticket, form: Entered) -> bool:
    """Whether a form says what a ticket says: it is the one it was made from."""
    return (ticket.subject, ticket.description) == (clean_line(form["subject"]), clean_body(form["description"]))


def ticket_token(form: Entered) -> str:
    """What the ticket of this form is found by when the form arrives again."""
    token = form.id("form_token") or new_id()
    return f"form:{token}"
