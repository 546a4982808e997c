"""`casebridge connector check`: every CRM we have passes, what is broken is found, and nothing is left behind."""

import json
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from crm_sync_service.connectors import registry
from crm_sync_service.connectors.base import AlreadyExistsError
from crm_sync_service.connectors.config import ConnectorKind, default_mapping
from crm_sync_service.connectors.conformance.commands import connector_group
from crm_sync_service.connectors.conformance.run import CHECKS
from crm_sync_service.connectors.desk import DeskConnector
from shared.ids import new_id
from tests.crm_sync_service.desk.client import KEY
from tests.crm_sync_service.espocrm.simulator import KEY as ESPO_KEY
from tests.crm_sync_service.espocrm.simulator import running
from tests.crm_sync_service.suitecrm.simulator import CLIENT, SECRET, Simulator

STATUSES = {"holds", "degraded", "skipped"}


@pytest.fixture
def check(tmp_path):
    """Runs the command with a file of these lines."""

    def run(*lines, only=(), arguments=()):
        (tmp_path / "crm.toml").write_text("\n".join(lines))
        chosen = [part for name in only for part in ("--only", name)]
        with capture_logs():  # of the CRM, which runs in this process
            result = CliRunner().invoke(
                connector_group, ["check", "--config", str(tmp_path / "crm.toml"), *chosen, *arguments]
            )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def report(check, *lines, **options):
    result = check(*lines, arguments=["--json"], **options)
    document = json.loads(result.stdout)
    document["status"] = {each["name"]: each["status"] for each in document["results"]}
    document["words"] = {each["name"]: each["words"] for each in document["results"]}
    document["exit"] = result.exit_code
    return document


def desk_lines(url):
    return ['kind = "desk"', f'url = "{url}"', f'api_key = "{KEY}"']


def rows(url, path):
    answer = httpx.get(f"{url}/api/v1/{path}?limit=500", headers={"Authorization": f"Bearer {KEY}"})
    return [row for row in answer.json()["rows"] if not row.get("deleted")]


def test_the_bundled_crm_keeps_the_whole_contract(check, desk_url):
    account = rows(desk_url, "accounts")[0]["id"]
    people = rows(desk_url, "contacts")
    found = report(check, *desk_lines(desk_url), f'account = "{account}"')
    assert {name for name, status in found["status"].items() if status != "holds"} == {"merges"}, found["words"]
    assert (found["exit"], found["summary"]["left_behind"]) == (0, 0)
    assert rows(desk_url, "cases") == rows(desk_url, "notes") == []
    assert rows(desk_url, "contacts") == people


@contextmanager
def espocrm():
    with running() as simulator:
        yield simulator.url, [f'api_key = "{ESPO_KEY}"']


@contextmanager
def suitecrm():
    with Simulator().served() as simulator:
        yield simulator.url, [f'client_id = "{CLIENT}"', f'client_secret = "{SECRET}"']


@pytest.mark.parametrize("kind", [espocrm, suitecrm])
def test_the_simulated_crms_keep_it_as_far_as_they_can(check, kind):
    with kind() as (url, credentials):
        found = report(check, f'kind = "{kind.__name__}"', f'url = "{url}"', *credentials)
    failed = {name: found["words"][name] for name, status in found["status"].items() if status == "fails"}
    assert (failed, found["left_behind"], found["exit"]) == ({}, [], 0)


def test_an_espocrm_without_our_fields_is_degraded_and_says_so(check):
    with running() as simulator:
        simulator.state.custom = {"Case": {}, "Note": {}}
        simulator.state.unique.clear()
        lines = ['kind = "espocrm"', f'url = "{simulator.url}"', f'api_key = "{ESPO_KEY}"']
        names = ["needs", "create-twice", "create-at-once", "unclear-create", "notes", "notes-at-once", "text"]
        found = report(check, *lines, only=names)
    assert (found["exit"], found["left_behind"]) == (0, []), found["words"]
    assert "no field portalTicketId" in found["words"]["needs"]
    degraded = {name for name, status in found["status"].items() if status == "degraded"}
    assert {"needs", "create-at-once"} <= degraded <= {"needs", "create-at-once", "notes-at-once", "text"}
    assert {found["status"][name] for name in ("create-twice", "unclear-create", "notes")} == {"holds"}


class ForgetfulDesk(DeskConnector):
    """Takes no notice of ids: every attempt makes a Case."""

    def create_case(self, new):
        return super().create_case(replace(new, id=str(new_id())))


class BlindDesk(DeskConnector):
    """Believes that nothing was made after an unclear answer."""

    def find_case(self, new):
        return None

    def create_case(self, new):
        try:
            return super().create_case(new)
        except AlreadyExistsError:
            return super().create_case(replace(new, id=str(new_id())))


