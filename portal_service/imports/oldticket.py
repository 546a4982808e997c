"""A ticket of another help desk, cleaned, before anything here is looked up for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class LongText:
    """A text that fits, and the whole of it where that is longer: it becomes an attached file, nothing is lost."""

    shown: str
    whole: str | None = None


@dataclass(frozen=True, kw_only=True)
class OldComment:
    """One contribution to the old ticket."""

    body: LongText
    public: bool
    """False becomes an internal note."""
    from_customer: bool | None
    """None: the export does not say."""
    author_name: str
    author_email: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class OldTicket:
    """Everything a row said. Names of records are as written there; empty: it said nothing."""

    line: int
    id: str
    subject: str
    description: LongText
    status: str
    """One of ours, like `priority`."""
    priority: str
    request_type: str
    product: str
    category: str
    account: str
    requester_name: str
    requester_email: str
    assignee: str
    """An e-mail address or a name."""
    created_at: datetime
    updated_at: datetime
    finished_at: datetime
    """Of solved and closed tickets: the best date there is for it."""
    link_url: str | None
    details: Mapping[str, str]
    """Recommended information by label."""
    comments: tuple[OldComment, ...]
    remarks: tuple[str, ...]
    """What was decided on the way, for the summary."""
