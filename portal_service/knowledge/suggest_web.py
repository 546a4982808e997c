"""Answers offered while somebody writes a request (S19 - S21): beside the draft, which stays as it is."""

import uuid

from flask import Blueprint, abort, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.files.web import browser_id
from portal_service.knowledge import feedback, pace
from portal_service.knowledge.search import suggest
from portal_service.knowledge.web import Hit, article_url, readable_article, shown
from portal_service.people import throttle
from portal_service.people.entry import visitor_address
from portal_service.tickets import drafts
from portal_service.web.catalogues import language
from portal_service.web.visits import this_portal, this_visit
from shared.clock import utc_now

OFFERED = 4
OFFERED_ON_A_PAGE = 8
_LOOKED_AT = 600
"""Characters of a draft, from its end: what somebody is writing about now."""
_MOST_A_MINUTE = 90
_MOST_OF_AN_ADDRESS = 600
_MOST_SOLVED = 30

suggest_pages = Blueprint("suggestions", __name__, url_prefix="/suggestions")


@suggest_pages.post("")
def offer() -> ResponseReturnValue:
    """Answers to what stands in the form: a list for the form's script, or a page of its own in a new tab."""
    if not _within_pace():
        abort(429)
    form = request.form
    about = form.get("about")
    texts = (
        [form.get(about, "")]
        if about in {"subject", "description"}
        else [form.get("subject", ""), form.get("description", "")]
    )
    if about is None:
        return render_template("knowledge/suggestions.html", section="knowledge", hits=_hits(texts, OFFERED_ON_A_PAGE))
    hits = _hits(texts, OFFERED)
    return render_template("knowledge/suggested.html", hits=hits) if hits else ("", 204)


@suggest_pages.get("/<slug>")
def answer(slug: str) -> ResponseReturnValue:
    """An article with the question whether it solved it: a piece for the panel beside the form, or a page."""
    visit = this_visit()
    template = "knowledge/answer_panel.html" if "piece" in request.args else "knowledge/answer.html"
    return render_template(template, section="knowledge", article=readable_article(visit, slug))


@suggest_pages.post("/<slug>/solved")
def solved(slug: str) -> ResponseReturnValue:
    """The request is not needed any more: its draft goes, and the article gets the credit."""
    visit = this_visit()
    found = readable_article(visit, slug)
    limits = (throttle.per_address("solved", visitor_address(), _MOST_SOLVED),)
    user, type_key, now = visit.user, request.form.get("type", ""), utc_now()
    with this_portal().database.write() as writing:
        if not throttle.is_exceeded(writing, limits, now=now):
            throttle.count(writing, limits, now=now)
            feedback.solved_without_ticket(writing, found, _draft(), now=now)
        if user is not None and type_key:
            drafts.forget(writing, drafts.Place(user_id=user.id, type_key=type_key))
    flash(_("Good to hear. Nothing was sent, and your draft is gone."), "ok")
    return redirect(article_url(found), 303)


def _hits(texts: list[str], limit: int) -> list[Hit]:
    visit = this_visit()
    draft = " ".join(text[-_LOOKED_AT:] for text in texts)
    return shown(suggest(visit.session, visit.user, draft, language=language(), now=visit.now, limit=limit))


def _within_pace() -> bool:
    user = this_visit().user
    visitor = f"suggest:{user.id if user else browser_id()}"
    limits = {visitor: _MOST_A_MINUTE} | of_address()
    return pace.within_pace(this_portal().database, limits, now=utc_now())


def of_address() -> dict[str, int]:
    """How often everybody behind one address may ask within a minute."""
    return {f"suggest@{visitor_address()}": _MOST_OF_AN_ADDRESS}


def _draft() -> uuid.UUID | None:
    try:
        return uuid.UUID(request.form.get("draft", ""))
    except ValueError:
        return None
