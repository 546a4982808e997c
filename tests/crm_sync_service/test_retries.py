"""Every failure is sorted, and waiting is as long as was asked for."""

from datetime import UTC, datetime, timedelta

import pytest

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    AmbiguousError,
    CrmError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    RateLimitedError,
    StaleError,
    UnauthorisedError,
    UnreachableError,
)
from crm_sync_service.connectors.http import retry_after
from crm_sync_service.retries import LONGEST_PAUSE, MAX_ATTEMPTS, HoldError, classify, pause_after

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=7)


@pytest.mark.parametrize(
    ("error", "action", "at"),
    [
        (HoldError("spent", until=LATER), "wait", LATER),
        (RateLimitedError("429", retry_after=timedelta(minutes=7)), "all_wait", LATER),
        (UnauthorisedError("401"), "all_wait", None),
        (ForbiddenError("403"), "all_wait", None),
        (UnreachableError("reset"), "all_wait", None),
        (InvalidError("422"), "final", None),
        (AmbiguousError("two", record_ids=["a", "b"]), "person", None),
        (StaleError("412"), "again", None),
        (AlreadyExistsError("409"), "again", None),
        (NotFoundError("404"), "later", None),
        (GoneError("410"), "later", None),
        (CrmError("?"), "later", None),
        (ValueError("a mistake of ours"), "later", None),
    ],
)
def test_the_first_failure_is_sorted(error, action, at):
    verdict = classify(error, attempts=0, now=NOW)
    assert (verdict.action, verdict.at) == (action, at)


@pytest.mark.parametrize("error", [StaleError("412"), AlreadyExistsError("409")])
def test_what_fails_at_once_a_second_time_gets_a_pause(error):
    assert classify(error, attempts=1, now=NOW).action == "later"


@pytest.mark.parametrize("error", [CrmError("?"), ValueError("?"), StaleError("412"), NotFoundError("404")])
def test_after_the_last_attempt_a_person_decides(error):
    assert classify(error, attempts=MAX_ATTEMPTS - 2, now=NOW).action == "later"
    assert classify(error, attempts=MAX_ATTEMPTS - 1, now=NOW).action == "person"


@pytest.mark.parametrize(
    "error", [RateLimitedError("429", retry_after=timedelta(0)), HoldError("", until=NOW), UnauthorisedError("401")]
)
def test_what_is_no_tickets_fault_never_parks_one(error):
    assert classify(error, attempts=100, now=NOW).action in {"all_wait", "wait"}


def test_pauses_grow_with_jitter_up_to_a_minute():
    middle = [pause_after(attempts, chance=0.5).total_seconds() for attempts in range(12)]
    assert middle == sorted(middle)
    assert middle[-1] <= LONGEST_PAUSE * 1.5
    assert pause_after(3, chance=0.0) < pause_after(3, chance=1.0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17), ("Sun, 22 Nov 2026 12:02:00 GMT", 120), ("Sun, 22 Nov 2026 11:00:00 GMT", 0), ("-3", 0)],
)
def test_retry_after_is_obeyed_in_both_formats(header, seconds):
    assert retry_after(header, now=NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("header", [None, "", "soon", "9" * 400])
def test_a_retry_after_that_says_nothing_gives_a_moderate_pause(header):
    assert timedelta(seconds=1) <= retry_after(header, now=NOW) <= timedelta(hours=1)
