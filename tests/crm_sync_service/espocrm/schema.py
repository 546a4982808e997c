"""Entities of the simulated EspoCRM: attributes, defaults, options, and the checks of single values."""

import re
from collections.abc import Mapping
from typing import Any

from tests.crm_sync_service.espocrm.filters import RefusedError

ME = "6b0249a1bcc0573f4"
STATUSES = ("New", "Assigned", "Pending", "Closed", "Rejected", "Duplicate")
PRIORITIES = ("Low", "Normal", "High", "Urgent")
_OPTIONS = {"status": STATUSES, "priority": PRIORITIES, "type": ("", "Question", "Incident", "Problem")}
LINKS = {"accountId": "Account", "contactId": "Contact", "assignedUserId": "User"}
AUDITED = frozenset({"status", "priority", "type", "assignedUserId", "product"})
"""Changes of these stand in the stream."""
READ_ONLY = frozenset(
    {"id", "createdAt", "modifiedAt", "createdById", "modifiedById", "deleted", "versionNumber", "deleteId"}
    | {"number", "streamUpdatedAt"}
)
_NAMES = frozenset({"name", "firstName", "lastName"})
_NAMED = frozenset({"Case", "Account", "Contact"})
_BAD = re.compile("[<>=]")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    entity: tuple(names.split())
    for entity, names in {
        "Case": "name status priority type description isInternal accountId contactId contactsIds assignedUserId "
        "attachmentsIds number streamUpdatedAt",
        "Note": "post type isInternal parentId parentType attachmentsIds number data",
        "Account": "name website emailAddress description assignedUserId streamUpdatedAt",
        "Contact": "firstName lastName name emailAddress emailAddressData accountId assignedUserId streamUpdatedAt",
        "User": "userName firstName lastName name type isActive emailAddress authMethod rolesIds apiKey secretKey",
        "Role": "name data assignmentPermission userPermission messagePermission portalPermission "
        "massUpdatePermission exportPermission",
        "Webhook": "event url skipOwn isActive entityType type field secretKey",
        "Attachment": "name type role size field parentType parentId relatedType file",
    }.items()
}
SYSTEM = (
    "id",
    "createdAt",
    "modifiedAt",
    "createdById",
    "modifiedById",
    "deleted",
    "versionNumber",
    "deleteId",
)
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Case": {"status": "New", "priority": "Normal", "isInternal": False, "contactsIds": [], "attachmentsIds": []},
    "Note": {"type": "Post", "isInternal": False, "attachmentsIds": [], "data": {}},
    "User": {"isActive": True},
    "Webhook": {"isActive": True, "skipOwn": False},
}


def validate(
    entity: str, given: Mapping[str, Any], *, new: bool, custom: Mapping[str, int], angles_refused: bool
) -> None:
    """Raises RefusedError. `custom`: the longest value by custom field."""
    required = {"Case": "name", "Account": "name", "Contact": "lastName"}.get(entity)
    if required and (new or required in given) and not given.get(required):
        raise invalid(entity, required, "required")
    limits = {"name": 255, "firstName": 100, "lastName": 100, **custom}
    for name, value in given.items():
        options = _OPTIONS.get(name) if entity == "Case" else None
        if options and value not in options:
            raise invalid(entity, name, "valid")
        if angles_refused and name in _NAMES and entity in _NAMED and _BAD.search(str(value)):
            raise invalid(entity, name, "pattern")
        if isinstance(value, str):
            _validate_text(entity, name, value, limits)


def _validate_text(entity: str, name: str, value: str, limits: Mapping[str, int]) -> None:
    if name in limits and len(value) > limits[name]:
        raise invalid(entity, name, "maxLength")
    if name == "emailAddress" and value and not _ADDRESS.fullmatch(value):
        raise invalid(entity, name, "emailAddress")
    if name == "description" and len(value.encode()) > 16_777_215:
        raise RefusedError(500, None)


def invalid(entity: str, field: str, kind: str) -> RefusedError:
    words = f"Field validation failure; entityType: {entity}, field: {field}, type: {kind}."
    return RefusedError(400, words, translation("validationFailure", {"field": field, "type": kind}))


def translation(label: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"messageTranslation": {"label": label, "scope": None, "data": dict(data)}}
