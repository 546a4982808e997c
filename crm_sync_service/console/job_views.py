"""Starting, watching and stopping what takes long: comparing all tickets, adopting Cases, the backfill."""

from collections.abc import Mapping
from typing import Any, cast

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from crm_sync_service.adoption import WAYS
from crm_sync_service.console import decided
from crm_sync_service.console.attempts import attempt
from crm_sync_service.console.context import console, now, require, who
from crm_sync_service.console.decided import MOST_PER_MINUTE
from crm_sync_service.console.drift_report import DIRECTIONS
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.console.rights import Right
from crm_sync_service.jobs import KINDS, NOT_ENDED, Kind
from crm_sync_service.operation_models import Job

job_pages = Blueprint("jobs", __name__, url_prefix="/jobs")

RIGHTS: Mapping[Kind, Right] = {
    "compare": "act",
    "repair": "act",
    "adopt-preview": "configure",
    "adopt": "configure",
    "backfill-preview": "configure",
    "backfill": "configure",
}


@job_pages.post("")
def start() -> ResponseReturnValue:
    require("act")
    kind, options = read_wish(request.form.get("kind", ""), request.form)
    require(RIGHTS[kind])
    made: list[int] = []

    def act(db: Any) -> ConsoleAction:
        logged, job_id = decided.start_job(db, kind, who=who(), now=now(), **options)
        made.append(job_id)
        return logged

    if attempt(act) is None:
        return redirect(url_for("drift.runs" if kind in ("compare", "repair") else "running.backfill"))
    flash("A sync worker begins within seconds. You may leave this page.", "ok")
    return redirect(url_for("jobs.one", job_id=made[0]))


@job_pages.get("/<int:job_id>")
def one(job_id: int) -> ResponseReturnValue:
    with console().database.read() as db:
        job = db.get(Job, job_id)
    if job is None:
        abort(404, "This job is no longer kept: only the newest are.")
    return render_template(
        "console/job.html", job=job, kinds=KINDS, directions=DIRECTIONS, under_way=job.state in NOT_ENDED
    )


@job_pages.post("/<int:job_id>/stop")
def stop(job_id: int) -> ResponseReturnValue:
    require("act")
    if attempt(lambda db: decided.stop_job(db, job_id, who=who(), now=now())):
        flash("It stops within seconds; what was done until then stays done.", "ok")
    return redirect(url_for("jobs.one", job_id=job_id))


def read_wish(kind: str, given: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """What to do and how, as it was asked for. Answers 400 if it makes no sense."""
    if kind not in KINDS:
        abort(400, f"There is no such job: choose one of {', '.join(KINDS)}.")
    chosen = cast("Kind", kind)
    if chosen == "repair":
        return chosen, {"direction": _among(DIRECTIONS, given.get("direction", "auto"), "direction")}
    if chosen in ("adopt", "adopt-preview"):
        return chosen, {"by": _among(WAYS, given.get("by"), "way to match")}
    if chosen == "backfill":
        return chosen, {"rate": _rate(given.get("rate")), "again": given.get("again") in ("yes", True)}
    return chosen, {}


def _among(known: Any, given: object, what: str) -> str:
    if given not in known:
        abort(400, f"There is no such {what}: choose one of {', '.join(known)}.")
    return str(given)


def _rate(given: object) -> int:
    text = str(given)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_PER_MINUTE):
        abort(400, f"Give a rate between 1 and {MOST_PER_MINUTE:,} tickets per minute.")
    return int(text)
