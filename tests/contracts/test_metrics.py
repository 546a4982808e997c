"""What each process shows at /metrics: the names that dashboards and alerts are built on, as the standard has them."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import crm_sync_service.call_metrics
from shared import broker, consumer, metrics

EVERYWHERE = {"casebridge_build_info", "casebridge_scrape_failed", "casebridge_loop_restarts_total"}
WORKERS = EVERYWHERE | {
    "casebridge_outbox_unsent",
    "casebridge_outbox_oldest_unsent_timestamp_seconds",
    "casebridge_publish_total",
    "casebridge_publish_confirm_duration_seconds",
    "casebridge_events_processed_total",
}
SYNC_WORKER = WORKERS | {
    "casebridge_event_lag_seconds",
    "casebridge_reconcile_duration_seconds",
    "casebridge_crm_requests_total",
    "casebridge_crm_request_duration_seconds",
    "casebridge_sweep_repairs_total",
}
CONSOLE = EVERYWHERE | {
    "casebridge_outbox_unsent",
    "casebridge_conflicts_total",
    "casebridge_echo_suppressed_total",
    "casebridge_links",
    "casebridge_crm_quota_remaining",
    "casebridge_crm_cursor_timestamp_seconds",
    "casebridge_last_successful_poll_timestamp_seconds",
    "casebridge_parked_events",
    "casebridge_circuit_open",
}
LABELS = {
    "casebridge_publish": ("outcome",),
    "casebridge_events_processed": ("type", "outcome"),
    "casebridge_reconcile_duration_seconds": ("result",),
    "casebridge_crm_requests": ("op", "code"),
    "casebridge_crm_request_duration_seconds": ("op",),
    "casebridge_sweep_repairs": ("kind",),
}
COUNTING = (broker, consumer, crm_sync_service.call_metrics)
"""Importing them registers what they count."""
ROOT = Path(__file__).parents[2]


def named_in(*folders: str) -> set[str]:
    """Every metric that the code of some packages can show, as Prometheus shows it."""
    found = set()
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            text = file.read_text(encoding="utf-8")
            counters = set(re.findall(r'Counter\(\s*"(casebridge_\w+)"', text))
            found |= {f"{name}_total" for name in counters}
            found |= set(re.findall(r'"(casebridge_\w+)"', text)) - counters
    return found


@pytest.mark.parametrize(
    ("wanted", "folders"),
    [
        (EVERYWHERE, ("shared",)),
        (WORKERS, ("shared", "portal_service")),
        (SYNC_WORKER, ("shared", "crm_sync_service")),
        (CONSOLE, ("shared", "crm_sync_service")),
    ],
    ids=["everywhere", "portal-worker", "sync-worker", "console"],
)
def test_each_process_has_the_names_of_the_standard(wanted: set[str], folders: tuple[str, ...]) -> None:
    assert wanted <= named_in(*folders)


def test_counters_and_histograms_carry_the_labels_of_the_standard_and_no_ids() -> None:
    collectors = set(REGISTRY._names_to_collectors.values())
    shown = {one._name: tuple(one._labelnames) for one in collectors if isinstance(one, MetricWrapperBase)}
    assert {name: shown.get(name) for name in LABELS} == LABELS
    assert not {label for labels in shown.values() for label in labels} & {"ticket", "ticket_id", "case_id", "email"}


def test_every_name_begins_alike_and_ends_in_its_unit() -> None:
    for name in named_in("shared", "portal_service", "crm_sync_service"):
        assert not name.endswith(("_ms", "_minutes", "_hours", "_kb")), name


def test_the_build_says_version_and_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEBRIDGE_REVISION", "0123abc")
    shown = metrics.exposition(tuple).decode()
    assert re.search(r'casebridge_build_info\{revision="0123abc",version="[^"]+"\} 1\.0', shown)
    assert 'casebridge_publish_total{outcome="returned"}' in shown


def test_alerts_name_only_what_is_shown() -> None:
    rules = (ROOT / "deploy/prometheus").glob("*.y*ml")
    text = "".join(file.read_text(encoding="utf-8") for file in rules)
    asked = set(re.findall(r"casebridge_\w+?(?=_bucket\b|\b)", text))
    known = named_in("shared", "portal_service", "crm_sync_service")
    assert asked
    assert asked <= known


@pytest.mark.parametrize(
    ("done", "word"),
    [
        ((), "noop"),
        (("person",), "noop"),
        (("to_crm",), "push"),
        (("to_portal",), "pull"),
        (("to_portal", "to_crm"), "both"),
        (("to_crm", "conflict"), "conflict"),
    ],
    ids=["noop", "person", "push", "pull", "both", "conflict"],
)
def test_a_run_is_counted_by_what_it_did(done: tuple[str, ...], word: str) -> None:
    assert crm_sync_service.call_metrics.result_of(done) == word
