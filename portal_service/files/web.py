"""Files coming in with a form and going out as downloads."""

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog
from flask import Blueprint, Response, abort, jsonify, request, send_file, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import FileStorage

from portal_service.files import staging
from portal_service.files.errors import FileRefused, LinkRefused
from portal_service.files.links import read_link
from portal_service.files.models import Attachment
from portal_service.files.staging import Upload
from portal_service.files.storage import StoredFile, store_upload
from portal_service.messages import message
from portal_service.people import throttle
from portal_service.tickets import queries
from portal_service.tickets.attachments import MAX_FILES
from portal_service.web.formats import size
from portal_service.web.forms import Entered
from portal_service.web.visits import Visit, release, this_portal, this_visit
from shared.clock import utc_now
from shared.ids import new_id

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What is shown on a page. Anything else is only ever downloaded."""

_UPLOAD_UNIT = 8 * 1024 * 1024
_MOST_UPLOADED, _MOST_UPLOADED_BY_STRANGERS = 400, 120
"""Requests with files, or units of 8 MiB, within 15 minutes: of one log-in, and of one network without any."""
_GUEST_OWNER = "owner_of_files"
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_STAGED = 12
"""Nobody can have more than this many times the greatest file waiting."""

TOO_MUCH = message("Together the files have more than %(limit)s. Please remove some, or send them with a reply later.")
FULL = message("Too much is waiting to be sent. Please send a request first, or remove files.")

own_files = Blueprint("files", __name__)
signed_files = Blueprint("signed_files", __name__)
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class KeptFile:
    """A file that arrived before its form was accepted; `token` lets the form refer to it."""

    name: str
    size: int
    token: str


@own_files.get("/attachments/<uuid:attachment_id>")
def download(attachment_id: uuid.UUID) -> ResponseReturnValue:
    return send_attachment(_visible(this_visit(), attachment_id), as_attachment=True)


@own_files.get("/attachments/<uuid:attachment_id>/view")
def view(attachment_id: uuid.UUID) -> ResponseReturnValue:
    """A picture to show on a page; anything else comes as a download."""
    attachment = _visible(this_visit(), attachment_id)
    return send_attachment(attachment, as_attachment=attachment.content_type not in PICTURES)


@signed_files.get("/files/<token>")
def signed(token: str) -> ResponseReturnValue:
    """For account managers, who have no log-in here: the link itself is the permission (S88)."""
    try:
        attachment = read_link(this_visit().session, token)
    except LinkRefused:
        abort(404)
    log.info("signed_link_opened", attachment_id=str(attachment.id), ticket_id=str(attachment.ticket_id))
    return send_attachment(attachment, as_attachment=True)


def receive_files(form: Entered) -> tuple[Upload, ...]:
    """Store what came with the form, and find what its sender uploaded before. Refusals become errors of the form."""
    uploads = [upload for upload in request.files.getlist("files") if upload.filename]
    earlier = kept_files(request.form.getlist("kept_files"))
    stored, refusals = _store(uploads[: MAX_FILES + 1])
    limit = this_portal().settings.max_upload_bytes
    if staging.total_bytes([*earlier, *stored]) > limit:
        refusals.append(_(TOO_MUCH, limit=size(limit)))
    if refusals:
        form.refuse({"files": "\n".join(refusals)})
    return (*earlier, *_stage(stored))


def kept_files(tokens: Sequence[str]) -> list[Upload]:
    """The visitor's staged files that a form names; what is foreign or too old counts as not named."""
    visit = this_visit()
    return staging.find(visit.session, file_ids(tokens), owner=files_owner(), now=visit.now)


def file_ids(tokens: Iterable[str]) -> list[uuid.UUID]:
    """The ids among these texts in their order, each once, no more than a form may have."""
    ids = dict.fromkeys(uuid.UUID(token) for token in tokens if _ID.fullmatch(token))
    return list(ids)[: 2 * MAX_FILES]


def take_upload() -> ResponseReturnValue:
    """One file, sent by the page's script before its form is."""
    visit = this_visit()
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        abort(400)
    staged = staging.bytes_of(visit.session, owner=files_owner(), now=visit.now)
    if staged > MOST_STAGED * this_portal().settings.max_file_bytes:
        return jsonify(error=_(FULL)), 422
    stored, refusals = _store([upload])
    if refusals:
        return jsonify(error=refusals[0]), 422
    (staged_file,) = _stage(stored)
    return jsonify(token=str(staged_file.id), name=staged_file.name, size=staged_file.size), 201


