"""The V8 API of the simulated SuiteCRM, below /Api/V8/."""

import json
import re
from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.crm_sync_service.suitecrm.answers import record
from tests.crm_sync_service.suitecrm.lists import find_rows, list_answer
from tests.crm_sync_service.suitecrm.refusals import DENIED, RefusalError, invalid, json_answer, not_found
from tests.crm_sync_service.suitecrm.tables import API_USER, COLUMNS, SINGULAR, VIRTUAL, Row, Tables

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_BARE = re.compile(r"[0-9a-fA-F]{32}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_LINKS = {
    "Cases": {"contacts", "accounts", "notes", "aop_case_updates", "assigned_user_link"},
    "Contacts": {"email_addresses"},
}
_MODULE_OF = {"contacts": "Contacts", "accounts": "Accounts", "notes": "Notes", "aop_case_updates": "AOP_Case_Updates"}
_PLURAL = {singular: module for module, singular in SINGULAR.items()}
_RIGHTS = ("access", "delete", "edit", "export", "import", "list", "massupdate", "view")
_SENT = '"attributes", "id", "type"'


class Api:
    """Answers requests from tables."""

    def __init__(self, tables: Tables, denied: Mapping[str, set[str]]) -> None:
        self._tables, self._denied = tables, denied
        self.user = API_USER

    def answer(self, request: Request, path: str, body: Any) -> Response:
        parts = path.strip("/").split("/")
        if parts[0] == "meta":
            return self._meta(parts)
        if path == "logout":
            return json_answer({"meta": {"message": "You have been successfully logged out"}, "data": []})
        if path == "current-user":
            row = self._tables.rows["Users"][self.user]
            return json_answer({"data": record(self._tables, "Users", row)})
        if parts[0] != "module" or len(parts) > 6:
            raise RefusalError("Not found", 404)
        if len(parts) == 1:
            return self._save(request, body)
        if len(parts) in {4, 5, 6}:
            return self._relationships(request, parts, body)
        return self._records(request, parts)

    def _records(self, request: Request, parts: list[str]) -> Response:
        if request.method not in ({"GET", "HEAD"} if len(parts) == 2 else {"GET", "HEAD", "DELETE"}):
            allowed = "GET" if len(parts) == 2 else "GET, DELETE"
            raise RefusalError(f"Method not allowed. Must be one of: {allowed}", 405)
        module = self._module(parts[1])
        self._allow(module, "delete" if request.method == "DELETE" else "list")
        if len(parts) == 2:
            return list_answer(self._tables, module, request, path=f"V8/module/{parts[1]}")
        if not (_UUID.fullmatch(parts[2]) or (module == "Users" and parts[2] == "1")):
            raise invalid("id", parts[2])
        row = self._live(module, parts[2])
        if request.method == "DELETE":
            return self._delete(module, row)
        wanted = self._wanted(module, request)
        return json_answer({"data": record(self._tables, module, row, wanted)})

    def _delete(self, module: str, row: Row) -> Response:
        cases = self._tables.rows["Cases"].values()
        if module == "Accounts" and any(case["account_id"] == row["id"] for case in cases):
            raise RefusalError("Call to a member function call_custom_logic() on bool", 500)
        self._tables.delete(module, row["id"])
        return json_answer({"meta": {"message": f"Record with id {row['id']} is deleted"}, "data": []})

    def _wanted(self, module: str, request: Request) -> list[str] | None:
        for name in (f"fields[{module}]", f"fields[{SINGULAR[module]}]"):
            if name in request.args:
                return self.checked_fields(module, request.args[name])
        return None

    def checked_fields(self, module: str, given: str) -> list[str]:
        names = given.split(",")
        if any(name != name.strip() for name in names):
            raise invalid("fields", "array")
        known = {*self._tables.columns(module), *VIRTUAL[module], "id"}
        for name in names:
            if name not in known:
                raise RefusalError(f"The following field in {SINGULAR[module]} module is not found: {name}")
        return names

    def _save(self, request: Request, body: Any) -> Response:
        if request.method == "OPTIONS":
            return Response("Allowed methods: POST, PATCH", content_type="text/plain;charset=UTF-8")
        data = _data(body)
        module, attributes, record_id = self._module(data["type"]), data["attributes"], data.get("id")
        known = {*self._tables.columns(module), *VIRTUAL[module], "id"}
        for name in attributes:
            if name not in known:
                raise RefusalError(f"Property {name} in {SINGULAR[module]} module is invalid")
        if record_id is not None and not (_UUID.fullmatch(record_id) or _BARE.fullmatch(record_id)):
            raise invalid("id", record_id)
        if request.method == "POST":
            row = self._create(module, attributes, record_id)
        else:
            row = self._patch(module, attributes, record_id)
        unread = self._tables.live(module, row["id"]) is None
        return json_answer({"data": record(self._tables, module, row, unread=unread)}, 201)

    def _create(self, module: str, attributes: dict[str, Any], record_id: str | None) -> Row:
        tables = self._tables
        with tables.lock:
            if record_id is not None and record_id.lower() in tables.rows[module]:
                raise RefusalError(f"Bean {module} with id {record_id} is already exist", late=True)
            self._allow(module, "edit")
            if "id" in attributes and tables.quirks.id_in_attributes:
                blank = dict.fromkeys(tables.columns(module), "") | {"deleted": "0", "state": "Open"}
                blank |= {"date_modified": tables.stamp(), "modified_user_id": self.user}
                return blank | self._values(module, attributes) | {"id": attributes["id"], "case_number": ""}
            row = tables.new_row(module, record_id, by=self.user)
            row |= self._values(module, attributes)
            if tables.quirks.unique_index and self._is_taken(module, row.get("portal_ticket_id_c")):
                row |= dict.fromkeys(tables.custom.get(module, ()), "")
            tables.rows[module][row["id"]] = row
            self._besides(module, row, attributes)
            if attributes.get("filename", "").endswith(".php"):
                raise RefusalError("File upload failed: File extension is not included or is not valid.", late=True)
            return dict(row)

    def _is_taken(self, module: str, key: str | None) -> bool:
        rows = self._tables.rows[module].values()
        return bool(key) and any(row["portal_ticket_id_c"] == key for row in rows)

    def _patch(self, module: str, attributes: dict[str, Any], record_id: str | None) -> Row:
        if record_id is None:
            raise RefusalError('The required option "id" is missing.')
        row = self._live(module, record_id)
        self._allow(module, "edit")
        if "id" in attributes and self._tables.quirks.id_in_attributes:
            saved = {"id": attributes["id"], "date_modified": self._tables.stamp(), "modified_user_id": self.user}
            return row | self._values(module, attributes) | saved
        after = self._tables.change(module, row["id"], self._values(module, attributes), by=self.user)
        self._besides(module, after, attributes)
        return after

    def _values(self, module: str, attributes: dict[str, Any]) -> dict[str, str]:
        columns = set(self._tables.columns(module)) - {"case_number"}
        values = {}
        for name, value in attributes.items():
            if name not in columns or (value is None and self._tables.quirks.null_ignored):
                continue
            if name.startswith("date_"):
                values[name] = str(value) if _DATE.fullmatch(str(value)) else self._tables.stamp()
            else:
                values[name] = self._tables.stored(module, name, "" if value is None else value)
        return values

    def _besides(self, module: str, row: Row, attributes: dict[str, Any]) -> None:
        tables = self._tables
        if module == "Contacts":
            row["name"] = f"{row['first_name']} {row['last_name']}".strip()
            if attributes.get("email1") and not tables.emails.get(row["id"]):
                tables.emails[row["id"]] = [(attributes["email1"], False)]
        if module == "Cases" and attributes.get("contact_id"):
            tables.link_contact(row["id"], attributes["contact_id"])
        if module == "Cases" and attributes.get("update_text"):
            update = tables.new_row("AOP_Case_Updates", None, by=self.user)
            words = tables.stored("AOP_Case_Updates", "description", attributes["update_text"])
            update |= {"name": words[:255], "description": words, "case_id": row["id"]}
            tables.rows["AOP_Case_Updates"][update["id"]] = update

    def _relationships(self, request: Request, parts: list[str], body: Any) -> Response:
        module = self._module(parts[1])
        row = self._live(module, parts[2])
        if len(parts) == 4:
            return self._link_generically(module, row, _data(body, attributes=False))
        link = parts[4]
        if link not in _LINKS.get(module, set()):
            raise RefusalError(f"Cannot load relationship {link} for {SINGULAR[module]} module")
        if request.method == "GET":
            rows = self._related(row, link)
            related = "EmailAddresses" if link == "email_addresses" else _MODULE_OF[link]
            return list_answer(
                self._tables,
                related,
                request,
                path=f"V8/module/{parts[1]}/{row['id']}/relationships/{link}",
                rows=rows,
                empty=f"There is no relationship set in {SINGULAR[module]} module with {link} link field",
            )
        if request.method == "DELETE":
            return self._unlink(module, row, link, parts[5])
        return self._link(module, row, link, _data(body, attributes=False))

    def _related(self, row: Row, link: str) -> list[Row]:
        tables = self._tables
        if link == "contacts":
            ids = tables.contacts.get(row["id"], [])
            return [found for each in ids if (found := tables.live("Contacts", each)) is not None]
        if link == "email_addresses":
            return [
                {"id": f"{row['id']}{place}", "email_address": address, "email_address_caps": address.upper()}
                for place, (address, removed) in enumerate(tables.emails.get(row["id"], []))
                if not removed
            ]
        if link == "accounts":
            account = tables.live("Accounts", row["account_id"])
            return [account] if account else []
        module, column = ("Notes", "parent_id") if link == "notes" else ("AOP_Case_Updates", "case_id")
        return [each for each in find_rows(tables, module) if each[column] == row["id"]]

    def _link_generically(self, module: str, row: Row, data: dict[str, Any]) -> Response:
        related = self._module(data["type"])
        self._live(related, data["id"], late=False)
        if related == "Contacts" and self._tables.quirks.generic_link:
            row["contact_created_by_id"] = data["id"]
        elif related == "Contacts":
            self._tables.link_contact(row["id"], data["id"])
        elif related == "Accounts":
            row["account_id"] = data["id"]
        words = f"{SINGULAR[related]} with id {data['id']} has been added to {SINGULAR[module]} with id {row['id']}"
        return json_answer({"meta": {"message": words}, "data": []}, 201)

    def _link(self, module: str, row: Row, link: str, data: dict[str, Any]) -> Response:
        related = self._module(data["type"])
        other = self._live(related, data["id"], late=False)
        if link == "contacts":
            self._tables.link_contact(row["id"], other["id"])
        elif link in {"accounts", "assigned_user_link"}:
            row["account_id" if link == "accounts" else "assigned_user_id"] = other["id"]
        else:
            other |= {"parent_type": module, "parent_id": row["id"]}
        words = f"{related} record with id {other['id']} has been related to {module} record with id {row['id']}"
        meta = {"message": f"{words} using link {link}", "sourceModule": module, "sourceId": row["id"]}
        meta |= {"relatedModule": related, "relatedId": other["id"], "relationshipLink": link}
        meta |= {"sourceModuleLabel": module, "relatedModuleLabel": related}
        return json_answer({"meta": meta, "data": []}, 201)

    def _unlink(self, module: str, row: Row, link: str, related_id: str) -> Response:
        linked = [each["id"] for each in self._related(row, link)]
        if related_id not in linked:
            raise RefusalError(f"Module with {related_id} id is not related to {SINGULAR[module]}", late=True)
        if link == "contacts":
            self._tables.contacts[row["id"]].remove(related_id)
        else:
            row["account_id"] = ""
        words = f"Relationship has been deleted between {SINGULAR[module]} with id {row['id']} and "
        words += f"{SINGULAR[_MODULE_OF[link]]} with id {related_id}"
        return json_answer({"meta": {"message": words}, "data": []})

    def _meta(self, parts: list[str]) -> Response:
        if parts[1] == "modules":
            access = {
                module: {"label": module, "access": [r for r in _RIGHTS if r not in self._denied.get(module, ())]}
                for module in ("Accounts", "Cases", "Contacts", "Notes")
            }
            return json_answer({"data": {"type": "modules", "attributes": access}})
        if parts[1] != "fields":
            raise RefusalError("Not found", 404)
        if parts[2] not in COLUMNS:
            words = "[SuiteCRM] [Not Allowed] The API user does not have access to this module."
            raise RefusalError(words, late=True)
        fields = {name: _described(name) for name in self._tables.columns(parts[2])}
        fields |= {name: {"type": "relate", "source": "non-db", "required": False} for name in VIRTUAL[parts[2]]}
        fields |= {name: {"type": "link", "source": "non-db", "required": False} for name in _LINKS.get(parts[2], ())}
        return json_answer({"data": {"type": "fields", "attributes": fields}})

    def _module(self, name: str) -> str:
        module = _PLURAL.get(name, name)
        if module not in COLUMNS:
            raise RefusalError(f"Module {name} does not exist")
        return module

    def _live(self, module: str, record_id: str, *, late: bool = True) -> Row:
        row = self._tables.live(module, record_id)
        if row is None:
            raise not_found(module, record_id, late=late)
        return row

    def _allow(self, module: str, right: str) -> None:
        if right in self._denied.get(module, ()):
            raise RefusalError(DENIED, late=True)


