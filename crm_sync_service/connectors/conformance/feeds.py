"""Checks of the change feeds: nothing that changes is missed, also while a lot changes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from crm_sync_service.connectors.base import CaseStamp, FeedPage, NoteStamp
from crm_sync_service.connectors.conformance.trial import Trial, degraded, fails, pages

_CASES = 24
_WRITERS = 4


def feed(trial: Trial) -> str:
    since = trial.cases_from.stamp()
    case = trial.create("feed")
    changed = trial.crm.update_case(case.id, {"subject": f"{case.fields['subject']} changed"}, version=None)
    rows = _cases_since(trial, since)
    if case.id not in rows:
        raise fails("a Case that was made and changed is not in the feed")
    if rows[case.id] != changed.stamp:
        raise fails(
            f"the feed has the stamp {rows[case.id]!r}, a read gives {changed.stamp!r}: each look would be for nothing"
        )
    everything = _cases_since(trial, None, whole=True)
    if case.id not in everything:
        raise fails("a Case is missing from the list of all Cases")
    return f"shows the stamp that a read gives; {len(everything):,} Cases in all, none twice"


def feed_under_load(trial: Trial) -> str:
    """Cases are made and changed by several writers while the feed is followed as the sync does it."""
    since, final, stop = trial.cases_from.stamp(), {}, threading.Event()
    seen: dict[str, set[str]] = {}

    def write(number: int) -> None:
        case = trial.create(f"load {number}")
        after = trial.crm.update_case(case.id, {"subject": f"{case.fields['subject']} changed"}, version=None)
        final[case.id] = after.stamp

    def follow() -> int:
        cursor, looks = since, 0
        while True:
            last = stop.is_set()
            newest = _follow(trial, cursor, seen)
            cursor, looks = max(filter(None, (cursor, newest)), default=None), looks + 1
            if last:
                return looks

    with ThreadPoolExecutor(1) as follower, ThreadPoolExecutor(_WRITERS) as writers:
        looking = follower.submit(follow)
        try:
            list(writers.map(write, range(_CASES)))
        finally:
            stop.set()
        looks = looking.result()
    missed = [case_id for case_id, stamp in final.items() if stamp not in seen.get(case_id, ())]
    if missed:
        raise fails(f"{len(missed)} of {_CASES} Cases changed meanwhile were not seen as they ended")
    return f"{_CASES} Cases made and changed by {_WRITERS} writers, all seen in {looks} looks"


def _follow(trial: Trial, cursor: str | None, seen: dict[str, set[str]]) -> str | None:
    """One look with the overlap that the connector declares; returns the newest stamp."""
    newest = None
    for answer in pages(partial(_read_cases, trial, _rewound(trial, cursor))):
        for row in answer.rows:
            seen.setdefault(row.case_id, set()).add(row.stamp)
        newest = max(filter(None, (newest, answer.newest)), default=None)
    return newest


def _rewound(trial: Trial, cursor: str | None) -> str | None:
    return trial.crm.rewind(cursor, trial.crm.capabilities.feed_overlap) if cursor else None


def _cases_since(trial: Trial, since: str | None, *, whole: bool = False) -> dict[str, str]:
    """Stamps by Case; fails if a whole listing has one twice, as then others are missing."""
    listed = pages(partial(_read_cases, trial, _rewound(trial, since)))
    rows = [row for answer in listed for row in answer.rows]
    stamps = {row.case_id: row.stamp for row in rows}
    # One that somebody changes meanwhile may come again with another stamp.
    twice = len(rows) - len({(row.case_id, row.stamp) for row in rows})
    if whole and twice:
        raise fails(f"{twice} of {len(rows)} rows come twice within one listing, so others are missing")
    return stamps


def notes_feed(trial: Trial) -> str:
    since = trial.notes_from.stamp()
    case = trial.create("feed of Notes")
    before = trial.crm.get_case(case.id).stamp
    note_id = trial.add_note(trial.new_note(case.id))
    touched = trial.crm.get_case(case.id).stamp != before
    if trial.crm.capabilities.notes_touch_case and not touched:
        raise fails("a Note does not change its Case's stamp, though the connector declares that it does")
    rows = _notes_since(trial, since)
    if note_id not in {row.note_id for row in rows if row.case_id == case.id}:
        if trial.crm.capabilities.notes_touch_case:
            return "Notes change their Case's stamp"
        raise fails("a Note that was written is not in the feed of Notes")
    return "a Note that was written is in it" + (", and changes its Case's stamp" if touched else "")


def _notes_since(trial: Trial, since: str | None) -> list[NoteStamp]:
    listed = pages(partial(_read_notes, trial, _rewound(trial, since)))
    return [row for answer in listed for row in answer.rows]


def _read_cases(trial: Trial, since: str | None, page: str | None) -> FeedPage[CaseStamp]:
    return trial.crm.changed_cases(since, page=page)


def _read_notes(trial: Trial, since: str | None, page: str | None) -> FeedPage[NoteStamp]:
    return trial.crm.changed_notes(since, page=page)


def deletions_in_feed(trial: Trial) -> str:
    since = trial.cases_from.stamp()
    case = trial.create("deletion in the feed")
    trial.crm.remove("case", case.id)
    listed = _cases_since(trial, since)
    if trial.crm.capabilities.feed_shows_deletions:
        if case.id not in listed or listed[case.id] == case.stamp:
            raise fails("a deleted Case does not show in the feed, though the connector declares that it does")
        return "a deleted Case shows in the feed"
    if case.id in listed:
        raise fails("a deleted Case is still listed as if it were there")
    raise degraded("deletions do not show in the feed: they are found by comparing and by reading, which takes longer")


def hints(trial: Trial) -> str:
    if not trial.crm.capabilities.webhooks:
        raise degraded("the CRM sends no hints: changes are found by asking, every few seconds")
    return "the CRM can send hints of changes"
