"""The life cycle of a ticket: which action is allowed in which status, and where it leads (SPEC section 2)."""

from collections.abc import Mapping

from portal_service.messages import message
from portal_service.tickets.errors import Refused

NEW, OPEN, PENDING, SOLVED, CLOSED = "new", "open", "pending", "solved", "closed"
STATUSES = (NEW, OPEN, PENDING, SOLVED, CLOSED)
UNFINISHED = (NEW, OPEN, PENDING)
DONE = (SOLVED, CLOSED)
PRIORITIES = ("low", "normal", "high", "urgent")

_UNCHANGED = {status: status for status in STATUSES}

ACTIONS: Mapping[str, Mapping[str, str]] = {
    # An agent opens a new ticket, or does anything else with it: the review (S60).
    "review": {NEW: OPEN},
    "staff_reply": {**_UNCHANGED, NEW: OPEN},
    "internal_note": {**_UNCHANGED, NEW: OPEN},
    "transfer": {**_UNCHANGED, NEW: OPEN},
    # A question to the customer: shown as "Awaiting your reply" (S61).
    "ask": dict.fromkeys(STATUSES, PENDING),
    # The customer's word takes a waiting or finished ticket up again (S61, S65).
    "customer_reply": {NEW: NEW, OPEN: OPEN, PENDING: OPEN, SOLVED: OPEN, CLOSED: OPEN},
    "set_open": {NEW: OPEN, PENDING: OPEN, SOLVED: OPEN, CLOSED: OPEN},
    "set_pending": {NEW: PENDING, OPEN: PENDING, SOLVED: PENDING, CLOSED: PENDING},
    "set_solved": {NEW: SOLVED, OPEN: SOLVED, PENDING: SOLVED, CLOSED: SOLVED},
    "set_closed": {NEW: CLOSED, OPEN: CLOSED, PENDING: CLOSED, SOLVED: CLOSED},
    "reopen": {PENDING: OPEN, SOLVED: OPEN, CLOSED: OPEN},
    "close": {NEW: CLOSED, OPEN: CLOSED, PENDING: CLOSED, SOLVED: CLOSED},
    "delete": _UNCHANGED,
    "restore": _UNCHANGED,
    "rate": {SOLVED: SOLVED, CLOSED: CLOSED},
}

RIGHT_TO_SET: Mapping[str, str] = {OPEN: "reopen", PENDING: "edit", SOLVED: "close", CLOSED: "close"}
"""What somebody must be allowed to do to set a status by hand."""

_NOT_NOW = message("This cannot be done while the ticket is in its present status. Reload the page and look again.")


def status_after(action: str, status: str) -> str:
    """The status an action leads to. Raises Refused where the table does not allow it."""
    target = ACTIONS.get(action, {}).get(status)
    if target is None:
        raise Refused(_NOT_NOW)
    return target


def is_allowed(action: str, status: str) -> bool:
    return status in ACTIONS.get(action, {})


def targets(status: str) -> tuple[str, ...]:
    """The statuses an agent may choose for a ticket, its present one first."""
    return (status, *(other for other in STATUSES if is_allowed(f"set_{other}", status)))
