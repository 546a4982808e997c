"""Choosing among contacts of the CRM that share an address."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from crm_sync_service.console import contact_choices, decided
from crm_sync_service.console.attempts import attempt
from crm_sync_service.console.context import console, now, require, who

contacts = Blueprint("contacts", __name__)


@contacts.get("/contacts")
def waiting() -> ResponseReturnValue:
    after = request.args.get("after", "")
    with console().database.read() as db:
        questions = contact_choices.read_questions(db, after=after)
        chosen = contact_choices.read_decided(db)
    more = questions[-1].email if len(questions) == contact_choices.PAGE else None
    return render_template("console/contacts.html", questions=questions, chosen=chosen, more=more, after=after)


@contacts.post("/contacts/choice")
def choose() -> ResponseReturnValue:
    require("act")
    email, crm_id = request.form.get("email", ""), request.form.get("contact", "")
    with console().database.read() as db:
        question = contact_choices.read_question(db, email)
    if question is None:
        flash("Nobody needs to choose for this address any more.", "ok")
        return redirect(url_for("contacts.waiting"))
    if crm_id not in {candidate.crm_id for candidate in question.candidates}:
        abort(400, "Choose one of the contacts that have this address.")
    done = attempt(lambda db: decided.choose_contact(db, email, crm_id, who=who(), now=now()))
    if done:
        flash(f"Chosen. {done.detail}.", "ok")
    return redirect(url_for("contacts.waiting"))
