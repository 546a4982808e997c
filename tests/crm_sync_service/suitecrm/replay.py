"""Play a recorded exchange against the simulator, and compare what both answered.

Many records of the recording were made outside it. Before each exchange the simulator is given the records that a
recorded success shows, so that what is compared is what the exchange itself does with them.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from werkzeug.test import Client, TestResponse

from tests.crm_sync_service.suitecrm import purifier
from tests.crm_sync_service.suitecrm.simulator import CLIENT, PASSWORD, PASSWORD_CLIENT, SECRET, Simulator
from tests.crm_sync_service.suitecrm.tables import API_USER, COLUMNS, SINGULAR, Row, Tables

Exchange = Mapping[str, Any]
MODULES = {singular: module for module, singular in SINGULAR.items()}
TOKYO = "aaaaaaaa-0000-4000-8000-000000000003"
_NOW = datetime(2026, 11, 22, 3, 0, 52, tzinfo=UTC)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NARROW = re.compile(r"filter\[(?:email1|email_address\w*|id\]\[eq|name|\w+_c)\]?")
"""Filters that find only records that the recording shows."""
_SECONDS = {"filter_date_modified_eq"}
"""Depends on seconds that no answer shows."""
_NOT_CALLED = ("/meta/swagger", "/listview/", "/search-defs/", "/user-preferences/", "/current-user")
"""What no sync client calls, and the simulator does not have."""
_TOKENS = {
    "token_expired": "a.expired.c",
    "token_tampered": "a.tampered.c",
    "token_garbage": "garbage",
    "token_missing_header": "",
}
_REVOKED = ("after_logout", "token_old_after_refresh")
_LAX = {"id", "case_number", "filename", "date_entered", "date_modified", "modified_user_id", "created_by"}


def covered(exchange: Exchange) -> bool:
    """Whether the simulator claims to answer this as SuiteCRM does."""
    if "request" not in exchange or exchange["name"] in _SECONDS:
        return False
    return not any(part in exchange["request"]["path"] for part in _NOT_CALLED)


class Replay:
    """A simulator in the state that the recording began with."""

    def __init__(self) -> None:
        self.simulator = Simulator()
        self.simulator.tables.now = lambda: _NOW
        self.client = Client(self.simulator)
        _people(self.simulator.tables)
        self.token = self._token()

    def differences(self, exchange: Exchange) -> list[str]:
        """What the simulator answers otherwise; empty if it answers as recorded."""
        self._prepare(exchange)
        before = {module: set(rows) for module, rows in self.simulator.tables.rows.items()}
        answer = self._send(exchange)
        for module, ids in before.items():
            if "id" not in _data(exchange):
                for record_id in self.simulator.tables.rows[module].keys() - ids:
                    del self.simulator.tables.rows[module][record_id]
        recorded = exchange["response"]
        found = []
        if answer.status_code != recorded["status"]:
            found.append(f"status {answer.status_code} instead of {recorded['status']}: {answer.get_data()[:200]!r}")
        kind = recorded["headers"].get("Content-Type", "")
        if (answer.content_type or "").split(";")[0] != kind.split(";")[0]:
            found.append(f"content type {answer.content_type} instead of {kind}")
        if not found:
            found += _compare(_body(answer), recorded["body"], exchange)
        return found

    def _token(self, client: str = CLIENT, grant: str = "client_credentials") -> Any:
        form = {"grant_type": grant, "client_id": client, "client_secret": SECRET}
        form |= {"username": "syncbot", "password": PASSWORD} if grant == "password" else {}
        return self.client.post("/Api/access_token", json=form).get_json()["access_token"]

    def _prepare(self, exchange: Exchange) -> None:
        name, simulator = exchange["name"], self.simulator
        quirks = simulator.quirks
        simulator.database_down = name.startswith("db_down")
        simulator.denied.clear()
        if name.startswith("acl_denied"):
            simulator.denied["Cases"] = {"edit", "delete"}
        quirks.narrow = name.endswith("utf8mb3") or name == "case_create_json_escape"
        quirks.wrong_offset = "-05:00" if "new_york" in name else ""
        quirks.old_counts = "7_14_4" in name
        quirks.unique_index = name == "unique_ext_create_repeat"
        if name == "unique_ext_create_repeat":
            simulator.tables.keep("Cases", "99999999-0000-4000-8000-000000000002", portal_ticket_id_c="U-2")
        simulator.api.user = TOKYO if name.startswith("tokyo") else API_USER
        simulator.tokens.inactive = {"bob"}
        simulator.tokens.clients = {CLIENT: (SECRET, "client_credentials"), PASSWORD_CLIENT: (SECRET, "password")}
        for record in _records(exchange["response"]["body"]):
            self._keep(exchange, record)
        self._adapt(exchange)

    def _keep(self, exchange: Exchange, record: Mapping[str, Any]) -> None:
        """The record that the answer shows, unless this very request makes it."""
        module = MODULES.get(record["type"])
        made = exchange["request"]["method"] == "POST" and "/relationships" not in exchange["request"]["path"]
        if module is None or made:
            return
        tables, attributes = self.simulator.tables, record["attributes"]
        sent = _sent(exchange)
        record_id = _data(exchange)["id"] if "id" in sent else record["id"]
        row = tables.rows[module].get(record_id) or self._add(module, record_id)
        for name in set(tables.columns(module)) & attributes.keys() - sent.keys():
            if name.startswith("date_") or not isinstance(attributes[name], str):
                continue
            row[name] = purifier.decoded(attributes[name])
        row["deleted"] = "0"
        for name in ("date_entered", "date_modified", "date_created"):
            if attributes.get(name) and "date_modified" not in sent:
                row[name] = str(attributes[name])[:19].replace("T", " ")
        if attributes.get("email1") and "email1" not in sent:
            tables.emails[record["id"]] = [(attributes["email1"], False)]
        if attributes.get("email1") and "email1" in sent and attributes["email1"] != sent["email1"]:
            tables.emails[record["id"]] = [(attributes["email1"], False)]
        self._keep_related(module, row, attributes)

    def _add(self, module: str, record_id: str) -> Row:
        return self.simulator.tables.keep(module, record_id, modified_user_id=API_USER)

    def _keep_related(self, module: str, row: Row, attributes: Mapping[str, Any]) -> None:
        named = {"account_name": ("Accounts", "account_id"), "parent_name": ("Cases", "parent_id")}
        for name, (related, column) in named.items():
            if attributes.get(name) and row.get(column):
                self._add(related, row[column])["name"] = purifier.decoded(attributes[name])

    def _adapt(self, exchange: Exchange) -> None:
        """Let there be what the answer presumes: a deleted record, one that exists, a link, a Case of an account."""
        tables, body = self.simulator.tables, json.dumps(exchange["response"]["body"])
        path = exchange["request"]["path"]
        for module, record_id in re.findall(r"(\w+) module with id (\S+) is not found", body):
            if module in COLUMNS and "deleted" in exchange["name"]:
                (tables.rows[module].get(record_id) or self._add(module, record_id))["deleted"] = "1"
        for module, record_id in re.findall(r"Bean (\w+) with id (\S+) is already exist", body):
            if record_id.lower() not in tables.rows[module]:
                self._add(module, record_id.lower())
        for name, record_id in re.findall(r"/module/(\w+)/([0-9a-f-]{36})", path):
            presumed = exchange["response"]["status"] in {200, 201, 500} or "Cannot load" in body
            if presumed and record_id not in tables.rows[name]:
                self._add(name, record_id)
        self._adapt_links(exchange, path)

    def _adapt_links(self, exchange: Exchange, path: str) -> None:
        tables, method = self.simulator.tables, exchange["request"]["method"]
        shown = [record["id"] for record in _records(exchange["response"]["body"])]
        if exchange["name"] == "account_delete":
            tables.keep("Cases", "99999999-0000-4000-8000-000000000001", account_id=path.rsplit("/", 1)[1])
        link = re.search(r"/Cases/([0-9a-f-]{36})/relationships/(contacts|accounts)(?:/([0-9a-f-]{36}))?", path)
        if link is None or method == "POST":
            return
        linked = [link[3]] if method == "DELETE" and exchange["response"]["status"] == 200 else shown
        if link[2] == "contacts":
            tables.contacts[link[1]] = linked
        else:
            tables.rows["Cases"][link[1]]["account_id"] = linked[0]

    def _send(self, exchange: Exchange) -> TestResponse:
        request = exchange["request"]
        headers = {name: value for name, value in request["headers"].items() if name != "Authorization"}
        token = _TOKENS.get(exchange["name"], self.token)
        if exchange["name"] in _REVOKED:
            token = self._revoked()
        headers["Authorization"] = f"Bearer {token}"
        body = request["body"]
        if isinstance(body, dict):
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(self._with_secrets(exchange["name"], body))
        elif isinstance(body, str):
            body = body.replace("<secret>", SECRET)
            if exchange["name"] == "token_client_credentials_form":
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = body.encode().replace("\ufffd".encode(), b"\xff")
        path, _, query = request["path"].partition("?")
        query = quote(unquote(query), safe="=&[],%:+$-_.~/") if "%" not in query else query
        return self.client.open(path, query_string=query, method=request["method"], headers=headers, data=body)

    def _revoked(self) -> str:
        token = self._token(PASSWORD_CLIENT, "password")
        self.simulator.tokens.given[-1].revoked = True
        return str(token)

    def _with_secrets(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Secrets are blanked in the recording."""
        if "grant_type" not in body:
            return body
        right = {"client_secret": SECRET, "password": PASSWORD}
        wrong = {"token_bad_secret": {"client_secret": "bad"}, "token_bad_password": {"password": "bad"}}
        filled = {key: right.get(key, value) for key, value in body.items()} | wrong.get(name, {})
        if body["grant_type"] == "refresh_token":
            self._token(PASSWORD_CLIENT, "password")
            given = self.simulator.tokens.given[-1]
            given.refresh_revoked = name == "token_refresh_reused"
            filled["refresh_token"] = "nonsense" if name == "token_refresh_garbage" else given.refresh
        return filled


