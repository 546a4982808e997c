"""The routes of the simulated EspoCRM: what each address and method does with the records."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from tests.crm_sync_service.espocrm.filters import RefusedError, selected
from tests.crm_sync_service.espocrm.schema import invalid, translation
from tests.crm_sync_service.espocrm.specials import Request, Rights, Specials

_ENTITIES = ("Case", "Note", "Account", "Contact", "User", "Role", "Webhook", "Attachment")
_EVENTS = re.compile(r"(\w+)\.(create|update|delete|fieldUpdate\.(\w+))$")
_ADDED: Mapping[str, tuple[str, ...]] = {
    "Case": ("number",),
    "Contact": ("createdAt", "accountId", "accountName", "firstName", "lastName"),
    "Account": ("createdAt",),
    "User": ("name", "type", "isActive"),
}
"""What EspoCRM shows though it was not selected, beside ids."""
_HEAVY = ("contactsIds", "attachmentsIds", "emailAddressData", "rolesIds", "data")
_SLIM_404 = b'{\n    "message": "404 Not Found"\n}'
_SLIM_405 = b'{\n    "message": "405 Method Not Allowed"\n}'


class Routes:
    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator
        self._state = simulator.state
        self._rights = Rights(simulator)
        self._specials = Specials(simulator, self._rights, self.streamed)

    def handle(self, request: Request) -> tuple[int, Any]:
        """Status and answer. Raises RefusedError."""
        parts = request.path.split("/")
        parts[0] = parts[0][:1].upper() + parts[0][1:]
        if not parts[0] or len(parts) > 3 + (parts[0] == "Admin"):
            return 404, _SLIM_404
        if request.method == "OPTIONS":
            return 200, _SLIM_405
        if handler := self._specials.handlers.get(parts[0]):
            return 200, handler(request, parts[1:])
        if parts[0] not in _ENTITIES:
            raise RefusedError(404, f"Controller '{parts[0]}' does not exist.")
        if request.method == "HEAD":
            raise RefusedError(404, f"Action HEAD 'read' does not exist in controller '{parts[0]}'.")
        return self._of_entity(request, parts)

    def _of_entity(self, request: Request, parts: list[str]) -> tuple[int, Any]:
        if len(parts) == 1:
            return self._collection(request, parts[0])
        if parts[1] == "action":
            return 200, self._specials.action_of(request, parts)
        if parts[1] == "layout":
            return 200, [{"rows": []}]
        if parts[:2] == ["Attachment", "file"]:
            return 200, self._state.find("Attachment", parts[2], reading=True)["file"]
        if len(parts) == 3:
            return 200, self._link(request, *parts)
        return self._record(request, *parts)

    # Lists and records.

    def _collection(self, request: Request, entity: str) -> tuple[int, Any]:
        if request.method == "GET":
            self._rights.demand(request, entity, "read", "No read access.")
            rows = self._state.live(entity)
            if entity == "Note" and not self._rights.is_admin(request) and self._state.has("notes_list_is_own"):
                rows = [row for row in rows if row["createdById"] == request.user]
            if entity == "User" and not self._rights.is_admin(request):
                rows = [row for row in rows if row["type"] not in {"api", "system"}]
            if entity != "Note" and self._rights.level(request, entity, "read") == "own":
                rows = [row for row in rows if row.get("assignedUserId") == request.user]
            return 200, self._listed(request, entity, rows)
        if request.method != "POST":
            return 405, _SLIM_405
        if entity == "Webhook":
            return 201, self._new_webhook(request)
        self._rights.demand(request, entity, "create", "No create access.")
        return 200, self._created(request, entity)

    def _created(self, request: Request, entity: str) -> dict[str, Any]:
        values = request.values
        if entity == "Note":
            values = self._new_note(request, values)
        if entity == "Attachment":
            values = _file(values)
        if self._rights.level(request, entity, "read") == "own":
            self._refuse_foreign(values, request)
        skip = request.headers.get("X-Skip-Duplicate-Check") == "true"
        row = self._state.create(entity, values, by=request.user, skip_check=skip)
        shown = self._state.shown(entity, row)
        if not self._state.has("create_lacks_number"):
            return shown
        shown = {
            name: value for name, value in shown.items() if value is not None or name in values or name.endswith("Name")
        }
        shown.pop("number", None)
        return shown | ({"number": request.values["number"]} if "number" in request.values else {})

    def _refuse_foreign(self, values: Mapping[str, Any], request: Request) -> None:
        if values.get("accountId"):
            body = translation("noLinkAccess", {"foreignEntityType": "Account", "link": "account"})
            raise RefusedError(403, "No access for link operation (Case:account).", body)
        if values.get("assignedUserId") not in {None, request.user}:
            raise RefusedError(403, "Assignment failure: assigned user or team not allowed.")

    def _new_note(self, request: Request, values: dict[str, Any]) -> dict[str, Any]:
        kind, parent = values.get("parentType"), values.get("parentId")
        if kind and kind not in _ENTITIES:
            words = "Field validation failure; entityType: Note, field: parent, type: valid."
            raise RefusedError(400, words, translation("validationFailure", {"field": "parent", "type": "valid"}))
        case = self._state.tables["Case"].get(str(parent))
        own_only = self._rights.level(request, "Case", "read") == "own"
        if kind == "Case" and (
            case is None or case["deleted"] or (own_only and case["assignedUserId"] != request.user)
        ):
            status = 403 if self._state.has("deleted_case_refuses_notes_with_403") else 404
            raise RefusedError(status, "No create access.")
        return {**values, "type": "Post"}

    def _new_webhook(self, request: Request) -> dict[str, Any]:
        if not self._simulator.rights.get("Webhook"):
            raise RefusedError(403)
        event = _EVENTS.match(str(request.values.get("event")))
        if event is None:
            raise RefusedError(403, "Not supported event.")
        if event[1] == "Note" and not self._state.custom["Note"].get("webhooks"):
            raise RefusedError(403, "Entity type is not available for Webhooks.")
        if not self._simulator.internal_webhooks and "127.0.0.1" in str(request.values.get("url")):
            raise invalid("Webhook", "url", "notInternal")
        kind = event[2].split(".")[0]
        more = {"entityType": event[1], "type": kind, "field": event[3], "secretKey": f"secret-of-{event[0]}" * 2}
        row = self._state.create("Webhook", {**request.values, **more}, by=request.user)
        return self._state.shown("Webhook", row)

    def _record(self, request: Request, entity: str, record_id: str) -> tuple[int, Any]:
        if request.method == "POST":
            return 405, _SLIM_405
        if request.method == "GET":
            return 200, self._read(request, entity, record_id)
        verb = "delete" if request.method == "DELETE" else "edit"
        row = self._state.find(entity, record_id, reading=False)
        if entity == "Note" and row["createdById"] != request.user and not self._rights.is_admin(request):
            raise RefusedError(403, f"No {verb} access.")
        self._rights.demand(request, entity, verb, f"No {verb} access.")
        if self._rights.level(request, entity, verb) == "own" and row.get("assignedUserId") != request.user:
            raise RefusedError(403, f"No {verb} access.")
        if request.method == "DELETE":
            self._state.delete(entity, record_id, by=str(request.user))
            return 200, True
        values = dict(request.values)
        if entity == "Note":
            values = {name: value for name, value in values.items() if name not in {"parentId", "parentType", "type"}}
        version = request.headers.get("X-Version-Number")
        row = self._state.update(entity, record_id, values, by=request.user, version=version)
        shown = self._state.shown(entity, row)
        return 200, shown | {name: values[name] for name in ("number",) if name in values}

    def _read(self, request: Request, entity: str, record_id: str) -> dict[str, Any]:
        row = self._state.tables[entity].get(record_id)
        if row is not None and row["deleted"] and self._rights.is_admin(request):
            return self._state.shown(entity, row)
        row = self._state.find(entity, record_id, reading=True)
        if (
            self._rights.level(request, entity, "read") == "own"
            and entity == "Case"
            and row["assignedUserId"] != request.user
        ):
            raise RefusedError(403, "No 'read' access.")
        parent = self._state.tables["Case"].get(str(row.get("parentId"))) if entity == "Note" else None
        if parent is not None and parent["deleted"]:
            raise RefusedError(403, "No 'read' access.")
        return self._state.shown(entity, row)

    def _link(self, request: Request, entity: str, record_id: str, link: str) -> Any:
        if link in {"stream", "posts"}:
            row = self._state.tables[entity].get(record_id)
            if row is None or row["deleted"]:
                raise RefusedError(404, "Record not found.")
            return self._stream(request, record_id, posts=link == "posts" or request.query.get("filter") == "posts")
        if link == "cases":
            test = "accountId" if entity == "Account" else "contactsIds"
            rows = [row for row in self._state.live("Case") if record_id == row[test] or record_id in (row[test] or [])]
            return self._listed(request, "Case", rows)
        if link != "contacts":
            return _no_link(entity, link)
        if request.method == "GET":
            ids = self._state.find(entity, record_id, reading=True)["contactsIds"]
            rows = [row for row in self._state.live("Contact") if row["id"] in ids]
            return self._listed(request, "Contact", rows)
        ids = request.values.get("ids") or ([request.values["id"]] if request.values.get("id") else [])
        return self._state.link(record_id, ids, remove=request.method == "DELETE")

    def _stream(self, request: Request, case_id: str, *, posts: bool) -> dict[str, Any]:
        rows = [row for row in self._state.live("Note") if row["parentId"] == case_id]
        rows = [row for row in rows if not posts or row["type"] == "Post"]
        return self.streamed(request, rows)

    def streamed(self, request: Request, rows: list[Any], *, globally: bool = False) -> dict[str, Any]:
        query = request.query
        rows = self._filtered(rows, "Note", query)
        if query.get("after"):
            rows = [row for row in rows if row["createdAt"] > query["after"]]
        if query.get("beforeNumber"):
            rows = [row for row in rows if row["number"] < int(query["beforeNumber"])]
        rows.sort(key=lambda row: -row["number"] if self._state.has("stream_newest_first") else row["number"])
        size = _size(query)
        offset = int(query.get("offset") or 0)
        shown = [self._state.shown("Note", row) for row in rows[offset : offset + size]]
        if not globally:
            return {"total": len(rows), "list": shown}
        for row in shown:
            row.pop("portalReplyId", None)
        return {"total": -1 if len(rows) > size else -2, "list": shown}

    def _listed(self, request: Request, entity: str, rows: list[Any]) -> dict[str, Any]:
        query = request.query
        if query.get("searchParams"):
            query = _search_params(query["searchParams"])
        rows = self._filtered(rows, entity, query)
        if query.get("textFilter"):
            rows = [row for row in rows if query["textFilter"] in {row["emailAddress"], row["name"]}]
        if query.get("primaryFilter") not in {None, "open"}:
            raise RefusedError(400, f"No primary filter '{query['primaryFilter']}' for '{entity}'.")
        rows = self._ordered(rows, entity, query)
        size = _size(query)
        offset = int(query.get("offset") or 0)
        page = rows[offset : offset + size]
        total = len(rows)
        if request.headers.get("X-No-Total") == "true":
            total = -1 if len(rows) > offset + size else -2
        return {"total": total, "list": [self._row(entity, row, query) for row in page]}

    def _filtered(self, rows: list[Any], entity: str, query: Mapping[str, Any]) -> list[Any]:
        where = query.get("where")
        if isinstance(where, str) and not self._state.has("garbage_where_matches_all"):
            raise RefusedError(400, "Bad where.")
        return list(selected(rows, where, attributes=self._state.attributes(entity)))

    def _ordered(self, rows: list[Any], entity: str, query: Mapping[str, Any]) -> list[Any]:
        usual = {"Case": ("number", "desc"), "User": ("userName", "asc")}.get(entity, ("createdAt", "desc"))
        by = query.get("orderBy") or usual[0]
        order = query.get("order") or ("asc" if query.get("orderBy") else usual[1])
        if not self._state.attributes(entity)(by):
            raise RefusedError(400, f"Order by non-existing field '{by}'.")
        if order not in {"asc", "desc"}:
            raise RefusedError(400, "order value is bad.")
        return sorted(rows, key=lambda row: (row[by] or "", row["id"]), reverse=order == "desc")

    def _row(self, entity: str, row: Mapping[str, Any], query: Mapping[str, Any]) -> dict[str, Any]:
        shown = self._state.shown(entity, row)
        wanted = query.get("select") or query.get("attributeSelect")
        names = wanted.split(",") if isinstance(wanted, str) else wanted
        if not names:
            return {name: value for name, value in shown.items() if name not in _HEAVY}
        also: tuple[str, ...] = ("id", "createdById", "assignedUserId", *_ADDED.get(entity, ()))
        if entity == "User" and "name" not in names:
            shown["name"] = row["userName"]
        if not self._state.has("lists_show_one_address"):
            also += ("emailAddressData",)
        return {name: value for name, value in shown.items() if name in {*names, *also}}


def _no_link(entity: str, link: str) -> bool:
    if link == "subscription":
        return True
    if link == "updateStream":
        raise RefusedError(403)
    if link == "account":
        raise RefusedError(403, "Only manyMany, hasMany & hasChildren relations are allowed.")
    raise RefusedError(404, f"Entity {entity} does not have link {link}.")


def _size(query: Mapping[str, Any]) -> int:
    size = int(query.get("maxSize", 200))
    if size > 200:
        raise RefusedError(403, "Max size should not exceed 200. Use offset and limit.")
    if size < 0:
        raise RefusedError(500, None)
    return size


def _search_params(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def _file(values: dict[str, Any]) -> dict[str, Any]:
    if not values.get("field"):
        raise RefusedError(400, "No `field` and `parentType`.")
    start, _, content = str(values.get("file")).partition(";base64,")
    if not start.startswith("data:"):
        raise RefusedError(400, "Bad file contents.")
    raw = base64.b64decode(content)
    return {**values, "file": raw, "size": len(raw)}
