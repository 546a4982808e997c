"""The review step between a solved ticket and an article (S22)."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import select

from portal_service.knowledge import from_ticket
from portal_service.knowledge.editing import Content
from portal_service.knowledge.from_ticket import DONE, Review
from portal_service.people.models import User
from portal_service.tickets import queries
from portal_service.tickets.errors import Invalid
from portal_service.tickets.models import Ticket
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import Visit, acting, this_visit
from shared.settings import LANGUAGES

_MOST_EXTRA = 50

from_ticket_pages = Blueprint("from_ticket", __name__, url_prefix="/staff/articles/from-ticket")


@from_ticket_pages.get("/<ticket:number>")
def review(number: int) -> ResponseReturnValue:
    visit = this_visit()
    ticket = _done_ticket(visit, number)
    chosen = _language_of(visit, ticket)
    proposal = from_ticket.propose(visit.session, ticket, language=chosen)
    return _page(number, Entered({**vars(proposal.content), "language": chosen}))


@from_ticket_pages.post("/<ticket:number>")
def accept(number: int) -> ResponseReturnValue:
    form = entered()
    try:
        with acting() as visit:
            ticket = _done_ticket(visit, number)
            article = from_ticket.accept(
                visit.session,
                ticket,
                _content(form),
                _review(form),
                language=_language(form),
                by=visit.staff.name,
                now=visit.now,
            )
    except Invalid as invalid:
        form.refuse(invalid.errors)
        visit = this_visit()
        clean = from_ticket.cleaned(
            visit.session, _done_ticket(visit, number), _content(form), _review(form), language=_language(form)
        )
        form.values |= vars(clean)
        return _page(number, form)
    flash(_("Saved as a draft. Nobody but staff sees it yet."), "ok")
    return redirect(url_for("articles.edit_form", article_id=article.id), 303)


def _page(number: int, form: Entered) -> ResponseReturnValue:
    visit = this_visit()
    ticket = _done_ticket(visit, number)
    decided = _review(form)
    proposal = from_ticket.propose(visit.session, ticket, language=_language(form), review=decided)
    page = render_template(
        "knowledge/from_ticket.html",
        section="queue",
        ticket=ticket,
        form=form,
        findings=proposal.findings,
        confirmed=decided.confirmed,
        kept=decided.kept,
    )
    return page, form.status_code


def _review(form: Entered) -> Review:
    lines = [line.strip() for line in form["more"].splitlines() if len(line.strip()) > 1]
    return Review(
        confirmed=request.form.getlist("confirm"),
        kept=request.form.getlist("keep"),
        extra=lines[:_MOST_EXTRA],
        was_read=form["read"] == "yes",
    )


def _content(form: Entered) -> Content:
    names = ("kind", "title", "summary", "body", "visibility")
    values = {name: form[name].replace("\r\n", "\n").strip() for name in names}
    return Content(**values)


def _language(form: Entered) -> str:
    return form["language"] if form["language"] in LANGUAGES else language()


def _language_of(visit: Visit, ticket: Ticket) -> str:
    """The language in which the customer reads, and so probably writes."""
    found = visit.session.scalar(select(User.language).where(User.contact_id == ticket.contact_id))
    return found if found in LANGUAGES else language()


def _done_ticket(visit: Visit, number: int) -> Ticket:
    found = queries.ticket_for_staff(visit.session, number)
    return found if found is not None and found.status in DONE else abort(404)