def _people(tables: Tables) -> None:
    for number, (first, last) in enumerate((("Alice", "Agent"), ("Bob", "Brown"), ("Tomo", "Tokyo")), start=1):
        record_id = f"aaaaaaaa-0000-4000-8000-00000000000{number}"
        user, email = first.lower(), f"{first.lower()}@crm.example"
        tables.keep("Users", record_id, first_name=first, last_name=last, user_name=user, email1=email)
    tables.keep("Users", API_USER, first_name="Sync", last_name="Bot", user_name="syncbot")
    for number, name in enumerate(("Acme Corp", "Globex GmbH & Söhne", "Initech"), start=1):
        tables.keep("Accounts", f"bbbbbbbb-0000-4000-8000-00000000000{number}", name=name)
    contacts = (("Carol", "Customer", "carol@acme.example"), ("Dave", "Dürer", "Dave@Globex.example"))
    for number, (first, last, email) in enumerate(contacts, start=1):
        account = f"bbbbbbbb-0000-4000-8000-00000000000{number}"
        values = {"first_name": first, "last_name": last, "email1": email, "account_id": account}
        tables.keep("Contacts", f"cccccccc-0000-4000-8000-00000000000{number}", **values)


def _data(exchange: Exchange) -> dict[str, Any]:
    body = exchange["request"]["body"]
    data = body.get("data") if isinstance(body, dict) else None
    return data if isinstance(data, dict) else {}


