"""Lists of the simulated SuiteCRM: filters, order and pages, with what is wrong about them."""

import re
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.crm_sync_service.suitecrm.answers import DATES, record
from tests.crm_sync_service.suitecrm.refusals import DATABASE_FAILURE, RefusalError, invalid, json_answer, not_found
from tests.crm_sync_service.suitecrm.tables import SINGULAR, VIRTUAL, Row, Tables, folded

_FILTER = re.compile(r"filter\[([^\]]+)\](?:\[([^\]]+)\])?")
_KNOWN = '"fields", "filter", "moduleName", "page", "sort"'
_COMPARE = {
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "like": lambda a, b: re.fullmatch(re.escape(b).replace("%", ".*"), a, re.DOTALL) is not None,
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def find_rows(tables: Tables, module: str) -> list[Row]:
    return [row for row in list(tables.rows[module].values()) if row["deleted"] == "0"]


def list_answer(
    tables: Tables,
    module: str,
    request: Request,
    *,
    path: str,
    rows: list[Row] | None = None,
    empty: str = "Request was successful, but there is no result",
) -> Response:
    """`rows`: those of a relationship; otherwise all of the module."""
    arguments = request.args
    _check_names(arguments)
    wanted = _fields(tables, module, arguments)
    order = arguments.get("sort", "id")
    if not re.fullmatch(r"-?\w+", order):
        raise invalid("sort", order)
    related = rows is not None
    found = list(rows) if rows is not None else _filtered(tables, module, arguments)
    found = found if related and "sort" not in arguments else tables.sorted_rows(found, order)
    size, number = _page(arguments)
    shown = found[(number - 1) * size : number * size] if size else found[:20]
    if not shown:
        return json_answer({"meta": {"message": empty}, "data": []})
    body: dict[str, Any] = {"data": [record(tables, module, row, wanted) for row in shown]}
    if related:
        pages = -(-len(found) // size) if size else 1
        body["meta"] = {"total-records": len(found), "total-pages": pages, "records-on-this-page": len(shown)}
    elif size:
        pages = 0 if tables.quirks.old_counts and "_c]" in str(list(arguments)) else -(-len(found) // size)
        body["meta"] = {"total-pages": pages, "records-on-this-page": len(shown)}
    if size:
        body["links"] = _links(path, request, number, pages)
    return json_answer(body)


def _links(path: str, request: Request, number: int, pages: int) -> dict[str, str | None]:
    """The address of the next page is the first one's, where the number was left out."""
    given = "page[number]" in request.args
    rest = "&".join(f"{name}={value}" for name, value in request.args.items() if name != "page[number]")
    following = number + 1 if given else 1
    return {
        "first": None,
        "prev": f"{path}?{rest}&page[number]={number - 1}" if number > 1 else None,
        "next": f"{path}?{rest}&page[number]={following}" if number < pages or not given else None,
        "last": f"{path}?{rest}&page[number]={pages}",
    }


def _check_names(arguments: Any) -> None:
    for name in arguments:
        option = name.split("[")[0]
        if option not in {"fields", "filter", "page", "sort"}:
            raise RefusalError(f'The option "{option}" does not exist. Defined options are: {_KNOWN}.')


def _fields(tables: Tables, module: str, arguments: Any) -> list[str] | None:
    for name in (f"fields[{module}]", f"fields[{SINGULAR[module]}]"):
        if name not in arguments:
            continue
        names = arguments[name].split(",")
        if any(each != each.strip() for each in names):
            raise invalid("fields", "array")
        known = {*tables.columns(module), *VIRTUAL[module], "id"}
        for each in names:
            if each not in known:
                raise RefusalError(f"The following field in {SINGULAR[module]} module is not found: {each}")
        return list(names)
    return None


def _page(arguments: Any) -> tuple[int, int]:
    size, number = arguments.get("page[size]"), arguments.get("page[number]", "1")
    if size is not None and (not size.isdigit() or int(size) < 1):
        raise invalid("size", size)
    return int(size or 0), int(number)


def _filtered(tables: Tables, module: str, arguments: Any) -> list[Row]:
    conditions: list[tuple[str, str, str]] = []
    for name, value in arguments.items():
        found = _FILTER.fullmatch(name)
        if found is None or found[1] == "operator":
            continue
        if found[2] is None:
            raise RefusalError(f"Filter field {found[1]} must be an array")
        _check_filter(tables, module, found[1], found[2])
        conditions.append((found[1], found[2], value))
    either = arguments.get("filter[operator]") == "or"
    rows = list(tables.rows[module].values())
    deleted = [value for name, _, value in conditions if name == "deleted"]
    if not deleted:
        rows = [row for row in rows if row["deleted"] == "0"]
    matching = [row for row in rows if _matches(tables, row, conditions, either=either)]
    gone = next((row for row in matching if row["deleted"] == "1"), None)
    if gone is not None:
        raise not_found(module, gone["id"])
    return matching


def _check_filter(tables: Tables, module: str, name: str, operator: str) -> None:
    if name not in {*tables.columns(module), *VIRTUAL[module], "id"}:
        raise RefusalError(f"Filter field {name} in {SINGULAR[module]} module is not found")
    if operator not in _COMPARE:
        raise RefusalError(f"Filter operator {operator} is invalid")
    if name in VIRTUAL[module] and name != "email1":
        raise RefusalError(DATABASE_FAILURE, raw=True)


def _matches(tables: Tables, row: Row, conditions: Sequence[tuple[str, str, str]], *, either: bool) -> bool:
    if not conditions:
        return True
    results = (_holds(tables, row, *condition) for condition in conditions)
    return any(results) if either else all(results)


def _holds(tables: Tables, row: Row, name: str, operator: str, value: str) -> bool:
    if name == "email1":
        emails = tables.emails.get(row["id"], [])
        kept = [address for address, removed in emails if tables.quirks.removed_addresses or not removed]
        return any(_COMPARE[operator](folded(address), folded(value)) for address in kept)
    if name in DATES:
        if not _DAY.match(value):
            return True
        return bool(_COMPARE[operator](row[name], value.replace("T", " ")[:19]))
    return bool(_COMPARE[operator](folded(row.get(name, "")), folded(value)))
