"""The connector of the bundled CRM."""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from standardwebhooks import Webhook, WebhookVerificationError

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
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
    StaleError,
    TextRules,
    UnauthorisedError,
)
from crm_sync_service.connectors.config import ConnectorConfig, ConnectorKind, default_mapping
from crm_sync_service.connectors.http import Answer, JsonClient
from shared.clock import from_text, to_text

_PATHS: Mapping[DirectoryKind, str] = {
    "account": "accounts",
    "contact": "contacts",
    "user": "users",
    "product": "products",
}
_ATTRIBUTES = (
    "name",
    "description",
    "status",
    "priority",
    "account_id",
    "contact_id",
    "product_id",
    "assigned_user_id",
    "ticket_number",
    "ticket_url",
)
_PAGE = "200"
STATUSES = {
    "new": "new",
    "open": "assigned",
    "pending": "pending_input",
    "solved": "resolved",
    "closed": "closed",
}
PRIORITIES = {"low": "low", "normal": "medium", "high": "high", "urgent": "critical"}


class DeskConnector:
    """Casebridge's own CRM over HTTP."""

    name = "desk"
    capabilities = Capabilities(
        client_ids=True,
        unique_keys=False,
        conditional_update=True,
        feed_overlap=timedelta(seconds=120),
        feed_shows_deletions=True,
        notes_touch_case=False,
        webhooks=True,
        text=TextRules(subject_length=255, description_bytes=65_535),
        customer_notes=True,
    )

    def __init__(self, config: ConnectorConfig) -> None:
        """Raises ConfigError."""
        self._attributes = config.fields
        self._key = config.need("api_key")
        # Hints of our own writes would only make us read them again.
        headers = {"Authorization": f"Bearer {self._key}", "X-No-Hint": "1"}
        self._client = JsonClient(config, headers=headers, base="api/v1/")

    def close(self) -> None:
        self._client.close()

    def info(self) -> CrmInfo:
        body = self._call("GET", "meta").body
        return CrmInfo(name=str(body["name"]), version=str(body["version"]), instance=str(body["instance_id"]))

    def get_case(self, case_id: str) -> CaseRecord:
        return self._case(self._call("GET", f"cases/{quote(case_id)}").body)

    def create_case(self, new: NewCase) -> CaseRecord:
        return self._case(self._call("POST", "cases", body={"id": new.id, **self._sent(new.fields)}).body)

    def find_case(self, new: NewCase) -> CaseRecord | None:
        return _if_there(lambda: self.get_case(new.id))

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        headers = {"If-Match": f'"{version}"'} if version else None
        path = f"cases/{quote(case_id)}"
        return self._case(self._call("PATCH", path, body=self._sent(changes), headers=headers).body)

    def create_note(self, new: NewNote) -> str:
        body = {
            "id": new.id,
            "case_id": new.case_id,
            "title": self.normalise("subject", new.title) or "",
            "body": self.normalise("description", new.body) or "",
            "author": new.author,
            "side": new.side,
            "position": new.position,
            "created_at": to_text(new.created_at),
        }
        return str(self._call("POST", "notes", body=body).body["id"])

    def rewrite_note(self, note_id: str, new: NewNote) -> None:
        body = {"title": self.normalise("subject", new.title) or "", "body": self.normalise("description", new.body)}
        self._call("PATCH", f"notes/{quote(note_id)}", body=body)

    def find_note(self, new: NewNote) -> str | None:
        return _if_there(lambda: str(self._call("GET", f"notes/{quote(new.id)}").body["id"]))

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        rows = self._call("GET", f"cases/{quote(case_id)}/notes").body["rows"]
        return [_note(row) for row in rows]

    def changed_cases(self, since: str | None, *, page: str | None) -> FeedPage[CaseStamp]:
        body = self._feed("cases", since, page)
        rows = [CaseStamp(case_id=row["id"], stamp=_stamp(row)) for row in body["rows"]]
        return FeedPage(rows=rows, newest=_newest(body), next=_next(body))

    def changed_notes(self, since: str | None, *, page: str | None) -> FeedPage[NoteStamp]:
        body = self._feed("notes", since, page)
        rows = [NoteStamp(note_id=row["id"], case_id=row["case_id"], stamp=_stamp(row)) for row in body["rows"]]
        return FeedPage(rows=rows, newest=_newest(body), next=_next(body))

    def rewind(self, stamp: str, by: timedelta) -> str:
        return to_text(from_text(stamp) - by)

    def changed_directory(
        self, kind: DirectoryKind, since: str | None, *, page: str | None
    ) -> FeedPage[DirectoryEntry]:
        body = self._feed(_PATHS[kind], since, page)
        return FeedPage(rows=[_entry(kind, row) for row in body["rows"]], newest=_newest(body), next=_next(body))

    def contacts_by_email(self, address: str) -> Sequence[DirectoryEntry]:
        rows = self._call("GET", "contacts", params={"email": address}).body["rows"]
        return [entry for entry in (_entry("contact", row) for row in rows) if entry.active]

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        body = {"id": new.id, "name": new.name, "emails": list(new.emails), "account_id": new.account_id}
        return _entry("contact", self._call("POST", "contacts", body=body).body)

    def remove(self, kind: RecordKind, record_id: str) -> None:
        self._call("DELETE", f"{kind}s/{quote(record_id)}")

    def case_fields(self) -> Mapping[str, FieldInfo]:
        body = self._call("GET", "meta").body
        options = {name: {key: key for key in keys} for name, keys in body["options"].items()}
        return {
            name: FieldInfo(type="text", length=body["limits"].get(name), options=options.get(name))
            for name in _ATTRIBUTES
        }

    def missing(self) -> Sequence[Missing]:
        return ()

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        secret = base64.b64encode(self._key.encode()).decode()
        try:
            ids = Webhook(secret).verify(body, dict(headers))["ids"]
        except WebhookVerificationError as error:
            raise UnauthorisedError(f"the signature of a webhook is not right: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidError("a webhook has no list of ids") from error
        return [str(record_id) for record_id in ids]

    def normalise(self, name: str, value: str | None) -> str | None:
        if value is None:
            return None
        text = value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
        if name == "subject":
            text = " ".join(text.split("\n")).strip()[: self.capabilities.text.subject_length]
        return text or None

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer if it is a success, else the matching error."""
        answer = self._client.call(method, path, params=params, body=body, headers=headers)
        if answer.status < 300:
            return answer
        words = f"{answer.status}: {answer.body.get('message') or answer.shown}"
        match answer.status:
            case 404:
                raise NotFoundError(words)
            case 410:
                raise GoneError(words, merged_into=answer.body.get("merged_into"))
            case 409:
                raise AlreadyExistsError(words)
            case 412:
                raise StaleError(words)
        ours = {attribute: name for name, attribute in self._attributes.items()}
        raw = answer.body.get("fields") or {}
        raise InvalidError(words, fields={ours.get(name, name): str(text) for name, text in raw.items()})

    def _sent(self, fields: CaseFields) -> dict[str, str | None]:
        """The desk has no empty description but "", and no other empty value but null."""
        return {
            self._attributes[name]: self.normalise(name, value) or ("" if name == "description" else None)
            for name, value in fields.items()
        }

    def _case(self, row: Mapping[str, Any]) -> CaseRecord:
        return CaseRecord(
            id=row["id"],
            number=row["number"],
            url=row["url"],
            fields={name: row[attribute] or None for name, attribute in self._attributes.items()},
            stamp=_stamp(row),
            version=str(row["version"]),
            modified_by=row["modified_by"],
            modified_at=from_text(row["modified_at"]),
        )

    def _feed(self, path: str, since: str | None, page: str | None) -> dict[str, Any]:
        params = {"limit": _PAGE}
        if page is not None:
            params["modified_since"], params["after"] = page.split(" ", 1)
        elif since is not None:
            params["modified_since"] = since
        return self._call("GET", path, params=params).body


def _note(row: Mapping[str, Any]) -> NoteRecord:
    return NoteRecord(
        id=row["id"],
        case_id=row["case_id"],
        title=row["title"],
        body=row["body"],
        author=row["author"],
        created_at=from_text(row["created_at"]),
        for_customer=bool(row.get("for_customer")),
    )


Found = TypeVar("Found")


def _if_there(read: Callable[[], Found]) -> Found | None:
    try:
        return read()
    except GoneError:
        raise
    except NotFoundError:
        return None


def _stamp(row: Mapping[str, Any]) -> str:
    return f"{row['modified_at']} v{row['version']}{' deleted' if row.get('deleted') else ''}"


def _entry(kind: DirectoryKind, row: Mapping[str, Any]) -> DirectoryEntry:
    return DirectoryEntry(
        kind=kind,
        crm_id=row["id"],
        name=row["name"],
        active=not row.get("deleted") and bool(row.get("active", True)),
        emails=tuple(row.get("emails") or ([row["email"]] if row.get("email") else ())),
        account_id=row.get("account_id"),
        merged_into=row.get("merged_into"),
    )


def _newest(body: Mapping[str, Any]) -> str | None:
    return max((row["modified_at"] for row in body["rows"]), default=None)


def _next(body: Mapping[str, Any]) -> str | None:
    following = body["next"]
    return f"{following['modified_since']} {following['after']}" if following else None


KIND = ConnectorKind(name="desk", title="Casebridge's own CRM", open=DeskConnector, mapping=default_mapping("desk"))