def _sent(exchange: Exchange) -> dict[str, Any]:
    return _data(exchange).get("attributes") or {}


def _records(body: Any) -> list[Mapping[str, Any]]:
    data = body.get("data") if isinstance(body, dict) else None
    rows = data if isinstance(data, list) else [data]
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("attributes"), dict) and "id" in row]


def _body(answer: TestResponse) -> Any:
    text = answer.get_data(as_text=True)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _compare(ours: Any, recorded: Any, exchange: Exchange) -> list[str]:
    if not isinstance(recorded, dict) or not isinstance(ours, dict):
        return [] if ours == recorded else [f"{str(ours)[:200]} instead of {str(recorded)[:200]}"]
    if exchange["response"]["status"] == 500 and "error" in recorded and isinstance(recorded["error"], list):
        ours, recorded = ours["error"][0]["message"], recorded["error"][0]["message"]
        return [] if ours == recorded else [f"{ours} instead of {recorded}"]
    if "access_token" in recorded:
        return [] if ours.keys() == recorded.keys() else [f"{ours.keys()} instead of {recorded.keys()}"]
    if "/meta/" in exchange["request"]["path"]:
        return _compare_meta(ours, recorded)
    found = [] if ours.keys() == recorded.keys() else [f"{sorted(ours)} instead of {sorted(recorded)}"]
    found += [
        f"{ours.get(name)} instead of {recorded.get(name)}"
        for name in ("errors", "error", "error_description", "hint", "message")
        if ours.get(name) != recorded.get(name)
    ]
    if isinstance(recorded.get("meta"), dict):
        shown, wanted = ours["meta"], recorded["meta"]
        found += [] if shown.keys() == wanted.keys() else [f"meta {shown} instead of {wanted}"]
        found += [] if shown.get("message") == wanted.get("message") else [f"{shown} instead of {wanted}"]
        found += [] if (wanted.get("total-pages") != 0) == (shown.get("total-pages") != 0) else [f"{shown}"]
    return found + _compare_records(_records(ours), _records(recorded), exchange)


