"""What can be chosen when a ticket is filed or changed."""

from typing import Any

from marshmallow import fields

from portal_service.api.calls import Call
from portal_service.api.fields import Out
from portal_service.api.operations import Who, operation
from portal_service.api.shapes import Named
from portal_service.tickets import choices
from portal_service.web.texts import hint_of, name_of

_FORMS = ("requests.choose_type", "requests.describe", "staff.describe")


class TypeOut(Out):
    """A request type; the name is in the language asked for."""

    key = fields.String()
    name = fields.Function(name_of, metadata={"type": "string"})
    hint = fields.Function(hint_of, metadata={"type": "string"})


class TypesOut(Out):
    items = fields.List(fields.Nested(TypeOut))


class NamedOut(Out):
    items = fields.List(fields.Nested(Named))


@operation("GET", "/request-types", who=Who.READER, tag="choices", answer=TypesOut, pages=_FORMS)
def list_request_types(call: Call) -> dict[str, Any]:
    """The kinds of request, in the order in which they are offered."""
    return {"items": TypeOut(many=True).dump(choices.request_types(call.session))}


@operation("GET", "/products", who=Who.READER, tag="choices", answer=NamedOut, pages=_FORMS)
def list_products(call: Call) -> dict[str, Any]:
    """The products in use."""
    return _named(choices.products(call.session))


@operation("GET", "/categories", who=Who.READER, tag="choices", answer=NamedOut, pages=_FORMS)
def list_categories(call: Call) -> dict[str, Any]:
    """What a ticket can be about where no product fits; names in the language asked for."""
    return _named([(one.id, name_of(one)) for one in choices.categories(call.session)])


@operation("GET", "/representatives", who=Who.READER, tag="choices", answer=NamedOut, pages=_FORMS)
def list_representatives(call: Call) -> dict[str, Any]:
    """The agents that can be named as favourite."""
    return _named(choices.agents(call.session))


@operation("GET", "/accounts", who=Who.PERSON, tag="choices", answer=NamedOut, pages=_FORMS)
def list_accounts(call: Call) -> dict[str, Any]:
    """The accounts one may file for, one's own first; for agents all in use."""
    call.agents_need_scope()
    if call.is_staff:
        return _named(choices.accounts(call.session))
    return _named(choices.accounts_of(call.session, call.contact))


def _named(pairs: choices.Choices) -> dict[str, Any]:
    return {"items": [{"id": str(key), "name": name} for key, name in pairs]}
