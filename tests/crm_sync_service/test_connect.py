"""`casebridge connect`: from an address and a key to settings, a directory and one Case that was there."""

import stat
from contextlib import nullcontext

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select
from structlog.testing import capture_logs

from crm_sync_service import connect
from crm_sync_service.connect import connect_command
from crm_sync_service.connectors.base import Capabilities, Missing
from crm_sync_service.connectors.config import ConnectorKind, default_mapping
from crm_sync_service.connectors.desk import DeskConnector
from crm_sync_service.env_file import write_env
from crm_sync_service.models import DirectoryRecord, open_database
from tests.contracts.conftest import desk_url
from tests.crm_sync_service.desk.client import KEY
from tests.crm_sync_service.test_backfill import Portal

__all__ = ["desk_url"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a migrated database, and no setting but its place."""
    for name in ("CRM_API_KEY", "CRM_KIND", "CRM_API_URL", "SYNC_DATABASE_URL", "DATABASE_URL", "CONSOLE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
    monkeypatch.setattr(connect, "CHECKS", [check for check in connect.CHECKS if check.name in {"answers", "create"}])
    database = open_database(f"sqlite:///{tmp_path}/sync.db")
    database.upgrade()
    database.dispose()
    return tmp_path


def run(here, *arguments, typed=""):
    with capture_logs():
        return CliRunner().invoke(connect_command, ["--env-file", str(here / ".env"), *arguments], input=typed)


def test_a_person_answers_a_few_questions(here, desk_url):
    done = run(here, typed=f"desk\n{desk_url}/\n{KEY}\nn\n")
    assert done.exit_code == 0, done.output
    assert KEY not in done.output
    said = done.output
    assert f"Reached Casebridge desk 1 at {desk_url}." in said
    assert "Rights and fields: nothing is missing." in said
    assert "Mapping file: it fits the CRM." in said
    assert "Directory, accounts: 3 read, 3 new or changed." in said
    assert "Round trip: A Case is read as it was made: holds, Case C-" in said
    assert "/hooks/desk/changed" in said
    file = here / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(file.read_text().split()) == {f"CRM_API_KEY={KEY}", "CRM_KIND=desk", f"CRM_API_URL={desk_url}"}
    database = open_database(f"sqlite:///{here}/sync.db")
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(DirectoryRecord)) == 21
    database.dispose()


def test_cases_that_are_there_already_are_matched_before_any_is_made(here, desk_url, monkeypatch):
    portal = Portal(2)
    monkeypatch.setattr(connect, "open_source", lambda: nullcontext(portal))
    key = {"Authorization": f"Bearer {KEY}"}
    kept = httpx.post(
        f"{desk_url}/api/v1/cases",
        headers=key,
        json={"name": "Printer", "ticket_number": "1002"},
    )
    assert kept.status_code == 201, kept.text
    options = ["--no-ask", "--kind", "desk", "--url", desk_url, "--no-trial", "--match"]
    monkeypatch.setenv("CRM_API_KEY", KEY)
    done = run(here, *options)
    assert done.exit_code == 0, done.output
    assert "#1002 is Case C-" in done.output
    assert "Cases that are there: 1 matched" in done.output
    assert "0 ambiguous; 1 without a Case." in done.output
    assert kept.json() in httpx.get(kept.request.url, headers=key).json()["rows"], "nothing was written"


def test_without_questions_everything_comes_from_options_and_the_environment(here, desk_url, monkeypatch):
    monkeypatch.setenv("CRM_API_KEY", KEY)
    done = run(here, "--no-ask", "--kind", "desk", "--url", desk_url, "--no-directory")
    assert done.exit_code == 0, done.output
    assert f"CRM_API_KEY={KEY}" in (here / ".env").read_text()


def test_the_settings_alone_will_do(here, desk_url, monkeypatch):
    """As the processes read them, so that what is running can be checked again."""
    for name, value in {"CRM_KIND": "desk", "CRM_API_URL": desk_url, "CRM_API_KEY": KEY, "CRM_ALLOW_HTTP": "0"}.items():
        monkeypatch.setenv(name, value)
    done = run(here, "--no-ask", "--no-directory", "--no-trial")
    assert done.exit_code == 0, done.output
    assert f"CRM_API_URL={desk_url}" in (here / ".env").read_text()


def test_a_file_says_it_all(here, desk_url):
    (here / "crm.toml").write_text(f'kind = "desk"\nurl = "{desk_url}"\napi_key = "{KEY}"\n')
    done = run(here, "--no-ask", "--config", str(here / "crm.toml"), "--no-directory", "--no-trial")
    assert done.exit_code == 0, done.output
    assert "Connected. Start the processes" in done.output
    assert "casebridge adopt" in done.output


@pytest.mark.parametrize(
    ("arguments", "typed", "words"),
    [
        (["--no-ask"], "", "--kind is not given"),
        (["--no-ask", "--kind", "desk"], "", "--url is not given"),
        (["--kind", "sugar"], "", "CRM_KIND='sugar' is unknown"),
        (["--kind", "desk", "--url", "crm.example"], "", "is not a web address"),
        (["--kind", "desk", "--url", "http://crm.example"], "", "plain HTTP to another machine"),
        (["--kind", "desk", "--url", "http://127.0.0.1:9"], "some-key\n", "no answer from the CRM"),
        (["--kind", "desk", "--url", "https://crm.example"], "\n", "CRM_API_KEY is not set"),
        (["--config", "/no/such.toml"], "", "/no/such.toml cannot be read"),
    ],
)
def test_what_cannot_be_reached_is_one_sentence_and_nothing_is_kept(here, arguments, typed, words):
    done = run(here, *arguments, typed=typed)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert not (here / ".env").exists()


def test_a_database_that_is_not_migrated_is_told_before_anything_is_kept(here, desk_url, monkeypatch):
    monkeypatch.setenv("CRM_API_KEY", KEY)
    monkeypatch.setenv("SYNC_DATABASE_URL", f"sqlite:///{here}/empty.db")
    done = run(here, "--no-ask", "--kind", "desk", "--url", desk_url)
    assert done.exit_code != 0
    assert "casebridge migrate" in str(done.exception)
    assert not (here / ".env").exists()


def test_a_wrong_key_is_told_and_not_kept(here, desk_url):
    done = run(here, "--kind", "desk", "--url", desk_url, typed="not-the-right-key\n")
    assert done.exit_code == 2
    assert "check CRM_API_KEY" in done.stderr
    assert "not-the-right-key" not in done.output
    assert not (here / ".env").exists()


def test_what_is_missing_in_the_crm_is_told_with_its_remedy(here, desk_url, monkeypatch):
    remedy = Missing(what="the field portalTicketId", remedy="Install the package: casebridge x-package")
    monkeypatch.setattr(DeskConnector, "missing", lambda _: [remedy])
    done = run(here, "--kind", "desk", "--url", desk_url, typed=f"{KEY}\n")
    assert done.exit_code == 1
    assert "Missing: the field portalTicketId\n  Install the package: casebridge x-package" in done.output
    assert not (here / ".env").exists()


def test_a_mapping_that_does_not_fit_stops_it(here, desk_url, monkeypatch):
    (here / "map.toml").write_text(
        '[fields.subject]\nattribute = "nam"\n[fields.description]\nattribute = "description"\n'
    )
    options = ["--kind", "desk", "--url", desk_url, "--mapping", str(here / "map.toml")]
    done = run(here, *options, typed=f"{KEY}\n")
    assert done.exit_code == 1
    assert "the CRM's Cases have no field 'nam'; did you mean name" in done.output


def test_webhooks_are_set_up_where_the_crm_lets_us(here, desk_url, monkeypatch):
    monkeypatch.setattr(
        DeskConnector, "register_webhooks", lambda _, url: [f"Webhook: {url}/Case.update was added."], raising=False
    )
    done = run(here, "--kind", "desk", "--url", desk_url, "--no-directory", "--no-trial", typed=f"{KEY}\ny\n")
    assert "Webhook: http://127.0.0.1:8001/hooks/desk/Case.update was added." in done.output


def test_a_secret_for_webhooks_is_made_once(here, desk_url, monkeypatch):
    kind = ConnectorKind(
        name="desk", title="x", open=DeskConnector, mapping=default_mapping("desk"), hooks_by="install the package"
    )
    monkeypatch.setattr(connect, "find_kind", lambda _: kind)
    monkeypatch.setenv("CRM_API_KEY", KEY)
    options = ["--no-ask", "--kind", "desk", "--url", desk_url, "--no-directory", "--no-trial"]
    said = run(here, *options).output
    assert "at once: install the package; they go to http://127.0.0.1:8001/hooks/desk/changed." in said
    kept = (here / ".env").read_text()
    secret = kept.partition("CRM_WEBHOOK_SECRET=")[2].split()[0]
    assert len(secret) >= 32
    assert secret not in said
    monkeypatch.setenv("CRM_WEBHOOK_SECRET", secret)
    run(here, *options)
    assert (here / ".env").read_text() == kept


@pytest.mark.parametrize(
    ("option", "words"),
    [([], "run this again with --webhooks"), (["--webhooks"], "was added"), (["--no-webhooks"], "run this again")],
)
def test_without_questions_webhooks_are_set_up_only_if_asked_for(here, desk_url, monkeypatch, option, words):
    monkeypatch.setenv("CRM_API_KEY", KEY)
    monkeypatch.setattr(DeskConnector, "register_webhooks", lambda *_: ["Webhook: was added."], raising=False)
    options = ["--no-ask", "--kind", "desk", "--url", desk_url, "--no-directory", "--no-trial"]
    assert words in run(here, *options, *option).output


def test_a_crm_without_hints_is_said_to_be_asked(here, desk_url, monkeypatch):
    values = {name: getattr(DeskConnector.capabilities, name) for name in Capabilities.__dataclass_fields__}
    monkeypatch.setattr(DeskConnector, "capabilities", Capabilities(**{**values, "webhooks": False}))
    done = run(here, "--kind", "desk", "--url", desk_url, "--no-directory", "--no-trial", typed=f"{KEY}\n")
    assert "found by asking every few seconds" in done.output


def test_other_settings_of_the_file_stay(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# mine\nSECRET_KEY=abc\nCRM_API_KEY=old\nexport CRM_PASSWORD=gone\n")
    file.chmod(0o644)
    write_env(file, {"CRM_API_KEY": "a b'c$d", "CRM_PASSWORD": None, "CRM_CLIENT_SECRET": "x #y", "CRM_KIND": "desk"})
    assert file.read_text().splitlines() == [
        "# mine",
        "SECRET_KEY=abc",
        'CRM_API_KEY="a b\'c\\$d"',
        "CRM_CLIENT_SECRET='x #y'",
        "CRM_KIND=desk",
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
