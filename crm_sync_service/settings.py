"""Settings of the sync service's processes."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from environs import Env

from crm_sync_service.connectors.config import CREDENTIALS, ConnectorConfig
from crm_sync_service.connectors.registry import kind_names
from shared.health import HealthAddress
from shared.settings import (
    CommonSettings,
    SettingsError,
    database_url,
    http_url,
    made_once,
    port,
    read_common,
    read_env,
    secret,
    whole_number,
)
from shared.web_server import bind_address

DESK = "desk"
_SWITCH = {"": False, "0": False, "1": True}


@dataclass(frozen=True, kw_only=True)
class SyncSettings:
    """What sync worker and console need to know."""

    common: CommonSettings
    database_url: str
    crm_kind: str
    """One of the connectors' names."""
    crm: ConnectorConfig
    """The CRM as the sync worker reaches it; people use the public `common.crm_url`."""
    crm_mapping: Path | None
    """The mapping file; None for the one that is shipped."""
    threads: int
    """Lanes one worker handles at once."""
    poll_interval: timedelta
    """Between two looks at the CRM's change feed."""
    health: HealthAddress
    """Where the worker answers about itself."""


def read_settings() -> SyncSettings:
    """Raises SettingsError."""
    env = read_env()
    common = read_common(env)
    kind = env.str("CRM_KIND", DESK)
    if kind not in kind_names():
        raise SettingsError(f"CRM_KIND={kind!r} is unknown: give one of {', '.join(kind_names())}")
    mapping = env.str("CRM_MAPPING", "")
    threads = whole_number(env, "SYNC_THREADS", default=8, least=1, most=64)
    return SyncSettings(
        common=common,
        database_url=database_url(env, "sync", common.home),
        crm_kind=kind,
        crm=_read_crm(env, common, kind, connections=threads + 4),
        crm_mapping=Path(mapping) if mapping else None,
        threads=threads,
        poll_interval=timedelta(milliseconds=whole_number(env, "CRM_POLL_MS", default=500, least=100, most=600_000)),
        health=HealthAddress(
            host=bind_address(env),
            port=port(env, "SYNC_WORKER_HEALTH_PORT", 8012),
            setting="SYNC_WORKER_HEALTH_PORT",
        ),
    )


def read_database_url() -> str:
    """The sync service's database, where no CRM is set up yet. Raises SettingsError."""
    env = read_env()
    return database_url(env, "sync", read_common(env).home)


def read_hooks_url() -> str:
    """Where CRMs reach the console. Raises SettingsError."""
    return read_common(read_env()).console_url


def _read_crm(env: Env, common: CommonSettings, kind: str, *, connections: int) -> ConnectorConfig:
    """The CRM_* settings. Raises SettingsError."""
    url = env.str("CRM_API_URL", "") or (common.crm_url if kind == DESK else env.str("CRM_URL", ""))
    if not url:
        raise SettingsError(f"CRM_API_URL is not set: give the address of your {kind}")
    allow_http = env.str("CRM_ALLOW_HTTP", "")
    if allow_http not in _SWITCH:
        raise SettingsError(f"CRM_ALLOW_HTTP={allow_http!r} is neither 1 nor 0")
    ca_file = env.str("CRM_CA_FILE", "")
    given: dict[str, Any] = {name: secret(env, setting) for name, setting in CREDENTIALS.items()}
    if kind == DESK:
        given["api_key"] = given["api_key"] or made_once(common.home / "crm-api.key")
    return ConnectorConfig(
        url=http_url("CRM_API_URL", url),
        ca_file=Path(ca_file) if ca_file else None,
        allow_http=_SWITCH[allow_http],
        connections=connections,
        **given,
    )
