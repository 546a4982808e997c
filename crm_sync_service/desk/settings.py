"""The desk's settings."""

from dataclasses import dataclass

from crm_sync_service.desk.base import SCHEMA
from shared.settings import (
    CommonSettings,
    SettingsError,
    database_url,
    http_url,
    made_once,
    read_common,
    read_env,
    secret,
)

_SHORTEST_KEY = 16
_SWITCH = {"": False, "0": False, "1": True}


@dataclass(frozen=True, kw_only=True)
class DeskSettings:
    """What the desk needs to know."""

    common: CommonSettings
    database_url: str
    api_key: str
    """What clients of the API show as bearer token."""
    faults_enabled: bool = False
    """Whether clients of the API may ask for failures, for tests and demonstrations."""
    webhook_url: str | None = None
    """Where to say which records have just changed."""


def read_settings() -> DeskSettings:
    """The settings of the environment. Raises SettingsError."""
    env = read_env()
    common = read_common(env)
    api_key = secret(env, "CRM_API_KEY") or made_once(common.home / "crm-api.key")
    if len(api_key) < _SHORTEST_KEY:
        raise SettingsError(f"CRM_API_KEY is too short: give at least {_SHORTEST_KEY} random characters")
    faults = env.str("CRM_FAULTS", "")
    if faults not in _SWITCH:
        raise SettingsError(f"CRM_FAULTS={faults!r} is neither 1 nor 0")
    webhook_url = env.str("CRM_WEBHOOK_URL", "")
    return DeskSettings(
        common=common,
        database_url=database_url(env, SCHEMA, common.home),
        api_key=api_key,
        faults_enabled=_SWITCH[faults],
        webhook_url=http_url("CRM_WEBHOOK_URL", webhook_url) if webhook_url else None,
    )