def _data(body: Any, *, attributes: bool = True) -> dict[str, Any]:
    data = body.get("data") if isinstance(body, dict) else None
    if data is None or not _is_utf8(body):
        raise RefusalError('The required option "data" is missing.')
    if isinstance(data, list):
        names = ", ".join(f'"{place}"' for place in range(len(data)))
        raise RefusalError(f"The options {names} do not exist. Defined options are: {_SENT}.")
    for name in data:
        if name not in {"attributes", "id", "type"}:
            raise RefusalError(f'The option "{name}" does not exist. Defined options are: {_SENT}.')
    if attributes and not data.get("attributes"):
        raise invalid("data", "array")
    if any(isinstance(value, list | dict) for value in data.get("attributes", {}).values()):
        raise invalid("attributes", "array")
    return dict(data)


def _is_utf8(body: Any) -> bool:
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(name: str) -> dict[str, Any]:
    kind = {"description": "text", "status": "dynamicenum", "priority": "enum", "state": "enum", "product_c": "enum"}
    length = {"name": 255, "portal_ticket_id_c": "64", "portal_message_id_c": "64", "status": 100, "priority": 100}
    return {
        "type": kind.get(name, "datetime" if name.startswith("date_") else "varchar"),
        "required": name == "name",
        **({"len": length[name]} if name in length else {}),
        **({"source": "custom_fields"} if name.endswith("_c") else {}),
    }
