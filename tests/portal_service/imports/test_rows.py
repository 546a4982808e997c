import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal_service.imports.csv_rows import CsvRows
from portal_service.imports.errors import CannotImport
from portal_service.imports.reading import read_rows
from portal_service.imports.rows import Row
from tests.portal_service.imports.conftest import csv_text


def rows_of(text: str) -> list[Row]:
    return list(read_rows(io.StringIO(text, newline="\n")))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(delimiter: str) -> None:
    text = 'id,subject,body\n1,"a, b; c | d","x"\n'.replace(",", delimiter)
    (row,) = rows_of(text)
    assert row.values["id"] == "1"
    assert row.values["body"] == "x"


def test_a_field_keeps_its_line_breaks_quotation_marks_and_nuls() -> None:
    (row,) = rows_of('id,body\n1,"one\r\n\r\n""two"", 3\0"\n')
    assert row.values["body"] == 'one\r\n\r\n"two", 3\0'
    assert row.line == 2


def test_excels_first_line_and_blank_lines_are_no_rows() -> None:
    rows = rows_of("sep=;\nid;subject\n\n1;a\n;\n\n2;b\n")
    assert [(row.line, row.values["id"]) for row in rows] == [(4, "1"), (7, "2")]


def test_a_quotation_mark_that_is_never_closed_costs_its_own_row_only() -> None:
    rows = rows_of('id,subject,body\n1,"open,a\n2,b,"two\nlines"\n3,c,d\n')
    assert [(row.line, row.values.get("id"), bool(row.problem)) for row in rows] == [
        (2, None, True),
        (3, "2", False),
        (5, "3", False),
    ]
    assert rows[0].raw == '1,"open,a'


def test_a_row_of_several_lines_with_a_missing_column_is_one_bad_row() -> None:
    rows = rows_of('id,subject,body\n1,"two\n\nlines, of\n text"\n2,b,c\n')
    assert [(row.line, bool(row.problem)) for row in rows] == [(2, True), (6, False)]
    assert rows[0].raw == '1,"two\n\nlines, of\n text"'
    assert "2 columns where the header has 3" in (rows[0].problem or "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,a", "2 columns"),
        ("1,a,b,c", "4 columns"),
        ('1,"say "hello" there",b', "not doubled"),
        ("1,a\rb,c", "outside quotation marks"),
        ('1,a,"never', "never closed"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(line: str, reason: str) -> None:
    bad, good = rows_of(f"id,subject,body\n{line}\n2,b,c\n")
    assert reason in (bad.problem or "")
    assert good.values["id"] == "2"


def test_empty_columns_too_many_are_no_fault() -> None:
    (row,) = rows_of("id,subject\n1,a,,\n")
    assert row.values == {"id": "1", "subject": "a"}


def test_columns_of_one_name_stay_apart() -> None:
    (row,) = rows_of("id,Email,Email\n1,a,b\n")
    assert row.values == {"id": "1", "Email": "a", "Email (2)": "b"}


def test_json_lines_become_rows_with_nested_names() -> None:
    good, bad, no_object = rows_of('{"id": 1, "requester": {"email": "a@b.example"}}\n{broken\n\n[1]\n')[:3]
    assert good.values == {"id": 1, "requester.email": "a@b.example"}
    assert bad.line == 2
    assert "no JSON" in (bad.problem or "")
    assert no_object.line == 4


@pytest.mark.parametrize(
    ("text", "advice"), [("", "empty"), ("\n\n", "empty"), ('[{"id": 1}]', "jq"), ("{}\n", "JSON")]
)
def test_what_is_no_export_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(CannotImport, match=advice):
        rows_of(text)


cell = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(cell, cell), max_size=20))
def test_whatever_python_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    text = csv_text({"id": "", "a": "", "b": ""}, *({"id": "x", "a": a, "b": b} for a, b in pairs))
    rows = list(CsvRows(io.StringIO(text, newline="\n")))
    assert [(row.values["a"], row.values["b"]) for row in rows] == pairs


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader_and_no_line_is_lost(text: str) -> None:
    lines = list(io.StringIO("id,a,b\n" + text, newline="\n"))
    found = "".join(row.raw for row in CsvRows(lines))
    wanted = [line.strip("\r\n") for line in lines[1:] if line.strip(',\r\n"')]
    assert all(line in found for line in wanted)
