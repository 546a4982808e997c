"""The files for production say what the code does: processes, settings, queues and metrics by their real names."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.cli import command_names
from shared.topology import Topology

ROOT = Path(__file__).parents[2]
SOURCES = [file for part in ("portal_service", "crm_sync_service", "shared") for file in (ROOT / part).rglob("*.py")]
CODE = "\n".join(file.read_text(encoding="utf-8") for file in SOURCES)
FOR_THE_IMAGE = {"HEALTH_PORT", "PROMETHEUS_MULTIPROC_DIR"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return content


def own_services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if service["image"] == "casebridge"}


def test_compose_starts_every_process_by_a_command_that_exists(compose: dict[str, Any]) -> None:
    commands = {service["command"][0] for service in own_services(compose).values()}
    assert commands <= command_names()
    assert {"portal", "portal-worker", "sync-worker", "console", "crm", "migrate"} == commands


def test_compose_waits_only_for_what_it_starts(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for other, how in service.get("depends_on", {}).items():
            assert other in compose["services"]
            if how["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][other]


def test_compose_sets_only_settings_that_somebody_reads(compose: dict[str, Any]) -> None:
    for name, service in own_services(compose).items():
        for setting in service["environment"]:
            known = setting in FOR_THE_IMAGE or re.search(rf'["_{{]{setting}"|"{setting}["_]', CODE)
            assert known or setting.endswith("DATABASE_URL"), f"{name}: {setting}"


def test_compose_takes_secrets_from_the_environment_and_names_them_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    required = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    optional = set(re.findall(r"\$\{([A-Z_]+):-", text))
    example = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert required <= example
    assert example <= required | optional
    assert not re.findall(r"(?i)(password|secret|key): [\"']?[a-z0-9]", text)


def test_rabbitmq_definitions_declare_the_queues_of_the_code() -> None:
    definitions = json.loads((ROOT / "deploy/rabbitmq/definitions.json").read_text(encoding="utf-8"))
    declared = {queue["name"]: queue["arguments"] for queue in definitions["queues"]}
    assert declared == {name: dict(arguments) for name, arguments in Topology().queues()}


def test_every_alert_says_what_is_wrong() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]


def test_the_systemd_unit_starts_the_command_line() -> None:
    unit = (ROOT / "deploy/systemd/casebridge@.service").read_text(encoding="utf-8")
    assert "ExecStart=/opt/casebridge/bin/casebridge %i" in unit
    named = set(re.findall(r"casebridge@([a-z-]+)", unit))
    assert named <= command_names()


def test_rabbitmq_does_not_start_with_a_password_it_would_garble() -> None:
    result = subprocess.run(
        ["sh", ROOT / "deploy/rabbitmq/start.sh"],
        env={"PATH": os.environ["PATH"], "RABBITMQ_PORTAL_PASSWORD": "a/b&c", "RABBITMQ_SYNC_PASSWORD": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "RABBITMQ_PORTAL_PASSWORD" in result.stderr
