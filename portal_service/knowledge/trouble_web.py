"""The troubleshooter's pages, for its readers and for the staff who edit it (S81)."""

import uuid
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.knowledge import troubleshooter
from portal_service.knowledge.models import Article
from portal_service.knowledge.queries import article_for
from portal_service.knowledge.trouble_models import TroubleOption, TroubleQuestion
from portal_service.knowledge.troubleshooter import MOST_OPTIONS, OptionEntered, QuestionEntered
from portal_service.tickets.choices import all_request_types
from portal_service.tickets.errors import Invalid
from portal_service.web.catalogues import language
from portal_service.web.forms import Entered, entered
from portal_service.web.texts import name_of
from portal_service.web.visits import Visit, acting, this_visit

trouble_pages = Blueprint("troubleshooter", __name__, url_prefix="/troubleshooter")
trouble_editor_pages = Blueprint("trouble_editor", __name__, url_prefix="/staff/troubleshooter")

_SHARED = ("text_en", "text_nl", "hint_en", "hint_nl")
_OF_OPTION = ("text_en", "text_nl", "article_slug", "type_key", "subject_en", "subject_nl")


@trouble_pages.get("")
def start() -> ResponseReturnValue:
    questions = troubleshooter.beginnings(this_visit().session)
    return render_template("knowledge/troubleshooter.html", section="knowledge", questions=questions, own=own)


@trouble_pages.get("/<uuid:question_id>")
def ask(question_id: uuid.UUID) -> ResponseReturnValue:
    """A question; `way` in the address holds the answers that led here."""
    visit = this_visit()
    question = visit.session.get(TroubleQuestion, question_id) or abort(404)
    steps = _steps(visit)
    if steps and steps[-1].next_id != question.id:
        steps = []
    return render_template(
        "knowledge/trouble_question.html", section="knowledge", question=question, steps=steps, own=own, way_to=_way_to
    )


@trouble_pages.get("/answer/<uuid:option_id>")
def follow(option_id: uuid.UUID) -> ResponseReturnValue:
    """Where an answer leads: to the next question, else to an end."""
    visit = this_visit()
    option = visit.session.get(TroubleOption, option_id) or abort(404)
    steps = [step for step in _steps(visit) if step.id != option.id]
    if steps and steps[-1].next_id != option.question_id:
        steps = []
    steps.append(option)
    if option.next_id is not None:
        return redirect(url_for("troubleshooter.ask", question_id=option.next_id, way=_way_to(steps)), 303)
    slug = option.article_slug
    article = article_for(visit.session, visit.user, slug, language=language(), now=visit.now) if slug else None
    return render_template(
        "knowledge/trouble_end.html",
        section="knowledge",
        steps=steps,
        article=article,
        request_url=_request_url(visit, option, steps),
        own=own,
        way_to=_way_to,
    )


@trouble_editor_pages.get("")
def listed() -> ResponseReturnValue:
    questions = troubleshooter.questions(this_visit().session)
    names = {question.id: own(question, "text") for question in questions}
    return render_template(
        "knowledge/trouble_list.html", section="knowledge", questions=questions, names=names, own=own
    )


@trouble_editor_pages.get("/new")
def new_form() -> ResponseReturnValue:
    return _editor(None, Entered())


@trouble_editor_pages.post("/new")
def create() -> ResponseReturnValue:
    return _save(None)


@trouble_editor_pages.get("/<uuid:question_id>")
def edit_form(question_id: uuid.UUID) -> ResponseReturnValue:
    question = _question(this_visit(), question_id)
    values = {name: str(getattr(question, name)) for name in _SHARED}
    values["begins"] = "yes" if question.begins else ""
    for number, option in enumerate(question.options):
        values |= {f"{name}_{number}": str(getattr(option, name) or "") for name in _OF_OPTION}
        values[f"next_id_{number}"] = str(option.next_id or "")
    return _editor(question, Entered(values))


@trouble_editor_pages.post("/<uuid:question_id>")
def edit(question_id: uuid.UUID) -> ResponseReturnValue:
    return _save(question_id)


