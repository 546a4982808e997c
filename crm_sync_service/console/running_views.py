"""The sync as a whole: pausing it, letting it go on, and the backfill of old tickets."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from crm_sync_service.adoption import WAYS
from crm_sync_service.console import decided
from crm_sync_service.console.attempts import attempt
from crm_sync_service.console.conflict_views import why_given
from crm_sync_service.console.context import console, now, require, who
from crm_sync_service.jobs import job_under_way, newest
from crm_sync_service.operations import backfill_figures

running = Blueprint("running", __name__)


@running.post("/crms/<crm>/pause")
def pause(crm: str) -> ResponseReturnValue:
    """Stop all calls to a CRM until an administrator lets them go on."""
    require("configure")
    why = why_given(request.form.get("why"))
    if not why:
        flash("Say why in a few words: the others read it on the overview.", "warn")
        return redirect(url_for("pages.overview"))
    if attempt(lambda db: decided.pause_crm(db, crm, why=why, who=who(), now=now())):
        flash("Paused. Changes on both sides are kept and wait; the portal says so on every ticket.", "ok")
    return redirect(url_for("pages.overview"))


@running.post("/crms/<crm>/go-on")
def go_on(crm: str) -> ResponseReturnValue:
    require("configure")
    if attempt(lambda db: decided.let_crm_go_on(db, crm, who=who(), now=now())):
        flash("A worker asks the CRM now how it is, and then works off what waits.", "ok")
    return redirect(url_for("pages.overview"))


@running.post("/backfill/pause")
def pause_backfill() -> ResponseReturnValue:
    require("configure")
    if attempt(lambda db: decided.pause_backfill(db, who=who(), now=now())):
        flash("It stops within seconds. It goes on where it stopped.", "ok")
    return redirect(url_for("running.backfill"))


@running.post("/backfill/rate")
def change_backfill_rate() -> ResponseReturnValue:
    require("configure")
    rate = request.form.get("rate", default=0, type=int)
    done = attempt(lambda db: decided.change_backfill_rate(db, rate, who=who(), now=now()))
    if done:
        flash(f"From now on {done.detail}.", "ok")
    return redirect(url_for("running.backfill"))


@running.get("/backfill")
def backfill() -> ResponseReturnValue:
    with console().database.read() as db:
        found = backfill_figures(db, now=now())
        jobs = newest(db, kinds=("backfill", "backfill-preview", "adopt", "adopt-preview"), limit=5)
        under_way = job_under_way(db)
    return render_template("console/backfill.html", backfill=found, jobs=jobs, under_way=under_way, ways=WAYS)
