"""Writing articles by API: drafts, versions, publishing; and a solved ticket that becomes an article."""

import uuid
from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Length, Range

from portal_service.api import problems
from portal_service.api.articles import ArticleFileOut
from portal_service.api.calls import Call
from portal_service.api.fields import Flag, Id, Number, Out, choice, text
from portal_service.api.filing import uploads
from portal_service.api.operations import Who, operation
from portal_service.knowledge import editing, feedback, from_ticket, rights, shelf
from portal_service.knowledge.editing import Content, content_of, newest
from portal_service.knowledge.models import Article, ArticleFile
from portal_service.knowledge.queries import KINDS
from portal_service.knowledge.readers import VISIBILITIES
from portal_service.tickets.errors import Invalid
from portal_service.tickets.text import MAX_BODY
from shared.settings import LANGUAGES

_ONE = "/editor/articles/<uuid:article_id>"
_MOST_LISTED = 500


class ContentIn(Schema):
    """What an article says."""

    kind = choice(*KINDS, load_default="documentation")
    title = text(1000, required=True)
    summary = text(2000, load_default="")
    body = text(MAX_BODY, required=True)
    visibility = choice(*VISIBILITIES, load_default="public")


class NewArticle(ContentIn):
    language = choice(*LANGUAGES, required=True)
    translation_of = Id(metadata={"description": "The article this is a translation of."})
    files = fields.List(Id(), validate=Length(max=20), metadata={"description": "Ids of POST /uploads."})


class ArticleChange(ContentIn):
    seen = Number(
        required=True, validate=Range(min=1, max=10**6), metadata={"description": "The version this is based on."}
    )
    remark = text(255, load_default="")
    files = fields.List(Id(), validate=Length(max=20))


class PublishIn(Schema):
    at = fields.AwareDateTime(metadata={"description": "From when on; without it now."})


class EditedLine(Out):
    id = fields.UUID()
    slug = fields.String()
    language = fields.String()
    state = choice(*shelf.STATES)
    kind = fields.String()
    title = fields.String()
    version = fields.Integer(metadata={"description": "What readers see."})
    latest = fields.Integer()


class Edited(EditedLine):
    """An article with its newest version, whether that is published or not."""

    summary = fields.String()
    body = fields.String()
    visibility = fields.String()
    files = fields.List(fields.Nested(ArticleFileOut))


class EditedList(Out):
    items = fields.List(fields.Nested(EditedLine))


class EditedQuery(Schema):
    state = choice(*shelf.STATES)
    language = choice(*LANGUAGES)
    q = text(200, load_default="")


class VersionOut(Out):
    number = fields.Integer()
    title = fields.String()
    body = fields.String()
    author = fields.String(attribute="author_name")
    remark = fields.String()
    created_at = fields.DateTime()


class Versions(Out):
    items = fields.List(fields.Nested(VersionOut))


class Publishers(Out):
    ids = fields.List(fields.UUID())


class PublishersIn(Schema):
    ids = fields.List(Id(), required=True, validate=Length(max=1000))


class FindingOut(Out):
    key = fields.String()
    kind = fields.String()
    text = fields.String()
    count = fields.Integer()


class ProposalOut(Out):
    """What a ticket offers for an article, already without what tells of its customer."""

    title = fields.String()
    body = fields.String()
    findings = fields.List(fields.Nested(FindingOut))


class ProposalQuery(Schema):
    language = choice(*LANGUAGES, load_default="en")


class ReviewIn(ContentIn):
    """A checked text: every finding is confirmed as taken out, or kept as a common word."""

    language = choice(*LANGUAGES, required=True)
    confirmed = fields.List(text(500), validate=Length(max=500), load_default=list)
    kept = fields.List(text(500), validate=Length(max=500), load_default=list)
    extra = fields.List(text(200), validate=Length(max=50), load_default=list)
    read = Flag(required=True, metadata={"description": "A person has read the text."})