@trouble_editor_pages.post("/<uuid:question_id>/remove")
def remove(question_id: uuid.UUID) -> ResponseReturnValue:
    try:
        with acting() as visit:
            troubleshooter.remove(visit.session, _question(visit, question_id))
    except Invalid as invalid:
        wrong = invalid.errors[""]
        flash(_(wrong), "bad")
        return redirect(url_for("trouble_editor.edit_form", question_id=question_id), 303)
    flash(_("The question is removed."), "ok")
    return redirect(url_for("trouble_editor.listed"), 303)


def own(thing: TroubleQuestion | TroubleOption, name: str) -> str:
    """A text of the troubleshooter in the reader's language, else in English."""
    return str(getattr(thing, f"{name}_{language()}", "") or getattr(thing, f"{name}_en"))


def _save(question_id: uuid.UUID | None) -> ResponseReturnValue:
    form = entered()
    options = [
        OptionEntered(next_id=form.id(f"next_id_{number}"), **{name: form[f"{name}_{number}"] for name in _OF_OPTION})
        for number in range(MOST_OPTIONS)
    ]
    asked = QuestionEntered(begins=form["begins"] == "yes", options=options, **{name: form[name] for name in _SHARED})
    try:
        with acting() as visit:
            question = _question(visit, question_id) if question_id else None
            troubleshooter.save(visit.session, question, asked)
    except Invalid as invalid:
        form.refuse(invalid.errors)
        visit = this_visit()
        return _editor(_question(visit, question_id) if question_id else None, form)
    flash(_("Saved."), "ok")
    return redirect(url_for("trouble_editor.listed"), 303)


def _editor(question: TroubleQuestion | None, form: Entered) -> ResponseReturnValue:
    session = this_visit().session
    used = [number for number in range(MOST_OPTIONS) if form[f"text_en_{number}"] or form[f"text_nl_{number}"]]
    slugs = session.scalars(select(Article.slug).where(Article.state == "published").distinct().order_by(Article.slug))
    page = render_template(
        "knowledge/trouble_editor.html",
        section="knowledge",
        question=question,
        form=form,
        shown=range(min(MOST_OPTIONS, max([2, *(number + 3 for number in used)]))),
        questions=[
            (one.id, own(one, "text"))
            for one in troubleshooter.questions(session)
            if question is None or one != question
        ],
        slugs=[(slug, slug) for slug in slugs],
        types=_types(session, form),
    )
    return page, form.status_code


def _types(session: Session, form: Entered) -> list[tuple[str, str]]:
    """Those on offer, and withdrawn ones that an answer leads to until somebody chooses another."""
    chosen = {form[f"type_key_{number}"] for number in range(MOST_OPTIONS)}
    found = [one for one in all_request_types(session) if one.active or one.key in chosen]
    return [(one.key, name_of(one) if one.active else f"{name_of(one)} ({_('Withdrawn')})") for one in found]


def _steps(visit: Visit) -> list[TroubleOption]:
    chosen = []
    for text in request.args.get("way", "").split("."):
        try:
            chosen.append(uuid.UUID(text))
        except ValueError:
            break
    return troubleshooter.way(visit.session, chosen)


def _way_to(steps: Sequence[TroubleOption]) -> str | None:
    return ".".join(step.id.hex for step in steps) or None


def _request_url(visit: Visit, option: TroubleOption, steps: Sequence[TroubleOption]) -> str | None:
    """The form of a request with the subject and the way that led here; None for staff, who file for others."""
    if visit.user is not None and visit.user.staff_id is not None:
        return None
    said = [f"{own(step.question, 'text')} – {own(step, 'text')}" for step in steps]
    filled: dict[str, Any] = {
        "subject": own(option, "subject") or own(option, "text"),
        "description": "\n".join([_("Asked by the troubleshooter:"), *said, ""]),
    }
    if visit.user is None:
        return url_for("guest.describe", type=option.type_key, **filled)
    if option.type_key is None:
        return url_for("requests.choose_type")
    return url_for("requests.describe", type_key=option.type_key, **filled)


def _question(visit: Visit, question_id: uuid.UUID) -> TroubleQuestion:
    return visit.session.get(TroubleQuestion, question_id) or abort(404)