def _compare_records(ours: list[Any], recorded: list[Any], exchange: Exchange) -> list[str]:
    """A list of the whole table is compared by its first record; one with a filter by all of them."""
    made = exchange["request"]["method"] == "POST" and len(recorded) == 1
    if made:
        return _compare_record(ours[0], recorded[0], same_id="id" in _data(exchange))
    by_id = {record["id"]: record for record in ours}
    found = []
    for record in recorded:
        if record["id"] in by_id:
            found += _compare_record(by_id[record["id"]], record)
    narrow = _NARROW.search(unquote(exchange["request"]["path"]))
    if narrow or len(recorded) == 0:
        missing = {record["id"] for record in recorded} ^ by_id.keys()
        found += [f"records {sorted(missing)} differ"] if missing else []
    return found


def _compare_record(ours: Mapping[str, Any], recorded: Mapping[str, Any], *, same_id: bool = True) -> list[str]:
    found = []
    if same_id and ours["id"] != recorded["id"]:
        found.append(f"id {ours['id']} instead of {recorded['id']}")
    if ours["type"] != recorded["type"]:
        found.append(f"type {ours['type']} instead of {recorded['type']}")
    for name, value in ours["attributes"].items():
        wanted = recorded["attributes"].get(name)
        if name.startswith("date_") and wanted:
            if (value[17:19] == "00", value[19:]) != (wanted[17:19] == "00", wanted[19:]):
                found.append(f"{name}: {value} instead of {wanted}")
        elif isinstance(wanted, str) and name not in _LAX and value != wanted:
            found.append(f"{name}: {str(value)[:120]!r} instead of {str(wanted)[:120]!r}")
    return found


def _compare_meta(ours: Any, recorded: Any) -> list[str]:
    if "errors" in recorded:
        return [] if ours == recorded else [f"{ours} instead of {recorded}"]
    shown, wanted = ours["data"]["attributes"], recorded["data"]["attributes"]
    return [f"{name} is unknown there" for name in shown if name not in wanted and name not in {"contact_id", "email2"}]
