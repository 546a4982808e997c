"""What is said about a ticket, and its files."""

import uuid
from typing import Any

from flask import Response

from portal_service.api import paging, problems
from portal_service.api.calls import Call, etag
from portal_service.api.filing import uploads
from portal_service.api.operations import Answer, Who, operation
from portal_service.api.shapes import File, Files, InternalFile, InternalFiles, Paged
from portal_service.api.ticket_shapes import (
    CommentIn,
    CommentOut,
    CommentPage,
    RatingIn,
    StaffComment,
    StaffCommentPage,
    TicketOut,
    ticket_of,
)
from portal_service.files.models import Attachment
from portal_service.files.web import send_attachment
from portal_service.tickets import actions, queries
from portal_service.tickets.models import Entry, Ticket

_ONE = "/tickets/<int:number>"


@operation(
    "GET",
    f"{_ONE}/comments",
    who=Who.HOLDER,
    tag="comments",
    query=Paged,
    answers=(CommentPage, StaffCommentPage),
    pages=("cases.comments", "staff.ticket", "guest.ticket"),
)
def list_comments(call: Call, number: int) -> Answer:
    """What was said, oldest first. Internal notes are in the answer for agents and in no other."""
    found = call.ticket(number)
    limit, after = call.query["limit"], call.query.get("after")
    if call.is_staff:
        entries = queries.all_entries(call.session, found)
        return paging.sliced(entries, _position, StaffComment().dump, limit=limit, after=after)
    replies = queries.public_replies(call.session, found)
    return paging.sliced(replies, _position, CommentOut().dump, limit=limit, after=after)


@operation(
    "POST",
    f"{_ONE}/comments",
    who=Who.HOLDER,
    tag="comments",
    body=CommentIn,
    answers=(CommentOut, StaffComment),
    status=201,
    conditional=True,
    refusals=(409,),
    pages=("cases.reply", "staff.reply", "staff.note", "guest.reply"),
)
def add_comment(call: Call, number: int) -> Answer:
    """Reply to a ticket, or as an agent add an internal note.

    With files there need be no words. A customer's reply takes a pending, solved or closed ticket up again.
    """
    found = call.matched(number, "reply")
    entry = _note(call, found) if _wants_note(call) else _reply(call, found)
    call.session.flush()
    call.session.refresh(entry, ["attachments"])
    shape = StaffComment() if call.is_staff else CommentOut()
    return Answer(shape.dump(entry), headers={"ETag": etag(found)})


@operation(
    "PUT",
    f"{_ONE}/rating",
    who=Who.HOLDER,
    tag="tickets",
    body=RatingIn,
    answer=TicketOut,
    conditional=True,
    refusals=(409,),
    pages=("cases.rate", "guest.rate"),
)
def rate_ticket(call: Call, number: int) -> Answer:
    """Say how a solved or closed ticket was handled, from 1 (very bad) to 5 (very good). For its requester."""
    found = call.matched(number, "rate")
    given = call.body
    actions.rate(call.session, found, actor=call.actor(found), score=given["score"], words=given["words"], now=call.now)
    call.session.refresh(found, ["rating"])
    return Answer(ticket_of(call, found), headers={"ETag": etag(found)})


@operation(
    "GET",
    f"{_ONE}/files",
    who=Who.HOLDER,
    tag="files",
    answers=(Files, InternalFiles),
    pages=("cases.files", "staff.ticket", "guest.ticket"),
)
def list_files(call: Call, number: int) -> dict[str, Any]:
    """The files of a ticket and of its comments; of internal notes for agents only."""
    found = queries.ticket_files(call.session, call.ticket(number), public_only=not call.is_staff)
    return {"items": (InternalFile if call.is_staff else File)(many=True).dump(found)}


@operation(
    "GET",
    f"{_ONE}/files/<uuid:file_id>",
    who=Who.HOLDER,
    tag="files",
    download=True,
    pages=("files.download", "files.view", "guest.download", "guest.view_file"),
)
def download_file(call: Call, number: int, file_id: uuid.UUID) -> Response:
    """The content of a file, byte for byte."""
    found = queries.ticket_files(call.session, call.ticket(number), public_only=not call.is_staff)
    return send_attachment(_one(found, file_id), as_attachment=True)


def _one(files: list[Attachment], file_id: uuid.UUID) -> Attachment:
    found = next((file for file in files if file.id == file_id), None)
    if found is None:
        raise problems.not_found()
    return found


def _position(entry: Entry) -> str:
    return str(entry.position)


def _wants_note(call: Call) -> bool:
    for name in ("internal", "ask"):
        if call.body[name] and not call.is_staff:
            raise problems.refused_field(name)
    return bool(call.body["internal"])


def _reply(call: Call, found: Ticket) -> Entry:
    given = call.body
    return actions.add_reply(
        call.session,
        found,
        actor=call.actor(found),
        body=given["body"],
        files=uploads(call, given.get("files", [])),
        pending=given["ask"],
        status="solved" if given["solve"] else None,
        now=call.now,
    )


def _note(call: Call, found: Ticket) -> Entry:
    given = call.body
    return actions.add_internal_note(
        call.session,
        found,
        actor=call.actor(),
        body=given["body"],
        files=uploads(call, given.get("files", [])),
        now=call.now,
    )
