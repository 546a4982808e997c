"""How the simulated SuiteCRM says no: nearly always 400, with the meaning in English."""

import json
from typing import Any

from werkzeug.wrappers import Response

DATABASE_DOWN = "Could not connect to the database. Please refer to suitecrm.log for details (0)."
DATABASE_FAILURE = "Database failure. Please refer to suitecrm.log for details."
DENIED = "[SuiteCRM] [AccessDeniedException] "
JSON_API = "application/vnd.api+json"


def json_answer(body: Any, status: int = 200, *, kind: str = JSON_API) -> Response:
    return Response(json.dumps(body), status, content_type=kind)


class RefusalError(Exception):
    """An answer that is no success."""

    def __init__(self, detail: str, status: int = 400, *, late: bool = False, raw: bool = False) -> None:
        """`late`: found while working, not while reading the request. `raw`: text follows the JSON."""
        super().__init__(detail)
        self.detail, self.status, self.late, self.raw = detail, status, late, raw

    def answer(self) -> Response:
        kind = JSON_API if self.late or self.raw else "application/json"
        if self.status in {404, 405}:
            return json_answer({"message": self.detail}, self.status, kind="application/json")
        if self.status == 500:
            error = {"type": "Error", "code": 0, "message": self.detail, "file": "/srv/crm/x.php", "trace": []}
            return json_answer({"message": "Slim Application Error", "error": [error]}, 500, kind="application/json")
        body = {"errors": {"status": 400, "title": None, "detail": self.detail}}
        if self.raw:
            return Response(f"{json.dumps(body, indent=4)}{self.detail}", 400, content_type=kind)
        return json_answer(body, 400, kind=kind)


def refused_token(hint: str) -> Response:
    words = "The resource owner or authorization server denied the request."
    body = {"error": "access_denied", "error_description": words, "hint": hint, "message": words}
    return json_answer(body, 401, kind="application/json")


def not_found(module: str, record_id: str, *, late: bool = True) -> RefusalError:
    return RefusalError(f"{module} module with id {record_id} is not found", late=late)


def invalid(option: str, value: str) -> RefusalError:
    shown = "array" if value == "array" else f'"{value}"'
    return RefusalError(f'The option "{option}" with value {shown} is invalid.')
