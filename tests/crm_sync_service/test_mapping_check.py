"""`casebridge mapping check`: the file against the fields and options that the CRM has."""

import json
import re

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from crm_sync_service import mapping_commands
from crm_sync_service.connectors.base import FieldInfo, UnreachableError
from crm_sync_service.connectors.config import default_mapping
from crm_sync_service.mapping_check import check_mapping, warn_about_mapping
from crm_sync_service.mapping_file import parse_mapping
from tests.crm_sync_service.fake_crm import FakeCrm

DESK = default_mapping("desk").read_text()
STATUS = {key: key for key in ("new", "assigned", "pending_input", "resolved", "closed")}
PRIORITY = {key: key for key in ("low", "medium", "high", "critical")}


class DescribedCrm(FakeCrm):
    """Tells its fields."""

    def __init__(self, **changes):
        super().__init__()
        names = ("description", "account_id", "contact_id", "product_id", "assigned_user_id", "ticket_url")
        self.described = {
            "name": FieldInfo(type="varchar", length=255, required=True),
            "status": FieldInfo(type="enum", options=STATUS),
            "priority": FieldInfo(type="enum", options=PRIORITY),
            "ticket_number": FieldInfo(type="varchar", length=64),
            **{name: FieldInfo(type="text") for name in names},
            **changes,
        }

    def case_fields(self):
        return self.described


def check(crm, text=DESK):
    return [str(problem) for problem in check_mapping(parse_mapping(text).case_mapping(crm))]


def test_a_file_that_fits_has_no_problem():
    assert check(DescribedCrm()) == []


@pytest.mark.parametrize(
    ("described", "change", "words"),
    [
        (
            {},
            ("product_id", "product"),
            "problem: fields.product.attribute: .* no field 'product'; did you mean product_id",
        ),
        (
            {},
            ('"assigned"', '"asigned"'),
            "problem: fields.status.values.open: the CRM has no option 'asigned'; it has new",
        ),
        ({}, ('"new"', '"assigned"'), "warning: fields.status.reads: the CRM's option 'new' has no counterpart"),
        ({"priority": FieldInfo(type="int")}, None, "problem: fields.priority.attribute: .* of type int, not text"),
        ({"name": FieldInfo(type="varchar", length=100)}, None, "warning: fields.subject.attribute: .* 100 characters"),
        ({"team": FieldInfo(type="x", required=True)}, None, "warning: fields: the CRM requires 'team'"),
    ],
)
def test_what_does_not_fit_is_told(described, change, words):
    text = DESK.replace(*change) if change else DESK
    if change and change[0] == '"new"':
        text += '[fields.status.reads]\n"assigned" = "open"\n'
    found = check(DescribedCrm(**described), text)
    assert any(re.match(words, problem) for problem in found), found


def test_a_crm_that_tells_nothing_is_said_to():
    crm = DescribedCrm()
    crm.case_fields = lambda: None
    assert check(crm) == ["warning: fields: this CRM does not describe its fields: nothing was checked"]


def test_a_worker_that_starts_logs_what_does_not_fit():
    with capture_logs() as logs:
        crm = DescribedCrm(priority=FieldInfo(type="int"))
        warn_about_mapping(parse_mapping(DESK).case_mapping(crm))
    assert [(line["log_level"], line["key"]) for line in logs] == [("error", "fields.priority.attribute")]


def test_a_worker_starts_without_the_crm():
    crm = DescribedCrm()
    crm.case_fields = no_answer
    with capture_logs() as logs:
        warn_about_mapping(parse_mapping(DESK).case_mapping(crm))
    assert [(line["log_level"], line["event"]) for line in logs] == [("warning", "mapping_not_checked")]


def no_answer():
    raise UnreachableError("no answer from the CRM: gone")


@pytest.fixture
def command(monkeypatch):
    """Runs `casebridge mapping ...` with a fake CRM."""

    def run(crm, *arguments):
        monkeypatch.setattr(mapping_commands, "read_settings", lambda: None)

        def opened(_kind, _config, path):
            return crm, parse_mapping(path.read_text() if path else DESK).case_mapping(crm)

        monkeypatch.setattr(mapping_commands, "open_connector", opened)
        monkeypatch.setattr(mapping_commands, "open_crm", lambda _: opened(None, None, None))
        return CliRunner().invoke(mapping_commands.mapping_group, arguments)

    return run


def test_the_command_tells_and_counts(command):
    crm = DescribedCrm()
    assert (command(crm, "check").exit_code, command(crm, "check").output) == (0, "The mapping file fits the CRM.\n")
    del crm.described["product_id"]
    result = command(crm, "check", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["key"] == "fields.product.attribute"


def test_a_crm_that_does_not_answer_is_an_exit_of_its_own(command):
    crm = DescribedCrm()
    crm.case_fields = no_answer
    result = command(crm, "check")
    assert result.exit_code == 2
    assert "could not be asked. no answer from the CRM: gone" in result.stderr
