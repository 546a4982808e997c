from sqlalchemy.orm import Session

from portal_service.tickets import threads
from portal_service.tickets.actions import add_internal_note, add_reply
from portal_service.tickets.models import Entry, Reply, Ticket
from tests.portal_service.support_desk import Help


def talk(desk: Help, session: Session, count: int, *, length: int = 1) -> Ticket:
    ticket = desk.submit(session)
    sam = desk.actor(session, "sam")
    for index in range(count):
        body = f"{index} ".ljust(length, "x")
        add = add_internal_note if index % 3 == 2 else add_reply
        add(session, ticket, actor=sam, body=body, now=desk.clock.forward(minutes=1))
    return ticket


def test_a_long_conversation_is_read_in_pieces_and_nothing_twice(desk: Help) -> None:
    with desk.write() as session:
        ticket = talk(desk, session, 95)
        seen: list[int] = []
        before = None
        while True:
            thread = threads.read_thread(session, ticket, Entry, (), before=before)
            assert (thread.count, thread.is_newest) == (95, before is None)
            assert len(thread.entries) <= threads.MOST_ENTRIES
            seen = [*(entry.position for entry in thread.entries), *seen]
            before = thread.earlier
            if before is None:
                break
        assert seen == list(range(1, 96))


def test_customers_count_and_read_replies_only(desk: Help) -> None:
    with desk.write() as session:
        ticket = talk(desk, session, 9)
        thread = threads.read_thread(session, ticket, Reply, ())
        assert [entry.position for entry in thread.entries] == [1, 2, 4, 5, 7, 8]
        assert thread.count == threads.count_replies(session, ticket) == 6
        assert thread.earlier is None


def test_a_page_holds_no_more_words_than_it_can_carry(desk: Help) -> None:
    with desk.write() as session:
        ticket = talk(desk, session, 8, length=25_000)
        thread = threads.read_thread(session, ticket, Entry, ())
        assert [entry.position for entry in thread.entries] == [7, 8]
        assert thread.earlier == 7
        following = threads.read_thread(session, ticket, Entry, (), before=7)
        assert [entry.position for entry in following.entries] == [5, 6]
