"""The troubleshooter: questions whose answers lead to a solution or to a request that is filled in (S81)."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, selectinload

from portal_service.knowledge.models import Article
from portal_service.knowledge.trouble_models import TroubleOption, TroubleQuestion
from portal_service.messages import message
from portal_service.tickets.choices import request_type
from portal_service.tickets.errors import NOT_OFFERED, UNKNOWN, Invalid
from portal_service.tickets.models import RequestType
from portal_service.tickets.text import REQUIRED, clean_line
from shared.ids import new_id

MOST_OPTIONS = 12
MAX_STEPS = 30
_MAX_TEXT = 255

CYCLE = message("This answer leads back to this question, so nobody would ever arrive.")
ONE_END = message("Please choose where this answer leads: exactly one of the three.")
TOO_LONG = message("This is too long: please use at most 255 characters.")
NO_OPTIONS = message("Please give at least two answers.")
IN_USE = message("An answer of another question leads here. Change that answer first.")


@dataclass(frozen=True, kw_only=True)
class OptionEntered:
    """An answer as entered, and where it leads: to exactly one of the three."""

    text_en: str
    text_nl: str = ""
    next_id: uuid.UUID | None = None
    article_slug: str = ""
    type_key: str = ""
    subject_en: str = ""
    subject_nl: str = ""

    @property
    def is_blank(self) -> bool:
        return not (self.text_en.strip() or self.text_nl.strip())


@dataclass(frozen=True, kw_only=True)
class QuestionEntered:
    """A question as entered; answers without words are left out."""

    text_en: str
    text_nl: str = ""
    hint_en: str = ""
    hint_nl: str = ""
    begins: bool = False
    options: Sequence[OptionEntered] = field(default=())


def beginnings(session: Session) -> Sequence[TroubleQuestion]:
    query = select(TroubleQuestion).where(TroubleQuestion.begins)
    return session.scalars(query.order_by(TroubleQuestion.position, TroubleQuestion.text_en)).all()


def questions(session: Session) -> Sequence[TroubleQuestion]:
    """All of them with their answers, those that begin first."""
    query = select(TroubleQuestion).options(selectinload(TroubleQuestion.options))
    order = (TroubleQuestion.begins.desc(), TroubleQuestion.position, TroubleQuestion.text_en)
    return session.scalars(query.order_by(*order)).all()


def way(session: Session, chosen: Sequence[uuid.UUID]) -> list[TroubleOption]:
    """The answers given so far, in order, as far as each really follows from the one before."""
    found = session.scalars(
        select(TroubleOption)
        .where(TroubleOption.id.in_(chosen[:MAX_STEPS]))
        .options(selectinload(TroubleOption.question))
    )
    by_id = {option.id: option for option in found}
    steps: list[TroubleOption] = []
    for option_id in chosen[:MAX_STEPS]:
        option = by_id.get(option_id)
        if option is None or (steps and steps[-1].next_id != option.question_id):
            break
        steps.append(option)
    return steps


def save(session: Session, question: TroubleQuestion | None, entered: QuestionEntered) -> TroubleQuestion:
    """Store a question with its answers. Raises Invalid, also when an answer would lead back to the question."""
    options = [option for option in entered.options if not option.is_blank]
    errors = _errors(session, question, entered)
    if errors:
        raise Invalid(errors)
    if question is None:
        question = TroubleQuestion(id=new_id(), text_en="", position=0)
        session.add(question)
    for name in ("text_en", "text_nl", "hint_en", "hint_nl"):
        setattr(question, name, clean_line(getattr(entered, name)))
    question.begins = entered.begins
    session.flush()
    session.execute(delete(TroubleOption).where(TroubleOption.question_id == question.id))
    session.add_all(_option(question.id, position, option) for position, option in enumerate(options))
    session.flush()
    session.expire(question, ["options"])
    return question


def remove(session: Session, question: TroubleQuestion) -> None:
    """Raises Invalid while an answer leads to it."""
    if session.scalar(select(TroubleOption.id).where(TroubleOption.next_id == question.id).limit(1)):
        raise Invalid({"": IN_USE})
    session.delete(question)
    session.flush()


def _option(question_id: uuid.UUID, position: int, entered: OptionEntered) -> TroubleOption:
    return TroubleOption(
        question_id=question_id,
        position=position,
        text_en=clean_line(entered.text_en),
        text_nl=clean_line(entered.text_nl),
        next_id=entered.next_id,
        article_slug=entered.article_slug or None,
        type_key=entered.type_key or None,
        subject_en=clean_line(entered.subject_en) if entered.type_key else "",
        subject_nl=clean_line(entered.subject_nl) if entered.type_key else "",
    )


def _errors(session: Session, question: TroubleQuestion | None, entered: QuestionEntered) -> dict[str, str]:
    """What is wrong, by field; those of the answers carry their number."""
    found = {"text_en": _text_error(entered.text_en), "text_nl": _text_error(entered.text_nl, required=False)}
    if sum(not option.is_blank for option in entered.options) < 2:
        found[""] = NO_OPTIONS
    before = _leading_to(session, question.id) if question else set()
    for number, option in enumerate(entered.options):
        if option.is_blank:
            continue
        found[f"text_en_{number}"] = _text_error(option.text_en)
        found[f"to_{number}"] = _end_error(session, option, before)
    return {name: error for name, error in found.items() if error}


def _text_error(text: str, *, required: bool = True) -> str:
    if required and not text.strip():
        return REQUIRED
    return TOO_LONG if len(text) > _MAX_TEXT else ""


def _end_error(session: Session, option: OptionEntered, before: set[uuid.UUID]) -> str:
    ends = [option.next_id, option.article_slug, option.type_key]
    if sum(bool(end) for end in ends) != 1:
        return ONE_END
    if option.next_id in before:
        return CYCLE
    known = (
        (option.next_id and session.get(TroubleQuestion, option.next_id))
        or (
            option.article_slug
            and session.scalar(select(Article.id).where(Article.slug == option.article_slug).limit(1))
        )
        or (option.type_key and request_type(session, option.type_key))
    )
    if isinstance(known, RequestType) and not known.active:
        return NOT_OFFERED
    return "" if known else UNKNOWN


def _leading_to(session: Session, question_id: uuid.UUID) -> set[uuid.UUID]:
    """The question itself and all from which its readers may come."""
    sources: dict[uuid.UUID, set[uuid.UUID]] = {}
    links = select(TroubleOption.question_id, TroubleOption.next_id).where(TroubleOption.next_id.is_not(None))
    for source, target in session.execute(links):
        if target is not None:
            sources.setdefault(target, set()).add(source)
    return _reached(sources, question_id)


def _reached(links: Mapping[uuid.UUID, set[uuid.UUID]], start: uuid.UUID) -> set[uuid.UUID]:
    reached, waiting = {start}, [start]
    while waiting:
        new = links.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return reached
