"""The agent's pages: the queue, a ticket with its right column, filing for a contact (S28, S36 - S43, S66)."""

import uuid
from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from markupsafe import Markup

from portal_service.crm.freshness import freshness_of
from portal_service.files.web import keep, receive_files
from portal_service.people.models import Contact
from portal_service.tickets import account_search, actions, choices, lifecycle, queries, threads
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.fields import assignee_name
from portal_service.tickets.filing_web import choose_type_page, file_ticket, form_page, new_form_page, read_filing
from portal_service.tickets.models import Entry, Ticket
from portal_service.tickets.web import said_just_now, shown_before
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.listing import read_listing
from portal_service.web.situation import situation_for
from portal_service.web.targets import local_target
from portal_service.web.texts import STATUS, history_lines
from portal_service.web.visits import Visit, acting, this_visit

CONTACTS_SHOWN = 30

staff_pages = Blueprint("staff", __name__, url_prefix="/staff")


@staff_pages.get("/tickets")
def queue() -> ResponseReturnValue:
    visit = this_visit()
    listing = read_listing()
    asked = listing.filter(me=visit.staff.id, now=visit.now)
    return render_template(
        "staff/queue.html",
        section="queue",
        listing=listing,
        page=queries.tickets_for_staff(visit.session, asked, limit=listing.limit),
        counts=queries.counts_by_status(visit.session, assignee_id=asked.assignee_id),
        mine=queries.counts_by_status(visit.session, assignee_id=visit.staff.id)["open"],
        offered=(offered := choices.offered(visit.session)),
        accounts=account_search.filter_options(visit.session, offered.accounts, listing.account_id),
    )


@staff_pages.get("/tickets/<ticket:number>")
def ticket(number: int) -> ResponseReturnValue:
    found = any_ticket(this_visit(), number)
    return _ticket_page(found if found.reviewed_at is not None else _reviewed(found))


@staff_pages.post("/tickets/<ticket:number>/reply")
def reply(number: int) -> ResponseReturnValue:
    form = entered()
    received = receive_files(form)

    def act(visit: Visit, found: Ticket) -> None:
        if not said_just_now(visit, found, form["body"], has_files=bool(received)):
            actions.add_reply(
                visit.session,
                found,
                actor=visit.actor,
                body=form["body"],
                files=received,
                pending=bool(form["pending"]),
                status=None if form["pending"] else form["status"] or None,
                now=visit.now,
            )

    if _done(number, form, act):
        flash(
            _("Sent to the customer; the ticket waits for the answer.")
            if form["pending"]
            else _("Sent to the customer."),
            "ok",
        )
        return redirect(url_for("staff.ticket", number=number, _anchor="last"), 303)
    return _ticket_page(_again(number), reply_form=form, kept=keep(received)), form.status_code


@staff_pages.post("/tickets/<ticket:number>/note")
def note(number: int) -> ResponseReturnValue:
    form = entered()
    received = receive_files(form)

    def act(visit: Visit, found: Ticket) -> None:
        if not said_just_now(visit, found, form["body"], has_files=bool(received)):
            actions.add_internal_note(
                visit.session, found, actor=visit.actor, body=form["body"], files=received, now=visit.now
            )

    if _done(number, form, act):
        flash(_("Internal note added. The customer does not see it."), "ok")
        return redirect(url_for("staff.ticket", number=number, _anchor="last"), 303)
    return _ticket_page(_again(number), note_form=form, kept_with_note=keep(received)), form.status_code


@staff_pages.post("/tickets/<ticket:number>/edit")
def edit(number: int) -> ResponseReturnValue:
    """Save the right column (S43): only what was changed in this form, so that a colleague's change stays."""
    form = entered()

    def act(visit: Visit, found: Ticket) -> None:
        actions.edit(visit.session, found, actor=visit.actor, changes=_changes(form), now=visit.now)

    if _done(number, form, act):
        flash(_("Saved."), "ok")
        return redirect(url_for("staff.ticket", number=number), 303)
    if "" in form.errors:
        _remember_refusal(number, ", ".join(_changes(form)))
    return _ticket_page(_again(number), edit_form=form), form.status_code


@staff_pages.post("/tickets/<ticket:number>/close")
def close(number: int) -> ResponseReturnValue:
    """The check mark, in the list and on the page (S66)."""
    form = entered()

    def act(visit: Visit, found: Ticket) -> None:
        actions.close(visit.session, found, actor=visit.actor, now=visit.now)

    if _done(number, form, act):
        page = Markup('<a href="{}">#{}</a>').format(url_for("staff.ticket", number=number), number)
        flash(Markup(_("Ticket %(ticket)s is closed.", ticket=page)), "ok")  # noqa: S704 (a link built just above)
    else:
        reason = form.errors[""]
        flash(_(reason), "bad")
    return redirect(local_target(request.form.get("next"), url_for("staff.ticket", number=number)), 303)


