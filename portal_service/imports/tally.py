"""What became of the rows of an import."""

from collections import Counter
from dataclasses import dataclass, field

from portal_service.imports.errors import BadRow
from portal_service.imports.placing import Placed
from portal_service.imports.rows import Row
from shared.emails import email_key


@dataclass(kw_only=True)
class Outcome:
    """Of one chunk."""

    imported: list[Placed] = field(default_factory=list)
    present: int = 0
    """Rows whose tickets an earlier run imported."""
    bad: list[tuple[Row, BadRow]] = field(default_factory=list)


@dataclass(kw_only=True)
class Tally:
    """Of a whole run; only what is committed is in it."""

    rows: int = 0
    imported: int = 0
    present: int = 0
    repeated: int = 0
    """Rows that say again, word for word, what an earlier row of the file says."""
    bad: int = 0
    comments: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    new_contacts: set[str] = field(default_factory=set)
    new_accounts: set[str] = field(default_factory=set)

    def add(self, outcome: Outcome) -> None:
        self.imported += len(outcome.imported)
        self.present += outcome.present
        self.bad += len(outcome.bad)
        self.reasons.update(error.kind for _, error in outcome.bad)
        for placed in outcome.imported:
            self._add_ticket(placed)

    def _add_ticket(self, placed: Placed) -> None:
        self.comments += len(placed.old.comments)
        self.statuses[placed.old.status] += 1
        self.remarks.update(placed.old.remarks)
        if placed.new_contact:
            self.new_contacts.add(email_key(placed.old.requester_email))
        if placed.new_account and placed.account:
            self.new_accounts.add(placed.account.name)
