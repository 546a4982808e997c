"""The change feed: nothing is missed, nothing is news twice, and a feed that lies is noticed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete

from crm_sync_service import change_feed
from crm_sync_service.alarms import alarms
from crm_sync_service.change_feed import CASES, NOTES, poll_cases, poll_notes
from crm_sync_service.connectors.base import CaseStamp, FeedPage, UnreachableError
from crm_sync_service.feed_watch import SILENT, UNBOUNDED, FeedWatch
from crm_sync_service.hints import MOST_AT_ONCE, apply_hint
from crm_sync_service.lanes import Priority
from crm_sync_service.mapping import case_id_of
from crm_sync_service.models import Base, Cursor, Link
from crm_sync_service.worker import SyncWorker
from shared.clock import to_text
from tests.crm_sync_service.engine import START, Engine, new_reply, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm

OVERLAP = timedelta(seconds=120)


@pytest.fixture
def crm(request):
    return FakeCrm(now=lambda: START, page_size=getattr(request, "param", 200))


@pytest.fixture
def engine(open_database, crm):
    return Engine(open_database("sqlite", Base.metadata), crm)


def file_tickets(engine, count, replies=0):
    tickets = [new_ticket(number=1001 + place, reply_count=replies) for place in range(count)]
    for ticket in tickets:
        engine.receive(ticket, *(new_reply(ticket, position) for position in range(1, replies + 1)))
    engine.settle()
    return tickets


def poll(engine):
    return poll_cases(engine.database, engine.crm, overlap=OVERLAP, now=engine.clock)


def look_at_notes(engine):
    return poll_notes(engine.database, engine.crm, overlap=OVERLAP, now=engine.clock)


def cursor(engine, feed=CASES):
    with engine.database.read() as session:
        row = session.get(Cursor, feed)
        return row.stamp if row else None


def case_of(ticket):
    return case_id_of(ticket.ticket_id)


class TestCursor:
    @pytest.mark.parametrize(("look", "method"), [(poll, "changed_cases"), (look_at_notes, "changed_notes")])
    def test_a_first_look_begins_at_the_end_while_no_ticket_has_a_case(self, engine, crm, look, method):
        """A CRM with years of Cases in it is not walked through for nothing."""
        asked, read = [], getattr(crm, method)
        setattr(crm, method, lambda since, *, page: asked.append(since) or read(since, page=page))
        crm.newest_stamp = lambda _: to_text(START)
        look(engine)
        file_tickets(engine, 1)
        with engine.database.write() as session:
            session.execute(delete(Cursor))
        look(engine)
        assert (asked[0], asked[-1]) == (to_text(START - OVERLAP), None)

    @pytest.mark.parametrize("crm", [3], indirect=True)
    def test_a_reader_that_dies_between_pages_reads_all_of_them_again(self, engine, crm, monkeypatch):
        """FAILURES 27: the cursor moves only after the last page is stored."""
        tickets = file_tickets(engine, 8)
        poll(engine)
        before = cursor(engine)
        for ticket in tickets:
            crm.edit(case_of(ticket), priority="high")
        crm.fail("changed_cases", UnreachableError("reset"), when="after", times=1)
        with pytest.raises(UnreachableError):
            poll(engine)
        crm.hooks.clear()
        dies = iter([None, RuntimeError("killed")])

        def after_page(name):
            if error := next(dies):
                raise error

        monkeypatch.setattr(change_feed, "failpoint", after_page)
        with pytest.raises(RuntimeError, match="killed"):
            poll(engine)
        assert cursor(engine) == before
        monkeypatch.undo()
        poll(engine)
        assert cursor(engine) > before
        engine.runner.run_until_idle()
        assert all(engine.link(ticket).pending_pull for ticket in tickets)

    @pytest.mark.parametrize("crm", [3], indirect=True)
    def test_a_case_that_changes_while_pages_are_read_is_not_skipped(self, engine, crm):
        """FAILURES 28."""
        tickets = file_tickets(engine, 9)
        for ticket in tickets:
            crm.edit(case_of(ticket), priority="high")
        pages = iter(range(100))

        def move(call, when):
            if call.method == "changed_cases" and when == "after" and next(pages) == 0:
                crm.edit(case_of(tickets[1]), subject="Moved to the end")

        crm.hooks.append(move)
        assert poll(engine) >= 9
        engine.runner.run_until_idle()
        assert all(engine.link(ticket).pending_pull for ticket in tickets)

    def test_our_own_writes_are_no_news(self, engine, crm):
        file_tickets(engine, 4)
        assert poll(engine) == 0
        assert poll(engine) == 0

    def test_a_change_stamped_in_the_past_within_the_overlap_is_found(self, engine, crm):
        """FAILURES 25: it was committed late, with an older stamp."""
        late, newer = file_tickets(engine, 2)
        engine.settle()
        crm.edit(case_of(late), priority="high")
        crm.hidden.add(case_of(late))
        crm.edit(case_of(newer), priority="low")
        assert poll(engine) == 1
        crm.hidden.clear()
        assert poll(engine) == 2, "the newer one waits in its lane; the late one is news"


class TestNotes:
    def test_notes_of_ours_are_no_news_and_others_are_once(self, engine, crm):
        ticket, _ = file_tickets(engine, 2, replies=2)
        assert look_at_notes(engine) == 0
        note_id = crm.write_note(case_of(ticket), "Called them.")
        assert look_at_notes(engine) == 1
        assert engine.lane(ticket.ticket_id).state == "due"
        assert engine.lane(ticket.ticket_id).priority == Priority.PULL
        assert engine.link(ticket).notes_told == 1
        assert look_at_notes(engine) == 0
        crm.notes[note_id] = replace(crm.notes[note_id], created_at=START + timedelta(seconds=5))
        assert look_at_notes(engine) == 1, "it was changed"

    def test_a_note_of_a_case_that_is_not_ours_is_nobodys(self, engine, crm):
        ticket, other = file_tickets(engine, 2)
        crm.write_note(case_of(other), "About something else")
        with engine.database.write() as session:
            session.get_one(Link, other.ticket_id).state = "unlinked"
        assert look_at_notes(engine) == 0
        assert engine.lane(ticket.ticket_id).state == "idle"

    def test_the_cursor_of_notes_moves_after_the_last_page(self, engine, crm):
        ticket = file_tickets(engine, 1, replies=1)[0]
        crm.fail("changed_notes", UnreachableError("reset"))
        with pytest.raises(UnreachableError):
            look_at_notes(engine)
        assert cursor(engine, NOTES) is None
        crm.write_note(case_of(ticket), "x")
        look_at_notes(engine)
        assert cursor(engine, NOTES) == to_text(START + timedelta(minutes=1))

    def test_it_is_read_by_the_worker_only_where_notes_do_not_touch_the_case(self, engine, crm):
        worker = SyncWorker(
            database=engine.database,
            crm=crm,
            runner=engine.runner,
            broker=None,
            poll_interval=timedelta(seconds=1),
            now=lambda: engine.clock,
        )
        worker.look_once()
        assert crm.called("changed_notes") == 1
        crm.capabilities = replace(crm.capabilities, notes_touch_case=True)
        engine.clock += timedelta(seconds=60)
        worker.look_once()
        assert crm.called("changed_notes") == 1


class TestWatch:
    """A feed that falls silent, or gives everything."""

    @pytest.fixture
    def watch(self):
        return FeedWatch(overlap=OVERLAP)

    @pytest.fixture
    def look(self, engine, watch):
        """Time passes and the worker takes a deep look; returns the alarms there are then."""

        def look_(seconds=30):
            engine.clock += timedelta(seconds=seconds)
            with engine.database.read() as session:
                watch.collect(session, now=engine.clock)
            poll_cases(engine.database, engine.crm, overlap=OVERLAP, now=engine.clock, watch=watch)
            with engine.database.write() as session:
                watch.report(session, now=engine.clock)
            with engine.database.read() as session:
                return [alarm.name for alarm in alarms(session)]

        return look_

    def test_a_feed_that_shows_our_writes_is_believed(self, engine, look):
        file_tickets(engine, 3)
        assert [look() for _ in range(20)] == [[]] * 20

    def test_a_feed_that_does_not_show_our_writes_is_an_alarm_until_it_does(self, engine, crm, look):
        [ticket] = file_tickets(engine, 1)
        look()
        crm.hidden.update(crm.cases)
        engine.receive(replace(ticket, version=2, subject="Written by us"))
        engine.runner.run_until_idle()
        crm.hidden.update(crm.cases)
        found = [look() for _ in range(8)]
        assert found[:6] == [[]] * 6, "a change may take as long as the overlap to appear"
        assert found[-1] == [SILENT]
        with engine.database.read() as session:
            assert case_of(ticket) in alarms(session)[0].text
        crm.hidden.clear()
        assert look() == []

    def test_one_row_that_is_missing_beside_others_is_no_silence(self, engine, crm, look):
        first, second = file_tickets(engine, 2)
        look()
        engine.receive(replace(first, version=2, subject="Never shown"))
        engine.runner.run_until_idle()
        crm.hidden.add(case_of(first))
        engine.clock += timedelta(seconds=5)
        engine.receive(replace(second, version=2, subject="Shown"))
        engine.runner.run_until_idle()
        assert [look() for _ in range(9)] == [[]] * 9

    def test_a_feed_that_ignores_the_range_is_an_alarm(self, engine, crm, look, watch, monkeypatch):
        file_tickets(engine, 1)
        look()
        old = to_text(START - timedelta(days=400))
        everything = FeedPage(rows=[CaseStamp(case_id="x", stamp=old)], newest=old, next=None)
        monkeypatch.setattr(crm, "changed_cases", lambda *_, **__: everything)
        assert look() == [UNBOUNDED]
        assert watch.is_unbounded
        monkeypatch.undo()
        assert look() == []

    def test_a_feed_that_gives_implausibly_much_again_and_again_is_an_alarm(self, engine, crm, look, monkeypatch):
        file_tickets(engine, 1)
        look()
        now = to_text(START)
        much = FeedPage(rows=[CaseStamp(case_id=str(n), stamp=now) for n in range(1500)], newest=now, next=None)
        monkeypatch.setattr(crm, "changed_cases", lambda *_, **__: much)
        found = [look() for _ in range(7)]
        assert (found[0], found[-1]) == ([], [UNBOUNDED])

    def test_the_first_look_may_give_everything(self, engine, crm, look):
        file_tickets(engine, 2)
        assert look() == []


class TestHints:
    """FAILURES 70: a body is only a hint, and many hints are one look."""

    def hint(self, engine, *case_ids):
        with engine.database.write() as session:
            return apply_hint(session, case_ids, now=engine.clock)

    def test_a_hint_marks_the_lane_due_and_the_case_is_read(self, engine, crm):
        ticket, other = file_tickets(engine, 2)
        crm.edit(case_of(ticket), priority="high")
        assert self.hint(engine, case_of(ticket)) == 1
        engine.runner.run_until_idle()
        assert engine.link(ticket).pending_pull
        assert engine.link(other).pending_pull is None

    def test_ten_thousand_hints_are_one_look(self, engine, crm):
        [ticket] = file_tickets(engine, 1)
        calls = crm.called("get_case")
        assert sum(self.hint(engine, case_of(ticket), case_of(ticket)) for _ in range(50)) == 1
        engine.runner.run_until_idle()
        assert crm.called("get_case") == calls + 1

    def test_hints_about_strangers_or_far_too_many_cases_cost_nothing(self, engine, crm):
        [ticket] = file_tickets(engine, 1)
        assert self.hint(engine, "stranger") == 0
        assert self.hint(engine) == 0
        assert self.hint(engine, case_of(ticket), *(str(n) for n in range(MOST_AT_ONCE))) == 0
