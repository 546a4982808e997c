"""What readers do with articles: find, read, comment, say whether they helped."""

import uuid
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from portal_service.api import paging, problems
from portal_service.api.calls import Call
from portal_service.api.fields import Flag, Id, Out, choice, nullable, text
from portal_service.api.operations import Answer, Who, operation
from portal_service.api.shapes import Paged
from portal_service.files.storage import StoredFile
from portal_service.files.web import send_stored
from portal_service.knowledge import feedback, pace
from portal_service.knowledge.models import Article, ArticleFile
from portal_service.knowledge.queries import KINDS, article_for, articles_for, translations
from portal_service.knowledge.search import search, suggest
from portal_service.knowledge.suggest_web import of_address
from portal_service.people import throttle
from portal_service.people.entry import visitor_address
from portal_service.tickets import drafts
from portal_service.tickets.text import MAX_BODY
from portal_service.web.catalogues import language
from shared.settings import LANGUAGES

_MOST_FOUND = 200
_WAIT = {"Retry-After": "60"}
_SUGGESTED = 8
_MOST_SOLVED = 30
_ONE = "/articles/<slug>"


class ArticleLine(Out):
    slug = fields.String()
    language = fields.String()
    kind = choice(*KINDS)
    title = fields.String()
    summary = fields.String()
    published_at = fields.DateTime()


class ArticleFileOut(Out):
    id = fields.UUID()
    name = fields.String()
    content_type = fields.String()
    size = fields.Integer()


class ArticleOut(ArticleLine):
    body = fields.String(metadata={"description": "Markdown."})
    files = fields.List(fields.Nested(ArticleFileOut))


class ArticlePage(Out):
    items = fields.List(fields.Nested(ArticleLine))
    next = nullable(fields.String())


class Suggested(Out):
    items = fields.List(fields.Nested(ArticleLine))


class ArticleQuery(Paged):
    q = text(200, metadata={"description": "Words to find; stems and typing errors are understood."})
    kind = choice(*KINDS)
    language = choice(*LANGUAGES, metadata={"description": "Without it the one of Accept-Language."})


class WritingIn(Schema):
    """A request that is being written."""

    subject = text(1000, load_default="")
    description = text(MAX_BODY, load_default="")


class SolvedIn(Schema):
    """The request that was not needed: its kind, and an id that lets it count once."""

    type = text(64, load_default="")
    draft = Id()


class VoteIn(Schema):
    helpful = Flag(required=True)


class ArticleCommentIn(Schema):
    body = text(MAX_BODY, required=True)


class ArticleCommentOut(Out):
    id = fields.UUID()
    author = fields.String(attribute="author_name")
    by_staff = fields.Boolean()
    body = fields.String()
    created_at = fields.DateTime()


class ArticleComments(Out):
    items = fields.List(fields.Nested(ArticleCommentOut))


@operation(
    "GET",
    "/articles",
    who=Who.READER,
    tag="knowledge",
    query=ArticleQuery,
    answer=ArticlePage,
    pages=("knowledge.articles", "news.news", "home.home"),
)
def list_articles(call: Call) -> Answer:
    """Find articles; without words the newest. News are of the kind `announcement`.

    Without a token only those that are open to everybody.
    """
    asked = call.query
    return paging.sliced(
        _found(call), lambda one: one.slug, ArticleLine().dump, limit=asked["limit"], after=asked.get("after")
    )


@operation(
    "GET",
    _ONE,
    who=Who.READER,
    tag="knowledge",
    answer=ArticleOut,
    pages=("knowledge.article", "suggestions.answer"),
)
def read_article(call: Call, slug: str) -> Any:
    """One article, in the language asked for if there is such a version."""
    return ArticleOut().dump(_article(call, slug))


