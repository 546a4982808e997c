import pytest
from sqlalchemy import select

from portal_service.channels.models import OutgoingMail
from portal_service.tickets import queries
from portal_service.tickets.actions import rate, reopen, set_status
from portal_service.tickets.errors import Invalid, Refused
from tests.portal_service.support_desk import Help


def test_a_solved_ticket_is_rated_once_and_the_rating_can_be_changed(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        carol = desk.actor(session, "carol")
        set_status(session, ticket, "solved", actor=desk.actor(session, "sam"), now=desk.clock.now)
        before = (ticket.version, len(desk.told(session)), len(list(session.scalars(select(OutgoingMail)))))
        rate(session, ticket, actor=carol, score=2, words="Slow", now=desk.clock.now)
        later = desk.clock.forward(hours=1)
        rate(session, ticket, actor=carol, score=5, words=" Sorry, all good\r\nnow ", now=later)
        session.expire(ticket, ["rating"])
        assert ticket.rating is not None
        assert (ticket.rating.score, ticket.rating.words, ticket.rating.rated_at) == (5, "Sorry, all good\nnow", later)
        marks = [(line.before, line.after) for line in queries.history(session, ticket, public_only=True)
                 if line.field == "rating"]  # fmt: skip
        assert marks == [(None, "2"), ("2", "5")]
        # Mirrored nowhere and mailed to nobody.
        assert before == (ticket.version, len(desk.told(session)), len(list(session.scalars(select(OutgoingMail)))))


@pytest.mark.parametrize(("score", "words", "field"), [(0, "", "score"), (6, "", "score"), (3, "x" * 2001, "words")])
def test_a_rating_is_one_of_five(desk: Help, score: int, words: str, field: str) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        set_status(session, ticket, "closed", actor=desk.actor(session, "sam"), now=desk.clock.now)
        with pytest.raises(Invalid) as refused:
            rate(session, ticket, actor=desk.actor(session, "carol"), score=score, words=words, now=desk.clock.now)
        assert list(refused.value.errors) == [field]


def test_only_customers_rate_and_only_what_is_finished(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        carol, sam = desk.actor(session, "carol"), desk.actor(session, "sam")
        with pytest.raises(Refused):
            rate(session, ticket, actor=carol, score=5, words="", now=desk.clock.now)
        set_status(session, ticket, "solved", actor=sam, now=desk.clock.now)
        with pytest.raises(Refused):
            rate(session, ticket, actor=sam, score=5, words="", now=desk.clock.now)
        reopen(session, ticket, actor=carol, now=desk.clock.now)
        with pytest.raises(Refused):
            rate(session, ticket, actor=carol, score=5, words="", now=desk.clock.now)
