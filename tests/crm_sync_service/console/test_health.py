"""Health in words: the worst first, and green only where a comparison said so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from crm_sync_service.console.broker_watch import BrokerView
from crm_sync_service.console.figures import CrmLine, FeedLine, Figures, WorkerLine
from crm_sync_service.console.health import assess
from shared.broker_ops import QueueState

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
SINCE = datetime(2026, 11, 22, 10, 3, tzinfo=UTC)
QUEUE = QueueState(
    destination="portal-events", queue="q", waiting=0, held=0, dead_letters=0, consumers=None, oldest=None
)
BROKER = BrokerView(queues=(QUEUE,), seen_at=NOW, failing_since=None, error=None)
CRM = CrmLine(crm="desk", state="reachable", since=SINCE, until=None, reason=None)
WELL = Figures(
    tickets=124,
    in_sync=124,
    waiting=0,
    retrying=0,
    oldest_waiting=None,
    need_person=0,
    cases_deleted=0,
    running=0,
    parked=0,
    outbox_unsent=0,
    outbox_oldest=None,
    unreadable=0,
    unreadable_oldest=None,
    conflicts_day=0,
    last_compared=NOW - timedelta(seconds=3),
    crms=(CRM,),
    workers=(WorkerLine(owner="w", started_at=SINCE, seen_at=NOW),),
    feeds=(FeedLine(feed="cases", stamp="s", polled_at=NOW),),
)


def test_all_well():
    health = assess(WELL, BROKER, now=NOW)
    assert health.level == "ok"
    words = "All 124 tickets are in sync, last compared 3 s ago, asked the CRM for changes just now"
    assert health.headline.text == words
    assert health.others == ()


def test_nothing_yet():
    health = assess(replace(WELL, tickets=0, in_sync=0), BROKER, now=NOW)
    assert health.headline.text == "No ticket has come from the portal yet; everything is ready"


def test_not_all_compared_equal_is_never_green():
    health = assess(replace(WELL, in_sync=123), BROKER, now=NOW)
    assert (health.level, health.headline.text) == ("warn", "123 of 124 tickets are in sync")


def test_a_crm_that_is_down_says_since_when_in_its_own_words_and_that_nothing_is_lost():
    down = replace(CRM, state="unreachable", reason="no answer from the CRM: Connection refused")
    health = assess(replace(WELL, crms=(down,), waiting=12, in_sync=112), BROKER, now=NOW)
    assert health.level == "bad"
    assert health.headline.text == (
        "CRM unreachable since 10:03 UTC (no answer from the CRM: Connection refused); 12 tickets wait, nothing is lost"
    )
    assert [sentence.text for sentence in health.others] == ["112 of 124 tickets are in sync"]


def test_a_pause_the_crm_asked_for_is_a_warning():
    paused = replace(CRM, state="paused", until=NOW + timedelta(seconds=30), reason="429: slow down.")
    health = assess(replace(WELL, crms=(paused,)), BROKER, now=NOW)
    assert health.level == "warn"
    assert "asked for a pause at 10:03 UTC, until 12:30:30 UTC (429: slow down)" in health.headline.text


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"need_person": 2}, "bad", "2 tickets need a person"),
        ({"need_person": 1}, "bad", "1 ticket needs a person"),
        ({"unreadable": 1}, "bad", "1 event could not be read and is kept for you"),
        ({"cases_deleted": 1}, "warn", "1 ticket has no Case any more: it was deleted in the CRM"),
        ({"retrying": 3}, "warn", "3 tickets failed and are tried again"),
        (
            {"waiting": 2, "oldest_waiting": NOW - timedelta(seconds=4)},
            "ok",
            "2 tickets have changes under way, the oldest for 4 s",
        ),
        (
            {"waiting": 1, "oldest_waiting": NOW - timedelta(minutes=4)},
            "warn",
            "1 ticket has changes under way, the oldest for 4 min",
        ),
        (
            {"outbox_unsent": 5, "outbox_oldest": NOW - timedelta(minutes=2)},
            "warn",
            "5 events to the portal not sent for 2 min",
        ),
        ({"workers": ()}, "bad", "No sync worker has run yet: start `casebridge sync-worker`"),
        (
            {"workers": (WorkerLine(owner="w", started_at=SINCE, seen_at=SINCE),)},
            "bad",
            "No sync worker has shown progress since 10:03 UTC; no ticket waits: start `casebridge sync-worker`",
        ),
        (
            {"feeds": (FeedLine(feed="cases", stamp="s", polled_at=SINCE),)},
            "warn",
            (
                "Nobody has looked for changes in the CRM since 10:03 UTC; "
                "what account managers change is not carried over"
            ),
        ),
    ],
)
def test_each_trouble_in_words(changes, level, words):
    health = assess(replace(WELL, **changes), BROKER, now=NOW)
    assert (health.level, health.headline.text) == (level, words)


def test_a_broker_that_is_down():
    down = BrokerView(queues=(), seen_at=None, failing_since=SINCE, error="the broker at x cannot be used: refused.")
    health = assess(replace(WELL, outbox_unsent=3, outbox_oldest=SINCE), down, now=NOW)
    assert health.headline.text == (
        "Broker unreachable since 10:03 UTC (the broker at x cannot be used: refused); "
        "3 events of ours wait in the outbox, nothing is lost"
    )


def test_dead_letters_and_a_backlog_at_the_broker_are_told():
    queue = replace(QUEUE, waiting=7, dead_letters=1)
    health = assess(WELL, replace(BROKER, queues=(queue,)), now=NOW)
    assert health.headline.text == "1 message is in the broker's dead-letter queues"
    assert "7 events of the portal wait to be read" in [sentence.text for sentence in health.others]


def test_the_worst_comes_first():
    troubled = replace(WELL, retrying=1, need_person=1, waiting=1, oldest_waiting=NOW)
    health = assess(troubled, BROKER, now=NOW)
    levels = [health.level, *(sentence.level for sentence in health.others)]
    assert levels == sorted(levels, key=["bad", "warn", "ok"].index)
