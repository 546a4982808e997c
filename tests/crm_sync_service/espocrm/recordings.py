"""Recorded exchanges with a real EspoCRM, put to the simulator: in their order, at their time, with their ids.

The recordings are ordered by name and dated by the second. Within a second the order is found by trying: some order
must exist in which every answer is the recorded one.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.crm_sync_service.espocrm.filters import parse_query
from tests.crm_sync_service.espocrm.preparations import FIRST, NOT_SENT, PREPARATIONS, credentials
from tests.crm_sync_service.espocrm.simulator import EspoSimulator, Response
from tests.crm_sync_service.espocrm.specials import Request

_MEANING = frozenset(
    name
    for line in (
        "id name number status priority type description deleted versionNumber createdAt modifiedAt streamUpdatedAt",
        "accountId accountName contactId contactsIds assignedUserId assignedUserName createdById modifiedById",
        "portalTicketId product cPortalRef post isInternal parentId parentType portalReplyId attachmentsIds",
        "event url skipOwn isActive userName emailAddress firstName lastName",
        "values messageTranslation count ids message total list isCustom maxLength label options default",
    )
    for name in line.split()
)
"""What the engine or a person could act upon."""
_NOT_CLAIMED = re.compile(
    r"02-size|07-.*race$|12-(i18n|layout|metadata|app-user)|11-enum|09-delivery|14-parallel|16-(create-sql|mass-update-and)"
    r"|02-case-create-description-20MB|08-user-tmp|01-auth-app-user|01-auth-espo-authorization|07-fieldmanager-list|05-attachment-file"
)
"""Descriptions of the whole system, races that took several clients, and bytes."""
_BY_SYSTEM = frozenset({"Create", "Update", "Assign"})
"""Notes that EspoCRM writes by itself; no exchange tells their ids in advance."""
_COUNTED_UNTIL = datetime(2026, 11, 22, 1, 56, 2, tzinfo=UTC)
"""Later, records were made that no exchange tells of, so that totals and numbers differ."""


@dataclass
class Exchange:
    name: str
    at: datetime
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    reason: str | None
    answer: str

    @property
    def made(self) -> str | None:
        """The id of the record it made."""
        found = re.match(r'\{"id":"(\w+)"', self.answer) if self.method == "POST" and self.status < 300 else None
        return found[1] if found else None

    @property
    def was_cut(self) -> bool:
        return self.answer.endswith("[cut]")

    @property
    def parsed(self) -> Any:
        try:
            return json.loads(self.answer)
        except ValueError:
            return self.answer if self.was_cut else None


@dataclass
class Result:
    claimed: int = 0
    total: int = 0
    differences: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> list[Exchange]:
    """All single exchanges, by time; others (races, deliveries, measurements) are no requests to repeat."""
    found = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if (
            isinstance(record, dict)
            and isinstance(record.get("request"), dict)
            and "Date" in record["response"]["headers"]
        ):
            found.append(_exchange(record))
    return sorted(found, key=lambda one: (one.at, one.name))


def _exchange(record: Mapping[str, Any]) -> Exchange:
    request, response = record["request"], record["response"]
    headers = {name.lower(): value for name, value in response["headers"].items()}
    body = request["body"]
    return Exchange(
        name=record["name"],
        at=_moment(request["method"], headers["date"], response["body"] or ""),
        method=request["method"],
        path=request["path"],
        headers=request["headers"],
        body=_body(body) if isinstance(body, str) else b"",
        status=response["status"],
        reason=headers.get("x-status-reason"),
        answer=response["body"] or "",
    )


def _moment(method: str, date: str, answer: str) -> datetime:
    """When it was carried out: a change may be answered in the next second."""
    answered = parsedate_to_datetime(date).astimezone(UTC)
    changed = re.search(r'"modifiedAt":"([^"]+)"', answer) if method in {"PATCH", "PUT", "POST"} else None
    if changed is None or answer.startswith("["):
        return answered
    at = datetime.strptime(changed[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return at if answered - at == timedelta(seconds=1) else answered


def _body(text: str) -> bytes:
    """As it was sent: long texts end sooner, and what was no UTF-8 is none again."""
    return re.sub(r"\.\.\.\[cut\]$", '"}', text).encode().replace("\ufffd".encode(), b"\xff")


def numbers(exchanges: list[Exchange]) -> dict[str, int]:
    """Of Cases and Notes, by id; some were given to records that no exchange tells of."""
    found: dict[str, int] = {}

    def walk(value: Any) -> None:
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                if isinstance(part.get("number"), int) and part["number"] != 777:
                    found[part["id"]] = part["number"]
                walk(part.get("list") or [])

    for one in exchanges:
        if one.method == "GET":
            walk(one.parsed)
    return found


def unknown_cases(exchanges: list[Exchange]) -> list[dict[str, Any]]:
    """Cases in a list of all that no exchange made."""
    made = {one.made for one in exchanges}
    listed = next(one for one in exchanges if one.name == "06-where-malformed-date").parsed["list"]
    return [row for row in listed if row["id"] not in made]


def replay(simulator: EspoSimulator, exchanges: list[Exchange], set_clock: Any) -> Result:
    result = Result(total=len(exchanges))
    simulator.state.numbers = numbers(exchanges)
    unknown = unknown_cases(exchanges)
    for at, group in groupby(exchanges, key=lambda one: one.at):
        set_clock(at)
        for row in [row for row in unknown if row["modifiedAt"] <= simulator.state.stamp()]:
            unknown.remove(row)
            simulator.state.keep("Case", row["id"], **{"createdAt": row["modifiedAt"], **row})
            simulator.state.note_of_system("Create", "Case", row["id"], by=str(row["createdById"]))
        waiting = list(group)
        while waiting:
            one, difference = _next(simulator, waiting)
            waiting.remove(one)
            if _NOT_CLAIMED.match(one.name):
                continue
            result.claimed += 1
            if difference:
                result.differences[one.name] = difference
    return result


def _next(simulator: EspoSimulator, waiting: list[Exchange]) -> tuple[Exchange, str]:
    """The first exchange that fits now, carried out; if none does, the first of all."""
    ranked = sorted(waiting, key=_rank)
    for one in ranked:
        before = _snapshot(simulator)
        difference = _put(simulator, one)
        if not difference or _NOT_CLAIMED.match(one.name):
            return one, difference
        _restore(simulator, before)
    return ranked[0], _put(simulator, ranked[0])


def _rank(one: Exchange) -> tuple[bool, bool, int, str, str]:
    """By version, where the answer has one; ids tell when a record was made; deletions last."""
    found = one.parsed
    version = found.get("versionNumber", 0) if isinstance(found, dict) else 0
    last = one.method == "DELETE" or "restore-" in one.name or "massaction" in one.name
    return one.name not in FIRST, last, version, one.made or "", one.name


def _snapshot(simulator: EspoSimulator) -> Any:
    state = simulator.state
    kept = (state.tables, state.custom, state.unique, state.duplicate_checked, simulator.users, simulator.rights)
    return copy.deepcopy(kept), copy.deepcopy(state._counters), list(simulator._failures)


def _restore(simulator: EspoSimulator, snapshot: Any) -> None:
    state = simulator.state
    kept, state._counters, simulator._failures[:] = snapshot
    state.tables, state.custom, state.unique, state.duplicate_checked, simulator.users, simulator.rights = kept


def _put(simulator: EspoSimulator, one: Exchange) -> str:
    """How the simulator's answer differs from the recorded one; "" if it does not."""
    if one.name in NOT_SENT:
        return ""
    for pattern, prepare in PREPARATIONS:
        if re.fullmatch(pattern, one.name):
            prepare(simulator)
    simulator.state.next_id = one.made
    path, _, query = one.path.partition("?")
    request = Request(
        method=one.method,
        path=path.removeprefix("/api/v1/"),
        is_api=path.startswith("/api/v1/"),
        query=parse_query(query),
        headers=credentials(one),
        body=one.body,
    )
    response = simulator.answer(request)
    simulator.state.next_id = None
    simulator.maintenance = simulator.database_is_down = False
    return "; ".join(_differences(one, response))


