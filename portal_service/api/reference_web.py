"""The pages that describe the API; they need no log-in, no script and nothing of another host."""

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from portal_service.api.reference import topics

reference_pages = Blueprint("api_docs", __name__, url_prefix="/api/v1/docs")


@reference_pages.get("")
def contents() -> ResponseReturnValue:
    """How to call the API, and every call by topic."""
    return render_template("api/contents.html", topics=topics().values())


@reference_pages.get("/<key>")
def topic(key: str) -> ResponseReturnValue:
    """The calls of a topic with all they take and give."""
    found = topics().get(key)
    if found is None:
        abort(404)
    return render_template("api/topic.html", topic=found)
