"""What the mapping file and the settings may say about an EspoCRM."""

import pytest

from crm_sync_service.connectors.config import ConfigError, ConnectorConfig
from crm_sync_service.connectors.espocrm import EspoCrmConnector
from crm_sync_service.connectors.espocrm.settings import DEFAULT_FIELDS, EspoCrmSettings


def settings(url="https://crm.example", **options):
    return EspoCrmSettings.read(ConnectorConfig(url=url, api_key="k", options=options))


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example",
        "https://crm.example/",
        "https://crm.example/api/v1",
        "https://crm.example/api/v1/",
        "https://crm.example/#Case/view/6b024a5215a3a3450",
        "  https://crm.example  ",
    ],
)
def test_an_address_copied_from_anywhere_is_understood(url):
    assert settings(url).url == settings(url).public_url == "https://crm.example"


def test_an_installation_in_a_folder_keeps_it():
    assert settings("https://example.com/crm/").url == "https://example.com/crm"


def test_without_a_mapping_file_the_delivered_fields_are_meant():
    assert settings().fields == DEFAULT_FIELDS


def test_people_may_open_it_elsewhere():
    assert settings(public_url="https://www.example/crm/").public_url == "https://www.example/crm"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ticket_field": "x"}, "ticket_field is unknown"),
        ({"customer_mark": 1}, "customer_mark must be a text"),
        ({"products": "Router"}, "products must be a list"),
        ({"products": [1]}, "products must be a list"),
    ],
)
def test_what_makes_no_sense_is_said(options, words):
    with pytest.raises(ConfigError, match=words):
        settings(**options)


def test_a_key_is_needed():
    with pytest.raises(ConfigError, match="CRM_API_KEY"):
        EspoCrmConnector(ConnectorConfig(url="https://crm.example"))


def test_secrets_go_to_no_other_machine_in_the_clear():
    with pytest.raises(ConfigError, match="https"):
        EspoCrmConnector(ConnectorConfig(url="http://crm.example", api_key="k"))
