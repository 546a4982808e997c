"""The customer's pages: home, the list of cases, a case with its three tabs (S68 - S77)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_timezone
from flask_babel import gettext as _

from portal_service.crm.freshness import freshness
from portal_service.files.models import Attachment
from portal_service.files.web import keep, receive_files
from portal_service.knowledge.queries import articles_for
from portal_service.people import policy
from portal_service.tickets import actions, lifecycle, queries, threads
from portal_service.tickets.choices import products, readable_accounts
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.fields import assignee_name
from portal_service.tickets.lifecycle import CLOSED, DONE, SOLVED, UNFINISHED
from portal_service.tickets.models import Reply, Ticket
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.listing import Listing, read_listing
from portal_service.web.texts import CUSTOMER_STATUS, NATURE_LABEL, detail_value, history_lines, name_of
from portal_service.web.visits import Visit, acting, this_visit

SHOWN_AT_HOME = 6
_SAME_WORDS_AGAIN = timedelta(seconds=60)

home_pages = Blueprint("home", __name__)
shared_pages = Blueprint("tickets", __name__)
case_pages = Blueprint("cases", __name__, url_prefix="/cases")


@dataclass(frozen=True)
class May:
    """What the requester can do with a case in its present status."""

    solve: bool
    reopen: bool
    rate: bool


@home_pages.get("/")
def home() -> ResponseReturnValue:
    visit = this_visit()
    if visit.signed_in.staff is not None:
        return redirect(url_for("staff.queue"), 303)
    counts = queries.counts_by_status(visit.session, contact=visit.contact, own_only=True)
    shown = [
        found
        for status in ("pending", "open")
        for found in _newest(visit, queries.TicketFilter(status=status, contact_id=visit.contact.id))
        if status == "pending" or found.status != "pending"
    ]
    return render_template(
        "tickets/home.html",
        section="home",
        open=counts["open"],
        waiting=counts["pending"],
        cases=shown[:SHOWN_AT_HOME],
        news=articles_for(visit.session, visit.user, language=language(), now=visit.now, kind="announcement", limit=3),
    )


@shared_pages.get("/tickets/<ticket:number>")
def ticket(number: int) -> ResponseReturnValue:
    """TICKET# in mails and in the CRM (S08): the same address for everybody, each gets his own page of it."""
    is_staff = this_visit().signed_in.staff is not None
    return redirect(url_for("staff.ticket" if is_staff else "cases.details", number=number), 303)


@shared_pages.get("/tickets/<ticket:number>/freshness")
def ticket_freshness(number: int) -> ResponseReturnValue:
    """How well the Case mirrors the ticket right now, for a page that has been open for a while (O11)."""
    visit = this_visit()
    is_staff = visit.signed_in.staff is not None
    found = queries.ticket_for_staff(visit.session, number) if is_staff else own_case(visit, number)
    state = freshness(visit.session, found or abort(404), visit.now)
    return render_template("tickets/freshness.html", fresh=state, customer=not is_staff)


@case_pages.get("")
def cases() -> ResponseReturnValue:
    visit = this_visit()
    listing = read_listing()
    page = queries.tickets_for_contact(visit.session, visit.contact, wanted_cases(visit, listing), limit=listing.limit)
    return render_template(
        "tickets/cases.html",
        section="cases",
        listing=listing,
        page=page,
        contact=visit.contact,
        products=products(visit.session),
        reads_others=bool(policy.whole_accounts(visit.contact)),
        accounts=readable_accounts(visit.session, visit.contact),
        status_groups=_status_groups(listing),
    )


def wanted_cases(visit: Visit, listing: Listing) -> queries.TicketFilter:
    return replace(listing.filter(), contact_id=visit.contact.id if listing.whose == "mine" else None)


@case_pages.get("/<ticket:number>")
def details(number: int) -> ResponseReturnValue:
    visit = this_visit()
    return _details_page(visit, own_case(visit, number))


@case_pages.get("/<ticket:number>/comments")
def comments(number: int) -> ResponseReturnValue:
    visit = this_visit()
    return _comments_page(visit, own_case(visit, number), Entered())


