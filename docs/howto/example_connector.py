"""The connector of Tiny CRM, which keeps records of six kinds under /records. Written from add-a-connector.md."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from crm_sync_service.connectors import base
from crm_sync_service.connectors.config import ConnectorConfig, ConnectorKind
from crm_sync_service.connectors.http import JsonClient

Entries = base.FeedPage[base.DirectoryEntry]
_REFUSALS = {404: base.NotFoundError, 409: base.AlreadyExistsError, 410: base.GoneError, 412: base.StaleError}


class TinyConnector:
    name = "tiny"
    capabilities = base.Capabilities(
        client_ids=True,
        unique_keys=False,
        conditional_update=True,
        feed_overlap=timedelta(seconds=0),
        feed_shows_deletions=True,
        notes_touch_case=False,
        webhooks=False,
        text=base.TextRules(subject_length=100, description_bytes=20_000, note_title_length=100, note_bytes=20_000),
    )

    def __init__(self, config: ConnectorConfig) -> None:
        self._fields = config.fields
        self._http = JsonClient(config, headers={"X-Key": config.need("api_key")})

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        answer = self._http.call(method, path, body=body, **more)
        if answer.status < 300:
            return answer.body
        if answer.status in _REFUSALS:
            raise _REFUSALS[answer.status](answer.shown)
        ours = {theirs: name for name, theirs in self._fields.items()}
        raise base.InvalidError(
            answer.shown, fields={ours.get(k, k): v for k, v in answer.body.get("wrong", {}).items()}
        )

    def info(self) -> base.CrmInfo:
        return base.CrmInfo(**self._call("GET", "about")["crm"])

    def case_fields(self) -> Mapping[str, base.FieldInfo]:
        return {name: base.FieldInfo(**about) for name, about in self._call("GET", "about")["fields"].items()}

    def missing(self) -> Sequence[base.Missing]:
        return ()

    def get_case(self, case_id: str) -> base.CaseRecord:
        return self._case(self._call("GET", f"records/case/{case_id}"))

    def create_case(self, new: base.NewCase) -> base.CaseRecord:
        return self._case(self._call("POST", "records/case", {"id": new.id, **self._sent(new.fields)}))

    def find_case(self, new: base.NewCase) -> base.CaseRecord | None:
        try:
            return self.get_case(new.id)
        except base.GoneError:
            raise
        except base.NotFoundError:
            return None

    def update_case(self, case_id: str, changes: base.CaseFields, *, version: str | None) -> base.CaseRecord:
        headers = {"X-Version": version} if version else {}
        return self._case(self._call("PATCH", f"records/case/{case_id}", self._sent(changes), headers=headers))

    def create_note(self, new: base.NewNote) -> str:
        title, body = self.normalise("subject", new.title), self.normalise("description", new.body)
        values = {"id": new.id, "case": new.case_id, "title": title, "text": body, "author": new.author}
        return str(self._call("POST", "records/note", values)["id"])

    def find_note(self, new: base.NewNote) -> str | None:
        return next((note.id for note in self.notes_of(new.case_id) if note.id == new.id), None)

    def notes_of(self, case_id: str) -> Sequence[base.NoteRecord]:
        rows = self._call("GET", "records/note", params={"case": case_id, "limit": "10000"})["rows"]
        named = [(row["id"], row["case"], row["title"] or "", row["text"] or "") for row in rows if not row["deleted"]]
        return [base.NoteRecord(id=note, case_id=case, title=title, body=text) for note, case, title, text in named]

    def changed_cases(self, since: str | None, *, page: str | None) -> base.FeedPage[base.CaseStamp]:
        rows, newest, following = self._page("case", since, page)
        return base.FeedPage(
            rows=[base.CaseStamp(case_id=r["id"], stamp=r["change"]) for r in rows], newest=newest, next=following
        )

    def changed_notes(self, since: str | None, *, page: str | None) -> base.FeedPage[base.NoteStamp]:
        rows, newest, following = self._page("note", since, page)
        stamps = [base.NoteStamp(note_id=row["id"], case_id=row["case"], stamp=row["change"]) for row in rows]
        return base.FeedPage(rows=stamps, newest=newest, next=following)

    def changed_directory(self, kind: base.DirectoryKind, since: str | None, *, page: str | None) -> Entries:
        rows, newest, following = self._page(kind, since, page)
        return base.FeedPage(rows=[_entry(kind, row) for row in rows], newest=newest, next=following)

    def rewind(self, stamp: str, by: timedelta) -> str:
        return stamp  # Tiny CRM counts its changes and shows them in that order: nothing appears behind another

    def contacts_by_email(self, address: str) -> Sequence[base.DirectoryEntry]:
        rows = self._call("GET", "records/contact", params={"email": address.casefold()})["rows"]
        return [_entry("contact", row) for row in rows if not row["deleted"]]

    def create_contact(self, new: base.NewContact) -> base.DirectoryEntry:
        values = {"id": new.id, "name": new.name, "email": new.emails[0].casefold(), "account": new.account_id}
        return _entry("contact", self._call("POST", "records/contact", values))

    def remove(self, kind: base.RecordKind, record_id: str) -> None:
        self._call("DELETE", f"records/{kind}/{record_id}")

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        raise base.UnauthorisedError("Tiny CRM sends no webhooks")

    def normalise(self, name: str, value: str | None) -> str | None:
        text = (value or "").replace("\r\n", "\n").replace("\r", "\n")
        return (" ".join(text.split())[:100] if name == "subject" else text) or None

    def _sent(self, fields: base.CaseFields) -> dict[str, Any]:
        return {self._fields[name]: self.normalise(name, value) for name, value in fields.items()}

    def _case(self, row: Mapping[str, Any]) -> base.CaseRecord:
        return base.CaseRecord(
            id=row["id"],
            number=row["id"][:8],
            url=None,
            fields={name: row.get(theirs) for name, theirs in self._fields.items()},
            stamp=row["change"],
            version=str(row["version"]),
            modified_by=None,
            modified_at=datetime.fromisoformat(row["at"]),
        )

    def _page(self, kind: str, since: str | None, page: str | None) -> tuple[list[Any], str | None, str | None]:
        body = self._call("GET", f"records/{kind}", params={"from": page or since or ""})
        return body["rows"], max((row["change"] for row in body["rows"]), default=None), body["next"]


def _entry(kind: base.DirectoryKind, row: Mapping[str, Any]) -> base.DirectoryEntry:
    emails = (row["email"],) if row.get("email") else ()
    return base.DirectoryEntry(kind=kind, crm_id=row["id"], name=row["name"], active=not row["deleted"], emails=emails)


KIND = ConnectorKind(
    name="tiny", title="Tiny CRM", open=TinyConnector, mapping=Path(__file__).with_name("example_mapping.toml")
)
