"""EspoCRM's list filters, with its habit of ignoring what it does not understand."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
_TIMES = frozenset({"createdAt", "modifiedAt", "streamUpdatedAt"})
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)")
_KEY = re.compile(r"([^\[]+)((?:\[[^\]]*\])*)$")


class RefusedError(Exception):
    """A request that gets this status and reason; `body` as JSON if there is one."""

    def __init__(self, status: int, reason: str | None = "", body: Any = None) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason, self.body = status, reason, body


def parse_query(text: str) -> dict[str, Any]:
    """A query as PHP reads it: brackets nest, empty brackets count on."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        match = _KEY.match(name)
        if match is None:
            continue
        path = [match[1], *re.findall(r"\[([^\]]*)\]", match[2])]
        node = found
        for step in path[:-1]:
            child = node.setdefault(step or str(len(node)), {})
            node = child if isinstance(child, dict) else {}
        node[path[-1] or str(len(node))] = value
    return found


def selected(rows: list[Row], where: Any, *, attributes: Callable[[str], bool]) -> list[Row]:
    if not isinstance(where, dict | list):
        return rows  # "where=garbage" is no filter at all
    items = list(where.values()) if isinstance(where, dict) else where
    return [row for row in rows if all(_matches(row, item, attributes) for item in items)]


def _matches(row: Row, item: Any, attributes: Callable[[str], bool]) -> bool:
    kind, value = item.get("type"), item.get("value")
    if kind in {"and", "or"}:
        inner = list(value.values()) if isinstance(value, dict) else value
        return (all if kind == "and" else any)(_matches(row, part, attributes) for part in inner)
    if kind not in _TESTS:
        raise RefusedError(400, f"Unknown where item type '{kind}'.")
    attribute = str(item.get("attribute"))
    if not attributes(attribute):
        raise RefusedError(400, f"Not existing attribute '{attribute}' in where.")
    if attribute in _TIMES and kind not in {"isNull", "isNotNull"}:
        value = _moments(value, item)
        if value is None:
            return True  # a date that is none
    return _TESTS[kind](_values(row, attribute), value)


def _moments(value: Any, item: Mapping[str, Any]) -> Any:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [_moments(part, item) for part in parts]
    match = _MOMENT.match(str(value))
    if match is None:
        return None
    text = f"{match[1]} {match[2]}"
    if item.get("timeZone") and item.get("dateTime"):
        local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo(item["timeZone"]))
        text = local.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return text


def _values(row: Row, attribute: str) -> list[Any]:
    if attribute == "emailAddress" and "emailAddressData" in row:
        return [item["emailAddress"] for item in row["emailAddressData"]]
    if attribute == "contacts":
        return list(row.get("contactsIds") or [])
    return [row.get(attribute)]


def _text(value: Any) -> str:
    return str(value).casefold()


def _list(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value)


def _order(test: Callable[[Any, Any], bool]) -> Callable[[list[Any], Any], bool]:
    def apply(stored: list[Any], value: Any) -> bool:
        one = stored[0]
        if one is None:
            return False
        if isinstance(one, int):
            return test(one, int(value))
        return test(_text(one), _text(value))

    return apply


_TESTS: dict[str, Callable[[list[Any], Any], bool]] = {
    "equals": lambda stored, value: any(one is not None and _text(one) == _text(value) for one in stored),
    "on": lambda stored, value: stored[0] == value,
    "notEquals": lambda stored, value: stored[0] is not None and _text(stored[0]) != _text(value),
    "greaterThan": _order(lambda one, value: one > value),
    "greaterThanOrEquals": _order(lambda one, value: one >= value),
    "lessThan": _order(lambda one, value: one < value),
    "lessThanOrEquals": _order(lambda one, value: one <= value),
    "after": _order(lambda one, value: one > value),
    "before": _order(lambda one, value: one < value),
    "between": lambda stored, value: stored[0] is not None and value[0] <= stored[0] <= value[1],
    "in": lambda stored, value: stored[0] in _list(value),
    "contains": lambda stored, value: stored[0] is not None and _text(value) in _text(stored[0]),
    "isNull": lambda stored, _: stored[0] is None,
    "isNotNull": lambda stored, _: stored[0] is not None,
    "isTrue": lambda stored, _: bool(stored[0]),
    "linkedWith": lambda stored, value: bool({*_list(value)} & {*stored}),
}