@operation(
    "GET", f"{_ONE}/files/<uuid:file_id>", who=Who.READER, tag="knowledge", download=True, pages=("knowledge.file",)
)
def download_article_file(call: Call, slug: str, file_id: uuid.UUID) -> Response:
    """A file of an article, for whoever may read the article."""
    found = call.session.get(ArticleFile, file_id)
    readable = {one.id for one in translations(call.session, call.user, slug, now=call.now)}
    if found is None or found.article_id not in readable:
        raise problems.not_found()
    stored = StoredFile(name=found.name, content_type=found.content_type, size=found.size, sha256=found.sha256)
    return send_stored(stored, as_attachment=True)


@operation(
    "GET", f"{_ONE}/comments", who=Who.READER, tag="knowledge", answer=ArticleComments, pages=("knowledge.article",)
)
def list_article_comments(call: Call, slug: str) -> dict[str, Any]:
    """What readers say about an article, oldest first."""
    return {"items": ArticleCommentOut(many=True).dump(feedback.comments(call.session, _article(call, slug)))}


@operation(
    "POST",
    f"{_ONE}/comments",
    who=Who.PERSON,
    tag="knowledge",
    body=ArticleCommentIn,
    answer=ArticleComments,
    status=201,
    pages=("comments.add",),
)
def comment_on_article(call: Call, slug: str) -> dict[str, Any]:
    """Comment on an article; everybody who may read it sees the comment. The answer is all comments."""
    found = _article(call, slug)
    feedback.comment(call.session, found, call.signed_in, call.body["body"], now=call.now)
    return {"items": ArticleCommentOut(many=True).dump(feedback.comments(call.session, found))}


@operation("PUT", f"{_ONE}/vote", who=Who.PERSON, tag="knowledge", body=VoteIn, pages=("knowledge.helpful",))
def vote_on_article(call: Call, slug: str) -> None:
    """Say whether an article helped; one can change one's mind."""
    found = _article(call, slug)
    feedback.vote(call.session, found, f"user:{call.signed_in.id.hex}", helpful=call.body["helpful"], now=call.now)


@operation(
    "POST",
    "/suggestions",
    who=Who.READER,
    tag="knowledge",
    body=WritingIn,
    answer=Suggested,
    scope="read",
    repeatable=False,
    pages=("suggestions.offer",),
)
def suggest_articles(call: Call) -> dict[str, Any]:
    """Articles that may answer a request which is being written, the best first."""
    if call.token is None and not pace.allows(call.session, of_address(), now=call.now):
        raise problems.ApiProblem(429, "too_many_calls", problems.TOO_OFTEN, headers=_WAIT)
    draft = f"{call.body['subject']} {call.body['description']}"
    found = suggest(call.session, call.user, draft, language=language(), now=call.now, limit=_SUGGESTED)
    return {"items": [ArticleLine().dump(one.article) for one in found]}


@operation(
    "POST",
    f"{_ONE}/solved",
    who=Who.PERSON,
    tag="knowledge",
    body=SolvedIn,
    refusals=(429,),
    pages=("suggestions.solved",),
)
def article_solved_it(call: Call, slug: str) -> None:
    """Say that an article made a request unnecessary; the draft of that kind is deleted."""
    found = _article(call, slug)
    limits = [throttle.per_address("solved", visitor_address(), _MOST_SOLVED)]
    if not throttle.is_exceeded(call.session, limits, now=call.now):
        throttle.count(call.session, limits, now=call.now)
        feedback.solved_without_ticket(call.session, found, call.body.get("draft"), now=call.now)
    if call.body["type"]:
        drafts.forget(call.session, drafts.Place(user_id=call.signed_in.id, type_key=call.body["type"]))


def _article(call: Call, slug: str) -> Article:
    found = article_for(call.session, call.user, slug, language=language(), now=call.now)
    if found is None:
        raise problems.not_found()
    return found


def _found(call: Call) -> list[Article]:
    asked = call.query
    wanted, words = asked.get("language") or language(), asked.get("q", "").strip()
    limits: dict[str, Any] = {"language": wanted, "now": call.now, "kind": asked.get("kind"), "limit": _MOST_FOUND}
    if not words:
        return list(articles_for(call.session, call.user, **limits))
    return [one.article for one in search(call.session, call.user, words, **limits)]
