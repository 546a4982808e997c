"""The console's demo log-in."""

from datetime import datetime

from sqlalchemy.orm import Session

from crm_sync_service.console.actions import log_action
from crm_sync_service.console.auth import add_user, find_user

USERNAME = "alex"
PASSWORD = "casebridge-demo"  # noqa: S105 (shown on the screen when the demo starts)


def load_demo(session: Session, now: datetime) -> None:
    """Let alex log in as administrator, unless there is such a user already."""
    if find_user(session, USERNAME) is None:
        add_user(session, USERNAME, PASSWORD, name="Alex Admin", role="admin")
        log_action(session, "added user", "alex, with the demo data", who="Casebridge", now=now)
