"""When the clocks strike: REVIEW_MINUTES, REVIEW_HOURS, REMINDER_DAYS, CLOSE_DAYS. 0 turns one off."""

from dataclasses import dataclass
from datetime import timedelta

from environs import Env

from portal_service.clocks.hours import ALWAYS, Hours, read_hours
from shared.settings import SettingsError, whole_number

_LEAST_NOTICE = timedelta(days=3)


@dataclass(frozen=True, kw_only=True)
class ClockSettings:
    review: timedelta | None = timedelta(minutes=5)
    """How soon an agent opens a new ticket (S38); None turns the clock off, likewise below."""
    review_hours: Hours = ALWAYS
    """Only these count towards the review."""
    reminder: timedelta | None = timedelta(days=7)
    """How long a ticket waits for the customer before a mail reminds him (S63)."""
    close: timedelta | None = timedelta(days=14)
    """How long it waits altogether before it is closed (S64)."""

    @property
    def notice(self) -> timedelta:
        """So long before the closing the reminder was sent at least, also when it came late."""
        if self.reminder is None or self.close is None:
            return timedelta()
        return min(_LEAST_NOTICE, self.close - self.reminder)


def read_clocks(env: Env) -> ClockSettings:
    """Raises SettingsError."""
    review = whole_number(env, "REVIEW_MINUTES", default=5, least=0, most=10_000)
    reminder = whole_number(env, "REMINDER_DAYS", default=7, least=0, most=365)
    close = whole_number(env, "CLOSE_DAYS", default=14, least=0, most=365)
    if close and reminder >= close:
        raise SettingsError(
            f"REMINDER_DAYS={reminder} is not before CLOSE_DAYS={close}: give fewer days, or 0 for no reminder"
        )
    return ClockSettings(
        review=timedelta(minutes=review) if review else None,
        review_hours=read_hours("REVIEW_HOURS", env.str("REVIEW_HOURS", "")),
        reminder=timedelta(days=reminder) if reminder else None,
        close=timedelta(days=close) if close else None,
    )


BY_DEFAULT = ClockSettings()
