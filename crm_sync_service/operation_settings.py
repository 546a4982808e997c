"""Settings of sweeps and of the request budget."""

from dataclasses import dataclass
from datetime import timedelta

from shared.settings import read_env, whole_number


@dataclass(frozen=True, kw_only=True)
class OperationSettings:
    """How much may be asked of the CRM, and how often all is compared."""

    sweep_span: timedelta = timedelta(hours=24)
    """Within which the sweep compares every ticket with its Case."""
    requests_per_minute: int = 0
    """Calls to the CRM by all workers together; 0: no limit."""
    requests_per_day: int = 0


def read_operation_settings() -> OperationSettings:
    """Raises SettingsError."""
    env = read_env()
    most = 100_000_000
    return OperationSettings(
        sweep_span=timedelta(hours=whole_number(env, "SWEEP_HOURS", default=24, least=1, most=24 * 30)),
        requests_per_minute=whole_number(env, "CRM_REQUESTS_PER_MINUTE", default=0, least=0, most=most),
        requests_per_day=whole_number(env, "CRM_REQUESTS_PER_DAY", default=0, least=0, most=most),
    )
