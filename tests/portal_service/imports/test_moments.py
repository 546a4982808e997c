from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from portal_service.imports.errors import BadRow
from portal_service.imports.moments import parse_moment

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize(
    "text",
    [
        "2024-07-05T12:22:10Z",
        "2024-07-05 14:22:10 +0200",
        "2024-07-05T14:22:10+02:00",
        "2024-07-05 12:22:10 UTC",
        "2024-07-05 14:22:10",
        "2024/07/05 14:22:10",
        "05.07.2024 14:22:10",
        "5 Jul 2024 14:22:10",
        "July 5, 2024 2:22:10 pm",
        "Jul 5, 2024 at 2:22:10 PM",
        "Fri, 05 Jul 2024 14:22:10 +0200",
        "1720182130",
        "1720182130000",
    ],
)
def test_every_usual_form_names_the_same_moment(text: str) -> None:
    assert parse_moment(text, zone=AMSTERDAM) == datetime(2024, 7, 5, 12, 22, 10, tzinfo=UTC)


def test_a_day_above_twelve_tells_the_order() -> None:
    assert parse_moment("25/03/2024", zone=UTC) == parse_moment("03/25/2024", zone=UTC)


def test_a_day_that_could_be_a_month_is_refused_until_a_format_is_given() -> None:
    with pytest.raises(BadRow, match="date_format"):
        parse_moment("03/05/2024 10:00", zone=UTC)
    given = parse_moment("03/05/2024 10:00", zone=UTC, date_format="%d/%m/%Y %H:%M")
    assert given == datetime(2024, 5, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["yesterday", "45291.5", "2024-13-01", "1900-01-01", "31.02.2024", "12345678901234567", "٢٠٢٤"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(BadRow):
        parse_moment(text, zone=UTC)