@case_pages.get("/<ticket:number>/files")
def files(number: int) -> ResponseReturnValue:
    visit = this_visit()
    return _case_page("files", visit, own_case(visit, number))


@case_pages.get("/<ticket:number>/print")
def printable(number: int) -> ResponseReturnValue:
    """The whole case on one page, for paper."""
    visit = this_visit()
    found = own_case(visit, number)
    return render_template(
        "tickets/print.html",
        section="cases",
        ticket=found,
        replies=queries.public_replies(visit.session, found),
        attached=queries.ticket_files(visit.session, found, public_only=True),
        assignee_name=assignee_name(found),
        reason=_reason(found),
    )


@case_pages.post("/<ticket:number>/comments")
def reply(number: int) -> ResponseReturnValue:
    own_case(this_visit(), number)
    form = entered()
    received = receive_files(form)
    if not form.errors and not form["preview"]:
        try:
            with acting() as visit:
                _reply(visit, own_case(visit, number), form, received)
        except Invalid as invalid:
            form.refuse(invalid.errors)
        except Refused as refused:
            form.refuse({"": refused.message_key})
        else:
            flash(_("Your reply is sent."), "ok")
            return redirect(url_for("cases.comments", number=number, _anchor="last"), 303)
    visit = this_visit()
    return _comments_page(visit, own_case(visit, number), form, kept=keep(received)), form.status_code


@case_pages.post("/<ticket:number>/solve")
def solve(number: int) -> ResponseReturnValue:
    return _set_status(number, "solved", _("Marked as solved. If it comes back, just reply."))


@case_pages.post("/<ticket:number>/reopen")
def reopen(number: int) -> ResponseReturnValue:
    return _set_status(number, "open", _("The case is open again."))


@case_pages.post("/<ticket:number>/rating")
def rate(number: int) -> ResponseReturnValue:
    form = entered()
    try:
        with acting() as visit:
            _rate(visit, own_case(visit, number), form)
    except Invalid as invalid:
        form.refuse(invalid.errors)
        visit = this_visit()
        return _details_page(visit, own_case(visit, number), rating_form=form), form.status_code
    except Refused as refused:
        flash(_(refused.message_key), "bad")
    else:
        flash(_("Thank you for your rating."), "ok")
    return redirect(url_for("cases.details", number=number), 303)


def _newest(visit: Visit, wanted: queries.TicketFilter) -> Sequence[Ticket]:
    return queries.tickets_for_contact(visit.session, visit.contact, wanted, limit=SHOWN_AT_HOME).items


def own_case(visit: Visit, number: int) -> Ticket:
    """The visitor's case; anything else does not exist for him."""
    found = queries.ticket_for_contact(visit.session, visit.contact, number)
    return found or abort(404)


def said_just_now(visit: Visit, found: Ticket, body: str, *, has_files: bool, name: str | None = None) -> bool:
    """Whether this person sent the same words a moment ago: a form sent twice, by a double click or a reload."""
    if has_files or not body.strip():
        return False
    last = threads.last_entry(visit.session, found)
    return (
        last is not None
        and last.author_name == (name or visit.actor.name)
        and last.body == body.replace("\r\n", "\n")
        and visit.now - last.created_at < _SAME_WORDS_AGAIN
    )


def shown_before() -> int | None:
    """The place in a conversation before which this page shows it."""
    before = request.args.get("before", "")
    return int(before) if before.isdecimal() and len(before) <= 9 else None


def _reply(visit: Visit, found: Ticket, form: Entered, received: Any) -> None:
    status = form["status"] or None
    if said_just_now(visit, found, form["body"], has_files=bool(received)):
        if status:
            actions.set_status(visit.session, found, status, actor=visit.actor, now=visit.now)
    else:
        actions.add_reply(
            visit.session,
            found,
            actor=visit.actor,
            body=form["body"],
            files=received,
            status=status,
            now=visit.now,
        )


def _rate(visit: Visit, found: Ticket, form: Entered) -> None:
    actions.rate(visit.session, found, actor=visit.actor, score=score_of(form), words=form["words"], now=visit.now)


