"""The command as an administrator runs it, a process of its own."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from portal_service.base import open_database, outbox
from portal_service.channels.models import OutgoingMail
from portal_service.demo import load_demo
from portal_service.people.models import Contact
from portal_service.tickets.models import Entry, Ticket
from shared.database import Database
from tests.portal_service.imports.awful import make
from tests.portal_service.imports.conftest import add_twins, csv_text, row

PROGRAM = (
    "from portal_service.imports.command import import_command; import_command(prog_name='casebridge import-tickets')"
)
LOADED = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def portal(tmp_path: Path, portal_site: None) -> Iterator[Database]:
    """A migrated portal with demo data, where the command will look for it."""
    database = open_database(f"sqlite:///{tmp_path}/portal.db")
    database.upgrade()
    with database.write() as session:
        load_demo(session, LOADED)
        add_twins(session)
    yield database
    database.dispose()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_PORT"))}
    return {**kept, "CASEBRIDGE_HOME": str(tmp_path), "COLUMNS": "200"}


def start(environment: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(environment: dict[str, str], *arguments: object) -> tuple[int, str, str]:
    process = start(environment, *arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def count(database: Database, what: type[Ticket | Entry | Contact | OutgoingMail]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(what)) or 0


def imported(database: Database, source: str) -> dict[str, str]:
    """Status by id; fails when one id is there twice."""
    with database.read() as session:
        rows = session.execute(
            select(Ticket.external_ref, Ticket.status).where(Ticket.external_ref.like(f"{source}:%"))
        )
        found = [(ref.partition(":")[2], status) for ref, status in rows]
    assert len(found) == len(dict(found))
    return dict(found)


def bad_lines(path: Path) -> dict[int, str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        return {int(line["line"]): line["reason"] for line in csv.DictReader(stream)}


STATUS = {
    "closed": "closed",
    "resolved": "solved",
    "open": "open",
    "pending": "pending",
    "waiting on customer": "pending",
}


def test_an_awful_file_of_ten_thousand_rows_survives_kill_9(
    portal: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "freshdesk.csv"
    expected = make(path)
    mails, entries, before = count(portal, OutgoingMail), count(portal, Entry), count(portal, Ticket)

    status, out, _ = run(environment, path, "--dry-run")
    assert status == 3
    assert f"{len(expected.good):,} would be imported" in out
    assert (count(portal, Ticket), count(portal, Entry)) == (before, entries)
    assert not path.with_name("freshdesk.csv.errors.csv").exists()

    killed = start(environment, path)
    deadline = time.monotonic() + 240
    while count(portal, Ticket) < before + 4_000 and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert 4_000 <= len(imported(portal, "freshdesk")) < len(expected.good)

    status, out, err = run(environment, path)

    assert status == 3, out + err
    found = imported(portal, "freshdesk")
    assert found == {id_: STATUS[told.casefold()] for id_, told in expected.good.items()}
    assert set(bad_lines(path.with_name("freshdesk.csv.errors.csv"))) == expected.bad_lines
    assert count(portal, Entry) == entries + expected.comments
    assert count(portal, OutgoingMail) == mails
    assert_each_ticket_is_told_once(portal)


def assert_each_ticket_is_told_once(portal: Database) -> None:
    with portal.read() as session:
        told = Counter(
            session.scalars(select(outbox.table.c.subject).where(outbox.table.c.type.like("%ticket.changed%")))
        )
        ids = [str(id_) for id_ in session.scalars(select(Ticket.id).where(Ticket.external_ref.like("freshdesk:%")))]
    assert {told[id_] for id_ in ids} == {1}


@pytest.mark.parametrize("place", ["import.before_commit", "import.after_commit"])
def test_dying_next_to_a_commit_neither_loses_nor_doubles(
    portal: Database, environment: dict[str, str], tmp_path: Path, place: str
) -> None:
    path = tmp_path / "old.csv"
    path.write_text(csv_text(*(row(str(number)) for number in range(350))))

    assert run({**environment, "CASEBRIDGE_FAILPOINTS": f"{place}=exit:2"}, path)[0] == 137
    assert len(imported(portal, "old")) == (100 if place == "import.before_commit" else 200)

    assert run(environment, path)[0] == 0
    assert len(imported(portal, "old")) == 350
    assert not path.with_name("old.csv.errors.csv").exists()


def test_all_good_rows_end_with_0_and_the_summary_counts_them(
    portal: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "zendesk.csv"
    path.write_text(csv_text(row("1"), row("2", email="new@customer.example")), encoding="utf-16")

    status, out, _ = run(environment, path, "--source", "zd")

    assert status == 0
    assert "encoding utf-16, imported as source 'zd'" in out
    assert "2 imported (2 closed)" in out
    assert "1 contacts added" in out
    assert set(imported(portal, "zd")) == {"1", "2"}


def test_corrected_rows_come_in_by_importing_the_file_again(
    portal: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    path, errors = tmp_path / "old.csv", tmp_path / "bad.csv"
    path.write_text(csv_text(row("1"), row("2", status="Wartet")))
    assert run(environment, path, "--errors", errors)[0] == 3
    assert "'Wartet' is not known" in bad_lines(errors)[3]

    mapping = tmp_path / "map.toml"
    mapping.write_text('[status]\nWartet = "pending"\n')

    status, out, _ = run(environment, path, "--errors", errors, "--mapping", mapping)
    assert status == 0
    assert "1 already here" in out
    assert imported(portal, "old") == {"1": "closed", "2": "pending"}
    assert not errors.exists()


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        ("", (), "the file is empty"),
        ("a,b\n1,2\n", (), "no column is known to hold id and subject and status and requester_email"),
        ('[{"id": 1}]', (), "jq -c"),
        (csv_text(row("1")), ("--column", "subject=Betreff"), "no column 'Betreff' for subject"),
        (csv_text(row("1")), ("--timezone", "Mars"), "no time zone 'Mars'"),
        (csv_text(row("1")), ("--source", "a:b"), "without a colon"),
        (csv_text(row("1")), ("--errors", "/proc/no/such"), "cannot be written"),
        (csv_text(row("1")), ("--encoding", "utf-9"), "no encoding"),
    ],
)
def test_what_cannot_be_imported_at_all_ends_with_2_and_says_what_to_do(
    portal: Database, environment: dict[str, str], tmp_path: Path, content: str, arguments: tuple[str, ...], words: str
) -> None:
    path = tmp_path / "old.csv"
    path.write_text(content)

    status, _, err = run(environment, path, *arguments)

    assert status == 2
    assert words in err
    assert "Traceback" not in err
    assert imported(portal, "old") == {}


def test_a_file_whose_rows_are_all_bad_ends_with_2(
    portal: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "old.csv"
    path.write_text(csv_text(row("1", status="?"), row("2", email="?")))
    assert run(environment, path)[0] == 2
    assert set(bad_lines(path.with_name("old.csv.errors.csv"))) == {2, 3}