@staff_pages.get("/tickets/<ticket:number>/transfer")
def transfer_form(number: int) -> ResponseReturnValue:
    found = any_ticket(this_visit(), number)
    return _transfer_page(found, _present(found))


@staff_pages.post("/tickets/<ticket:number>/transfer")
def transfer(number: int) -> ResponseReturnValue:
    """Agent, account, product and internal note in one step (S42)."""
    form = entered()

    def act(visit: Visit, found: Ticket) -> None:
        actions.transfer(
            visit.session,
            found,
            actor=visit.actor,
            assignee_id=form.id("assignee_id"),
            account_id=form.id("account_id"),
            product_id=form.id("product_id"),
            note=form["note"],
            now=visit.now,
        )

    if _done(number, form, act):
        flash(_("Transferred."), "ok")
        return redirect(url_for("staff.ticket", number=number), 303)
    return _transfer_page(any_ticket(this_visit(), number), form), form.status_code


@staff_pages.get("/tickets/<ticket:number>/delete")
def confirm_delete(number: int) -> ResponseReturnValue:
    back = local_target(request.args.get("next"), url_for("staff.ticket", number=number))
    return render_template("staff/delete.html", section="queue", ticket=any_ticket(this_visit(), number), back=back)


@staff_pages.post("/tickets/<ticket:number>/delete")
def delete(number: int) -> ResponseReturnValue:
    with acting() as visit:
        actions.delete(visit.session, any_ticket(visit, number), actor=visit.actor, now=visit.now)
    flash(_("Ticket #%(number)s is deleted. Its Case stays in the CRM.", number=number), "ok")
    target = local_target(request.form.get("next"), url_for("staff.queue"))
    own = url_for("staff.ticket", number=number)
    return redirect(url_for("staff.queue") if target.startswith(own) else target, 303)


@staff_pages.get("/tickets/new")
def choose_contact() -> ResponseReturnValue:
    words = request.args.get("q", "").strip()[:200]
    found = choices.contacts(this_visit().session, words, limit=CONTACTS_SHOWN)
    return render_template("staff/choose_contact.html", contacts=found, words=words, limit=CONTACTS_SHOWN)


@staff_pages.get("/tickets/new/<uuid:contact_id>")
def choose_type(contact_id: uuid.UUID) -> ResponseReturnValue:
    chosen = request.args.get("type")
    if chosen:
        return redirect(url_for("staff.describe", contact_id=contact_id, type_key=chosen), 303)
    here = url_for("staff.choose_type", contact_id=contact_id)
    contact = _contact(this_visit(), contact_id)
    return choose_type_page(here, missing=chosen is not None, on_behalf_of=contact)


@staff_pages.get("/tickets/new/<uuid:contact_id>/<type_key>")
def describe(contact_id: uuid.UUID, type_key: str) -> ResponseReturnValue:
    return new_form_page(read_filing(this_visit(), type_key, contact_id))


@staff_pages.post("/tickets/new/<uuid:contact_id>/<type_key>")
def file_for_contact(contact_id: uuid.UUID, type_key: str) -> ResponseReturnValue:
    form = entered()
    read_filing(this_visit(), type_key, contact_id)
    received = receive_files(form)
    number = file_ticket(form, received, type_key, contact_id)
    if number is not None:
        flash(_("Ticket #%(number)s is filed. The contact gets the mail.", number=number), "ok")
        return redirect(url_for("staff.ticket", number=number), 303)
    return form_page(read_filing(this_visit(), type_key, contact_id), form, received), form.status_code


@staff_pages.post("/availability")
def availability() -> ResponseReturnValue:
    """Whether new tickets are assigned to this agent (S36)."""
    with acting() as visit:
        visit.staff.available = bool(request.form.get("available"))
        available = visit.staff.available
    flash(
        _("You are available: new tickets come to you.")
        if available
        else _("You are away: no new tickets come to you."),
        "ok",
    )
    return redirect(local_target(request.form.get("next"), url_for("staff.queue")), 303)


def any_ticket(visit: Visit, number: int) -> Ticket:
    return queries.ticket_for_staff(visit.session, number) or abort(404)


