"""Checks of reaching the CRM: who answers, rights, the mapping, a wrong key, the directory, clocks."""

import statistics
import time
from datetime import UTC, datetime, timedelta
from functools import partial

from crm_sync_service.connectors.base import (
    DIRECTORY_KINDS,
    CrmError,
    DirectoryEntry,
    DirectoryKind,
    FeedPage,
    RateLimitedError,
    UnauthorisedError,
)
from crm_sync_service.connectors.config import SECRETS
from crm_sync_service.connectors.conformance.trial import Trial, degraded, fails, pages, skipped
from crm_sync_service.mapping_check import check_mapping

_CLOCK_TOLERANCE = timedelta(seconds=90)


def answers(trial: Trial) -> str:
    info = trial.crm.info()
    return f"{info.name} {info.version} (installation {info.instance})"


def has_what_it_needs(trial: Trial) -> str:
    missing = trial.crm.missing()
    words = "; ".join(f"{each.what}: {each.remedy}" for each in missing)
    if any(each.fatal for each in missing):
        raise fails(words)
    if missing:
        raise degraded(words)
    return "nothing has to be added or allowed"


def mapping_fits(trial: Trial) -> str:
    problems = check_mapping(trial.mapping)
    words = "; ".join(f"{problem.key}: {problem.words}" for problem in problems)
    if any(problem.fatal for problem in problems):
        raise fails(words)
    if problems:
        raise degraded(words)
    return f"{len(trial.mapping.attributes)} fields fit"


def wrong_key(trial: Trial) -> str:
    """Tried once only: some CRMs lock an address out that fails too often."""
    secret = next((name for name in SECRETS if getattr(trial.config, name)), None)
    if secret is None:
        raise skipped("there is no secret to get wrong")
    crm = trial.another(**{secret: "not-the-right-one"})
    try:
        crm.info()
    except UnauthorisedError as error:
        return f"is an error of its own ({str(error)[:120]})"
    except RateLimitedError as error:
        raise degraded(f"cannot be told from a pause: {error}") from error
    raise fails(f"a wrong {secret} is accepted, or the connector asks nothing that needs it")


def directory(trial: Trial) -> str:
    counts = []
    for kind in DIRECTORY_KINDS:
        ids = _ids(trial, kind)
        # A record that somebody changes meanwhile may come again, but hardly in two listings.
        if len(ids) != len(set(ids)) and len(ids := _ids(trial, kind)) != len(set(ids)):
            raise fails(f"{len(ids) - len(set(ids))} of {len(ids)} rows of the {kind}s come twice within one listing")
        counts.append(f"{len(ids):,} {kind}s")
    return ", ".join(counts)


def _ids(trial: Trial, kind: DirectoryKind) -> list[str]:
    return [entry.crm_id for answer in pages(partial(_read_kind, trial, kind)) for entry in answer.rows]


def _read_kind(trial: Trial, kind: DirectoryKind, page: str | None) -> FeedPage[DirectoryEntry]:
    return trial.crm.changed_directory(kind, None, page=page)


def clocks(trial: Trial) -> str:
    """A zone that is taken for UTC shows as whole or half hours."""
    before = datetime.now(UTC)
    case = trial.create("clocks")
    off = trial.crm.get_case(case.id).modified_at - before
    words = f"the CRM's times are {_signed(off)} off ours"
    if abs(off) > timedelta(minutes=14):
        raise fails(f"{words}: a time zone is lost on the way")
    if abs(off) > _CLOCK_TOLERANCE:
        raise degraded(f"{words}: set both clocks by the network")
    return f"{words}, in UTC"


def _signed(off: timedelta) -> str:
    seconds = off.total_seconds()
    return f"{seconds:+.1f} s" if abs(seconds) < 120 else f"{seconds / 60:+.0f} min"


def speed(trial: Trial) -> str:
    case = trial.create("speed")
    times = []
    for number in range(10):
        start = time.monotonic()
        if number % 2:
            trial.crm.get_case(case.id)
        else:
            trial.crm.changed_cases(trial.cases_from.stamp(), page=None)
        times.append(time.monotonic() - start)
    return f"a read takes {statistics.median(times) * 1000:.0f} ms in the middle, {max(times) * 1000:.0f} ms at most"


def after_all_calls_are_well(trial: Trial) -> str:
    """That nothing above has locked us out or upset the CRM."""
    try:
        trial.crm.info()
    except CrmError as error:
        raise fails(f"it no longer answers as it did: {error}") from error
    return "still answers as at the start"
