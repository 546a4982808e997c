"""What a form says of moments, urgency and details (S24, S25, S27)."""

from datetime import UTC, datetime

import pytest

from portal_service.tickets.filing_form import BAD_DATE, NO_ZONE, PAST, call_time, details, priority, time_errors
from portal_service.web.forms import Entered

NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "errors"),
    [
        ({}, {}),
        ({"call_time": "2026-03-29T14:30", "timezone": "Europe/Amsterdam"}, {}),
        ({"call_time": "2026-03-29T13:30", "timezone": "Europe/Amsterdam"}, {"call_time": PAST}),
        ({"call_time": "2026-03-29T13:30", "timezone": "America/New_York"}, {}),
        ({"call_time": "soon", "timezone": "UTC"}, {"call_time": BAD_DATE}),
        ({"call_time": "0001-01-01T00:00", "timezone": "Pacific/Auckland"}, {"call_time": BAD_DATE}),
        ({"call_time": "2026-03-30T10:00", "timezone": "Mars/Olympus"}, {"timezone": NO_ZONE}),
        ({"call_time": "2026-03-30T10:00", "timezone": ""}, {"timezone": NO_ZONE}),
        ({"nature": "service", "needed_by": "2026-03-29"}, {}),
        ({"nature": "service", "needed_by": "2026-03-27"}, {"needed_by": PAST}),
        ({"nature": "service", "needed_by": "tomorrow"}, {"needed_by": BAD_DATE}),
        ({"nature": "incident", "needed_by": "1999-01-01"}, {}),
    ],
    ids=str,
)
def test_moments_have_to_be_ones_that_are_still_to_come(typed: dict[str, str], errors: dict[str, str]) -> None:
    assert time_errors(Entered(typed), now=NOW) == errors


def test_a_call_time_is_a_moment_in_its_zone() -> None:
    form = Entered({"call_time": "2026-07-01T10:00", "timezone": "America/New_York"})
    assert call_time(form) == datetime(2026, 7, 1, 14, tzinfo=UTC)


def test_what_was_told_is_labelled_in_the_order_asked() -> None:
    form = Entered(
        {"nature": "service", "needed_by": "2026-05-01", "call_time": "2026-04-01T10:00", "timezone": "Asia/Tokyo",
         "browser": "Firefox 145", "person": "Sales team", "customer_number": " ", "error_text": "E-1"}
    )  # fmt: skip
    assert list(details(form, more={"Company": "Acme"}).items()) == [
        ("Nature of the request", "Service request"),
        ("Needed by", "2026-05-01"),
        ("Company", "Acme"),
        ("Preferred call time", "2026-04-01 10:00 Asia/Tokyo"),
        ("Browser", "Firefox 145"),
        ("Person or group concerned", "Sales team"),
        ("Error text", "E-1"),
    ]


@pytest.mark.parametrize(("nature", "expected"), [("incident", "high"), ("service", "normal"), ("", "normal")])
def test_an_incident_is_urgent(nature: str, expected: str) -> None:
    assert priority(Entered({"nature": nature})) == expected