class SleepyDesk(DeskConnector):
    """Skips the last row of each look."""

    def changed_cases(self, since, *, page):
        answer = super().changed_cases(since, page=page)
        return replace(answer, rows=answer.rows[:-1])


class LossyDesk(DeskConnector):
    """Eats what looks like a tag."""

    def create_case(self, new):
        fields = {n: v.replace("<", "") if n == "subject" and v else v for n, v in new.fields.items()}
        return super().create_case(replace(new, fields=fields))


class BrokenDesk(DeskConnector):
    """Has a mistake in it."""

    def contacts_by_email(self, address):
        raise KeyError("emails")


class StickyDesk(DeskConnector):
    """Cannot remove contacts."""

    def remove(self, kind, record_id):
        if kind == "contact":
            raise AlreadyExistsError("it cannot be removed")
        super().remove(kind, record_id)


@pytest.mark.parametrize(
    ("connector", "only", "words"),
    [
        (ForgetfulDesk, "create-twice", "a second Case was made"),
        (BlindDesk, "unclear-create", "looking for it does not find it"),
        (SleepyDesk, "feed", "is not in the feed"),
        (LossyDesk, "text", "brackets in subject: expected"),
        (BrokenDesk, "contacts", "the connector itself fails: KeyError"),
    ],
)
def test_what_a_connector_gets_wrong_is_found(check, desk_url, monkeypatch, connector, only, words):
    kind = ConnectorKind(name="desk", title="x", open=connector, mapping=default_mapping("desk"))
    monkeypatch.setattr("crm_sync_service.connection.find_kind", lambda _: kind)
    found = report(check, *desk_lines(desk_url), only=[only])
    assert (found["exit"], found["status"][only]) == (1, "fails"), found["words"]
    assert words in found["words"][only]


def test_what_cannot_be_removed_is_named(check, desk_url, monkeypatch):
    kind = ConnectorKind(name="desk", title="x", open=StickyDesk, mapping=default_mapping("desk"))
    monkeypatch.setattr("crm_sync_service.connection.find_kind", lambda _: kind)
    result = check(*desk_lines(desk_url), only=["contacts"])
    assert "these cannot be removed, so nothing more is made" in " ".join(result.output.split())
    assert result.exit_code == 2


@pytest.mark.parametrize("path", ["", "/", "/api/v1", "/#Case"])
def test_an_address_with_more_to_it_is_no_trouble(check, path):
    """People paste what they see: where a connector makes sense of it, the kit does."""
    with espocrm() as (url, credentials):
        found = report(check, 'kind = "espocrm"', f'url = "{url}{path}"', *credentials, only=["unclear-create"])
    assert (found["exit"], found["status"]["unclear-create"]) == (0, "holds"), found["words"]


def test_people_see_a_table(check, desk_url):
    result = check(*desk_lines(desk_url), only=["create", "hints"])
    assert result.exit_code == 0
    assert "5 hold, 0 degraded, 0 fail, 0 skipped; everything made was removed." in result.output


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['kind = "desk"'], "must give kind and url, like:"),
        (['kind = "desk"', 'url = "crm.example"'], "is not a web address"),
        (['kind = "desk"', 'url = "http://crm.example"', 'api_key = "x"'], "plain HTTP to another machine"),
        (['kind = "sugar"', 'url = "https://crm.example"'], "CRM_KIND='sugar' is unknown"),
        (['kind = "desk"', 'url = "https://crm.example"'], "CRM_API_KEY is not set"),
        (['kind = "desk"', 'url = "https://crm.example"', 'api_key_env = "NO_SUCH"'], "NO_SUCH, which is not set"),
        (
            ['kind = "desk"', 'url = "https://crm.example"', 'apikey = "x"'],
            "apikey is unknown; such a file looks like:",
        ),
        (['kind = "desk"', 'url = "https://crm.example"', "allow_http = 1"], "allow_http must be a true or false"),
        (['kind = "desk"', 'url = "http://127.0.0.1:9"', 'api_key = "x"'], "no answer from the CRM"),
        (['kind = "desk'], "is no TOML"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(check, monkeypatch, lines, words):
    monkeypatch.delenv("CRM_API_KEY", raising=False)
    result = check(*lines)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_an_unknown_check_is_named(check, desk_url):
    result = check(*desk_lines(desk_url), only=["nonsense"])
    assert (result.exit_code, "there is no check 'nonsense'" in result.stderr) == (2, True)


def test_every_check_has_a_name_of_its_own():
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_the_shipped_connectors_are_listed():
    result = CliRunner().invoke(connector_group, ["list"])
    assert all(name in result.output for name in ("desk", "espocrm", "suitecrm"))
    assert registry.kind_names() == ["desk", "espocrm", "salesforce", "suitecrm"]
