"""Mails that reached nobody, for administrators."""

import uuid
from typing import Any

from marshmallow import Schema, fields
from sqlalchemy import select

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.fields import Out, nullable, text
from portal_service.api.operations import Who, operation
from portal_service.channels import sending
from portal_service.channels.models import OutgoingMail, SuppressedAddress

_MOST = 200


class MailOut(Out):
    """A mail, without what it says."""

    id = fields.UUID()
    kind = fields.String()
    recipient = fields.String()
    subject = fields.String()
    attempts = fields.Integer()
    error = nullable(fields.String())
    created_at = fields.DateTime()
    failed_at = nullable(fields.DateTime())


class SuppressedOut(Out):
    address = fields.String(attribute="key")
    reason = fields.String()
    since = fields.DateTime()


class Undelivered(Out):
    given_up = fields.List(fields.Nested(MailOut))
    put_off = fields.List(fields.Nested(MailOut))
    suppressed = fields.List(fields.Nested(SuppressedOut))


class AddressIn(Schema):
    address = text(320, least=1, required=True)


@operation("GET", "/mails/undelivered", who=Who.ADMIN, tag="mails", answer=Undelivered, pages=("mails.undelivered",))
def list_undelivered_mails(call: Call) -> dict[str, Any]:
    """Mails given up or put off and why, and addresses that get none any more."""
    suppressed = select(SuppressedAddress).order_by(SuppressedAddress.since.desc()).limit(_MOST)
    return {
        "given_up": MailOut(many=True).dump(sending.given_up(call.session, limit=_MOST)),
        "put_off": MailOut(many=True).dump(sending.put_off(call.session, limit=_MOST)),
        "suppressed": SuppressedOut(many=True).dump(call.session.scalars(suppressed).all()),
    }


@operation("POST", "/mails/<uuid:mail_id>/again", who=Who.ADMIN, tag="mails", pages=("mails.again",))
def send_mail_again(call: Call, mail_id: uuid.UUID) -> None:
    """Send a mail again that was given up."""
    found = call.session.get(OutgoingMail, mail_id)
    if found is None or found.failed_at is None or not sending.is_kept(found):
        raise problems.not_found()
    sending.try_again(call.session, found, now=call.now)


@operation("POST", "/mails/addresses/lift", who=Who.ADMIN, tag="mails", body=AddressIn, pages=("mails.lift",))
def lift_address(call: Call) -> None:
    """Let mails go to an address again whose server had refused it."""
    if call.session.get(SuppressedAddress, call.body["address"]) is None:
        raise problems.not_found()
    sending.lift(call.session, call.body["address"])
