"""The conflict inbox: one press decides, one press reverses."""

from typing import Literal

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from crm_sync_service.console import decided
from crm_sync_service.console.attempts import attempt
from crm_sync_service.console.conflicts import STATES, State, read_conflict, read_inbox
from crm_sync_service.console.context import console, now, require, who

conflicts = Blueprint("conflicts", __name__)
LONGEST_WHY = 1000


@conflicts.get("/conflicts")
def inbox() -> ResponseReturnValue:
    state = state_named(request.args.get("state", "waiting"))
    before = request.args.get("before", type=int)
    with console().database.read() as db:
        found = read_inbox(db, state, before=before)
    return render_template("console/conflicts.html", inbox=found, states=STATES, before=before)


@conflicts.get("/conflicts/<int:conflict_id>")
def one(conflict_id: int) -> ResponseReturnValue:
    with console().database.read() as db:
        line = read_conflict(db, conflict_id)
    if line is None:
        abort(404, "There is no conflict with this number.")
    return render_template("console/conflict.html", line=line)


@conflicts.post("/conflicts/<int:conflict_id>/decision")
def decide(conflict_id: int) -> ResponseReturnValue:
    require("act")
    winner = side_named(request.form.get("winner"))
    done = attempt(
        lambda db: decided.decide_conflict(
            db, conflict_id, winner=winner, why=why_given(request.form.get("why")), who=who(), now=now()
        )
    )
    if done:
        flash(f"{done.detail}. It is carried out at once; Undo is below.", "ok")
    return redirect(url_for("conflicts.one", conflict_id=conflict_id))


@conflicts.post("/conflicts/<int:conflict_id>/reversal")
def reverse(conflict_id: int) -> ResponseReturnValue:
    require("act")
    done = attempt(
        lambda db: decided.reverse_conflict(
            db, conflict_id, why=why_given(request.form.get("why")), who=who(), now=now()
        )
    )
    if done:
        flash(f"{done.detail}. It is carried out at once.", "ok")
    return redirect(url_for("conflicts.one", conflict_id=conflict_id))


def state_named(given: str) -> State:
    """Answers 400 if it names no list."""
    found = next((state for state in STATES if state == given), None)
    if found is None:
        abort(400, f"There is no such list: choose one of {', '.join(STATES)}.")
    return found


def side_named(given: object) -> Literal["portal", "crm"]:
    """Answers 400 if it names no side."""
    if given not in ("portal", "crm"):
        abort(400, 'Say whose value wins: "portal" or "crm".')
    return "portal" if given == "portal" else "crm"


def why_given(given: object) -> str:
    """A reason, as far as it is one."""
    return given.strip()[:LONGEST_WHY] if isinstance(given, str) else ""
