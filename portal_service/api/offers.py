"""Downloads and the troubleshooter, for their readers and for the staff who edit them."""

import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Response
from marshmallow import Schema, fields
from marshmallow.validate import Length

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.fields import Flag, Id, Out, choice, nullable, pattern, text
from portal_service.api.filing import uploads
from portal_service.api.operations import Who, operation
from portal_service.api.ticket_shapes import DAY
from portal_service.files.storage import StoredFile
from portal_service.files.web import send_stored
from portal_service.knowledge import downloads, rights, troubleshooter
from portal_service.knowledge.download_models import Download
from portal_service.knowledge.readers import VISIBILITIES
from portal_service.knowledge.trouble_models import TroubleQuestion
from portal_service.knowledge.troubleshooter import MOST_OPTIONS, OptionEntered, QuestionEntered


class DownloadOut(Out):
    """A program to download, with its checksum."""

    id = fields.UUID()
    title = fields.String()
    version = fields.String()
    released_at = fields.DateTime()
    summary_en = fields.String()
    summary_nl = fields.String()
    article_slug = nullable(fields.String())
    name = fields.String()
    size = fields.Integer()
    sha256 = fields.String()


class Downloads(Out):
    items = fields.List(fields.Nested(DownloadOut))


class EditedDownload(DownloadOut):
    visibility = fields.String()
    withdrawn_at = nullable(fields.DateTime())


class EditedDownloads(Out):
    items = fields.List(fields.Nested(EditedDownload))


class DownloadIn(Schema):
    """A new version; its file was uploaded before."""

    title = text(1000, required=True)
    version = text(200, required=True)
    released_on = pattern(DAY, 10, required=True)
    summary_en = text(2000, load_default="")
    summary_nl = text(2000, load_default="")
    article_slug = text(120, load_default="")
    visibility = choice(*VISIBILITIES, load_default="public")
    file = Id(required=True)


class WithdrawnIn(Schema):
    withdrawn = Flag(required=True)


class OptionOut(Out):
    """An answer and where it leads: to a question, an article or a request."""

    id = fields.UUID()
    text_en = fields.String()
    text_nl = fields.String()
    next_id = nullable(fields.UUID())
    article_slug = nullable(fields.String())
    type_key = nullable(fields.String())
    subject_en = fields.String()
    subject_nl = fields.String()


class QuestionOut(Out):
    id = fields.UUID()
    text_en = fields.String()
    text_nl = fields.String()
    hint_en = fields.String()
    hint_nl = fields.String()
    begins = fields.Boolean()
    options = fields.List(fields.Nested(OptionOut))


class Questions(Out):
    items = fields.List(fields.Nested(QuestionOut))


class OptionIn(Schema):
    text_en = text(1000, required=True)
    text_nl = text(1000, load_default="")
    next_id = Id(load_default=None)
    article_slug = text(120, load_default="")
    type_key = text(64, load_default="")
    subject_en = text(255, load_default="")
    subject_nl = text(255, load_default="")


class QuestionIn(Schema):
    text_en = text(1000, required=True)
    text_nl = text(1000, load_default="")
    hint_en = text(2000, load_default="")
    hint_nl = text(2000, load_default="")
    begins = Flag(load_default=False)
    options = fields.List(fields.Nested(OptionIn), required=True, validate=Length(max=MOST_OPTIONS))


@operation("GET", "/downloads", who=Who.READER, tag="downloads", answer=Downloads, pages=("downloads.listed",))
def list_downloads(call: Call) -> dict[str, Any]:
    """New versions of our programs, as far as the reader may have them."""
    return {"items": DownloadOut(many=True).dump(downloads.downloads_for(call.session, call.user, now=call.now))}


@operation(
    "GET",
    "/downloads/<uuid:download_id>/file",
    who=Who.READER,
    tag="downloads",
    download=True,
    pages=("downloads.download",),
)
def download_program(call: Call, download_id: uuid.UUID) -> Response:
    """The file itself."""
    found = downloads.download_for(call.session, call.user, download_id, now=call.now)
    if found is None:
        raise problems.not_found()
    stored = StoredFile(name=found.name, content_type=found.content_type, size=found.size, sha256=found.sha256)
    return send_stored(stored, as_attachment=True)


