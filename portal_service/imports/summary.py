"""The end of an import in words: counts, what was decided on the way, and the bad rows by reason."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from portal_service.imports.columns import Columns
from portal_service.imports.source import Source
from portal_service.imports.tally import Tally
from portal_service.tickets.lifecycle import STATUSES

_MOST_REASONS = 15


def opening_lines(path: Path, source: Source, *, name: str, delimiter: str | None, columns: Columns) -> Iterator[str]:
    """What was found out about the file, so that a wrong guess is seen before it matters."""
    form = f"CSV separated by {delimiter!r}" if delimiter else "JSON Lines"
    yield f"{path}: {form}, encoding {source.encoding}, imported as source {name!r}"
    yield "Columns: " + ", ".join(f"{field} = {column!r}" for field, column in columns.by_field.items())
    if columns.unused:
        yield f"Not read: {', '.join(columns.unused[:40])}"


def summary_lines(tally: Tally, *, dry_run: bool, errors: Path | None, seconds: float) -> Iterator[str]:
    """The whole summary."""
    verb = "would be imported" if dry_run else "imported"
    rate = tally.rows / max(seconds, 0.001)
    yield f"{tally.rows:,} rows read in {seconds:,.1f} s ({rate:,.0f} rows/s)"
    yield f"  {tally.imported:>8,} {verb}{_statuses(tally)}, with {tally.comments:,} replies and internal notes"
    yield f"  {tally.present:>8,} already here from an earlier run: left as they are"
    if tally.repeated:
        yield f"  {tally.repeated:>8,} repeat an earlier row of the file word for word: left out"
    yield f"  {tally.bad:>8,} bad{_where(tally, errors)}"
    yield from _people(tally, dry_run=dry_run)
    yield from _listed("Decided on the way:", tally.remarks)
    yield from _listed("Bad rows:", tally.reasons)
    if tally.imported and not dry_run:
        yield "No mails are sent for imported tickets. Each one is on its way to its Case: see the sync console."
    if dry_run:
        yield "This was a dry run: nothing was stored."


def _statuses(tally: Tally) -> str:
    parts = [f"{tally.statuses[status]:,} {status}" for status in STATUSES if tally.statuses[status]]
    return f" ({', '.join(parts)})" if parts else ""


def _where(tally: Tally, errors: Path | None) -> str:
    return f": line, reason and row are in {errors}" if tally.bad and errors else ""


def _people(tally: Tally, *, dry_run: bool) -> Iterator[str]:
    verb = "would be added" if dry_run else "added"
    if tally.new_contacts:
        yield f"  {len(tally.new_contacts):>8,} contacts {verb}, without a log-in"
    if tally.new_accounts:
        yield f"  {len(tally.new_accounts):>8,} accounts {verb}: {', '.join(sorted(tally.new_accounts)[:20])}"


def _listed(title: str, counts: Counter[str]) -> Iterator[str]:
    if not counts:
        return
    yield title
    for words, count in counts.most_common(_MOST_REASONS):
        yield f"  {count:>8,} {words}"
    rest = counts.most_common()[_MOST_REASONS:]
    if rest:
        yield f"  {sum(count for _, count in rest):>8,} for {len(rest)} other reasons"
