import csv
import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from portal_service.tickets.export import BYTE_ORDER_MARK, csv_lines, harmless, moment_text
from tests.portal_service.support_desk import Help


@pytest.mark.parametrize(
    "text", ["=1+1", "+31", "-2", "@SUM(A1)", "\t=1", "  =1", "＝1", "\n=cmd|' /C calc'!A0", "＠x", '=HYPERLINK("x")']
)
def test_no_spreadsheet_takes_a_value_for_a_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "The printer burns", "1001", "a=b", "käse, ü", "#1001"])
def test_other_values_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


def test_the_file_reads_back_with_commas_quotes_and_line_breaks(desk: Help) -> None:
    with desk.write() as session:
        subjects = ['He said "no", then left', "李伟 ; =1", "=2"]
        tickets = [desk.submit(session, subject=subject) for subject in subjects]
        columns = [("Case", lambda ticket: str(ticket.number)), ("Subject", lambda ticket: ticket.subject)]
        text = "".join(csv_lines(columns, tickets))
    assert text.startswith(BYTE_ORDER_MARK)
    rows = list(csv.reader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK))))
    assert rows == [["Case", "Subject"], ["1001", subjects[0]], ["1002", subjects[1]], ["1003", "'=2"]]


def test_moments_are_in_the_readers_zone() -> None:
    moment = datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
    assert moment_text(moment, ZoneInfo("Europe/Amsterdam")) == "2026-01-02 00:30 +0100"
    assert moment_text(None, UTC) == ""