@operation(
    "GET",
    "/editor/articles",
    who=Who.STAFF,
    tag="editor",
    query=EditedQuery,
    answer=EditedList,
    pages=("articles.listed",),
)
def list_edited_articles(call: Call) -> dict[str, Any]:
    """All articles, also drafts, those changed last first."""
    asked = call.query
    found = shelf.rows(
        call.session,
        now=call.now,
        state=asked.get("state", ""),
        language=asked.get("language", ""),
        q=asked["q"],
        limit=_MOST_LISTED,
    )
    return {"items": [_line(call, row.article) for row in found]}


@operation(
    "POST",
    "/editor/articles",
    who=Who.STAFF,
    tag="editor",
    body=NewArticle,
    answer=Edited,
    status=201,
    pages=("articles.new_form", "articles.create"),
)
def begin_article(call: Call) -> dict[str, Any]:
    """Begin an article as a draft, or the translation of one."""
    given = call.body
    source = _article(call, given["translation_of"]) if "translation_of" in given else None
    article = editing.begin(
        call.session,
        _content(call),
        language=given["language"],
        slug=source.slug if source else None,
        by=call.staff.name,
        now=call.now,
    )
    editing.add_files(call.session, article, uploads(call, given.get("files", [])), now=call.now)
    return _shown(call, article)


@operation("GET", _ONE, who=Who.STAFF, tag="editor", answer=Edited, pages=("articles.edit_form",))
def read_edited_article(call: Call, article_id: uuid.UUID) -> dict[str, Any]:
    """An article as its editors see it."""
    return _shown(call, _article(call, article_id))


@operation(
    "PUT",
    _ONE,
    who=Who.STAFF,
    tag="editor",
    body=ArticleChange,
    answer=Edited,
    refusals=(409,),
    pages=("articles.save",),
)
def change_article(call: Call, article_id: uuid.UUID) -> dict[str, Any]:
    """Add a version. Readers of a published article go on seeing what was published."""
    found = _article(call, article_id)
    given = call.body
    editing.edit(
        call.session,
        found,
        _content(call),
        seen=given["seen"],
        remark=given["remark"],
        by=call.staff.name,
        now=call.now,
    )
    editing.add_files(call.session, found, uploads(call, given.get("files", [])), now=call.now)
    return _shown(call, found)


@operation(
    "POST",
    f"{_ONE}/publish",
    who=Who.STAFF,
    tag="editor",
    body=PublishIn,
    answer=Edited,
    pages=("articles.publish",),
)
def publish_article(call: Call, article_id: uuid.UUID) -> dict[str, Any]:
    """Show the newest version to its readers, now or later. For publishers."""
    rights.require_publisher(call.session, call.staff)
    found = _article(call, article_id)
    try:
        editing.publish(call.session, found, by=call.staff.name, now=call.now, at=call.body.get("at"))
    except Invalid as invalid:
        raise problems.leaking(invalid) from invalid
    return _shown(call, found)


@operation("POST", f"{_ONE}/withdraw", who=Who.STAFF, tag="editor", answer=Edited, pages=("articles.withdraw",))
def withdraw_article(call: Call, article_id: uuid.UUID) -> dict[str, Any]:
    """Hide an article from all readers. For publishers."""
    rights.require_publisher(call.session, call.staff)
    found = _article(call, article_id)
    editing.withdraw(call.session, found, by=call.staff.name, now=call.now)
    return _shown(call, found)


@operation("GET", f"{_ONE}/versions", who=Who.STAFF, tag="editor", answer=Versions, pages=("articles.versions",))
def list_versions(call: Call, article_id: uuid.UUID) -> dict[str, Any]:
    """Every version of an article, newest first."""
    return {"items": VersionOut(many=True).dump(shelf.versions(call.session, _article(call, article_id)))}


@operation(
    "POST",
    f"{_ONE}/versions/<int:number>/restore",
    who=Who.STAFF,
    tag="editor",
    answer=Edited,
    pages=("articles.restore",),
)
def restore_version(call: Call, article_id: uuid.UUID, number: int) -> dict[str, Any]:
    """Make an earlier version the newest again."""
    found = _article(call, article_id)
    if not 1 <= number <= found.latest:
        raise problems.not_found()
    editing.restore(call.session, found, number, by=call.staff.name, now=call.now)
    return _shown(call, found)


