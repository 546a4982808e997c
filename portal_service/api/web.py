"""The API's addresses: the calls and their description."""

from functools import partial

from flask import Blueprint, Flask, Response, jsonify
from flask.typing import ResponseReturnValue

from portal_service.api import (  # noqa: F401 (declare their operations)
    articles,
    choices,
    comments,
    contacts,
    editing,
    filing,
    guests,
    lists,
    mails,
    me,
    offered,
    offers,
    openapi,
    problems,
    registering,
    staff_people,
    tickets,
    tokens,
)
from portal_service.api.operations import OPERATIONS, Operation
from portal_service.api.serving import serve, tell_usage
from shared.web import exempt_from_csrf


def register_api(app: Flask) -> None:
    """Serve the API. It reads tokens and no cookies, so no other site can use a visitor's browser for it."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")
    for operation in OPERATIONS:
        api.add_url_rule(
            operation.rule, operation.name, _view(operation), methods=[operation.method], strict_slashes=True
        )
    api.add_url_rule("/openapi.json", "openapi", _description)
    problems.register(api)
    api.after_request(tell_usage)
    app.register_blueprint(api)
    exempt_from_csrf(app, api)


def _view(operation: Operation) -> partial[Response]:
    view = partial(_serve, operation)
    view.__name__ = operation.name  # type: ignore[attr-defined] # flask names views by it
    return view


def _serve(operation: Operation, **path: object) -> Response:
    return serve(operation, path)


def _description() -> ResponseReturnValue:
    """For programs that are made from it."""
    return jsonify(openapi.description())
