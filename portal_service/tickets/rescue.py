"""What a form holds that names its owner: so that what he typed is kept for him when he is logged out meanwhile."""

import uuid

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

from portal_service.tickets.drafts import Place


def rescue_token(place: Place) -> str:
    """Stands in the form of one person only. It lets a draft be written for him, and nothing be read."""
    return _serializer().dumps([place.user_id.hex, place.type_key, place.contact_key])


def read_rescue_token(token: str) -> Place | None:
    """Whose draft a form belongs to; None for a token that is not ours."""
    try:
        user_id, type_key, contact_key = _serializer().loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    contact_id = uuid.UUID(contact_key) if contact_key else None
    return Place(user_id=uuid.UUID(hex=user_id), type_key=type_key, contact_id=contact_id)


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(str(current_app.secret_key), salt="rescued-draft")
