"""Lists in pages: a cursor names the last item seen, so what is added meanwhile moves nothing."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request

from portal_service.api import problems
from portal_service.api.operations import Answer
from portal_service.messages import message

T = TypeVar("T")

BAD_CURSOR = message("This is no place in this list: begin with the first page.")


def page(items: list[dict[str, Any]], following: str | None) -> Answer:
    """A page and, in the body and as a Link header, the way to the next."""
    headers = {}
    if following is not None:
        query = urlencode({**request.args.to_dict(), "after": following})
        headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return Answer({"items": items, "next": following}, headers=headers)


def sliced(
    items: Sequence[T], key: Callable[[T], str], dump: Callable[[T], dict[str, Any]], *, limit: int, after: str | None
) -> Answer:
    """A page of a list that is at hand in its order. Raises ApiProblem for a cursor that is none."""
    start = 0
    if after:
        wanted = read(after)
        start = next((index + 1 for index, item in enumerate(items) if key(item) == wanted), -1)
        if start < 0:
            raise bad_cursor()
    chosen = items[start : start + limit]
    more = len(items) > start + limit
    return page([dump(item) for item in chosen], write(key(chosen[-1])) if more else None)


def write(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def read(cursor: str) -> str:
    """Raises ApiProblem."""
    try:
        return base64.urlsafe_b64decode(cursor).decode()
    except (binascii.Error, ValueError):
        raise bad_cursor() from None


def bad_cursor() -> problems.ApiProblem:
    return problems.invalid({"after": BAD_CURSOR})
