"""Staff write articles: list, editor with preview, versions, publishing (S79, S80)."""

import uuid
from datetime import UTC, datetime

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_timezone
from flask_babel import gettext as _

from portal_service.files.staging import Upload
from portal_service.files.web import keep, receive_files
from portal_service.knowledge import editing, feedback, rights, shelf
from portal_service.knowledge.compare import differences
from portal_service.knowledge.editing import Content, content_of, newest
from portal_service.knowledge.models import Article, ArticleFile, ArticleVersion
from portal_service.knowledge.shelf import state_of
from portal_service.messages import message
from portal_service.people import policy
from portal_service.tickets.choices import agents
from portal_service.tickets.errors import Invalid, Refused
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import Visit, acting, this_visit
from shared.settings import LANGUAGES

BAD_MOMENT = message("Please give a date and a time.")
PUBLISHED = message("Published. Readers see it now.")

article_pages = Blueprint("articles", __name__, url_prefix="/staff/articles")


@article_pages.get("")
def listed() -> ResponseReturnValue:
    visit = this_visit()
    args = request.args
    state, chosen, q = args.get("state", ""), args.get("language", ""), args.get("q", "").strip()[:200]
    return render_template(
        "knowledge/editor_list.html",
        section="knowledge",
        rows=shelf.rows(visit.session, now=visit.now, state=state, language=chosen, q=q),
        asked={"state": state, "language": chosen, "q": q},
        solved=feedback.deflections_since(visit.session, visit.now.replace(day=1, hour=0, minute=0, second=0)),
        may_name_publishers=policy.may_manage_access(visit.signed_in),
    )


@article_pages.get("/new")
def new_form() -> ResponseReturnValue:
    source = this_visit().session.get(Article, _id(request.args.get("of", "")) or uuid.uuid4())
    values = {"language": language(), "kind": "documentation", "visibility": "public"}
    if source is not None:
        values = {**_values(newest(this_visit().session, source)), "of": str(source.id)}
        values["language"] = next((code for code in LANGUAGES if code != source.language), source.language)
    return _editor(None, Entered(values))


@article_pages.post("/new")
def create() -> ResponseReturnValue:
    form = entered()
    files = receive_files(form)
    if form["do"] == "preview" or form.errors:
        return _editor(None, form, files)
    try:
        with acting() as visit:
            of = form.id("of")
            source = visit.session.get(Article, of) if of else None
            article = editing.begin(
                visit.session,
                _content(form),
                language=form["language"],
                slug=source.slug if source else None,
                by=visit.staff.name,
                now=visit.now,
            )
            editing.add_files(visit.session, article, files, now=visit.now)
    except Invalid as invalid:
        form.refuse(invalid.errors)
        return _editor(None, form, files)
    flash(_("Saved as a draft. Nobody but staff sees it yet."), "ok")
    return redirect(url_for("articles.edit_form", article_id=article.id), 303)


@article_pages.get("/<uuid:article_id>")
def edit_form(article_id: uuid.UUID) -> ResponseReturnValue:
    visit = this_visit()
    article = _article(visit, article_id)
    latest = newest(visit.session, article)
    return _editor(article, Entered({**_values(latest), "seen": str(latest.number)}))


@article_pages.post("/<uuid:article_id>")
def save(article_id: uuid.UUID) -> ResponseReturnValue:
    form = entered()
    files = receive_files(form)
    if form["do"] == "preview" or form.errors:
        return _editor(_article(this_visit(), article_id), form, files)
    try:
        with acting() as visit:
            article = _article(visit, article_id)
            editing.edit(
                visit.session,
                article,
                _content(form),
                seen=int(form["seen"]) if form["seen"].isdecimal() else 0,
                remark=form["remark"],
                by=visit.staff.name,
                now=visit.now,
            )
            editing.add_files(visit.session, article, files, now=visit.now)
    except Invalid as invalid:
        form.refuse(invalid.errors)
    except Refused as refused:
        form.refuse({"": refused.message_key})
    if form.errors:
        return _editor(_article(this_visit(), article_id), form, files)
    flash(_("Saved as version %(number)s.", number=article.latest), "ok")
    return redirect(url_for("articles.edit_form", article_id=article_id), 303)


@article_pages.post("/<uuid:article_id>/publish")
def publish(article_id: uuid.UUID) -> ResponseReturnValue:
    form = entered()
    try:
        at = _moment(form["at"])
        with acting() as visit:
            rights.require_publisher(visit.session, visit.staff)
            editing.publish(visit.session, _article(visit, article_id), by=visit.staff.name, now=visit.now, at=at)
            later = at is not None and at > visit.now
    except Invalid as invalid:
        wrong = invalid.errors[""]
        flash(_(wrong, what=invalid.errors.get("leaks", "")), "bad")
    except Refused as refused:
        flash(_(refused.message_key), "bad")
    else:
        flash(_("Scheduled. It appears by itself.") if later else _(PUBLISHED), "ok")
    return redirect(url_for("articles.edit_form", article_id=article_id), 303)