def _set_status(number: int, status: str, said: str) -> ResponseReturnValue:
    try:
        with acting() as visit:
            found = own_case(visit, number)
            actions.set_status(visit.session, found, status, actor=visit.actor, now=visit.now)
        flash(said, "ok")
    except Refused as refused:
        flash(_(refused.message_key), "bad")
    return redirect(url_for("cases.details", number=number), 303)


def _details_page(visit: Visit, found: Ticket, **more: Any) -> str:
    attached = queries.ticket_files(visit.session, found, public_only=True)
    return _case_page(
        "details",
        visit,
        found,
        attached=attached,
        first_files=[file for file in attached if file.entry_id is None],
        days_closed=_days_closed(found, visit.now),
        parent=_visible_parent(visit, found),
        followers=[one for one in queries.followers(visit.session, found) if policy.sees(visit.contact, one)],
        reason=_reason(found),
        changes=history_lines(queries.history(visit.session, found, public_only=True)),
        **more,
    )


def _comments_page(visit: Visit, found: Ticket, form: Entered, **more: Any) -> str:
    attached = queries.ticket_files(visit.session, found, public_only=True)
    thread = threads.read_thread(visit.session, found, Reply, attached, before=shown_before())
    return _case_page(
        "comments",
        visit,
        found,
        attached=attached,
        thread=thread,
        reply_count=thread.count,
        form=form,
        new_statuses=_new_statuses(found),
        **more,
    )


def _case_page(tab: str, visit: Visit, found: Ticket, *, attached: list[Attachment] | None = None, **more: Any) -> str:
    if attached is None:
        attached = queries.ticket_files(visit.session, found, public_only=True)
    if "reply_count" not in more:
        more["reply_count"] = threads.count_replies(visit.session, found)
    asks = found.status == lifecycle.PENDING and tab != "comments"
    is_own = found.contact_id == visit.contact.id
    return render_template(
        f"tickets/case_{tab}.html",
        **{"rating_form": present_rating(found)} | more,
        section="cases",
        tab=tab,
        ticket=found,
        attached=attached,
        question=threads.last_question(visit.session, found) if asks else None,
        assignee_name=assignee_name(found),
        may=May(solve=found.status in UNFINISHED, reopen=found.status in DONE, rate=is_own and found.status in DONE),
        fresh=freshness(visit.session, found, visit.now),
    )


def score_of(form: Entered) -> int:
    """The score that was chosen; 0, which is none, for anything else."""
    return int(form["score"]) if form["score"].isdecimal() and len(form["score"]) == 1 else 0


def present_rating(found: Ticket) -> Entered:
    rating = found.rating
    return Entered({"score": str(rating.score), "words": rating.words} if rating else {})


def _new_statuses(found: Ticket) -> list[tuple[str, str]]:
    """What the box "New status" offers with a reply (S49): first what a reply alone leads to."""
    usual = lifecycle.status_after("customer_reply", found.status)
    others = [CLOSED] if found.status == CLOSED else [SOLVED]
    return [("", CUSTOMER_STATUS[usual]), *((status, CUSTOMER_STATUS[status]) for status in others)]


def _visible_parent(visit: Visit, found: Ticket) -> Ticket | None:
    """The parent case, unless it is somebody else's."""
    parent = found.parent
    if parent is None or parent.deleted_at is not None or not policy.sees(visit.contact, parent):
        return None
    return parent


def _reason(found: Ticket) -> str:
    """Why there is a case (S73): its category, else whether something broke or something new is asked for."""
    if found.category is not None:
        return name_of(found.category)
    nature = found.details.get(NATURE_LABEL)
    return detail_value(NATURE_LABEL, str(nature)) if nature else ""


def _days_closed(found: Ticket, now: datetime) -> int | None:
    """Calendar days in the reader's zone (S72)."""
    end = found.closed_at or found.resolved_at
    if end is None or found.status not in DONE:
        return None
    zone = get_timezone()
    return (now.astimezone(zone).date() - end.astimezone(zone).date()).days


def _status_groups(listing: Listing) -> list[tuple[str, str]]:
    """Groups of statuses; a search looks everywhere unless open cases alone are asked for."""
    return [("open" if listing.q else "", _("Open cases")), ("all", _("All cases"))]
