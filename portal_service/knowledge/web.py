"""The knowledge base, open to everyone as far as each article is (S78 - S80, S82, S84, S26)."""

import uuid
from dataclasses import dataclass

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from markupsafe import Markup

from portal_service.files.storage import StoredFile
from portal_service.files.web import browser_id, send_stored
from portal_service.knowledge import feedback
from portal_service.knowledge.models import Article, ArticleFile
from portal_service.knowledge.queries import article_for, articles_for, translations
from portal_service.knowledge.search import Found, search
from portal_service.knowledge.snippets import mark, snippet
from portal_service.people import throttle
from portal_service.people.entry import visitor_address
from portal_service.tickets.errors import Invalid
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.texts import KIND
from portal_service.web.visits import Visit, acting, this_portal, this_visit
from shared.clock import utc_now

SHOWN = 60
FOUND_SHOWN = 20
NEWS_SHOWN = 20
_MOST_VOTES = 60

knowledge_pages = Blueprint("knowledge", __name__, url_prefix="/knowledge")
news_pages = Blueprint("news", __name__, url_prefix="/news")
comment_pages = Blueprint("comments", __name__, url_prefix="/knowledge/<slug>/comments")


@dataclass(frozen=True)
class Hit:
    """An article in a list of results, as it is shown."""

    article: Article
    title: Markup
    text: Markup
    complete: bool


@knowledge_pages.get("")
def articles() -> ResponseReturnValue:
    visit = this_visit()
    words = request.args.get("q", "").strip()[:200]
    asked = request.args.get("kind")
    kind = asked if asked in KIND else None
    hits, listed = None, None
    if words:
        hits = shown(
            search(visit.session, visit.user, words, language=language(), now=visit.now, kind=kind, limit=FOUND_SHOWN)
        )
    else:
        listed = articles_for(visit.session, visit.user, language=language(), now=visit.now, kind=kind, limit=SHOWN)
    return render_template(
        "knowledge/articles.html", section="knowledge", query=words, kind=kind, articles=listed, hits=hits
    )


@knowledge_pages.get("/<slug>")
def article(slug: str) -> ResponseReturnValue:
    return _article_page(slug, Entered())


@knowledge_pages.get("/<slug>/files/<uuid:file_id>")
def file(slug: str, file_id: uuid.UUID) -> ResponseReturnValue:
    """A file of an article, for whoever may read the article."""
    visit = this_visit()
    found = visit.session.get(ArticleFile, file_id)
    owners = translations(visit.session, visit.user, slug, now=visit.now)
    if found is None or found.article_id not in {owner.id for owner in owners}:
        abort(404)
    return send_article_file(found)


@knowledge_pages.post("/<slug>/helpful")
def helpful(slug: str) -> ResponseReturnValue:
    visit = this_visit()
    found = readable_article(visit, slug)
    answer = request.form.get("helpful")
    if answer not in {"yes", "no"}:
        abort(400)
    limits = (throttle.per_address("vote", visitor_address(), _MOST_VOTES),)
    with this_portal().database.write() as writing:
        if not throttle.is_exceeded(writing, limits, now=utc_now()):
            throttle.count(writing, limits, now=utc_now())
            feedback.vote(writing, found, voter(visit), helpful=answer == "yes", now=utc_now())
    flash(_("Thank you. That helps us to write better articles."), "ok")
    return redirect(article_url(found), 303)


@comment_pages.post("")
def add(slug: str) -> ResponseReturnValue:
    found = readable_article(this_visit(), slug)
    form = entered()
    try:
        with acting() as visit:
            feedback.comment(visit.session, found, visit.signed_in, form["body"], now=visit.now)
    except Invalid as invalid:
        form.refuse(invalid.errors)
        return _article_page(slug, form)
    flash(_("Your comment is published. Thank you."), "ok")
    return redirect(article_url(found, _anchor="comments"), 303)


@news_pages.get("")
def news() -> ResponseReturnValue:
    visit = this_visit()
    items = articles_for(
        visit.session, visit.user, language=language(), now=visit.now, kind="announcement", limit=NEWS_SHOWN
    )
    return render_template("knowledge/news.html", section="knowledge", news=items)


def shown(found: list[Found]) -> list[Hit]:
    return [
        Hit(
            one.article,
            mark(one.article.title, one.terms, one.article.language),
            snippet(f"{one.article.summary} {one.article.body}", one.terms, one.article.language),
            one.complete,
        )
        for one in found
    ]


def readable_article(visit: Visit, slug: str) -> Article:
    """The article of this address; what the visitor may not read does not exist for him."""
    return article_for(visit.session, visit.user, slug, language=_wanted_language(), now=visit.now) or abort(404)


def article_url(article: Article, **more: str) -> str:
    """The address of an article in its language, which is named where it is not the reader's."""
    if article.language != language():
        more["in"] = article.language
    return url_for("knowledge.article", slug=article.slug, **more)  # type: ignore[arg-type] # parts of the address


def voter(visit: Visit) -> str:
    """Who votes: a user, or without a log-in this browser."""
    return f"user:{visit.user.id.hex}" if visit.user is not None else f"browser:{browser_id()}"


def send_article_file(file: ArticleFile) -> Response:
    stored = StoredFile(name=file.name, content_type=file.content_type, size=file.size, sha256=file.sha256)
    return send_stored(stored, as_attachment=True)


def _wanted_language() -> str:
    """The language asked for in the address, else the reader's."""
    return request.values.get("in") or language()


def _article_page(slug: str, form: Entered) -> ResponseReturnValue:
    visit = this_visit()
    found = readable_article(visit, slug)
    others = translations(visit.session, visit.user, slug, now=visit.now)
    page = render_template(
        "knowledge/article.html",
        section="knowledge",
        article=found,
        others=[other for other in others if other.id != found.id],
        comments=feedback.comments(visit.session, found),
        voted=feedback.vote_of(visit.session, found, voter(visit)),
        echo=feedback.echoes(visit.session, [found.id])[found.id],
        form=form,
    )
    return page, form.status_code