@operation(
    "GET",
    "/editor/downloads",
    who=Who.STAFF,
    tag="editor",
    answer=EditedDownloads,
    pages=("download_editor.edit_list",),
)
def list_edited_downloads(call: Call) -> dict[str, Any]:
    """All downloads, also those withdrawn or hidden."""
    return {"items": EditedDownload(many=True).dump(downloads.all_downloads(call.session))}


@operation(
    "POST",
    "/editor/downloads",
    who=Who.STAFF,
    tag="editor",
    body=DownloadIn,
    answer=EditedDownload,
    status=201,
    pages=("download_editor.offer",),
)
def offer_download(call: Call) -> Any:
    """Offer a new version. For publishers."""
    rights.require_publisher(call.session, call.staff)
    given = dict(call.body)
    files = uploads(call, [given.pop("file")])
    new = downloads.NewDownload(released_at=_day(given.pop("released_on")), **given)
    return EditedDownload().dump(downloads.offer(call.session, new, files, by=call.staff.name))


@operation(
    "PATCH",
    "/editor/downloads/<uuid:download_id>",
    who=Who.STAFF,
    tag="editor",
    body=WithdrawnIn,
    answer=EditedDownload,
    pages=("download_editor.withdraw",),
)
def withdraw_download(call: Call, download_id: uuid.UUID) -> Any:
    """Withdraw a version, or offer it again. For publishers."""
    rights.require_publisher(call.session, call.staff)
    found = call.session.get(Download, download_id)
    if found is None:
        raise problems.not_found()
    found.withdrawn_at = (found.withdrawn_at or call.now) if call.body["withdrawn"] else None
    return EditedDownload().dump(found)


@operation(
    "GET",
    "/troubleshooter",
    who=Who.READER,
    tag="troubleshooter",
    answer=Questions,
    pages=("troubleshooter.start", "troubleshooter.ask", "troubleshooter.follow", "trouble_editor.listed"),
)
def read_troubleshooter(call: Call) -> dict[str, Any]:
    """All questions with their answers; those with `begins` come first."""
    return {"items": QuestionOut(many=True).dump(troubleshooter.questions(call.session))}


@operation(
    "POST",
    "/editor/questions",
    who=Who.STAFF,
    tag="editor",
    body=QuestionIn,
    answer=QuestionOut,
    status=201,
    pages=("trouble_editor.new_form", "trouble_editor.create"),
)
def add_question(call: Call) -> Any:
    """Add a question to the troubleshooter; each answer leads to exactly one end."""
    return QuestionOut().dump(troubleshooter.save(call.session, None, _entered(call)))


@operation(
    "PUT",
    "/editor/questions/<uuid:question_id>",
    who=Who.STAFF,
    tag="editor",
    body=QuestionIn,
    answer=QuestionOut,
    pages=("trouble_editor.edit_form", "trouble_editor.edit"),
)
def change_question(call: Call, question_id: uuid.UUID) -> Any:
    """Replace a question and its answers."""
    return QuestionOut().dump(troubleshooter.save(call.session, _question(call, question_id), _entered(call)))


@operation(
    "DELETE", "/editor/questions/<uuid:question_id>", who=Who.STAFF, tag="editor", pages=("trouble_editor.remove",)
)
def remove_question(call: Call, question_id: uuid.UUID) -> None:
    """Remove a question that no answer leads to."""
    troubleshooter.remove(call.session, _question(call, question_id))


def _entered(call: Call) -> QuestionEntered:
    given = dict(call.body)
    options = [OptionEntered(**option) for option in given.pop("options")]
    return QuestionEntered(options=options, **given)


def _question(call: Call, question_id: uuid.UUID) -> TroubleQuestion:
    found = call.session.get(TroubleQuestion, question_id)
    if found is None:
        raise problems.not_found()
    return found


def _day(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return None