def _reviewed(found: Ticket) -> Ticket:
    """The ticket after its first opening by an agent (S38, S60)."""
    try:
        with acting(as_known=True) as visit:
            reviewed = queries.carried_over(visit.session, found)
            actions.mark_reviewed(visit.session, reviewed, actor=visit.actor, now=visit.now)
    except Refused:  # deleted a moment ago
        abort(404)
    return queries.carried_over(this_visit().session, reviewed)


def _done(number: int, form: Entered, act: Callable[[Visit, Ticket], None]) -> bool:
    """Do it in a transaction of its own; what is refused becomes errors of the form."""
    any_ticket(this_visit(), number)
    if form.errors or form["preview"] or account_search.searches(form):
        return False
    try:
        with acting() as visit:
            act(visit, any_ticket(visit, number))
    except Invalid as invalid:
        form.refuse(invalid.errors)
    except Refused as refused:
        form.refuse({"": refused.message_key})
    return not form.errors


def _remember_refusal(number: int, field: str) -> None:
    """What cannot be edited was tried: it stays as it was, and the history shows the attempt (S44)."""
    with acting() as visit:
        actions.record_refusal(visit.session, any_ticket(visit, number), actor=visit.actor, field=field, now=visit.now)


def _changes(form: Entered) -> dict[str, Any]:
    """Fields whose value differs from the one the page was made with. A field that cannot be edited stays in, and is
    refused and remembered (S44)."""
    changes: dict[str, Any] = {}
    for name, value in form.values.items():
        kept = name.startswith("was_") or name in account_search.FIELDS
        if kept or value == form.values.get(f"was_{name}"):
            continue
        changes[name] = _as_value(form, name)
    return changes


def _as_value(form: Entered, name: str) -> Any:
    if name.endswith("_id"):
        return form.id(name)
    if name == "parent_number":
        text = form[name].strip().removeprefix("#")
        return (int(text) if text.isdecimal() and len(text) <= 15 else 0) if text else None
    return form[name]


def _present(found: Ticket) -> Entered:
    """The ticket's values as a form."""
    names = ("status", "priority", "assignee_id", "account_id", "product_id", "category_id", "parent_number")
    return Entered({name: str(getattr(found, name) or "") for name in names})


def _transfer_page(found: Ticket, form: Entered) -> str:
    return render_template(
        "staff/transfer.html",
        section="queue",
        ticket=found,
        form=form,
        assignee_name=assignee_name(found),
        **_options(this_visit(), found, form),
    )


def _again(number: int) -> Ticket:
    """The ticket as it is after a form was refused."""
    return any_ticket(this_visit(), number)


def _ticket_page(found: Ticket, **forms: Any) -> str:
    visit = this_visit()
    attached = queries.ticket_files(visit.session, found, public_only=False)
    shown = {"reply_form": Entered(), "note_form": Entered(), "edit_form": _present(found)} | forms
    return render_template(
        "staff/ticket.html",
        **shown,
        section="queue",
        ticket=found,
        present=_present(found),
        thread=threads.read_thread(visit.session, found, Entry, attached, before=shown_before()),
        followers=queries.followers(visit.session, found),
        first_files=[file for file in attached if file.entry_id is None],
        history=history_lines(queries.history(visit.session, found, public_only=False)),
        fresh=freshness_of(found, found.mirror, situation_for(visit).crms, visit.now),
        mirror=found.mirror,
        assignee_name=assignee_name(found),
        statuses=[(status, STATUS[status]) for status in lifecycle.targets(found.status)],
        new_statuses=_new_statuses(found),
        may_close=lifecycle.is_allowed("close", found.status),
        **_options(visit, found, shown["edit_form"]),
    )


def _new_statuses(found: Ticket) -> list[tuple[str, str]]:
    """What the box "New status" offers with a reply: first what a reply alone leads to."""
    usual = lifecycle.status_after("staff_reply", found.status)
    others = (status for status in lifecycle.targets(usual) if status != usual)
    return [("", STATUS[usual]), *((status, STATUS[status]) for status in others)]


def _options(visit: Visit, found: Ticket, form: Entered) -> dict[str, Any]:
    offered = choices.offered(visit.session, ticket=found)
    dutch = language() == "nl"
    return {
        "agents": offered.agents,
        "accounts": account_search.account_choice(visit.session, form, few=offered.accounts, present=found.account),
        "products": offered.products,
        "categories": [(key, nl if dutch and nl else en) for key, en, nl in offered.categories],
    }


def _contact(visit: Visit, contact_id: uuid.UUID) -> Contact:
    contact = visit.session.get(Contact, contact_id)
    return contact if contact is not None and contact.active else abort(404)
