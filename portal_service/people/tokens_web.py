"""A person's own API tokens: made, listed, revoked."""

import uuid

import structlog
from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from portal_service.people import tokens
from portal_service.people.two_factor_web import for_the_owner
from portal_service.tickets.errors import Invalid
from portal_service.web.forms import Entered, entered
from portal_service.web.visits import acting, this_visit

token_pages = Blueprint("tokens", __name__, url_prefix="/settings/tokens")

DAYS_OFFERED = ("7", "30", "90", "365")

log = structlog.get_logger(__name__)


@token_pages.get("")
def overview() -> ResponseReturnValue:
    visit = this_visit()
    found = tokens.tokens_of(visit.session, visit.signed_in, now=visit.now)
    return render_template("people/tokens.html", tokens=found)


@token_pages.get("/new")
@for_the_owner
def form() -> ResponseReturnValue:
    return _form_page(Entered({"days": str(tokens.DAYS), tokens.READ: "yes"}))


@token_pages.post("/new")
@for_the_owner
def make() -> ResponseReturnValue:
    """The token is on the page that answers, and never again."""
    asked = entered()
    try:
        with acting() as visit:
            made, plain = tokens.issue(
                visit.session,
                visit.signed_in,
                name=asked["name"],
                scopes=[scope for scope in tokens.SCOPES if asked[scope]],
                days=int(asked["days"]) if asked["days"] in DAYS_OFFERED else 0,
                now=visit.now,
            )
            log.info("token_issued", user=str(visit.signed_in.id), token=str(made.id), scopes=made.scopes)
    except Invalid as invalid:
        asked.refuse(invalid.errors)
        return _form_page(asked)
    return render_template("people/token_made.html", token=made, plain=plain)


@token_pages.post("/<uuid:token_id>/revoke")
def revoke(token_id: uuid.UUID) -> ResponseReturnValue:
    with acting() as visit:
        if not tokens.revoke(visit.session, visit.signed_in, token_id):
            abort(404)
    flash(_("The token is revoked. Whatever used it is refused from now on."), "ok")
    return redirect(url_for("tokens.overview"), 303)


@token_pages.after_request
def keep_nothing(response: Response) -> Response:
    """A new token stays in no cache, also not in the one behind the back button."""
    if request.method == "POST":
        response.headers["Cache-Control"] = "no-store"
    return response


def _form_page(asked: Entered) -> ResponseReturnValue:
    scopes = tokens.scopes_for(this_visit().signed_in)
    return render_template("people/token_new.html", form=asked, scopes=scopes), asked.status_code
