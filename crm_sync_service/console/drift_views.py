"""The drift report: what the comparisons found, and repair with a look beforehand."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from crm_sync_service.console import drift_report
from crm_sync_service.console.actions import log_action
from crm_sync_service.console.context import console, now, require, who
from crm_sync_service.console.live import NoAnswerError
from crm_sync_service.console.words import counted
from crm_sync_service.jobs import job_under_way, newest
from crm_sync_service.operation_models import DriftRun
from crm_sync_service.operations import drift_runs
from crm_sync_service.repair import Direction

drift = Blueprint("drift", __name__, url_prefix="/drift")


@drift.get("")
def runs() -> ResponseReturnValue:
    with console().database.read() as db:
        found = drift_runs(db)
        jobs = newest(db, kinds=("compare", "repair"), limit=3)
        under_way = job_under_way(db)
    last = next((run for run in found if run.finished_at is not None), None)
    shown = drift_report.examples_of(last) if last else []
    return render_template(
        "console/drift.html",
        runs=found,
        last=last,
        examples=shown,
        most=drift_report.MOST,
        jobs=jobs,
        under_way=under_way,
    )


@drift.get("/<int:run_id>")
def run(run_id: int) -> ResponseReturnValue:
    with console().database.read() as db:
        found = db.get(DriftRun, run_id)
    if found is None:
        abort(404, "This comparison is no longer kept: only the newest are.")
    examples = drift_report.examples_of(found)
    return render_template("console/drift_run.html", run=found, examples=examples, most=drift_report.MOST)


@drift.get("/preview")
def preview() -> ResponseReturnValue:
    """Read tickets and Cases now and say what a repair would do; writes nothing."""
    numbers, direction = _wanted(" ".join(request.args.getlist("tickets")), request.args.get("direction", "auto"))
    if not numbers:
        flash("Give the numbers of the tickets to look at.", "warn")
        return redirect(url_for("drift.runs"))
    try:
        found = drift_report.look(console().database, console().live, numbers, direction)
    except NoAnswerError as error:
        flash(f"The Cases could not be read: {error}. Nothing was changed; try again in a while.", "bad")
        return redirect(url_for("drift.runs"))
    known = {line.number for line in found}
    return render_template(
        "console/drift_preview.html",
        lines=found,
        direction=direction,
        directions=drift_report.DIRECTIONS,
        numbers=numbers,
        unknown=[number for number in numbers if number not in known],
    )


@drift.post("/repair")
def repair() -> ResponseReturnValue:
    """Hand what can be repaired to the lanes, as the preview said."""
    require("act")
    numbers, direction = _wanted(request.form.get("tickets", ""), request.form.get("direction", "auto"))
    try:
        done = drift_report.mend(console().database, console().live, numbers, direction, now=now())
    except NoAnswerError as error:
        flash(f"Nothing was repaired, as the Cases could not be read: {error}.", "bad")
        return redirect(url_for("drift.runs"))
    if not done:
        flash("There was nothing left to repair.", "ok")
        return redirect(url_for("drift.runs"))
    words = f"{counted(len(done), 'ticket')}: {', '.join(f'#{line.number}' for line in done)} ({direction})"
    with console().database.write() as db:
        logged = log_action(db, "repair", words, who=who(), now=now(), ticket_ids=[line.ticket_id for line in done])
    flash(f"{counted(len(done), 'ticket')} will be repaired at once. Here is how it goes.", "ok")
    return redirect(url_for("pages.action", action_id=logged.id))


def _wanted(tickets: str, direction: str) -> tuple[list[int], Direction]:
    numbers = drift_report.numbers_in(tickets)[: drift_report.MOST]
    found = next((key for key in drift_report.DIRECTIONS if key == direction), None)
    if found is None:
        abort(400, f"There is no such direction: choose one of {', '.join(drift_report.DIRECTIONS)}.")
    return numbers, found
