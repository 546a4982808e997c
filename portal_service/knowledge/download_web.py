"""The pages of the downloads (S83)."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_timezone
from flask_babel import gettext as _
from sqlalchemy import select

from portal_service.files.storage import StoredFile
from portal_service.files.web import KeptFile, keep, receive_files, send_stored
from portal_service.knowledge import downloads, rights
from portal_service.knowledge.download_models import Download
from portal_service.knowledge.downloads import NewDownload
from portal_service.knowledge.models import Article
from portal_service.tickets.errors import Invalid, Refused
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import acting, this_visit

download_pages = Blueprint("downloads", __name__, url_prefix="/downloads")
download_editor_pages = Blueprint("download_editor", __name__, url_prefix="/staff/downloads")


@download_pages.get("")
def listed() -> ResponseReturnValue:
    visit = this_visit()
    found = downloads.downloads_for(visit.session, visit.user, now=visit.now)
    return render_template("knowledge/downloads.html", section="knowledge", downloads=found, summary=_summary)


@download_pages.get("/<uuid:download_id>/<path:name>")
def download(download_id: uuid.UUID, name: str) -> ResponseReturnValue:
    """The file itself; its name in the address is for people."""
    visit = this_visit()
    found = downloads.download_for(visit.session, visit.user, download_id, now=visit.now)
    if found is None or found.name != name:
        abort(404)
    stored = StoredFile(name=found.name, content_type=found.content_type, size=found.size, sha256=found.sha256)
    return send_stored(stored, as_attachment=True)


@download_editor_pages.get("")
def edit_list() -> ResponseReturnValue:
    return _editor(Entered({"released_at": f"{this_visit().now:%Y-%m-%d}", "visibility": "public"}))


@download_editor_pages.post("")
def offer() -> ResponseReturnValue:
    form = entered()
    files = receive_files(form)
    if not form.errors:
        try:
            with acting() as visit:
                rights.require_publisher(visit.session, visit.staff)
                downloads.offer(visit.session, _entered(form), files, by=visit.staff.name)
        except Invalid as invalid:
            form.refuse(invalid.errors)
        except Refused as refused:
            form.refuse({"": refused.message_key})
    if form.errors:
        return _editor(form, keep(files))
    flash(_("The download is offered now."), "ok")
    return redirect(url_for("download_editor.edit_list"), 303)


@download_editor_pages.post("/<uuid:download_id>/withdraw")
def withdraw(download_id: uuid.UUID) -> ResponseReturnValue:
    try:
        with acting() as visit:
            rights.require_publisher(visit.session, visit.staff)
            found = visit.session.get(Download, download_id) or abort(404)
            found.withdrawn_at = None if found.withdrawn_at else visit.now
    except Refused as refused:
        flash(_(refused.message_key), "bad")
    return redirect(url_for("download_editor.edit_list"), 303)


def _editor(form: Entered, kept: Sequence[KeptFile] = ()) -> ResponseReturnValue:
    visit = this_visit()
    notes = select(Article.slug).where(Article.kind == "release_notes", Article.state == "published").distinct()
    page = render_template(
        "knowledge/download_editor.html",
        section="knowledge",
        downloads=downloads.all_downloads(visit.session),
        form=form,
        kept=kept,
        slugs=[(slug, slug) for slug in visit.session.scalars(notes.order_by(Article.slug))],
        may_publish=rights.may_publish(visit.session, visit.staff),
    )
    return page, form.status_code


def _entered(form: Entered) -> NewDownload:
    names = ("title", "version", "summary_en", "summary_nl", "article_slug", "visibility")
    return NewDownload(released_at=_day(form["released_at"]), **{name: form[name] for name in names})


def _day(text: str) -> datetime | None:
    try:
        moment: datetime = get_timezone().localize(datetime.fromisoformat(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment


def _summary(found: Download) -> str:
    return (found.summary_nl if language() == "nl" else "") or found.summary_en
