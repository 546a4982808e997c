"""Tiny CRM: the smallest CRM over HTTP that a connector can be written for, in memory."""

import json
import threading
import uuid
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

from flask import Flask, Response, request

KEY = "the-key-of-tiny-crm"
OPTIONS = {"state": ("waiting", "working", "asked", "done"), "urgency": ("1", "2", "3", "4")}
FIELDS = {
    "case": ("title", "text", "state", "urgency", "account", "contact", "owner"),
    "note": ("case", "title", "text", "author"),
    "contact": ("name", "email", "account"),
    "account": ("name",),
    "user": ("name",),
    "product": ("name",),
}
_PAGE = 50


class RefusalError(Exception):
    def __init__(self, status: int, **words: Any) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class TinyCrm:
    """Records by kind and id; each change has the next number."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in FIELDS}
        self._numbers, self._lock = count(1), threading.Lock()

    def create(self, kind: str, values: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            record_id = values.pop("id", None) or str(uuid.uuid4())
            if record_id in self.records[kind]:
                raise RefusalError(409, error="exists")
            row = {"id": record_id, "version": 0, "deleted": False, **dict.fromkeys(FIELDS[kind])}
            self.records[kind][record_id] = row
            return self._change(kind, row, values)

    def read(self, kind: str, record_id: str) -> dict[str, Any]:
        row = self.records[kind].get(record_id)
        if row is None:
            raise RefusalError(404, error="not found")
        if row["deleted"]:
            raise RefusalError(410, error="deleted")
        return row

    def update(self, kind: str, record_id: str, values: dict[str, Any], version: str | None) -> dict[str, Any]:
        with self._lock:
            row = self.read(kind, record_id)
            if version not in {None, str(row["version"])}:
                raise RefusalError(412, error="changed meanwhile")
            differs = any(row.get(name) != value for name, value in values.items())
            return self._change(kind, row, values) if differs else row

    def delete(self, kind: str, record_id: str) -> None:
        with self._lock:
            row = self.read(kind, record_id)
            self._change(kind, row, {})["deleted"] = True

    def _change(self, kind: str, row: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        wrong = dict.fromkeys(values.keys() - set(FIELDS[kind]), "unknown")
        wrong |= {name: "no option" for name, known in OPTIONS.items() if values.get(name, known[0]) not in known}
        if wrong:
            if row["version"] == 0:
                del self.records[kind][row["id"]]
            raise RefusalError(422, wrong=wrong)
        row.update(values, version=row["version"] + 1, change=f"{next(self._numbers):012}")
        row["at"] = datetime.now(UTC).isoformat()
        return row

    def listing(self, kind: str, query: dict[str, str]) -> dict[str, Any]:
        """From a change on, in the order of changes."""
        limit, start = int(query.pop("limit", _PAGE)), query.pop("from", "")
        with self._lock:
            rows = [dict(row) for row in self.records[kind].values() if row["change"] >= start]
        rows = [row for row in rows if all(row.get(name) == value for name, value in query.items())]
        rows.sort(key=lambda row: row["change"])
        return {"rows": rows[:limit], "next": rows[limit]["change"] if len(rows) > limit else None}


def create_app(crm: TinyCrm) -> Flask:
    app = Flask(__name__)
    app.before_request(_let_in)
    app.register_error_handler(RefusalError, lambda error: (error.words, error.status))
    app.add_url_rule("/about", "about", _about)
    app.add_url_rule("/records/<kind>", "records", partial(_records, crm), methods=["GET", "POST"])
    app.add_url_rule("/records/<kind>/<record_id>", "record", partial(_record, crm), methods=["GET", "PATCH", "DELETE"])
    return app


def _let_in() -> None:
    if request.headers.get("X-Key") != KEY:
        raise RefusalError(401, error="no such key")


def _about() -> dict[str, Any]:
    fields = {name: {"type": "text"} for name in FIELDS["case"]}
    fields |= {
        name: {"type": "option", "options": dict(zip(keys, keys, strict=True))} for name, keys in OPTIONS.items()
    }
    return {"crm": {"name": "Tiny CRM", "version": "1", "instance": "tiny"}, "fields": fields}


def _records(crm: TinyCrm, kind: str) -> Any:
    if request.method == "GET":
        return crm.listing(kind, dict(request.args))
    return crm.create(kind, json.loads(request.data)), 201


def _record(crm: TinyCrm, kind: str, record_id: str) -> Any:
    if request.method == "DELETE":
        crm.delete(kind, record_id)
        return Response(status=204)
    if request.method == "PATCH":
        return crm.update(kind, record_id, json.loads(request.data), request.headers.get("X-Version"))
    return crm.read(kind, record_id)