@operation("DELETE", f"{_ONE}/files/<uuid:file_id>", who=Who.STAFF, tag="editor", pages=("articles.remove_file",))
def remove_article_file(call: Call, article_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Take a file off an article."""
    found = call.session.get(ArticleFile, file_id)
    if found is None or found.article_id != article_id:
        raise problems.not_found()
    call.session.delete(found)


@operation(
    "DELETE", f"{_ONE}/comments/<uuid:comment_id>", who=Who.STAFF, tag="editor", pages=("articles.remove_comment",)
)
def remove_article_comment(call: Call, article_id: uuid.UUID, comment_id: uuid.UUID) -> None:
    """Take a reader's comment off an article."""
    found = _article(call, article_id)
    if comment_id not in {one.id for one in feedback.comments(call.session, found)}:
        raise problems.not_found()
    feedback.remove_comment(call.session, found, comment_id, by=call.staff.name, now=call.now)


@operation("GET", "/editor/publishers", who=Who.ADMIN, tag="editor", answer=Publishers, pages=("articles.publishers",))
def list_publishers(call: Call) -> dict[str, Any]:
    """The agents who may publish; administrators may anyway."""
    return {"ids": sorted(map(str, rights.publishers(call.session)))}


@operation(
    "PUT",
    "/editor/publishers",
    who=Who.ADMIN,
    tag="editor",
    body=PublishersIn,
    answer=Publishers,
    pages=("articles.name_publishers",),
)
def name_publishers(call: Call) -> dict[str, Any]:
    """Make exactly these agents publishers."""
    rights.set_publishers(call.session, set(call.body["ids"]))
    return {"ids": sorted(map(str, rights.publishers(call.session)))}


@operation(
    "GET",
    "/tickets/<int:number>/article",
    who=Who.STAFF,
    tag="editor",
    query=ProposalQuery,
    answer=ProposalOut,
    pages=("from_ticket.review",),
)
def propose_article(call: Call, number: int) -> dict[str, Any]:
    """What a solved ticket offers for an article, and what of its customer was found in it."""
    proposal = from_ticket.propose(call.session, _done(call, number), language=call.query["language"])
    findings = FindingOut(many=True).dump(proposal.findings)
    return {"title": proposal.content.title, "body": proposal.content.body, "findings": findings}


@operation(
    "POST",
    "/tickets/<int:number>/article",
    who=Who.STAFF,
    tag="editor",
    body=ReviewIn,
    answer=Edited,
    status=201,
    pages=("from_ticket.accept",),
)
def accept_article(call: Call, number: int) -> dict[str, Any]:
    """Make a draft article of a solved ticket, after a person has checked the text."""
    given = call.body
    review = from_ticket.Review(
        confirmed=given["confirmed"], kept=given["kept"], extra=given["extra"], was_read=given["read"]
    )
    article = from_ticket.accept(
        call.session,
        _done(call, number),
        _content(call),
        review,
        language=given["language"],
        by=call.staff.name,
        now=call.now,
    )
    return _shown(call, article)


def _done(call: Call, number: int) -> Any:
    found = call.ticket(number)
    if found.status not in from_ticket.DONE:
        raise problems.not_found()
    return found


def _article(call: Call, article_id: uuid.UUID) -> Article:
    found = call.session.get(Article, article_id)
    if found is None:
        raise problems.not_found()
    return found


def _content(call: Call) -> Content:
    return Content(**{name: call.body[name] for name in ("kind", "title", "summary", "body", "visibility")})


def _line(call: Call, article: Article) -> dict[str, Any]:
    latest = newest(call.session, article)
    return {
        "id": str(article.id),
        "slug": article.slug,
        "language": article.language,
        "state": shelf.state_of(article, now=call.now),
        "kind": latest.kind,
        "title": latest.title,
        "version": article.version,
        "latest": article.latest,
    }


def _shown(call: Call, article: Article) -> dict[str, Any]:
    call.session.flush()
    call.session.refresh(article, ["files"])
    content = content_of(newest(call.session, article))
    files = ArticleFileOut(many=True).dump(article.files)
    return {**_line(call, article), **vars(content), "files": files}
