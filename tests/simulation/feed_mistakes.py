"""Mistakes in following the CRM's change feed, each planted into the product's own code."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from crm_sync_service import change_feed, worker
from shared.clock import to_text
from tests.simulation import in_memory, memory, memory_lanes
from tests.simulation.crm import SimulatedCrm
from tests.simulation.memory import MemoryDatabase

Patch = tuple[Any, str, Any]


def _mark_all(session: MemoryDatabase, rows: Sequence[Any], *, now: datetime) -> int:
    ids = {row.case_id for row in rows}
    changed = [ticket_id for ticket_id, row in session.links.items() if row.link.case_id in ids]
    memory_lanes.mark_due(session, changed, now=now)
    return len(changed)


def _not_rewound(_self: Any, stamp: str, _by: timedelta) -> str:
    return stamp


def _just_after(_self: Any, stamp: str, _by: timedelta) -> str:
    return f"{stamp} ~"


def _cursor_is_now(database: Any, feed: str, newest: str | None, *, now: datetime) -> None:
    with database.write() as session:
        cursor = session.get(memory.Cursor, feed)
        if cursor is None:
            session.add(memory.Cursor(feed=feed, stamp=to_text(now), polled_at=now))
        else:
            cursor.stamp = to_text(now)


def _cursor_first(database: Any, crm: Any, *, overlap: timedelta, now: datetime, watch: Any = None) -> int:
    news, page, pages = 0, None, []
    since = change_feed.start_of(database, crm, change_feed.CASES, overlap=overlap)
    while True:
        answer = crm.changed_cases(since, page=page)
        pages.append(answer)
        page = answer.next
        if page is None:
            break
    newest = max((answer.newest for answer in pages if answer.newest), default=None)
    change_feed.save_cursor(database, change_feed.CASES, newest, now=now)
    for answer in pages:
        with database.write() as session:
            news += change_feed._mark(session, answer.rows, now=now)
    return news


FEED_MISTAKES: Mapping[str, Sequence[Patch]] = {
    "poll_storm": [(in_memory, "mark_changed", _mark_all)],
    "no_overlap": [(SimulatedCrm, "rewind", _not_rewound)],
    "strict_gt": [(SimulatedCrm, "rewind", _just_after)],
    "cursor_now": [(change_feed, "save_cursor", _cursor_is_now)],
    "cursor_first": [(worker, "poll_cases", _cursor_first)],
}
