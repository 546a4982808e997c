"""Where a CRM says that something changed: its signature is checked, its word is not believed.

A hook only makes the named Cases' lanes due; what is there is read by reconciling. So a repeated, late, reordered or
forged-by-replay one does no harm, and a lost one is found by the change feed.
"""

import structlog
from flask import Blueprint, Response, abort, request
from flask.typing import ResponseReturnValue

from crm_sync_service.connectors.base import CrmError, InvalidError, UnauthorisedError
from crm_sync_service.console.context import console

MAX_BODY_BYTES = 256 * 1024

hooks = Blueprint("hooks", __name__)
log = structlog.get_logger(__name__)


@hooks.post("/hooks/<crm>/<path:topic>")
def take(crm: str, topic: str) -> ResponseReturnValue:
    """204 when noted, 401 for a wrong signature, 400 for nonsense, 429 for too many, 503 to send it again."""
    intake = console().hooks
    if crm != intake.settings.crm_kind:
        abort(404, "No CRM of this name is connected.")
    if intake.is_flooded():
        return _plain("Too many hooks: wait a little. The changes are found all the same.", 429, retry_after=10)
    request.max_content_length = MAX_BODY_BYTES
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        case_ids = intake.connector().hinted(topic.rsplit("/", 1)[-1], request.get_data(cache=False), headers)
    except UnauthorisedError as error:
        intake.refused.take()
        log.warning("hook_refused", reason=str(error))
        return _plain("The signature is not right.", 401)
    except InvalidError as error:
        log.warning("hook_unreadable", reason=str(error))
        return _plain("This hook makes no sense.", 400)
    except CrmError as error:
        log.warning("hook_not_verified", reason=str(error))
        return _plain("It cannot be verified just now.", 503, retry_after=30)
    intake.add(list(dict.fromkeys(case_ids)))
    return "", 204


def _plain(words: str, status: int, *, retry_after: int | None = None) -> Response:
    response = Response(f"{words}\n", status, mimetype="text/plain")
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response
