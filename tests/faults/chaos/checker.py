"""Whether both sides are whole and equal, seen without Casebridge's own eyes.

Reads the three databases with SQL of its own and the bundled CRM through its API, knows the portal's and the CRM's
words for statuses and priorities by itself, and believes about people's changes only what they wrote down.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.chaos.history import Deed
from tests.faults.chaos.installation import Installation
from tests.faults.chaos.tables import Tables

STATUSES = {"new": "new", "open": "assigned", "pending": "pending_input", "solved": "resolved", "closed": "closed"}
PRIORITIES = {"low": "low", "normal": "medium", "high": "high", "urgent": "critical"}
_LABELS = {
    "status": {
        "New": "new", "Assigned": "open", "Pending input": "pending", "Resolved": "solved", "Closed": "closed",
    },
    "priority": {"Low": "low", "Medium": "normal", "High": "high", "Critical": "urgent"},
}  # fmt: skip
_OURS = "Casebridge sync"
_ON_THE_WAY_SECONDS = 3.0
_FIELDS = ("status", "priority", "account", "product", "assignee", "subject")


@dataclass(kw_only=True)
class Findings:
    """What is wrong, by kind, each with a sentence."""

    lost: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    def by_kind(self) -> dict[str, list[str]]:
        return dict(self.__dict__)

    def all(self) -> list[str]:
        return [f"{kind}: {words}" for kind, found in self.by_kind().items() for words in found]


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Everything both sides hold, read once."""

    tickets: Mapping[str, Any]
    """Of the portal, by number."""
    entries: Sequence[Any]
    portal_history: Mapping[str, Sequence[Any]]
    cases: Sequence[Mapping[str, Any]]
    """Of the CRM, as its API shows them."""
    notes: Sequence[Mapping[str, Any]]
    crm_history: Mapping[str, Sequence[Any]]
    """By Case."""
    conflicts: set[tuple[str, str, str, str | None]]
    """Ticket's id, field, side, value that lost or won."""
    names: Mapping[str, str]
    """Of the CRM's accounts, products and users by id."""