def _differences(one: Exchange, response: Response) -> Iterator[str]:
    if response.status != one.status:
        yield f"status {response.status} instead of {one.status}"
        return
    if response.headers.get("X-Status-Reason") != one.reason:
        yield f"reason {response.headers.get('X-Status-Reason')!r} instead of {one.reason!r}"
    if one.was_cut or one.method == "HEAD":
        return
    try:
        answered = json.loads(response.body)
    except ValueError:
        answered = None
    if (one.parsed is None) != (answered is None) or bool(one.answer) != bool(response.body):
        yield f"body {response.body[:80]!r} instead of {one.answer[:80]!r}"
        return
    yield from _compared("", one.parsed, answered, counted=one.at < _COUNTED_UNTIL)


def _compared(where: str, recorded: Any, answered: Any, *, counted: bool) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(answered, dict):
        yield from _objects(where, recorded, answered, counted=counted)
    elif isinstance(recorded, list) and isinstance(answered, list):
        if counted or not where.endswith("list"):
            yield from _lists(where, recorded, answered, counted=counted)
    elif recorded != answered:
        yield f"{where} is {str(answered)[:60]!r} instead of {str(recorded)[:60]!r}"


def _objects(where: str, recorded: Mapping[str, Any], answered: Mapping[str, Any], *, counted: bool) -> Iterator[str]:
    for name in sorted(_MEANING & (recorded.keys() | answered.keys()) - _passed_over(recorded, counted=counted)):
        if name in recorded and name in answered:
            yield from _compared(f"{where}.{name}", recorded[name], answered[name], counted=counted)
        elif recorded.get(name) is not None or name == "number":
            yield f"{where}.{name} is {'absent' if name in recorded else 'there'}"


def _passed_over(recorded: Mapping[str, Any], *, counted: bool) -> set[str]:
    names = set() if counted else {"total", "number"}
    if str(recorded.get("type")) in _BY_SYSTEM:
        names |= {"id", "number"}
    return names | ({"streamUpdatedAt"} if "website" in recorded else set())


def _lists(where: str, recorded: list[Any], answered: list[Any], *, counted: bool) -> Iterator[str]:
    if recorded and not isinstance(recorded[0], dict):
        if sorted(map(str, recorded)) != sorted(map(str, answered)):
            yield f"{where} is {answered!r} instead of {recorded!r}"
        return
    if len(recorded) != len(answered):
        yield f"{where}: {len(answered)} rows instead of {len(recorded)}"
    for number, (left, right) in enumerate(zip(recorded, answered, strict=False)):
        yield from _compared(f"{where}[{number}]", left, right, counted=counted)
