from pathlib import Path

import pytest

from portal_service.imports.columns import match_columns
from portal_service.imports.errors import CannotImport
from portal_service.imports.mapping import Rules, read_rules

ZENDESK = (
    "Id,Requester,Requester email,Assignee,Subject,Tags,Status,Priority,Ticket type,Created at,Updated at,"
    "Organization,Solved at"
)
FRESHDESK = (
    "Ticket ID,Subject,Status,Priority,Source,Type,Agent,Group,Created time,Resolved time,Closed time,Last update time,"
    "Tags,Product,Full name,Title,Email,Company Name"
)
OSTICKET = (
    "Ticket Number,Date Created,Subject,From,From Email,Priority,Department,Help Topic,Source,Current Status,"
    "Last Updated,Agent Assigned"
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            ZENDESK,
            {"id": "Id", "requester_email": "Requester email", "account": "Organization", "finished_at": "Solved at"},
        ),
        (
            FRESHDESK,
            {
                "id": "Ticket ID",
                "subject": "Subject",
                "requester_name": "Full name",
                "requester_email": "Email",
                "assignee": "Agent",
                "finished_at": "Closed time",
                "account": "Company Name",
            },
        ),
        (
            OSTICKET,
            {
                "id": "Ticket Number",
                "requester_email": "From Email",
                "requester_name": "From",
                "status": "Current Status",
                "created_at": "Date Created",
                "type": "Help Topic",
            },
        ),
        ("ID,createdAt,TITLE", {"id": "ID", "created_at": "createdAt", "subject": "TITLE"}),
    ],
)
def test_the_columns_of_known_help_desks_are_found(header: str, expected: dict[str, str]) -> None:
    found = match_columns(header.split(","), {}).by_field
    assert expected.items() <= found.items()


def test_what_the_administrator_says_counts_more_and_the_rest_is_named() -> None:
    columns = match_columns(["Nr", "Subject", "Betreff"], {"id": "nr", "subject": "BETREFF"})
    assert columns.by_field == {"id": "Nr", "subject": "Betreff"}
    assert columns.unused == ("Subject",)
    with pytest.raises(CannotImport, match="no column 'Nummer' for id: the file has Nr, Subject"):
        match_columns(["Nr", "Subject"], {"id": "Nummer"})


def test_a_mapping_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        'timezone = "Europe/Amsterdam"\n[columns]\nid = "Nr"\n[status]\n"Waiting for parts" = "open"\n2 = "open"\n'
        '[defaults]\ncomments = "public"\n'
    )
    rules = read_rules(path).with_options(columns={"subject": "Betreff"}, timezone=None)
    assert rules.columns == {"id": "Nr", "subject": "Betreff"}
    assert rules.meant("status", "WAITING  for parts") == "open"
    assert rules.meant("status", "other") == "other"
    assert str(rules.zone) == "Europe/Amsterdam"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[colums]\n", "knows no 'colums'"),
        ("[columns]\nnumber = 'x'\n", "knows no 'number'"),
        ("[status]\nGone = 'gone'\n", "choose one of new, open"),
        ("[defaults]\nrequester_email = 'nobody'\n", "no e-mail address"),
        ("timezone = 'Mars/Base'\n", "no time zone 'Mars/Base'"),
        ("timezone = 5\n", "has to be a text"),
        ("[status]\nOpen = 2\n", "table of texts"),
        ("status =", "no TOML"),
    ],
)
def test_a_wrong_mapping_file_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(CannotImport, match=words) as caught:
        read_rules(path)
    assert str(path) in str(caught.value)


def test_the_mapping_file_of_the_manual_is_a_right_one(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[3] / "docs" / "howto" / "import-tickets.md").read_text(encoding="utf-8")
    path = tmp_path / "m.toml"
    path.write_text(manual.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    rules = read_rules(path)
    assert rules.meant("status", "2") == "open"
    assert rules.defaults["comments"] == "internal"


def test_an_option_for_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CannotImport, match="--column knows no 'titel'"):
        Rules().with_options(columns={"titel": "x"}, timezone=None)
