"""Cases, their comments, contacts, accounts, users and products of Salesforce.

A Case carries the ticket's id in a unique external id of its own. A comment cannot have fields of ours, so that it ends
with a line that names its reply. A Case is made by a plain insert, which Salesforce refuses the second time: an upsert
would write over what account managers changed between a lost answer and the next try.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    AmbiguousError,
    Capabilities,
    CaseFields,
    CaseRecord,
    CaseStamp,
    CrmInfo,
    DirectoryEntry,
    DirectoryKind,
    FeedPage,
    FieldInfo,
    GoneError,
    InvalidError,
    Missing,
    NewCase,
    NewContact,
    NewNote,
    NoteRecord,
    NoteStamp,
    NotFoundError,
    RecordKind,
    TextRules,
    UnauthorisedError,
)
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.salesforce.api import API_VERSION, SalesforceApi, literal

_PAGE = 1000
_OBJECTS: Mapping[RecordKind, str] = {"case": "Case", "note": "CaseComment", "contact": "Contact"}
_DIRECTORY: Mapping[DirectoryKind, tuple[str, str, str]] = {
    "account": ("Account", "Name, IsDeleted, MasterRecordId", ""),
    "contact": ("Contact", "Name, Email, AccountId, IsDeleted, MasterRecordId", ""),
    "user": ("User", "Name, Email, IsActive", "UserType = 'Standard'"),
    "product": ("Product2", "Name, IsActive, IsDeleted", ""),
}
_MARK = "\n[Casebridge {key}]"
_COMMENTS = "sobjects/CaseComment"
_COMMENT_CHARACTERS = 4000


class SalesforceConnector:
    """Salesforce by REST; see TextRules for what it cuts."""

    name = "salesforce"
    capabilities = Capabilities(
        client_ids=False,
        unique_keys=True,
        conditional_update=False,
        feed_overlap=timedelta(minutes=5),
        feed_shows_deletions=True,
        notes_touch_case=False,
        webhooks=False,
        # Salesforce counts characters; bytes are never fewer. A comment has no title, and its last line is ours.
        text=TextRules(subject_length=255, description_bytes=32_000, note_title_length=0, note_bytes=3_900),
    )

    def __init__(self, config: ConnectorConfig) -> None:
        """Raises ConfigError."""
        options = config.options
        self._fields = config.fields
        self._key = str(options.get("ticket_id_field", "Portal_Ticket_Id__c"))
        self._url = config.url
        self._api = SalesforceApi(
            config, version=str(options.get("api_version", API_VERSION)), share=float(options.get("api_share", 0.9))
        )

    def close(self) -> None:
        self._api.close()

    def info(self) -> CrmInfo:
        row = self._api.query("SELECT Id, Name, OrganizationType FROM Organization LIMIT 1")[0]
        return CrmInfo(name="Salesforce", version=self._api.base.split("/")[3], instance=str(row["Id"]))

    def get_case(self, case_id: str) -> CaseRecord:
        return self._one(self._api.query(self._case_query(f"Id = {literal(case_id)}")), case_id)

    def _one(self, rows: Sequence[Mapping[str, Any]], case_id: str) -> CaseRecord:
        if not rows:
            raise NotFoundError(f"Salesforce has no Case {case_id}")
        if rows[0]["IsDeleted"]:
            raise GoneError(f"Case {case_id} was deleted", merged_into=rows[0].get("MasterRecordId"))
        return self._case(rows[0])

    def create_case(self, new: NewCase) -> CaseRecord:
        body = {**self._sent(new.fields), self._key: new.key}
        made, read = self._composite("POST", "sobjects/Case", body, "@{made.id}")
        return self._one(read["records"], str(made["id"]))

    def find_case(self, new: NewCase) -> CaseRecord | None:
        rows = self._api.query(self._case_query(f"{self._key} = {literal(new.key)}"))
        live = [row for row in rows if not row["IsDeleted"]]
        if len(live) > 1:
            raise AmbiguousError(
                f"{len(live)} Cases carry the ticket {new.key}", record_ids=[str(row["Id"]) for row in live]
            )
        if rows and not live:
            raise GoneError(f"the Case of ticket {new.key} was deleted", merged_into=rows[0].get("MasterRecordId"))
        return self._case(live[0]) if live else None

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        _, read = self._composite("PATCH", f"sobjects/Case/{case_id}", self._sent(changes), case_id)
        return self._one(read["records"], case_id)

    def _composite(self, method: str, path: str, body: Mapping[str, Any], case_id: str) -> list[Any]:
        """A write and the read that shows what was stored, as one call."""
        base, soql = self._api.base, quote(self._case_query(f"Id = '{case_id}'"), safe="@{}")
        write = {"method": method, "url": f"{base}{path}", "referenceId": "made", "body": dict(body)}
        read = {"method": "GET", "url": f"{base}queryAll?q={soql}", "referenceId": "read"}
        try:
            return self._api.composite(write, read)
        except InvalidError as error:
            ours = {attribute: name for name, attribute in self._fields.items()}
            named = {ours.get(name, name): words for name, words in error.fields.items()}
            raise InvalidError(str(error), fields=named) from error

    def create_note(self, new: NewNote) -> str:
        """Looks before it writes, as nothing in Salesforce refuses the second comment."""
        known = self.find_note(new)
        if known is not None:
            raise AlreadyExistsError(f"the comment {known} is there already", record_id=known)
        body = {"ParentId": new.case_id, "CommentBody": self._comment(new), "IsPublished": False}
        return str(self._api.call("POST", _COMMENTS, body).body["id"])

    def rewrite_note(self, note_id: str, new: NewNote) -> None:
        self._api.call("PATCH", f"{_COMMENTS}/{note_id}", {"CommentBody": self._comment(new)})

    def _comment(self, new: NewNote) -> str:
        mark = _MARK.format(key=new.key)
        return (self.normalise("description", new.body) or "")[: _COMMENT_CHARACTERS - len(mark)] + mark

    def find_note(self, new: NewNote) -> str | None:
        found = [note.id for note in self.notes_of(new.case_id) if note.key == new.key]
        if len(found) > 1:
            raise AmbiguousError(f"{len(found)} comments carry one reply", record_ids=found)
        return found[0] if found else None

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        rows = self._api.query(
            "SELECT Id, ParentId, CommentBody, CreatedBy.Name, CreatedDate FROM CaseComment "  # noqa: S608 (quoted)
            f"WHERE ParentId = {literal(case_id)} AND IsDeleted = FALSE ORDER BY CreatedDate, Id LIMIT 2000"
        )
        return [_note(row) for row in rows]

    def changed_cases(self, since: str | None, *, page: str | None) -> FeedPage[CaseStamp]:
        rows, newest, following = self._feed("Case", self._case_columns(), since, page)
        stamps = [CaseStamp(case_id=str(row["Id"]), stamp=self._stamp(row)) for row in rows]
        return FeedPage(rows=stamps, newest=newest, next=following)

    def changed_notes(self, since: str | None, *, page: str | None) -> FeedPage[NoteStamp]:
        rows, newest, following = self._feed("CaseComment", "ParentId, IsDeleted", since, page)
        stamps = [
            NoteStamp(note_id=str(row["Id"]), case_id=str(row["ParentId"]), stamp=str(row["SystemModstamp"]))
            for row in rows
        ]
        return FeedPage(rows=stamps, newest=newest, next=following)

    def changed_directory(
        self, kind: DirectoryKind, since: str | None, *, page: str | None
    ) -> FeedPage[DirectoryEntry]:
        table, columns, condition = _DIRECTORY[kind]
        rows, newest, following = self._feed(table, columns, since, page, condition=condition)
        return FeedPage(rows=[_entry(kind, row) for row in rows], newest=newest, next=following)

    def _feed(
        self, table: str, columns: str, since: str | None, page: str | None, *, condition: str = ""
    ) -> tuple[list[dict[str, Any]], str | None, str | None]:
        """A page in the order of (SystemModstamp, Id), which stays stable while records change."""
        conditions = [condition] if condition else []
        if page is not None:
            stamp, after = page.split(" ", 1)
            conditions.append(f"(SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > {literal(after)}))")
        elif since is not None:
            conditions.append(f"SystemModstamp >= {since}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        names = ", ".join(dict.fromkeys(["Id", "SystemModstamp", *columns.split(", ")]))
        rows = self._api.query(f"SELECT {names} FROM {table}{where} ORDER BY SystemModstamp, Id LIMIT {_PAGE}")  # noqa: S608 (quoted)
        newest = _utc(rows[-1]["SystemModstamp"]) if rows else None
        return rows, newest, f"{newest} {rows[-1]['Id']}" if len(rows) == _PAGE else None

    def rewind(self, stamp: str, by: timedelta) -> str:
        return _written(datetime.fromisoformat(stamp) - by)

    def contacts_by_email(self, address: str) -> Sequence[DirectoryEntry]:
        rows = self._api.query(
            "SELECT Id, Name, Email, AccountId, IsDeleted, MasterRecordId FROM Contact "  # noqa: S608 (quoted)
            f"WHERE Email = {literal(address)} AND IsDeleted = FALSE ORDER BY Id LIMIT 200"
        )
        return [_entry("contact", row) for row in rows]

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        known = self.contacts_by_email(new.emails[0])
        if known:
            raise AlreadyExistsError(f"a contact has the address {new.emails[0]}", record_id=known[0].crm_id)
        first, _, last = new.name.rpartition(" ")
        body = {"LastName": last[:80], "FirstName": first[:40] or None, "Email": new.emails[0]}
        body["AccountId"] = new.account_id
        made = str(self._api.call("POST", "sobjects/Contact", body).body["id"])
        return DirectoryEntry(
            kind="contact", crm_id=made, name=new.name, active=True, emails=new.emails[:1], account_id=new.account_id
        )

    def remove(self, kind: RecordKind, record_id: str) -> None:
        self._api.call("DELETE", f"sobjects/{_OBJECTS[kind]}/{record_id}")

    def case_fields(self) -> Mapping[str, FieldInfo]:
        return {str(row["name"]): _field(row) for row in self._describe("Case")["fields"]}

    def _describe(self, table: str) -> dict[str, Any]:
        return self._api.call("GET", f"sobjects/{table}/describe").body

    def missing(self) -> Sequence[Missing]:
        found = []
        case = self._describe("Case")
        key = next((row for row in case["fields"] if row["name"] == self._key), None)
        if key is None or not key.get("unique"):
            found.append(
                Missing(
                    what=f"the unique field {self._key} on Case",
                    remedy="Setup > Object Manager > Case > Fields: a Text field of length 64, Unique (case sensitive) "
                    "and External ID; let the API user's permission set read and edit it",
                )
            )
        for table, described in (("Case", case), ("CaseComment", self._describe("CaseComment"))):
            if not described.get("createable") or not described.get("updateable"):
                remedy = f"give the API user's permission set Create and Edit on {table}"
                found.append(Missing(what=f"the right to make and change records of {table}", remedy=remedy))
        return found

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        raise UnauthorisedError("Salesforce sends no webhooks to Casebridge: changes are found by asking")

    def normalise(self, name: str, value: str | None) -> str | None:
        """Line ends are LF and ends are trimmed; a subject is one line."""
        if value is None:
            return None
        text = value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip()
        if name == "subject":
            text = " ".join(text.split("\n"))[: self.capabilities.text.subject_length].strip()
        return text or None

    def _sent(self, fields: CaseFields) -> dict[str, Any]:
        """Salesforce wants an owner: nobody is the user that we act as."""
        body: dict[str, Any] = {self._fields[name]: self.normalise(name, value) for name, value in fields.items()}
        if "OwnerId" in body and body["OwnerId"] is None:
            body["OwnerId"] = self._api.own_user()
        return body

    def _case_columns(self) -> str:
        own = ("CaseNumber", "LastModifiedBy.Name", "IsDeleted", "MasterRecordId")
        return ", ".join(dict.fromkeys([*self._fields.values(), *own]))

    def _case_query(self, condition: str) -> str:
        return f"SELECT Id, SystemModstamp, {self._case_columns()} FROM Case WHERE {condition} LIMIT 10"  # noqa: S608 (quoted)

    def _case(self, row: Mapping[str, Any]) -> CaseRecord:
        return CaseRecord(
            id=str(row["Id"]),
            number=str(row["CaseNumber"]),
            url=f"{self._url}/lightning/r/Case/{row['Id']}/view",
            fields={name: self._read(name, row.get(attribute)) for name, attribute in self._fields.items()},
            stamp=self._stamp(row),
            version=None,
            modified_by=(row.get("LastModifiedBy") or {}).get("Name"),
            modified_at=datetime.fromisoformat(_utc(row["SystemModstamp"])),
        )

    def _read(self, name: str, value: Any) -> str | None:
        if name == "assignee" and value == self._api.own_user():
            return None
        return self.normalise(name, str(value)) if value is not None else None

    def _stamp(self, row: Mapping[str, Any]) -> str:
        """The moment has whole seconds, so that the values must tell changes within one apart."""
        values = json.dumps([row.get(attribute) for attribute in self._fields.values()], sort_keys=True)
        digest = hashlib.sha256(values.encode()).hexdigest()[:16]
        return f"{_utc(row['SystemModstamp'])} {digest}{' deleted' if row['IsDeleted'] else ''}"


def _utc(stamp: str) -> str:
    """Salesforce writes 2026-11-22T14:03:09.000+0000."""
    return _written(datetime.fromisoformat(stamp))


def _written(moment: datetime) -> str:
    """As a query takes it, without quotes."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _note(row: Mapping[str, Any]) -> NoteRecord:
    text, found, rest = (row["CommentBody"] or "").replace("\r\n", "\n").rpartition("\n[Casebridge ")
    return NoteRecord(
        id=str(row["Id"]),
        case_id=str(row["ParentId"]),
        title="",
        body=text if found else rest,
        key=rest.removesuffix("]") if found else None,
        author=(row.get("CreatedBy") or {}).get("Name"),
        created_at=datetime.fromisoformat(_utc(row["CreatedDate"])),
    )


def _entry(kind: DirectoryKind, row: Mapping[str, Any]) -> DirectoryEntry:
    return DirectoryEntry(
        kind=kind,
        crm_id=str(row["Id"]),
        name=str(row["Name"]),
        active=not row.get("IsDeleted") and bool(row.get("IsActive", True)),
        emails=(str(row["Email"]),) if row.get("Email") else (),
        account_id=row.get("AccountId"),
        merged_into=row.get("MasterRecordId"),
    )


def _field(row: Mapping[str, Any]) -> FieldInfo:
    options = {str(each["value"]): str(each["label"]) for each in row.get("picklistValues") or () if each["active"]}
    needed = not row.get("nillable") and not row.get("defaultedOnCreate") and row.get("createable")
    return FieldInfo(
        type=str(row["type"]), length=row.get("length") or None, options=options or None, required=bool(needed)
    )
