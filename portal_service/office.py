"""When people can phone, and what there is for emergencies: shown where requests are filed (S57, S58)."""

from dataclasses import dataclass
from datetime import datetime, time

from environs import Env

from portal_service.clocks.hours import Hours, read_hours


@dataclass(frozen=True, kw_only=True)
class Office:
    """How support is reached by phone. What is not set is not shown."""

    emergency_line: str = ""
    hours: Hours | None = None

    def is_open(self, now: datetime) -> bool:
        if self.hours is None:
            return False
        there = now.astimezone(self.hours.zone)
        ends = self.hours.closes
        return (
            there.weekday() in self.hours.days
            and self.hours.opens <= there.time()
            and (ends == time() or there.time() < ends)
        )


NO_PHONE = Office()


def read_office(env: Env) -> Office:
    """EMERGENCY_LINE and OFFICE_HOURS. Raises SettingsError."""
    hours = env.str("OFFICE_HOURS", "").strip()
    return Office(
        emergency_line=env.str("EMERGENCY_LINE", "").strip()[:100],
        hours=read_hours("OFFICE_HOURS", hours) if hours else None,
    )
