"""The extension that adds the fields: what is in it, and where it puts that."""

import io
import json
import zipfile

import pytest
from click.testing import CliRunner

from crm_sync_service.connectors.espocrm.package import build_package, espocrm_package

RESOURCES = "files/custom/Espo/Modules/Casebridge/Resources"


@pytest.fixture
def package():
    with zipfile.ZipFile(io.BytesIO(build_package())) as archive:
        assert archive.testzip() is None
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_the_same_bytes_every_time():
    assert build_package() == build_package()


def test_the_manifest_names_the_versions_it_fits(package):
    manifest = package["manifest.json"]
    assert manifest["name"] == "Casebridge"
    assert manifest["acceptableVersions"] == [">=8.4.0"]
    assert {"version", "releaseDate", "author", "description", "php"} <= manifest.keys()


def test_nothing_lies_where_an_administrators_own_changes_are_kept(package):
    """EspoCRM would replace them at installing, and delete them at removing."""
    assert {name for name in package if not name.startswith(RESOURCES)} == {"manifest.json"}


@pytest.mark.parametrize(("entity", "key"), [("Case", "portalTicketId"), ("Note", "portalReplyId")])
def test_keys_are_unique_also_after_a_record_was_deleted(package, entity, key):
    definition = package[f"{RESOURCES}/metadata/entityDefs/{entity}.json"]
    assert definition["fields"][key]["maxLength"] == 64
    assert {"type": "unique", "columns": [key, "deleteId"]} in definition["indexes"].values()
    assert definition["deleteId"] is True


def test_the_duplicate_check_looks_at_the_key(package):
    assert package[f"{RESOURCES}/metadata/scopes/Case.json"]["duplicateCheckFieldList"] == ["portalTicketId"]
    assert "duplicateWhereBuilderClassName" in package[f"{RESOURCES}/metadata/recordDefs/Case.json"]


def test_a_copy_of_a_case_takes_no_key_along(package):
    fields = package[f"{RESOURCES}/metadata/entityDefs/Case.json"]["fields"]
    assert all(fields[name]["duplicateIgnore"] for name in fields if name.startswith("portal"))


@pytest.mark.parametrize("language", ["en_US", "nl_NL"])
@pytest.mark.parametrize("entity", ["Case", "Note"])
def test_each_field_has_a_label_in_both_languages(package, language, entity):
    labels = package[f"{RESOURCES}/i18n/{language}/{entity}.json"]["fields"]
    assert labels.keys() == package[f"{RESOURCES}/metadata/entityDefs/{entity}.json"]["fields"].keys()


def test_people_see_product_and_ticket_on_the_case(package):
    rows = package[f"{RESOURCES}/layouts/Case/detail.json"][0]["rows"]
    shown = {cell["name"] for row in rows for cell in row}
    assert {"product", "portalTicketNumber", "portalTicketUrl", "description", "contacts"} <= shown
    assert "portalTicketId" not in shown
    assert package[f"{RESOURCES}/metadata/app/layouts.json"]["Case"]["detail"]["module"] == "Casebridge"


def test_the_command_writes_it(tmp_path):
    file = tmp_path / "espocrm.zip"
    result = CliRunner().invoke(espocrm_package, ["--output", str(file)])
    assert result.exit_code == 0
    assert file.read_bytes() == build_package()
    assert "Administration, Extensions" in result.output


def test_a_folder_that_is_not_there_is_named(tmp_path):
    result = CliRunner().invoke(espocrm_package, ["--output", str(tmp_path / "no" / "espocrm.zip")])
    assert result.exit_code == 1
    assert "cannot be written" in result.output
