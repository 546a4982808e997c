"""Whether the CRM's change feed can be believed: our own writes must appear in it, and nothing far outside the range.

Held in memory by the worker that reads the feed; what it finds is kept as an alarm.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.alarms import clear_alarm, raise_alarm
from crm_sync_service.connectors.base import CaseStamp, FeedPage
from crm_sync_service.models import Activity, Link

SILENT = "feed_silent:cases"
UNBOUNDED = "feed_unbounded:cases"
_GRACE = timedelta(seconds=60)
"""On top of the time that a change may take to appear."""
_MANY_ROWS = 1000
_MANY_LOOKS = 5
_MOST_EXPECTED = 200


@dataclass(kw_only=True)
class FeedWatch:
    """What the feed of Cases has shown, and what it should have."""

    overlap: timedelta
    _expected: dict[str, datetime] = field(default_factory=dict)
    """Our writes that the feed has not shown, by Case."""
    _collected: datetime | None = None
    _shown_at: datetime | None = None
    """When the newest of our writes was made that the feed has shown."""
    _rows: int = 0
    _large_looks: int = 0
    _outside: str | None = None
    _links: int = 0

    def saw(self, answer: FeedPage[CaseStamp], *, since: str | None, first: bool) -> None:
        """Take note of one page."""
        if first:
            self._end_look()
            self._outside = None
        self._rows += len(answer.rows)
        for row in answer.rows:
            written = self._expected.pop(row.case_id, None)
            if written is not None:
                self._shown_at = max(filter(None, (self._shown_at, written)))
        if since is not None and answer.newest is not None and answer.newest < since:
            self._outside = answer.newest

    @property
    def is_unbounded(self) -> bool:
        """The feed gives more than was asked for: look at it less often."""
        return self._outside is not None or self._large_looks >= _MANY_LOOKS

    def collect(self, session: Session, *, now: datetime) -> None:
        """Expect what we wrote since the last time; to be called before a look that goes back far enough."""
        since = max(filter(None, (self._collected, now - self.overlap / 2)))
        written = session.execute(
            select(Link.case_id, func.max(Activity.at))
            .join(Link, Link.ticket_id == Activity.ticket_id)
            .where(Activity.at >= since, Activity.direction == "to_crm", Activity.action.in_(("created", "updated")))
            .where(Link.state == "linked")
            .group_by(Link.case_id)
            .order_by(func.max(Activity.at).desc())
            .limit(_MOST_EXPECTED)
        )
        self._expected.update({case_id: at for case_id, at in written if case_id})
        self._links = session.scalar(select(func.count()).select_from(Link)) or 0
        self._collected = now

    def report(self, session: Session, *, now: datetime) -> None:
        """Raise or clear the alarms."""
        self._report_silence(session, now=now)
        if self.is_unbounded:
            what = (
                f"rows of {self._outside}, far before what was asked for"
                if self._outside
                else f"{self._rows:,} rows for a few seconds, again and again"
            )
            words = (
                f"The CRM's change feed gives {what}: it seems to ignore the range asked for, which costs calls. It is "
                "read every half minute only. Look whether an import is running in the CRM, or a filter was changed"
            )
            raise_alarm(session, UNBOUNDED, words, now=now, level="warn")
        else:
            clear_alarm(session, UNBOUNDED)

    def _report_silence(self, session: Session, *, now: datetime) -> None:
        overdue = {case_id: at for case_id, at in self._expected.items() if now - at > self.overlap + _GRACE}
        if (
            self._shown_at is not None
        ):  # a later write of ours was shown, so the feed works: single rows are the sweep's
            for case_id in [case_id for case_id, at in overdue.items() if at <= self._shown_at]:
                del self._expected[case_id], overdue[case_id]
        if not overdue:
            clear_alarm(session, SILENT)
            return
        case_id, at = min(overdue.items(), key=lambda item: item[1])
        words = (
            f"The CRM's change feed does not show our own write of {at:%Y-%m-%d %H:%M:%S} UTC to the Case {case_id}, "
            "so it will not show what account managers change either. Look at the rights of the API user and at the "
            "clock of the CRM's server; until then only the daily sweep finds changes"
        )
        raise_alarm(session, SILENT, words, now=now)

    def _end_look(self) -> None:
        is_large = self._rows > max(_MANY_ROWS, self._links // 2)
        self._large_looks = self._large_looks + 1 if is_large else 0
        self._rows = 0
