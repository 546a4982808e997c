"""The support staff as administrators manage them."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import Schema, fields

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.fields import Flag, Id, Out, choice, nullable, text
from portal_service.api.operations import Who, operation
from portal_service.people import audit, staff_accounts
from portal_service.people.models import Staff
from shared.settings import LANGUAGES

_ONE = "/staff/<uuid:staff_id>"
_CHANGES_SHOWN = 100


class PermissionOut(Out):
    """Which tickets somebody may take; null is any."""

    id = fields.UUID()
    request_type_id = nullable(fields.UUID())
    product_id = nullable(fields.UUID())


class StaffOut(Out):
    id = fields.UUID(attribute="staff.id")
    name = fields.String(attribute="staff.name")
    email = fields.String(attribute="staff.email")
    active = fields.Boolean(attribute="staff.active")
    available = fields.Boolean(attribute="staff.available")
    is_admin = fields.Boolean(attribute="staff.is_admin")
    username = nullable(
        fields.Function(lambda line: line.login.username if line.login else None, metadata={"type": "string"})
    )
    open_tickets = fields.Integer()
    permissions = fields.List(fields.Nested(PermissionOut), attribute="staff.permissions")


class StaffList(Out):
    items = fields.List(fields.Nested(StaffOut))


class ChangeOut(Out):
    at = fields.DateTime()
    by = fields.String()
    about = fields.String()
    action = fields.String()
    detail = fields.String()


class Changes(Out):
    items = fields.List(fields.Nested(ChangeOut))


class NewStaffIn(Schema):
    name = text(1000, required=True)
    email = text(1000, required=True)
    username = text(1000, required=True)
    language = choice(*LANGUAGES, load_default="en")
    is_admin = Flag(load_default=False)


class StaffIn(Schema):
    """Only what is given is changed."""

    available = Flag()
    is_admin = Flag()
    active = Flag(metadata={"description": "false logs somebody out everywhere and lets him in no more."})


class PermissionIn(Schema):
    request_type_id = Id(load_default=None, allow_none=True)
    product_id = Id(load_default=None, allow_none=True)


@operation(
    "GET",
    "/staff/accounts",
    who=Who.ADMIN,
    tag="staff",
    answer=StaffList,
    pages=("staff_people.everybody", "staff_people.one"),
)
def list_staff_accounts(call: Call) -> dict[str, Any]:
    """Everybody of the support staff, with permissions and open tickets."""
    return {"items": StaffOut(many=True).dump(staff_accounts.all_staff(call.session))}


@operation(
    "GET",
    "/staff/changes",
    who=Who.ADMIN,
    tag="staff",
    answer=Changes,
    pages=("staff_people.everybody", "offer.everything"),
)
def list_people_changes(call: Call) -> dict[str, Any]:
    """Who changed what about people, request types and categories lately, newest first."""
    return {"items": ChangeOut(many=True).dump(audit.latest(call.session, limit=_CHANGES_SHOWN))}


@operation(
    "POST",
    "/staff",
    who=Who.ADMIN,
    tag="staff",
    body=NewStaffIn,
    answer=StaffOut,
    status=201,
    pages=("staff_people.new", "staff_people.add"),
)
def add_staff(call: Call) -> Any:
    """Add somebody, who chooses a password by a mailed link."""
    made = staff_accounts.add(call.session, staff_accounts.NewStaff(**call.body), by=call.staff, now=call.now)
    return _shown(call, made)


@operation(
    "PATCH",
    _ONE,
    who=Who.ADMIN,
    tag="staff",
    body=StaffIn,
    answer=StaffOut,
    refusals=(409,),
    pages=("staff_people.availability", "staff_people.admin", "staff_people.change"),
)
def change_staff(call: Call, staff_id: uuid.UUID) -> Any:
    """Change availability and rights, deactivate or activate."""
    found = _found(call, staff_id)
    given: Mapping[str, Any] = {"by": call.staff, "now": call.now}
    if "available" in call.body:
        staff_accounts.set_available(call.session, found, available=call.body["available"], **given)
    if "is_admin" in call.body:
        staff_accounts.set_admin(call.session, found, is_admin=call.body["is_admin"], **given)
    if "active" in call.body and call.body["active"] != found.active:
        change = staff_accounts.activate if call.body["active"] else staff_accounts.deactivate
        change(call.session, found, **given)
    return _shown(call, found)


@operation(
    "POST",
    f"{_ONE}/permissions",
    who=Who.ADMIN,
    tag="staff",
    body=PermissionIn,
    answer=StaffOut,
    status=201,
    pages=("staff_people.allow",),
)
def allow_staff(call: Call, staff_id: uuid.UUID) -> Any:
    """Let somebody take tickets of a type and a product."""
    found = _found(call, staff_id)
    given = call.body
    staff_accounts.allow(
        call.session, found, given["request_type_id"], given["product_id"], by=call.staff, now=call.now
    )
    return _shown(call, found)


@operation(
    "DELETE", f"{_ONE}/permissions/<uuid:permission_id>", who=Who.ADMIN, tag="staff", pages=("staff_people.disallow",)
)
def disallow_staff(call: Call, staff_id: uuid.UUID, permission_id: uuid.UUID) -> None:
    """Take a permission back."""
    found = _found(call, staff_id)
    if permission_id not in {one.id for one in found.permissions}:
        raise problems.not_found()
    staff_accounts.disallow(call.session, found, permission_id, by=call.staff, now=call.now)


@operation(
    "POST",
    f"{_ONE}/invite",
    who=Who.ADMIN,
    tag="staff",
    refusals=(409,),
    pages=("staff_people.change",),
)
def invite_staff(call: Call, staff_id: uuid.UUID) -> None:
    """Mail a new link to choose a password; older ones end."""
    _press(call, staff_id, staff_accounts.invite_again)


@operation("POST", f"{_ONE}/log-out", who=Who.ADMIN, tag="staff", pages=("staff_people.change",))
def log_staff_out(call: Call, staff_id: uuid.UUID) -> None:
    """End all sessions, links and tokens of somebody."""
    _press(call, staff_id, staff_accounts.log_out)


@operation("POST", f"{_ONE}/remove-second-step", who=Who.ADMIN, tag="staff", pages=("staff_people.change",))
def remove_second_step_of_staff(call: Call, staff_id: uuid.UUID) -> None:
    """For somebody who lost phone and codes."""
    _press(call, staff_id, staff_accounts.remove_second_step)


def _press(call: Call, staff_id: uuid.UUID, do: Callable[..., None]) -> None:
    do(call.session, _found(call, staff_id), by=call.staff, now=call.now)


def _found(call: Call, staff_id: uuid.UUID) -> Staff:
    found = call.session.get(Staff, staff_id)
    if found is None:
        raise problems.not_found()
    return found


def _shown(call: Call, staff: Staff) -> Any:
    call.session.flush()
    line = next(line for line in staff_accounts.all_staff(call.session) if line.staff.id == staff.id)
    return StaffOut().dump(line)
