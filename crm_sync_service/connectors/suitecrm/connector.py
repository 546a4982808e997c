"""The connector of SuiteCRM's V8 API, 7.12 to 7.15, and of SuiteCRM 8 by its legacy API."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    CaseFields,
    CaseRecord,
    CaseStamp,
    CrmInfo,
    DirectoryEntry,
    DirectoryKind,
    FeedName,
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
    UnreachableError,
)
from crm_sync_service.connectors.characters import has_wide, named
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.suitecrm import checks, text
from crm_sync_service.connectors.suitecrm.client import SuiteClient
from crm_sync_service.connectors.suitecrm.contacts import Contacts
from crm_sync_service.connectors.suitecrm.feed import newest_stamp, read_all, read_page, rows_of
from crm_sync_service.connectors.suitecrm.fields import InstalledFields
from crm_sync_service.connectors.suitecrm.hints import cases_named
from crm_sync_service.connectors.suitecrm.note_times import NoteTimes
from crm_sync_service.connectors.suitecrm.records import (
    DIRECTORY_FIELDS,
    MODULES,
    Attributes,
    attributes_of,
    case_attributes,
    case_fields,
    case_stamp,
    directory_entry,
    filter_text,
    note_attributes,
    note_record,
    product_entries,
    text_of,
    when,
)
from crm_sync_service.connectors.suitecrm.references import References
from crm_sync_service.connectors.suitecrm.settings import base_address, capabilities, read_settings

_MODULES: Mapping[RecordKind, str] = {"case": "Cases", "note": "Notes", "contact": "Contacts"}
_OF_CASES = {"filter[parent_type][eq]": "Cases"}
_MOST_NOTES = 1000
_PERSON_NAME = 100
"""Characters of a first and of a last name; SuiteCRM cuts longer ones without a word."""
_CUT_NOTE = "… [cut; the full text is in the portal]"


class SuiteCrmConnector:
    """One SuiteCRM over HTTP."""

    name = "suitecrm"

    def __init__(
        self,
        config: ConnectorConfig,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigError."""
        self.settings = read_settings(config)
        config = replace(config, url=base_address(config.url))
        self.capabilities = capabilities(self.settings, size=self._stored_bytes, wide=self._keeps_wide)
        self._config, self._now = config, now
        self._client = SuiteClient(config, api_path=self.settings.api_path)
        self._contacts = Contacts(self._client, self.settings)
        self._references = References(self._client, clock=clock)
        self._installed = InstalledFields(self._client, clock=clock)
        self._note_times = NoteTimes()
        self._narrow: bool | None = None
        """Whether the database keeps only three bytes a character; None until a text made that matter."""

    def close(self) -> None:
        self._client.close()

    def info(self) -> CrmInfo:
        self._client.get("module/Cases", {"fields[Cases]": "name", "page[size]": "1", "page[number]": "1"})
        installed = f"{self._config.url} installed {self._installed_at()}"
        return CrmInfo(name="SuiteCRM", version=f"V8 API at {self._client.api_path}", instance=installed)

    def _installed_at(self) -> str:
        """When the first user was made: another database behind the same address has another moment."""
        try:
            first = attributes_of(self._client.get("module/Users/1", {"fields[Users]": "date_entered"}))
        except (NotFoundError, InvalidError):
            return "at an unknown time"
        return str(first.get("date_entered"))[:16]

    def get_case(self, case_id: str) -> CaseRecord:
        return self._record(case_id, self._read(case_id))

    def find_case(self, new: NewCase) -> CaseRecord | None:
        try:
            return self.get_case(new.id)
        except NotFoundError:
            return None

    def create_case(self, new: NewCase) -> CaseRecord:
        self._check(new.fields)
        attributes = {**self.settings.new_case, **self._attributes(new.fields)}
        if self._installed.has("Cases", self.settings.ticket_id_field):
            attributes[self.settings.ticket_id_field] = new.key
        if self.settings.main_contact_field and new.fields.get("contact"):
            attributes[self.settings.main_contact_field] = new.fields["contact"] or ""
        made = self._create("Cases", new.id, attributes)
        if not made.get("case_number"):
            made = self._read(new.id)
        contact = new.fields.get("contact")
        if contact and "contact" in self.settings.fields:
            self._contacts.link(new.id, contact)
            if not new.fields.get("account"):
                # SuiteCRM then takes the contact's account for the Case.
                made = self._read(new.id)
        return self._record(new.id, made)

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        now = self._read(case_id)
        stamp = case_stamp(now, self.settings)
        if version is not None and version != stamp:
            raise StaleError(f"the Case was changed by {text_of(now, 'modified_by_name') or 'somebody'} meanwhile")
        before = case_fields(now, self.settings)
        wanted = {
            name: value
            for name, value in changes.items()
            if name in self.settings.fields and (name == "contact" or not self._same(name, before.get(name), value))
        }
        self._check(wanted)
        after = self._contacts.change(case_id, now, wanted["contact"]) if "contact" in wanted else {}
        attributes = {**self._attributes(wanted, now=now), **after}
        if attributes:
            now = attributes_of(self._client.save("PATCH", "Cases", attributes, record_id=case_id))
        return self._record(case_id, now)

    def create_note(self, new: NewNote) -> str:
        attributes = {
            **self._note_texts(new),
            "parent_type": "Cases",
            "parent_id": new.case_id,
            "date_entered": filter_text(self._note_times.of(new)),
        }
        if self._installed.has("Notes", self.settings.message_id_field):
            attributes[self.settings.message_id_field] = new.key
        made = self._create("Notes", new.id, attributes)
        if not made.get("parent_name"):
            self._check_parent(new)
        return new.id

    def rewrite_note(self, note_id: str, new: NewNote) -> None:
        self._client.save("PATCH", "Notes", self._note_texts(new), record_id=note_id)

    def _note_texts(self, new: NewNote) -> dict[str, str]:
        rules = self.capabilities.text
        return {
            "name": text.encode(text.fit(text.one_line(self._kept(new.title)), rules.note_title_length)),
            "description": text.encode(text.cut(self._kept(new.body), rules.note_bytes, mark=_CUT_NOTE)),
        }

    def find_note(self, new: NewNote) -> str | None:
        try:
            self._client.get(f"module/Notes/{new.id}", {"fields[Notes]": "name"})
        except NotFoundError:
            return None
        return new.id

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        """In the order in which they were written; a longer list than fits on one page, to the minute."""
        where = {**_OF_CASES, "filter[parent_id][eq]": case_id}
        fields = self._note_fields()
        page = {"sort": "date_entered", "page[size]": str(_MOST_NOTES), "page[number]": "1"}
        rows = rows_of(self._client.get("module/Notes", {"fields[Notes]": fields, **page, **where}))
        if len(rows) >= _MOST_NOTES:
            rows = read_all(self._client, "Notes", fields=fields, size=_MOST_NOTES, where=where)
            rows.sort(key=lambda row: (when(row["attributes"].get("date_entered")), row["id"]))
        return [note_record(row, self.settings) for row in rows]

    def changed_cases(self, since: str | None, *, page: str | None) -> FeedPage[CaseStamp]:
        found = read_page(
            self._client,
            "Cases",
            fields=self._case_fields(),
            since=since,
            page=page,
            size=self.settings.page_size,
        )
        rows = [CaseStamp(case_id=row["id"], stamp=case_stamp(row["attributes"], self.settings)) for row in found.rows]
        return FeedPage(rows=rows, newest=found.newest, next=found.next)

    def changed_notes(self, since: str | None, *, page: str | None) -> FeedPage[NoteStamp]:
        found = read_page(
            self._client,
            "Notes",
            fields=self._note_fields(),
            since=since,
            page=page,
            size=self.settings.page_size,
            where=_OF_CASES,
        )
        notes = [note_record(row, self.settings) for row in found.rows]
        rows = [
            NoteStamp(
                note_id=note.id,
                case_id=note.case_id,
                stamp=text.digest(note.case_id, note.title, note.body, str(note.for_customer)),
            )
            for note in notes
        ]
        return FeedPage(rows=rows, newest=found.newest, next=found.next)

    def newest_stamp(self, feed: FeedName) -> str | None:
        if feed == "cases":
            return newest_stamp(self._client, "Cases")
        return newest_stamp(self._client, "Notes", _OF_CASES)

    def rewind(self, stamp: str, by: timedelta) -> str:
        return filter_text(when(stamp) - by)

    def changed_directory(
        self, kind: DirectoryKind, since: str | None, *, page: str | None
    ) -> FeedPage[DirectoryEntry]:
        if kind == "product":
            return self._products(since, page)
        found = read_page(
            self._client,
            MODULES[kind],
            fields=DIRECTORY_FIELDS[kind],
            since=since,
            page=page,
            size=self.settings.page_size,
        )
        return FeedPage(rows=[directory_entry(kind, row) for row in found.rows], newest=found.newest, next=found.next)

    def contacts_by_email(self, address: str) -> Sequence[DirectoryEntry]:
        return self._contacts.by_email(address)

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        first, _, last = text.one_line(self._kept(new.name)).rpartition(" ")
        attributes = {
            "first_name": text.encode(text.fit(first, _PERSON_NAME)),
            "last_name": text.encode(text.fit(last, _PERSON_NAME)),
        }
        if new.emails:
            attributes["email1"] = new.emails[0]
        if new.account_id:
            self._references.check("account", new.account_id)
            attributes["account_id"] = new.account_id
        made = self._create("Contacts", new.id, attributes)
        return directory_entry("contact", {"id": new.id, "attributes": made})

    def remove(self, kind: RecordKind, record_id: str) -> None:
        self._client.delete(f"module/{_MODULES[kind]}/{record_id}")

    def case_fields(self) -> Mapping[str, FieldInfo]:
        options = {attribute: self.settings.options_of(name) for name, attribute in self.settings.fields.items()}
        return checks.case_fields(self._client, options, link=self.settings.fields.get("contact"))

    def missing(self) -> Sequence[Missing]:
        found, narrow = checks.missing(self._client, self.settings)
        self._narrow = self._narrow if narrow is None else narrow
        return found

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        return cases_named(body, headers, secret=self._config.webhook_secret, now=self._now())

    def normalise(self, name: str, value: str | None) -> str | None:
        if value is None or not self._installed.has("Cases", self.settings.fields.get(name, name)):
            return None
        if name == "description":
            return self._kept(value) or None
        line = text.one_line(self._kept(value))
        return (text.fit(line, self.capabilities.text.subject_length) if name == "subject" else line) or None

    def _case_fields(self) -> str:
        return ",".join(self._installed.among("Cases", case_attributes(self.settings)))

    def _note_fields(self) -> str:
        return ",".join(self._installed.among("Notes", note_attributes(self.settings)))

    def _read(self, case_id: str) -> Attributes:
        """Raises NotFoundError."""
        body = self._client.get(f"module/Cases/{case_id}", {"fields[Cases]": self._case_fields()})
        return attributes_of(body)

    def _record(self, case_id: str, attributes: Attributes) -> CaseRecord:
        fields = case_fields(attributes, self.settings)
        if "contact" in self.settings.fields:
            fields["contact"] = self._contacts.of(case_id, attributes)
        stamp = case_stamp(attributes, self.settings)
        return CaseRecord(
            id=case_id,
            number=text_of(attributes, "case_number"),
            url=self._page_of(case_id),
            fields=fields,
            stamp=stamp,
            version=stamp,
            modified_by=text_of(attributes, "modified_by_name"),
            modified_at=when(attributes.get("date_modified")),
        )

    def _page_of(self, case_id: str) -> str:
        """Where an account manager sees the Case: SuiteCRM 8 has other pages than 7."""
        if "legacy" in self._client.api_path:
            return f"{self._config.url}/#/cases/record/{case_id}"
        return f"{self._config.url}/index.php?module=Cases&action=DetailView&record={case_id}"

    def _create(self, module: str, record_id: str, attributes: Mapping[str, str]) -> Attributes:
        """The attributes of a new record; whatever was unclear is settled by reading it.

        Raises AlreadyExistsError; GoneError if the id belongs to a deleted record.
        """
        try:
            return attributes_of(self._client.save("POST", module, attributes, record_id=record_id))
        except AlreadyExistsError as error:
            raise self._existing(module, record_id) or GoneError(
                f"SuiteCRM had a record with the id {record_id}, which was deleted or merged"
            ) from error
        except UnreachableError as error:
            existing = None if error.__cause__ else self._existing(module, record_id)
            if existing is None:
                raise
            raise existing from error

    def _existing(self, module: str, record_id: str) -> AlreadyExistsError | None:
        try:
            self._client.get(f"module/{module}/{record_id}", {f"fields[{module}]": "date_entered"})
        except NotFoundError:
            return None
        return AlreadyExistsError(f"there is a record with the id {record_id} already", record_id=record_id)

    def _attributes(self, fields: CaseFields, *, now: Attributes | None = None) -> dict[str, str]:
        """As SuiteCRM wants them: "" for nothing, as it ignores null; the state with the status; never an id."""
        values: dict[str, str] = {}
        for name, value in fields.items():
            attribute = self.settings.fields.get(name)
            if attribute is None or name == "contact" or not self._installed.has("Cases", attribute):
                continue
            if name == "description":
                stored = str((now or {}).get(attribute) or "")
                values[attribute] = text.splice(stored, self._kept(value or ""))
            else:
                values[attribute] = text.encode(self.normalise(name, value) or "")
            state = self.settings.state_of(value or "") if name == "status" else None
            if state is not None:
                values["state"] = state
        return values

    def _check(self, fields: CaseFields) -> None:
        """Refuse what SuiteCRM would store though it makes no sense. Raises InvalidError."""
        wrong = {}
        for name, value in fields.items():
            if not value or name not in self.settings.fields:
                continue
            options = self.settings.options_of(name)
            if options is not None and value not in options:
                wrong[name] = f"{value!r} is none of {', '.join(options)} (the list is in the mapping file)"
            elif name in ("account", "assignee", "contact"):
                words = self._references.problem(name, value)
                if words:
                    wrong[name] = words
        if wrong:
            raise InvalidError("; ".join(wrong.values()), fields=wrong)

    def _same(self, name: str, stored: str | None, wanted: str | None) -> bool:
        """Whether writing would change nothing: every write disturbs account managers."""
        return stored == self.normalise(name, wanted)

    def _kept(self, written: str) -> str:
        """A text as this installation can keep it; whether emoji can stay is tried out once."""
        cleaned = text.clean(written)
        return cleaned if not has_wide(cleaned) or self._keeps_wide() else named(cleaned)

    def _keeps_wide(self) -> bool:
        if self._narrow is None:
            self._narrow = checks.is_narrow(self._client)
        return not self._narrow

    def _stored_bytes(self, written: str) -> int:
        return text.stored_bytes(self._kept(written))

    def _check_parent(self, new: NewNote) -> None:
        """A Note of a deleted Case is stored all the same: take it back. Raises NotFoundError."""
        try:
            self._read(new.case_id)
        except NotFoundError:
            self.remove("note", new.id)
            raise

    def _products(self, since: str | None, page: str | None) -> FeedPage[DirectoryEntry]:
        """Those of the mapping file, and whatever Cases name besides: SuiteCRM tells nobody its options."""
        labels = dict(self.settings.products) if page is None else {}
        attribute = self.settings.fields.get("product", "")
        if not self._installed.has("Cases", attribute):
            return FeedPage(rows=product_entries(labels), newest=None, next=None)
        fields, size = f"{attribute},date_modified", self.settings.page_size
        found = read_page(self._client, "Cases", fields=fields, since=since, page=page, size=size)
        keys = {text_of(row["attributes"], attribute) for row in found.rows}
        labels |= {key: key for key in sorted(filter(None, keys)) if key not in self.settings.products}
        return FeedPage(rows=product_entries(labels), newest=found.newest, next=found.next)