@article_pages.post("/<uuid:article_id>/withdraw")
def withdraw(article_id: uuid.UUID) -> ResponseReturnValue:
    try:
        with acting() as visit:
            rights.require_publisher(visit.session, visit.staff)
            editing.withdraw(visit.session, _article(visit, article_id), by=visit.staff.name, now=visit.now)
    except Refused as refused:
        flash(_(refused.message_key), "bad")
    else:
        flash(_("Withdrawn. Only staff see it now."), "ok")
    return redirect(url_for("articles.edit_form", article_id=article_id), 303)


@article_pages.get("/<uuid:article_id>/versions")
def versions(article_id: uuid.UUID) -> ResponseReturnValue:
    visit = this_visit()
    article = _article(visit, article_id)
    kept = shelf.versions(visit.session, article)
    known = {version.number: version for version in kept}
    after = known.get(request.args.get("to", type=int) or article.latest, kept[0])
    before = known.get(request.args.get("from", type=int) or after.number - 1)
    return render_template(
        "knowledge/versions.html",
        section="knowledge",
        article=article,
        versions=kept,
        events=shelf.events(visit.session, article),
        before=before,
        after=after,
        pieces=differences(_whole(before), _whole(after)) if before else [],
    )


@article_pages.post("/<uuid:article_id>/versions/<int:number>/restore")
def restore(article_id: uuid.UUID, number: int) -> ResponseReturnValue:
    try:
        with acting() as visit:
            article = _article(visit, article_id)
            editing.restore(visit.session, article, number, by=visit.staff.name, now=visit.now)
    except KeyError:
        abort(404)
    flash(_("Version %(number)s is the newest again. Publish it when it is ready.", number=number), "ok")
    return redirect(url_for("articles.edit_form", article_id=article_id), 303)


@article_pages.post("/<uuid:article_id>/files/<uuid:file_id>/remove")
def remove_file(article_id: uuid.UUID, file_id: uuid.UUID) -> ResponseReturnValue:
    with acting() as visit:
        found = visit.session.get(ArticleFile, file_id)
        if found is None or found.article_id != article_id:
            abort(404)
        visit.session.delete(found)
    flash(_("The file is removed."), "ok")
    return redirect(url_for("articles.edit_form", article_id=article_id), 303)


@article_pages.post("/<uuid:article_id>/comments/<uuid:comment_id>/remove")
def remove_comment(article_id: uuid.UUID, comment_id: uuid.UUID) -> ResponseReturnValue:
    with acting() as visit:
        article = _article(visit, article_id)
        feedback.remove_comment(visit.session, article, comment_id, by=visit.staff.name, now=visit.now)
    flash(_("The comment is removed."), "ok")
    return redirect(url_for("knowledge.article", slug=article.slug, _anchor="comments"), 303)


@article_pages.get("/publishers")
def publishers() -> ResponseReturnValue:
    visit = this_visit()
    if not policy.may_manage_access(visit.signed_in):
        abort(404)
    return render_template(
        "knowledge/publishers.html",
        section="knowledge",
        agents=agents(visit.session),
        chosen=rights.publishers(visit.session),
    )


@article_pages.post("/publishers")
def name_publishers() -> ResponseReturnValue:
    if not policy.may_manage_access(this_visit().signed_in):
        abort(404)
    chosen = {found for text in request.form.getlist("staff_id") if (found := _id(text)) is not None}
    with acting() as visit:
        rights.set_publishers(visit.session, chosen)
    flash(_("Saved."), "ok")
    return redirect(url_for("articles.publishers"), 303)


def _editor(article: Article | None, form: Entered, files: tuple[Upload, ...] = ()) -> ResponseReturnValue:
    visit = this_visit()
    page = render_template(
        "knowledge/editor.html",
        section="knowledge",
        article=article,
        state=state_of(article, now=visit.now) if article else None,
        form=form,
        kept=keep(files),
        preview=form["do"] == "preview",
        languages=shelf.languages_of(visit.session, article.slug) if article else {},
        may_publish=rights.may_publish(visit.session, visit.staff),
        echo=feedback.echoes(visit.session, [article.id])[article.id] if article else None,
        newest=newest(visit.session, article) if article else None,
    )
    return page, form.status_code


def _content(form: Entered) -> Content:
    names = ("kind", "title", "summary", "body", "visibility")
    return Content(**{name: form[name] for name in names})


def _values(version: ArticleVersion) -> dict[str, str]:
    return dict(vars(content_of(version)))


def _whole(version: ArticleVersion) -> str:
    return f"{version.title}\n\n{version.summary}\n\n{version.body}\n"


def _article(visit: Visit, article_id: uuid.UUID) -> Article:
    return visit.session.get(Article, article_id) or abort(404)


def _moment(text: str) -> datetime | None:
    """A date and a time in the editor's zone. Raises Invalid."""
    if not text:
        return None
    try:
        moment: datetime = get_timezone().localize(datetime.fromisoformat(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid({"": BAD_MOMENT}) from None
    return moment


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
