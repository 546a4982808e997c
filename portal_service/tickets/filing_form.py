"""What a filled-in form of a request says: moments with their zones, recommended details, urgency (S24, S25, S27)."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytz

from portal_service.messages import message
from portal_service.web.forms import Entered
from portal_service.web.texts import NATURE_LABEL

INFORMATION = {
    "browser": "Browser",
    "person": "Person or group concerned",
    "customer_number": "Customer number",
    "document": "Document",
    "module": "Module or part",
    "error_text": "Error text",
}
"""Optional fields of the form and the labels they are stored under (S25)."""
NATURES = {"incident": "Incident", "service": "Service request"}
_URGENT = {"incident"}
KEPT = (
    "form_token", "account_id", "product_id", "category_id", "subject", "description", "nature", "needed_by",
    "link_url", "call_time", "timezone", "favourite_staff_id", "parent_number", "split_from", *INFORMATION,
)  # fmt: skip
"""The fields a draft keeps."""

BAD_DATE = message("Please give a date as the field asks for it.")
PAST = message("This moment has passed already. Please choose one that is still to come.")
NO_ZONE = message("Please choose a time zone from the list.")


def zones() -> list[tuple[str, str]]:
    """Every time zone by its name, and as people read it."""
    return [(name, name.replace("_", " ")) for name in pytz.common_timezones]


def time_errors(form: Entered, *, now: datetime) -> dict[str, str]:
    """What is wrong with the call time, its zone and the needed-by date, by field."""
    found: dict[str, str] = {}
    if form["call_time"] and form["timezone"] not in pytz.common_timezones_set:
        found["timezone"] = NO_ZONE
    elif form["call_time"]:
        found |= _passed("call_time", call_time(form), now)
    if form["nature"] == "service" and form["needed_by"]:
        # The last zone in which this day has not ended yet.
        day = _day(form["needed_by"])
        found |= _passed(
            "needed_by", datetime(day.year, day.month, day.day, 23, 59, tzinfo=_LAST) if day else None, now
        )
    return found


def call_time(form: Entered) -> datetime | None:
    """When the requester wants to be phoned; None for nothing and for what is no moment of the chosen zone."""
    try:
        local = datetime.fromisoformat(form["call_time"])
        return local.replace(tzinfo=ZoneInfo(form["timezone"])).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def priority(form: Entered) -> str:
    return "high" if form["nature"] in _URGENT else "normal"


def details(form: Entered, *, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Recommended information by its stored label, in the order shown; `more` comes after the nature."""
    told = {NATURE_LABEL: NATURES.get(form["nature"], "")}
    if form["nature"] == "service":
        told["Needed by"] = form["needed_by"]
    told |= more or {}
    if form["call_time"].strip():
        told["Preferred call time"] = f"{form['call_time'].replace('T', ' ')} {form['timezone']}"
    told |= {label: form[name] for name, label in INFORMATION.items()}
    return {label: value for label, value in told.items() if value.strip()}


_LAST = ZoneInfo("Etc/GMT+12")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _passed(name: str, moment: datetime | None, now: datetime) -> dict[str, str]:
    if moment is None:
        return {name: BAD_DATE}
    return {name: PAST} if moment < now else {}
