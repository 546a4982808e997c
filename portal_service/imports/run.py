"""An import from its first row to its last: chunk by chunk, each in one transaction, safe to kill and to repeat."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.orm import Session

from portal_service.imports.cleaning import Cleaner
from portal_service.imports.directory import FALLBACK_TYPE, read_directory
from portal_service.imports.errors import BadRow
from portal_service.imports.oldticket import OldTicket
from portal_service.imports.placing import Additions, Placed, Placer
from portal_service.imports.rows import Row
from portal_service.imports.storing import Store
from portal_service.imports.tally import Outcome, Tally
from shared.database import Database
from shared.events import EventError
from shared.failpoints import failpoint

CHUNK = 100
"""Rows per transaction: short enough for the portal to go on working beside it."""
# What a single row may do to a flush. A database that is gone is no row's fault and ends the run.
_ROW_FAULTS = (BadRow, EventError, StatementError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A row that could be read, with the ticket it tells of."""

    row: Row
    old: OldTicket
    ref: str


@dataclass(kw_only=True)
class Import:
    """One run over one file."""

    database: Database
    cleaner: Cleaner
    store: Store
    create_accounts: bool
    dry_run: bool
    fallback_type: str = FALLBACK_TYPE
    tally: Tally = field(default_factory=Tally)
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Line and fingerprint by id."""
    _planned: Additions = field(default_factory=Additions)
    """What a dry run would have added, for later chunks to find."""

    def run(
        self, rows: Iterable[Row], *, report: Callable[[Tally, Outcome], None], now: Callable[[], datetime]
    ) -> None:
        """Import all rows; `report` is called after the commit of each chunk."""
        rows = iter(rows)
        while chunk := list(islice(rows, CHUNK)):
            outcome = Outcome()
            items = list(self._readable(chunk, outcome))
            if self.dry_run:
                self._plan(items, outcome)
            else:
                self._write(items, outcome, now=now())
            self.tally.rows += len(chunk)
            self.tally.add(outcome)
            report(self.tally, outcome)

    def _readable(self, chunk: Sequence[Row], outcome: Outcome) -> Iterator[Item]:
        for row in chunk:
            try:
                old = self.cleaner.clean(row)
                if not self._is_repeated(row, old):
                    yield Item(row=row, old=old, ref=f"{self.cleaner.source}:{old.id}")
            except BadRow as error:
                outcome.bad.append((row, error))

    def _is_repeated(self, row: Row, old: OldTicket) -> bool:
        """Whether an earlier row says the same. Raises BadRow when one of the same id says something else."""
        fingerprint = hash(row.raw)
        line, earlier = self._seen.setdefault(old.id, (row.line, fingerprint))
        if line == row.line:
            return False
        if earlier != fingerprint:
            raise BadRow(
                f"the id {old.id} was already on line {line} with other contents",
                kind="an id that an earlier line has with other contents",
            )
        self.tally.repeated += 1
        return True

    def _plan(self, items: Sequence[Item], outcome: Outcome) -> None:
        with self.database.read() as session:
            self._planned.note(self._place(session, items, outcome))

    def _write(self, items: Sequence[Item], outcome: Outcome, *, now: datetime) -> None:
        with self.database.write() as session:
            self._try(session, items, outcome, now=now)
            failpoint("import.before_commit")
        failpoint("import.after_commit")

    def _try(self, session: Session, items: Sequence[Item], outcome: Outcome, *, now: datetime) -> None:
        """Write these tickets; if one of them fails the statement, halve until it is alone, and write the others."""
        attempt = Outcome()
        try:
            with session.begin_nested():
                self.store.add(session, self._place(session, items, attempt), now=now)
        except OperationalError:
            raise
        except _ROW_FAULTS as error:
            if len(items) > 1:
                for half in (items[: len(items) // 2], items[len(items) // 2 :]):
                    self._try(session, half, outcome, now=now)
                return
            attempt = Outcome(bad=[(items[0].row, _as_bad_row(error))])
        outcome.imported += attempt.imported
        outcome.present += attempt.present
        outcome.bad += attempt.bad

    def _place(self, session: Session, items: Sequence[Item], outcome: Outcome) -> list[Placed]:
        """Those that are not here yet, placed; the rest goes to the outcome."""
        directory = read_directory(session, [item.old for item in items], [item.ref for item in items])
        self._planned.show_to(directory)
        placer = Placer(directory=directory, create_accounts=self.create_accounts, fallback_type=self.fallback_type)
        for item in items:
            if item.ref in directory.numbers:
                outcome.present += 1
                continue
            try:
                outcome.imported.append(placer.place(item.old, item.ref))
            except BadRow as error:
                outcome.bad.append((item.row, error))
        return outcome.imported


def _as_bad_row(error: Exception) -> BadRow:
    if isinstance(error, BadRow):
        return error
    words = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return BadRow(f"it cannot be stored: {words}", kind="rows that cannot be stored")
