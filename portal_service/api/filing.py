"""Filing a ticket by API, with files that were uploaded before."""

import random
import uuid
from collections.abc import Sequence
from typing import Any

from marshmallow import fields

from portal_service.api import problems
from portal_service.api.calls import Call, etag
from portal_service.api.fields import Out
from portal_service.api.operations import Answer, Who, operation
from portal_service.api.ticket_shapes import NewTicketIn, StaffTicket, TicketOut, ticket_of
from portal_service.files import staging
from portal_service.files.staging import Upload
from portal_service.files.storage import store_upload
from portal_service.files.web import FULL, MOST_STAGED
from portal_service.messages import message
from portal_service.people.models import Contact
from portal_service.tickets import actions, choices, filing_form, referring
from portal_service.tickets.errors import UNKNOWN, Invalid
from portal_service.tickets.handling import NO_SUCH_PARENT
from portal_service.tickets.text import REQUIRED
from portal_service.web.forms import Entered
from portal_service.web.visits import this_portal

NO_SUCH_FILE = message("One of these files is not here. Please upload it again.")
_NAMES = {"request_type_id": "type", "favourite_staff_id": "representative_id", "timezone": "call_zone"}
"""Fields that the forms call otherwise."""
_IDS = ("account_id", "product_id", "category_id")


class UploadOut(Out):
    """A file on its way into a ticket."""

    id = fields.UUID()
    name = fields.String()
    size = fields.Integer()
    content_type = fields.String()


@operation(
    "POST",
    "/tickets",
    who=Who.PERSON,
    tag="tickets",
    body=NewTicketIn,
    answers=(TicketOut, StaffTicket),
    status=201,
    pages=(
        "requests.choose_type",
        "requests.describe",
        "requests.submit",
        "staff.choose_type",
        "staff.describe",
        "staff.file_for_contact",
    ),
)
def file_ticket(call: Call) -> Answer:
    """File a ticket.

    It needs a product or a category. Customers file for themselves and one of their accounts (GET /accounts); agents
    name the contact they file for.
    """
    call.agents_need_scope()
    form = _form(call)
    contact = _requester(call)
    earlier = call.sees(call.body["parent_number"]) if "parent_number" in call.body else None
    errors = filing_form.time_errors(form, now=call.now) | ({} if contact else {"contact_id": UNKNOWN})
    if "parent_number" in call.body and earlier is None:
        errors["parent_number"] = NO_SUCH_PARENT
    if errors or contact is None:
        raise problems.invalid(_named(errors))
    try:
        found = actions.submit_ticket(
            call.session, _new(call, form, contact), actor=call.actor(), now=call.now, rng=random.SystemRandom()
        )
    except Invalid as invalid:
        raise problems.invalid(_named(invalid.errors)) from invalid
    if earlier is not None:
        referring.refer(call.session, found, earlier, actor=call.actor(), now=call.now)
    return Answer(ticket_of(call, found), headers={"ETag": etag(found), "Location": f"/api/v1/tickets/{found.number}"})


@operation(
    "POST",
    "/uploads",
    who=Who.HOLDER,
    tag="files",
    answer=UploadOut,
    status=201,
    upload=True,
    repeatable=False,
    pages=("files.upload", "guest.upload"),
)
def upload_file(call: Call) -> Any:
    """Upload one file, as the field `file` of a form; name its id in a ticket or a comment within a day."""
    sent = call.body["file"]
    if sent is None or not sent.filename:
        raise problems.malformed({"file": REQUIRED})
    portal, owner = this_portal(), owner_of(call)
    if staging.bytes_of(call.session, owner=owner, now=call.now) > MOST_STAGED * portal.settings.max_file_bytes:
        raise problems.invalid({"file": FULL})
    stored = store_upload(portal.storage, sent.filename, sent.stream, limit=portal.settings.max_file_bytes)
    with portal.database.write() as writing:
        (kept,) = staging.stage(writing, [stored], owner=owner, now=call.now)
    return UploadOut().dump(kept)


@operation(
    "DELETE",
    "/uploads/<uuid:file_id>",
    who=Who.HOLDER,
    tag="files",
    pages=("files.delete_upload", "guest.delete_upload"),
)
def drop_upload(call: Call, file_id: uuid.UUID) -> None:
    """Forget an uploaded file that is in no ticket yet."""
    owner = owner_of(call)
    if not staging.find(call.session, [file_id], owner=owner, now=call.now):
        raise problems.not_found()
    staging.drop(call.session, file_id, owner=owner, now=call.now)


def uploads(call: Call, ids: Sequence[uuid.UUID]) -> tuple[Upload, ...]:
    """The caller's uploaded files. Raises ApiProblem when one is missing, foreign or too old."""
    found = staging.find(call.session, ids, owner=owner_of(call), now=call.now)
    if len(found) < len(set(ids)):
        raise problems.invalid({"files": NO_SUCH_FILE})
    return tuple(found)


def owner_of(call: Call) -> str:
    """Whose uploads these are: those of the pages and of the API are the same."""
    if call.user is not None:
        return str(call.user.id)
    assert call.token is not None
    return f"guest:{call.token.guest_key_id}"


def _form(call: Call) -> Entered:
    """The call in the names of the form, which says the same."""
    body = call.body
    values = {name: body.get(name, "") for name in ("subject", "description", "needed_by", "call_time", "link_url")}
    values |= {"nature": "" if body.get("nature") == "question" else body.get("nature", "")}
    values |= {"timezone": body["call_zone"], **body.get("information", {})}
    values |= {name: str(body.get(name) or "") for name in _IDS}
    return Entered({**values, "favourite_staff_id": str(body.get("representative_id") or "")})


def _requester(call: Call) -> Contact | None:
    wanted = call.body.get("contact_id")
    if not call.is_staff:
        return call.contact if wanted in {None, call.contact.id} else None
    found = call.session.get(Contact, wanted) if wanted else None
    return found if found is not None and found.active else None


def _new(call: Call, form: Entered, contact: Contact) -> actions.NewTicket:
    chosen = choices.request_type(call.session, call.body["type"])
    return actions.NewTicket(
        request_type_id=chosen.id if chosen else None,
        account_id=form.id("account_id"),
        contact_id=contact.id,
        product_id=form.id("product_id"),
        category_id=form.id("category_id"),
        subject=form["subject"],
        description=form["description"],
        link_url=form.text("link_url"),
        details=filing_form.details(form),
        call_at=filing_form.call_time(form),
        priority=filing_form.priority(form),
        origin="staff" if call.is_staff else "portal",
        filed_by=call.staff.name if call.is_staff else None,
        favourite_staff_id=form.id("favourite_staff_id"),
        files=uploads(call, call.body.get("files", [])),
    )


def _named(errors: dict[str, str]) -> dict[str, str]:
    return {_NAMES.get(name, name): text for name, text in errors.items()}
