"""Signed links to attachments: per attachment and audience, valid until revoked (SPEC section 2, S88).

They stand in the CRM for years, so they carry no date: an attachment's `link_version` revokes those given out.
"""

import uuid

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy.orm import Session

from portal_service import site
from portal_service.files.errors import LinkRefused
from portal_service.files.models import Attachment


def attachment_url(attachment: Attachment, audience: str) -> str:
    """The address that opens this attachment without a log-in; the same one each time it is asked for."""
    token = _serializer().dumps([attachment.id.hex, audience, attachment.link_version])
    return f"{site.current().portal_url}/files/{token}"


def read_link(session: Session, token: str) -> Attachment:
    """The attachment a link opens. Raises LinkRefused; tell the visitor nothing of its cause."""
    try:
        attachment_id, _audience, version = _serializer().loads(token)
        attachment = session.get(Attachment, uuid.UUID(hex=attachment_id))
    except (BadSignature, ValueError, TypeError, AttributeError) as error:
        raise LinkRefused("not a link of this portal") from error
    if attachment is None or attachment.link_version != version:
        raise LinkRefused("the link was revoked")
    return attachment


def revoke_links(attachment: Attachment) -> None:
    """End every link given out for this attachment; the next snapshot of its ticket carries a new one."""
    attachment.link_version += 1


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(site.current().secret_key, salt="attachment-link")
