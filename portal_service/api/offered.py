"""Request types and categories as administrators manage them."""

import uuid
from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Range

from portal_service.api import problems
from portal_service.api.calls import Call
from portal_service.api.fields import Flag, Number, Out, text
from portal_service.api.operations import Who, operation
from portal_service.tickets import offer
from portal_service.tickets.models import Category, RequestType

_TYPE = "/staff/request-types/<uuid:type_id>"
_CATEGORY = "/staff/categories/<uuid:category_id>"
_LIST = ("offer.everything", "offer.one")
_ADD = ("offer.new", "offer.add")
_CHANGE = ("offer.change", "offer.move", "offer.press")
_LONGEST = 1000
"""Longer texts break the description; those too long for their place are refused with a sentence."""


class OfferedCategory(Out):
    """A category in all languages."""

    id = fields.UUID()
    name_en = fields.String()
    name_nl = fields.String(metadata={"description": "If it is empty, Dutch readers see the English one."})
    active = fields.Boolean(metadata={"description": "false: withdrawn; tickets that have it keep it."})


class OfferedType(OfferedCategory):
    """A request type in all languages."""

    key = fields.String(metadata={"description": "It never changes."})
    hint_en = fields.String()
    hint_nl = fields.String()


class OfferedTypes(Out):
    items = fields.List(fields.Nested(OfferedType))


class OfferedCategories(Out):
    items = fields.List(fields.Nested(OfferedCategory))


class NewCategoryIn(Schema):
    name_en = text(_LONGEST, required=True)
    name_nl = text(_LONGEST, load_default="")


class NewTypeIn(NewCategoryIn):
    hint_en = text(_LONGEST, load_default="")
    hint_nl = text(_LONGEST, load_default="")


class CategoryIn(Schema):
    """Only what is given is changed."""

    name_en = text(_LONGEST)
    name_nl = text(_LONGEST)
    active = Flag(metadata={"description": "false withdraws it: it is offered for no new ticket."})
    place = Number(
        validate=Range(min=1, max=10_000), metadata={"description": "In the list; 1 is first, too much is last."}
    )


class TypeIn(CategoryIn):
    hint_en = text(_LONGEST)
    hint_nl = text(_LONGEST)


@operation("GET", "/staff/request-types", who=Who.ADMIN, tag="offer", answer=OfferedTypes, pages=_LIST)
def list_all_request_types(call: Call) -> dict[str, Any]:
    """All request types in their order, those withdrawn among them."""
    return {"items": OfferedType(many=True).dump(offer.everything(call.session, RequestType))}


@operation(
    "POST",
    "/staff/request-types",
    who=Who.ADMIN,
    tag="offer",
    body=NewTypeIn,
    answer=OfferedType,
    status=201,
    pages=_ADD,
)
def add_request_type(call: Call) -> Any:
    """Add a request type as the last one. Its key is made of the English name."""
    return OfferedType().dump(_added(call, RequestType))


@operation("PATCH", _TYPE, who=Who.ADMIN, tag="offer", body=TypeIn, answer=OfferedType, refusals=(409,), pages=_CHANGE)
def change_request_type(call: Call, type_id: uuid.UUID) -> Any:
    """Change the texts of a request type, its place in the list and whether it is on offer. One always is."""
    return OfferedType().dump(_changed(call, RequestType, type_id))


@operation("GET", "/staff/categories", who=Who.ADMIN, tag="offer", answer=OfferedCategories, pages=_LIST)
def list_all_categories(call: Call) -> dict[str, Any]:
    """All categories in their order, those withdrawn among them."""
    return {"items": OfferedCategory(many=True).dump(offer.everything(call.session, Category))}


@operation(
    "POST",
    "/staff/categories",
    who=Who.ADMIN,
    tag="offer",
    body=NewCategoryIn,
    answer=OfferedCategory,
    status=201,
    pages=_ADD,
)
def add_category(call: Call) -> Any:
    """Add a category as the last one."""
    return OfferedCategory().dump(_added(call, Category))


@operation(
    "PATCH",
    _CATEGORY,
    who=Who.ADMIN,
    tag="offer",
    body=CategoryIn,
    answer=OfferedCategory,
    refusals=(409,),
    pages=_CHANGE,
)
def change_category(call: Call, category_id: uuid.UUID) -> Any:
    """Change the names of a category, its place in the list and whether it is on offer."""
    return OfferedCategory().dump(_changed(call, Category, category_id))


def _added(call: Call, kind: offer.Kind) -> offer.Item:
    return offer.add(call.session, kind, offer.Texts(**call.body), by=call.staff, now=call.now)


def _changed(call: Call, kind: offer.Kind, item_id: uuid.UUID) -> offer.Item:
    found = offer.find(call.session, kind, item_id)
    if found is None:
        raise problems.not_found()
    given = dict(call.body)
    active, place = given.pop("active", found.active), given.pop("place", None)
    if given:
        offer.change(call.session, found, offer.Texts(**given), by=call.staff, now=call.now)
    if active != found.active:
        act = offer.offer_again if active else offer.withdraw
        act(call.session, found, by=call.staff, now=call.now)
    if place is not None:
        offer.move(call.session, found, place, by=call.staff, now=call.now)
    return found
