"""What another mapping file would do to the pairs there are: read, compared, and nothing written (O5)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import func, select

from crm_sync_service.compare import where_they_part
from crm_sync_service.connectors.base import CaseRecord, Connector, NotFoundError
from crm_sync_service.links import LinkState
from crm_sync_service.mapping import CaseMapping, unmapped
from crm_sync_service.merge import Decision, decide
from crm_sync_service.models import Link, Replica
from crm_sync_service.stored import load_work
from shared.database import Database
from shared.events import TicketChanged

_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class FieldDiff:
    """One field of one pair that the changed file would write or take over."""

    ticket: int
    field: str
    to: str
    """"crm" or "portal"."""
    before: str | None
    after: str | None

    def __str__(self) -> str:
        side = "Case" if self.to == "crm" else "ticket"
        before, after = where_they_part(self.before, self.after)
        return f"#{self.ticket} {self.field} of the {side}: {before} → {after}"


@dataclass(kw_only=True)
class Preview:
    """What would happen when these pairs are looked at next."""

    pairs: int = 0
    of: int = 0
    """Pairs there are."""
    creates: int = 0
    """Tickets without a Case, which get theirs with either file."""
    updates: int = 0
    pulls: int = 0
    waiting: int = 0
    """Fields that would wait for a person."""
    gone: int = 0
    diffs: list[FieldDiff] = field(default_factory=list)

    @property
    def by_field(self) -> dict[str, int]:
        """How many differences each field has, the most first."""
        return dict(Counter(diff.field for diff in self.diffs).most_common())

    @property
    def reads(self) -> int:
        return self.pairs

    @property
    def writes(self) -> int:
        return self.creates + self.updates


def preview_mapping(
    database: Database, crm: Connector, *, now: CaseMapping, changed: CaseMapping, limit: int | None
) -> Preview:
    """Compare up to `limit` pairs, the newest tickets first, with the file in force and the changed one.

    Raises CrmError.
    """
    with database.read() as session:
        linked = select(Link.ticket_id).join(Replica, Replica.ticket_id == Link.ticket_id).where(Link.state == "linked")
        ids = session.scalars(linked.order_by(Replica.number.desc()).limit(limit)).all()
        total = session.scalar(select(func.count()).select_from(linked.subquery())) or 0
        without = select(func.count()).select_from(Replica).outerjoin(Link, Link.ticket_id == Replica.ticket_id)
        creates = session.scalar(without.where((Link.ticket_id.is_(None)) | (Link.state == "new"))) or 0
        pairs = [(work.ticket, work.link) for work in (load_work(session, ticket_id) for ticket_id in ids)]
    result = Preview(of=total, creates=creates)
    with ThreadPoolExecutor(_THREADS) as pool:
        for diffs in pool.map(lambda pair: _pair(crm, *pair, now=now, changed=changed), pairs):
            _count(result, diffs)
    return result


def _count(result: Preview, diffs: Sequence[FieldDiff] | None) -> None:
    result.pairs += 1
    if diffs is None:
        result.gone += 1
        return
    result.updates += any(diff.to == "crm" for diff in diffs)
    result.pulls += any(diff.to == "portal" for diff in diffs)
    result.waiting += sum(diff.to == "nobody" for diff in diffs)
    result.diffs += diffs


def _pair(
    crm: Connector, ticket: TicketChanged | None, link: LinkState, *, now: CaseMapping, changed: CaseMapping
) -> Sequence[FieldDiff] | None:
    """What the changed file would do to a pair; None if its Case is gone."""
    if ticket is None or ticket.deleted_at is not None or link.case_id is None:
        return []
    try:
        case = crm.get_case(link.case_id)
    except NotFoundError:
        return None
    already = set(_diffs(ticket, link, case, now))
    return [diff for diff in _diffs(ticket, link, case, changed) if diff not in already]


def _diffs(ticket: TicketChanged, link: LinkState, case: CaseRecord, mapping: CaseMapping) -> Iterator[FieldDiff]:
    ours = mapping.ours(ticket, contact_id=link.base.get("contact"))
    theirs = mapping.theirs(case.fields, known=[ours, link.base])
    for name in mapping.policies.keys() - unmapped(ticket).keys():
        decision = decide(
            policy=mapping.policies[name], base=link.base.get(name), ours=ours[name], theirs=theirs[name], pushed=()
        )
        yield from _diff(ticket, name, decision, ours[name], theirs[name])


def _diff(
    ticket: TicketChanged, name: str, decision: Decision, ours: str | None, theirs: str | None
) -> Iterator[FieldDiff]:
    if decision.verdict == "push":
        yield FieldDiff(ticket=ticket.number, field=name, to="crm", before=theirs, after=ours)
    elif decision.verdict == "pull":
        yield FieldDiff(ticket=ticket.number, field=name, to="portal", before=ours, after=theirs)
    elif decision.verdict != "agree":
        yield FieldDiff(ticket=ticket.number, field=name, to="nobody", before=theirs, after=ours)