def _left_over(tables: Tables) -> list[str]:
    """What is unfinished for longer than what the workers tell each other every few seconds needs to arrive."""
    deadline = time.monotonic() + _ON_THE_WAY_SECONDS
    while (words := tables.unfinished()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return words


def check(installation: Installation, deeds: Sequence[Deed]) -> Findings:
    """Everything, when all is quiet."""
    findings = Findings()
    with Tables(installation) as tables:
        sides = _read(installation, tables)
        findings.unfinished += _left_over(tables)
    by_ticket: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for case in sides.cases:
        by_ticket[str(case["ticket_number"])].append(case)
    _check_deeds(findings, sides, deeds)
    _check_cases(findings, sides, by_ticket)
    _check_notes(findings, sides, by_ticket, deeds)
    for number, ticket in sides.tickets.items():
        if len(by_ticket[number]) == 1:
            case = by_ticket[number][0]
            findings.fields += [f"ticket {number}: {words}" for words in differences(ticket, case, sides.names)]
            _check_discarded(findings, sides, ticket, case)
    _check_last_words(findings, sides, deeds)
    return findings


def _read(installation: Installation, tables: Tables) -> Sides:
    names = tables.crm_names()
    return Sides(
        tickets=tables.tickets(),
        entries=tables.entries(),
        portal_history=tables.portal_history(),
        cases=list(everything(installation, "/cases")),
        notes=list(everything(installation, "/notes")),
        crm_history=tables.crm_history(),
        conflicts=tables.conflicts(),
        names=names,
    )


def everything(installation: Installation, path: str) -> Iterator[Mapping[str, Any]]:
    """All rows of a feed of the CRM's API."""
    params: dict[str, str] = {"limit": "200"}
    while True:
        page = installation.crm("GET", path, params=params).json()
        yield from page["rows"]
        if page["next"] is None:
            return
        params |= page["next"]


def differences(ticket: Any, case: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Fields of a ticket and its Case that are not equal."""
    pairs = {
        "subject": (ticket.subject, case["name"]),
        "status": (STATUSES[ticket.status], case["status"]),
        "priority": (PRIORITIES[ticket.priority], case["priority"]),
        "account": (ticket.account_crm_id, case["account_id"]),
        "product": (ticket.product_crm_id, case["product_id"]),
        "assignee": (ticket.assignee_crm_id, case["assigned_user_id"]),
        "contact": (ticket.contact_crm_id, case["contact_id"]),
    }
    found = [
        f"{name} is {names.get(ours or '', ours)!r}, of its Case {names.get(theirs or '', theirs)!r}"
        for name, (ours, theirs) in pairs.items()
        if (ours or None) != (theirs or None)
    ]
    wanted = (ticket.description, f"/tickets/{ticket.number}", ticket.link_url or "")
    return found + [
        f"the description of its Case lacks {words!r}" for words in wanted if words not in case["description"]
    ]


def _check_deeds(findings: Findings, sides: Sides, deeds: Iterable[Deed]) -> None:
    """What people were told is done must be there, on the side where they did it."""
    subjects = " ".join(ticket.subject for ticket in sides.tickets.values())
    texts = " ".join(entry.body for entry in sides.entries)
    notes = " ".join(note["body"] for note in sides.notes)
    where = {"ticket": subjects, "entry": texts, "note": notes}
    findings.lost += [
        f"{deed.kind} {deed.token} of ticket {deed.ticket}"
        for deed in deeds
        if deed.acknowledged and deed.token and deed.token not in where[deed.kind]
    ]


def _check_cases(findings: Findings, sides: Sides, by_ticket: Mapping[str, Sequence[Any]]) -> None:
    for number in sides.tickets:
        if len(by_ticket.get(number, ())) != 1:
            findings.cases.append(f"ticket {number} has {len(by_ticket.get(number, ()))} Cases")
        elif by_ticket[number][0]["deleted"]:
            findings.cases.append(f"the Case of ticket {number} was deleted, by nobody")
    findings.cases += [
        f"there are {len(rows)} Cases of ticket {number}, which is not there"
        for number, rows in by_ticket.items()
        if number not in sides.tickets
    ]


def _check_notes(
    findings: Findings, sides: Sides, by_ticket: Mapping[str, Sequence[Any]], deeds: Iterable[Deed]
) -> None:
    """Every reply and internal note once, on the right Case, and beside them only what managers wrote."""
    found = Counter((str(note["case_id"]), _last_words(note["body"])) for note in sides.notes)
    for entry in sides.entries:
        cases = by_ticket.get(str(entry.ticket_number), ())
        key = (str(cases[0]["id"]) if cases else "", _last_words(entry.body))
        if found[key] < 1:
            findings.notes.append(f"entry {entry.position} of ticket {entry.ticket_number} has no Note")
        found[key] -= 1
    by_hand = {deed.token for deed in deeds if deed.kind == "note"}
    for (case_id, words), count in found.items():
        if count > 0 and not any(token in words for token in by_hand):
            findings.notes.append(f"{count} Notes too many on Case {case_id}: {words!r}")
        elif count > 1:
            findings.notes.append(f"{count} Notes of a manager, one was written: {words!r}")


def _last_words(body: str) -> str:
    """The last paragraph: a Note begins with a line that says who wrote it."""
    return " ".join(body.strip().split("\n\n")[-1].split())


def _check_discarded(findings: Findings, sides: Sides, ticket: Any, case: Mapping[str, Any]) -> None:
    """A value that the sync replaced, and that the other side never had, must be kept as a conflict."""
    ours, theirs = sides.portal_history.get(ticket.id, ()), sides.crm_history.get(str(case["id"]), ())
    for name in _FIELDS:
        here = [row for row in ours if row.field == name and row.action != "refused"]
        there = [row for row in theirs if _name(row.field) == name]
        at_portal = {value or None for row in here for value in (row.before, row.after)} | {_present(ticket, name)}
        at_crm = {_key(name, value) for row in there for value in (row.before, row.after)}
        at_crm.add(_present_there(case, name, sides.names))
        lost = [("portal", row.before or None) for row in here if row.actor_kind == "crm" and row.before not in at_crm]
        lost += [("crm", _key(name, row.before)) for row in there if row.who == _OURS]
        for side, value in lost:
            if side == "portal" or value not in at_portal:
                _expect_conflict(findings, sides, ticket, name, side, value)


def _present(ticket: Any, name: str) -> str | None:
    """A field of a ticket as its history would name it."""
    value: str | None = getattr(ticket, name if name in {"status", "priority", "subject"} else f"{name}_name")
    return value or None


def _present_there(case: Mapping[str, Any], name: str, names: Mapping[str, str]) -> str | None:
    if name == "subject":
        return str(case["name"])
    if name in {"status", "priority"}:
        words = STATUSES if name == "status" else PRIORITIES
        return {theirs: ours for ours, theirs in words.items()}.get(case[name])
    return names.get(case[{"assignee": "assigned_user_id"}.get(name, f"{name}_id")] or "")


def _expect_conflict(findings: Findings, sides: Sides, ticket: Any, name: str, side: str, value: str | None) -> None:
    if (ticket.id, name, side, value or None) not in sides.conflicts:
        findings.conflicts.append(f"{name} {value!r} of ticket {ticket.number} at the {side} is in no conflict")


def _name(column: str) -> str:
    """A field of the CRM in the portal's terms."""
    return {"assigned_user_id": "assignee", "name": "subject"}.get(column, column.removesuffix("_id"))


def _key(name: str, value: str | None) -> str | None:
    return _LABELS.get(name, {}).get(value or "", value) or None


def _check_last_words(findings: Findings, sides: Sides, deeds: Iterable[Deed]) -> None:
    """A field ends with the last value that a person gave it, on one side or the other (no lost update)."""
    last: dict[tuple[str, str], dict[str, set[str | None]]] = defaultdict(dict)
    for deed in deeds:
        if deed.kind != "edit" or deed.field not in {"product", "account"}:
            continue
        chosen = last[deed.ticket, deed.field]
        chosen[deed.side] = {deed.value} | (set() if deed.acknowledged else chosen.get(deed.side, set()))
        if not deed.acknowledged:
            chosen[deed.side] |= {None}
    for (number, name), sides_last in last.items():
        ticket = sides.tickets.get(number)
        allowed: set[str | None] = set().union(*sides_last.values())
        if ticket is not None and None not in allowed and getattr(ticket, f"{name}_name") not in allowed:
            present = getattr(ticket, f"{name}_name")
            findings.lost.append(f"the {name} of ticket {number} is {present!r}, people last chose {allowed}")
