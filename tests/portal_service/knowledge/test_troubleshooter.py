"""Question trees never lead in a circle, and every answer leads somewhere (S81)."""

import pytest
from sqlalchemy.orm import Session

from portal_service.knowledge import troubleshooter
from portal_service.knowledge.trouble_models import TroubleQuestion
from portal_service.knowledge.troubleshooter import CYCLE, IN_USE, NO_OPTIONS, ONE_END, OptionEntered, QuestionEntered
from portal_service.tickets.errors import UNKNOWN, Invalid
from shared.ids import new_id
from tests.portal_service.knowledge.writing import published
from tests.portal_service.support_desk import Help

REQUEST = OptionEntered(text_en="Else", type_key="level-1", subject_en="Help")


def question(
    session: Session, text: str, *options: OptionEntered, known: TroubleQuestion | None = None
) -> TroubleQuestion:
    entered = QuestionEntered(text_en=text, begins=True, options=[*options, REQUEST, OptionEntered(text_en=" ")])
    return troubleshooter.save(session, known, entered)


def to(target: TroubleQuestion, text: str = "Yes") -> OptionEntered:
    return OptionEntered(text_en=text, next_id=target.id)


def test_a_way_is_followed_only_as_far_as_its_steps_fit(desk: Help) -> None:
    with desk.write() as session:
        published(session, "help")
        last = question(session, "Last?", OptionEntered(text_en="Read", article_slug="help"))
        first = question(session, "First?", to(last))
        yes, end = first.options[0], last.options[0]
        assert troubleshooter.way(session, [yes.id, end.id]) == [yes, end]
        assert troubleshooter.way(session, [yes.id, yes.id]) == [yes]
        assert troubleshooter.way(session, [new_id(), end.id]) == []
        assert [one.text_en for one in troubleshooter.beginnings(session)] == ["First?", "Last?"]


def test_a_circle_is_refused_however_long(desk: Help) -> None:
    with desk.write() as session:
        third = question(session, "3", OptionEntered(text_en="x", type_key="billing"))
        second = question(session, "2", to(third))
        first = question(session, "1", to(second))
        for target in (first, second, third):
            with pytest.raises(Invalid) as refused:
                question(session, "3", to(target), known=third)
            assert refused.value.errors == {"to_0": CYCLE}
        question(session, "1", to(second), to(third, "No"), known=first)


@pytest.mark.parametrize(
    ("option", "error"),
    [
        (OptionEntered(text_en="x"), ONE_END),
        (OptionEntered(text_en="x", type_key="level-1", article_slug="y"), ONE_END),
        (OptionEntered(text_en="x", article_slug="no-such"), UNKNOWN),
        (OptionEntered(text_en="x", type_key="no-such"), UNKNOWN),
        (OptionEntered(text_en="x", next_id=new_id()), UNKNOWN),
    ],
    ids=["nowhere", "two ways", "no article", "no type", "no question"],
)
def test_an_answer_leads_to_exactly_one_thing_that_exists(desk: Help, option: OptionEntered, error: str) -> None:
    with desk.write() as session:
        with pytest.raises(Invalid) as refused:
            question(session, "1", option)
        assert refused.value.errors == {"to_0": error}


def test_a_question_has_two_answers_and_goes_only_when_nothing_leads_to_it(desk: Help) -> None:
    with desk.write() as session:
        with pytest.raises(Invalid) as refused:
            question(session, "1")
        assert refused.value.errors == {"": NO_OPTIONS}
        second = question(session, "2", OptionEntered(text_en="x", type_key="billing"))
        first = question(session, "1", to(second))
        with pytest.raises(Invalid, match=IN_USE):
            troubleshooter.remove(session, second)
        troubleshooter.remove(session, first)
        troubleshooter.remove(session, second)
        assert troubleshooter.questions(session) == []