def drop_upload(file_id: uuid.UUID) -> ResponseReturnValue:
    """The visitor does not want to send a file after all; asked for a foreign one, nothing happens."""
    owner = files_owner()
    release()
    with this_portal().database.write() as writing:
        staging.drop(writing, file_id, owner=owner, now=utc_now())
    return "", 204


@own_files.post("/uploads")
def upload() -> ResponseReturnValue:
    return take_upload()


@own_files.post("/uploads/<uuid:file_id>/delete")
def delete_upload(file_id: uuid.UUID) -> ResponseReturnValue:
    return drop_upload(file_id)


def keep(files: Sequence[Upload]) -> list[KeptFile]:
    """What a form shown again needs to keep files that already arrived."""
    return [KeptFile(file.name, file.size, str(file.id)) for file in files]


def upload_url() -> str:
    """Where the page's script sends files to."""
    return url_for("files.upload" if this_visit().user is not None else "guest.upload")


def files_owner() -> str:
    """Whose the files of a form are: the visitor's, or without a log-in this browser's."""
    user = this_visit().user
    return str(user.id) if user is not None else browser_id()


def browser_id() -> str:
    """Names a browser without a log-in until it is closed."""
    owner: str = session.setdefault(_GUEST_OWNER, new_id().hex)
    return owner


def _may_upload() -> bool:
    """Count what is about to be stored, accepted or not: otherwise forms with a mistake would fill the disk."""
    user = this_visit().user
    if user is not None:
        allowed = throttle.limit("upload", str(user.id), _MOST_UPLOADED)
    else:
        allowed = throttle.per_address("upload", request.remote_addr or "", _MOST_UPLOADED_BY_STRANGERS)
    release()
    with this_portal().database.write() as writing:
        if throttle.is_exceeded(writing, [allowed], now=utc_now()):
            return False
        throttle.count(writing, [allowed] * (1 + (request.content_length or 0) // _UPLOAD_UNIT), now=utc_now())
    return True


def _store(uploads: Iterable[FileStorage]) -> tuple[list[StoredFile], list[str]]:
    """The files that were taken, and for each other one a sentence that says why not."""
    portal, stored, refusals = this_portal(), [], []
    uploads = list(uploads)
    if uploads and not _may_upload():
        return [], [_(throttle.THROTTLED)]
    for upload in uploads:
        try:
            file = store_upload(
                portal.storage, upload.filename or "", upload.stream, limit=portal.settings.max_file_bytes
            )
        except FileRefused as refused:
            refusals.append(_(refused.message_key, **refused.message_args))
        else:
            stored.append(file)
    return stored, refusals


def _stage(stored: Sequence[StoredFile]) -> list[Upload]:
    if not stored:
        return []
    owner = files_owner()
    release()
    with this_portal().database.write() as writing:
        return staging.stage(writing, stored, owner=owner, now=utc_now())


def _visible(visit: Visit, attachment_id: uuid.UUID) -> Attachment:
    if visit.signed_in.staff is not None:
        found = queries.attachment_for_staff(visit.session, attachment_id)
    else:
        found = queries.attachment_for_contact(visit.session, visit.contact, attachment_id)
    return found or abort(404)


def send_attachment(attachment: Attachment, *, as_attachment: bool) -> Response:
    """The file, for a visitor who was found to be allowed to have it."""
    file = StoredFile(
        name=attachment.name, content_type=attachment.content_type, size=attachment.size, sha256=attachment.sha256
    )
    return send_stored(file, as_attachment=as_attachment)


def send_stored(file: StoredFile, *, as_attachment: bool) -> Response:
    """A stored file, for a visitor who was found to be allowed to have it."""
    try:
        content = this_portal().storage.open(file.sha256)
    except FileNotFoundError:
        log.exception("file_without_content", name=file.name, sha256=file.sha256)
        abort(404)
    response = send_file(
        content,
        mimetype=file.content_type,
        as_attachment=as_attachment,
        download_name=file.name,
        etag=file.sha256,
        conditional=True,
    )
    if response.status_code == 200:
        response.content_length = file.size
    response.headers["Cache-Control"] = "private, no-cache"
    # Whatever the bytes are, they run nothing and reach nothing.
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
