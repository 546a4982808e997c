"""All checks, one after the other, and what came of them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from crm_sync_service.connectors.base import CrmError, RateLimitedError
from crm_sync_service.connectors.conformance import access, feeds, records, texts
from crm_sync_service.connectors.conformance.trial import Leftover, Status, Trial, VerdictError

_LONGEST_PAUSE_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise of the connector contract."""

    name: str
    title: str
    run: Callable[[Trial], str]
    """Words about what was seen, if it holds. Raises VerdictError and CrmError."""
    first: bool = False
    """Nothing else makes sense if this fails."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a check ended."""

    name: str
    title: str
    status: Status
    words: str
    seconds: float


CHECKS: Sequence[Check] = (
    Check(name="answers", title="The CRM answers", run=access.answers, first=True),
    Check(name="needs", title="Rights and fields it needs", run=access.has_what_it_needs, first=True),
    Check(name="removal", title="What it makes can be removed", run=records.removal, first=True),
    Check(name="mapping", title="The mapping file fits", run=access.mapping_fits),
    Check(name="directory", title="Accounts, contacts, users, products", run=access.directory),
    Check(name="create", title="A Case is read as it was made", run=records.create_and_read),
    Check(name="create-twice", title="The same Case twice", run=records.create_twice),
    Check(name="create-at-once", title="The same Case at once", run=records.create_at_once),
    Check(name="unclear-create", title="Creating, the answer lost", run=records.unclear_create),
    Check(name="update", title="An update changes what it says", run=records.update),
    Check(name="idle-update", title="An update without a difference", run=records.idle_update),
    Check(name="stamps", title="Each change, another stamp", run=records.stamps),
    Check(name="stale-update", title="An update for an old version", run=records.stale_update),
    Check(name="concurrent-edits", title="Two edits at once", run=records.concurrent_edits),
    Check(name="refusals", title="What cannot be", run=records.refusals),
    Check(name="options", title="Statuses and priorities", run=texts.options),
    Check(name="clearing", title="Clearing a field", run=texts.clearing),
    Check(name="text", title="Text of a new Case", run=texts.case_text),
    Check(name="updated-text", title="Text of an update", run=texts.updated_text),
    Check(name="limits", title="Lengths", run=texts.limits),
    Check(name="notes", title="Notes, once and in order", run=records.notes),
    Check(name="notes-at-once", title="The same Note at once", run=records.notes_at_once),
    Check(name="unclear-note", title="A Note, the answer lost", run=records.unclear_note),
    Check(name="note-text", title="Text of Notes", run=texts.note_text),
    Check(name="contacts", title="Contacts by address", run=records.contacts),
    Check(name="account", title="The account of a Case", run=records.account),
    Check(name="feed", title="The feed of changes", run=feeds.feed),
    Check(name="feed-load", title="The feed under load", run=feeds.feed_under_load),
    Check(name="notes-feed", title="The feed of Notes", run=feeds.notes_feed),
    Check(name="deletion", title="A deleted Case", run=records.deletion),
    Check(name="deletion-feed", title="A deletion in the feed", run=feeds.deletions_in_feed),
    Check(name="merges", title="Merges", run=records.merges),
    Check(name="hints", title="Hints of changes", run=feeds.hints),
    Check(name="clocks", title="Clocks and time zones", run=access.clocks),
    Check(name="speed", title="Speed of reading", run=access.speed),
    Check(name="wrong-key", title="A wrong key", run=access.wrong_key),
    Check(name="still-answers", title="The CRM still answers", run=access.after_all_calls_are_well),
)


class NotCheckableError(Exception):
    """Nothing more could be checked; the text says what to mend first."""


def run_checks(trial: Trial, checks: Sequence[Check], *, progress: Callable[[str], None]) -> Iterator[Result]:
    """The result of each check as it ends. Raises NotCheckableError after one that all others need."""
    for check in checks:
        progress(check.title)
        start = time.monotonic()
        status, words = _verdict(trial, check)
        yield Result(
            name=check.name, title=check.title, status=status, words=words, seconds=round(time.monotonic() - start, 2)
        )
        if check.first and status == "fails":
            raise NotCheckableError(words)


def _verdict(trial: Trial, check: Check) -> tuple[Status, str]:
    try:
        return _tried(trial, check)
    except RateLimitedError as error:
        time.sleep(min(error.retry_after.total_seconds(), _LONGEST_PAUSE_SECONDS))
    try:
        return _tried(trial, check)
    except RateLimitedError as error:
        return "fails", f"the CRM asks for a pause again and again: {error}"


def _tried(trial: Trial, check: Check) -> tuple[Status, str]:
    try:
        return "holds", check.run(trial)
    except VerdictError as verdict:
        return verdict.status, str(verdict)
    except RateLimitedError:
        raise
    except CrmError as error:
        return "fails", f"{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 (a mistake in a connector is a finding, and the others go on)
        return "fails", f"the connector itself fails: {type(error).__name__}: {error}"


def summary(results: Sequence[Result], left: Sequence[Leftover]) -> dict[str, int]:
    counts = Counter(result.status for result in results)
    return {status: counts[status] for status in ("holds", "degraded", "fails", "skipped")} | {"left_behind": len(left)}
