"""The connector of EspoCRM."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from crm_sync_service.connectors.base import (
    Capabilities,
    CaseFields,
    CaseRecord,
    CaseStamp,
    CrmInfo,
    DirectoryEntry,
    DirectoryKind,
    FeedName,
    FeedPage,
    FieldInfo,
    ForbiddenError,
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
from crm_sync_service.connectors.characters import has_wide, named
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.espocrm import checks, query, text
from crm_sync_service.connectors.espocrm.client import EspoClient, ServerFailedError
from crm_sync_service.connectors.espocrm.contacts import Contacts
from crm_sync_service.connectors.espocrm.feeds import CaseFeed, DirectoryFeed, NoteFeed, posts_of, rewind, rows_of
from crm_sync_service.connectors.espocrm.fields import Fields
from crm_sync_service.connectors.espocrm.keys import (
    create_marked,
    create_once,
    lasting,
    mark,
    marked,
    only,
    same_key,
    unmarked,
)
from crm_sync_service.connectors.espocrm.query import listing, part
from crm_sync_service.connectors.espocrm.records import Row, case_of, entry_of, note_of, post_of
from crm_sync_service.connectors.espocrm.settings import EspoCrmSettings
from crm_sync_service.connectors.espocrm.webhooks import Webhooks

TEXT = TextRules(
    subject_length=text.NAME_LENGTH,
    description_bytes=4_000_000,
    note_title_length=0,
    note_bytes=4_000_000,
)
"""EspoCRM keeps up to 16 MB of text; answers escape every character that is not ASCII, and must stay bounded too."""
_ENTITIES: Mapping[RecordKind, str] = {"case": "Case", "note": "Note", "contact": "Contact"}
_OPTIONAL = ("product", "ticket_number", "ticket_url")
_DECORATION = frozenset({"ticket_number", "ticket_url"})


class EspoCrmConnector:
    """One EspoCRM over its REST API. Safe to use from several threads."""

    name = "espocrm"
    capabilities: Capabilities

    def __init__(self, config: ConnectorConfig) -> None:
        """Calls nothing. Raises ConfigError."""
        self.settings = EspoCrmSettings.read(config)
        self._client = EspoClient(config)
        self._fields = Fields(self._client, self.settings)
        self._webhooks = Webhooks(self._client)
        self._case_feed = CaseFeed(self._client, self._fields)
        self._note_feed = NoteFeed(self._client)
        self._directory = DirectoryFeed(self._client, self._fields, products=self.settings.products)
        self._contacts = Contacts(self._client)
        self.capabilities = Capabilities(
            client_ids=False,
            unique_keys=True,
            conditional_update=True,
            feed_overlap=timedelta(seconds=120),
            feed_shows_deletions=False,
            notes_touch_case=False,
            webhooks=True,
            customer_notes=bool(self.settings.customer_mark),
            text=replace(TEXT, wide=self._keeps_wide),
        )
        self._wide: bool | None = None
        """Whether the database keeps four bytes a character; None until a text made that matter."""

    def close(self) -> None:
        self._client.close()

    def info(self) -> CrmInfo:
        # EspoCRM shows some settings to anybody, also to a wrong key: this it does not.
        user = self._client.get("App/user").body.get("user") or {}
        settings = self._client.get("Settings").body
        if "version" not in settings:
            raise UnauthorisedError("EspoCRM answers, but not to our API key: check CRM_API_KEY")
        # Ids are random: another database behind the same address has another administrator.
        database = user.get("createdById") or user.get("id")
        return CrmInfo(
            name=str(settings.get("applicationName") or "EspoCRM"),
            version=str(settings["version"]),
            instance=f"{settings.get('siteUrl') or self.settings.url}, database of {database}",
        )

    def get_case(self, case_id: str) -> CaseRecord:
        return self._case(self._row("Case", case_id))

    def create_case(self, new: NewCase) -> CaseRecord:
        try:
            case_id = self._create_case(new.key, new.fields)
        except InvalidError as error:
            if not error.fields or error.fields.keys() - _DECORATION:
                raise
            # A field of this installation's own that takes no such text: the managed block says it too.
            kept = {name: value for name, value in new.fields.items() if name not in _DECORATION}
            case_id = self._create_case(new.key, kept)
        # The answer to a create lacks the number and every empty attribute.
        return self.get_case(case_id)

    def find_case(self, new: NewCase) -> CaseRecord | None:
        case_id = self._find_case_id(new.key)
        return self.get_case(case_id) if case_id else None

    def update_case(self, case_id: str, changes: CaseFields, *, version: str | None) -> CaseRecord:
        """Only what differs is written: every PATCH counts as a change, even an empty one."""
        row = self._row("Case", case_id)
        before = self._case(row)
        if version is not None and before.version != version:
            raise StaleError(f"Case {before.number} was changed by somebody else meanwhile")
        wanted = {name: self.normalise(name, value) for name, value in changes.items()}
        differing = {name: value for name, value in wanted.items() if before.fields.get(name) != value}
        values = {
            attribute: value
            for attribute, value in self._attributes(differing, now=row).items()
            if (row.get(attribute) or None) != value
        }
        with self._naming_fields():
            if values:
                row = self._patch(case_id, values, row.get("versionNumber") if version is not None else None)
            return self._case(self._with_contact(row, differing))

    def create_note(self, new: NewNote) -> str:
        # Without a parent it would become a Note on nobody's record.
        part(new.case_id)
        body: dict[str, Any] = {
            "type": "Post",
            "parentType": "Case",
            "parentId": new.case_id,
            "post": self._kept(text.clean(post_of(new))),
            "isInternal": new.side == "internal",
        }
        try:
            row = self._made_once("Note", body, new.key, self._fields.reply_id(), find=lambda: self.find_note(new))
        except ForbiddenError:
            # On a deleted Case EspoCRM answers as if a right were missing.
            self._raise_if_gone(new.case_id)
            raise
        return str(row["id"])

    def rewrite_note(self, note_id: str, new: NewNote) -> None:
        self._client.send("PUT", f"Note/{part(note_id)}", body={"post": self._kept(text.clean(post_of(new)))})

    def find_note(self, new: NewNote) -> str | None:
        key_field = self._fields.reply_id()
        select = ("id", key_field or "id", "parentId")
        found = self._having("Note", key_field, new.key, select=select) if key_field else []
        # The list shows only what this API user wrote; an earlier one may have written it.
        found = found or [note.id for note in self.notes_of(new.case_id) if note.key == new.key]
        return only(found, f"Notes have the key {new.key}")

    def notes_of(self, case_id: str) -> Sequence[NoteRecord]:
        customer_mark, key_field = self.settings.customer_mark, self._fields.reply_id()
        rows = [row for row in posts_of(self._client, case_id) if row.get("parentId") == case_id]
        posts = [row for row in rows if row.get("type") == "Post"]
        notes = [note_of(row, key_field=key_field, customer_mark=customer_mark) for row in posts]
        return notes if key_field else list(map(_by_mark, notes))

    def changed_cases(self, since: str | None, *, page: str | None) -> FeedPage[CaseStamp]:
        return self._case_feed.page(since, page)

    def changed_notes(self, since: str | None, *, page: str | None) -> FeedPage[NoteStamp]:
        return self._note_feed.page(since, page)

    def newest_stamp(self, feed: FeedName) -> str | None:
        return self._case_feed.newest() if feed == "cases" else self._note_feed.newest()

    def rewind(self, stamp: str, by: timedelta) -> str:
        return rewind(stamp, by)

    def changed_directory(
        self, kind: DirectoryKind, since: str | None, *, page: str | None
    ) -> FeedPage[DirectoryEntry]:
        return self._directory.page(kind, since, page)

    def contacts_by_email(self, address: str) -> Sequence[DirectoryEntry]:
        return [entry_of("contact", row) for row in self._contacts.having(address)]

    def create_contact(self, new: NewContact) -> DirectoryEntry:
        with self._naming_fields():
            kept = replace(new, name=self._kept(new.name))
            return entry_of("contact", self._contacts.create(kept), emails=tuple(filter(None, new.emails)))

    def remove(self, kind: RecordKind, record_id: str) -> None:
        self._client.send("DELETE", f"{_ENTITIES[kind]}/{part(record_id)}")

    def case_fields(self) -> Mapping[str, FieldInfo]:
        self._fields.forget()
        texts = self._client.get("I18n", {"default": "true"}).data
        case = texts.get("Case", {}) if isinstance(texts, dict) else {}
        return self._fields.described(case.get("options", {}))

    def missing(self) -> Sequence[Missing]:
        self._fields.forget()
        found = checks.missing(self._client, self._fields)
        weak = any(checks.WEAK in item.what for item in found)
        self.capabilities = replace(self.capabilities, unique_keys=not weak)
        return found

    def hinted(self, topic: str, body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        return self._webhooks.hinted(topic, body, headers)

    def register_webhooks(self, url: str) -> Sequence[str]:
        """Let EspoCRM send hints to `url`/EVENT, one address per event; returns what was done, in words.

        Does nothing where that is so already. Raises what a call raises.
        """
        return self._webhooks.register(url)

    def normalise(self, name: str, value: str | None) -> str | None:
        """Asks EspoCRM once whether there are fields for product, number and address of the ticket."""
        value = self._kept(value or "")
        if name == "subject":
            return text.case_name(value) or None
        if name == "description":
            return text.clean(value) or None
        if name in _OPTIONAL and self._fields.of(name) is None:
            return None
        return text.one_line(value) or None

    def _kept(self, written: str) -> str:
        """A text as this installation can keep it."""
        return written if not has_wide(written) or self._keeps_wide() else named(written)

    def _keeps_wide(self) -> bool:
        """Tried out once, and again where that told nothing."""
        if self._wide is None:
            self._wide = checks.keeps_wide(self._client)
        return self._wide is not False

    def _case(self, row: Row) -> CaseRecord:
        record = case_of(row, self._fields.attributes(), public_url=self.settings.public_url)
        words, key = unmarked(record.fields.get("description") or "")
        return replace(record, fields={**record.fields, "description": words or None}) if key else record

    def _made_once(
        self, entity: str, body: Mapping[str, Any], key: str, key_field: str | None, *, find: Callable[[], str | None]
    ) -> Row:
        """By the field for the key, or where there is none by a mark in the text."""
        if key_field is None:
            where = "post" if entity == "Note" else self._fields.of("description") or "description"
            text_with_key = marked(str(body.get(where) or ""), key)
            return create_marked(self._client, entity, {**body, where: text_with_key}, find=find)
        unique = self._fields.is_unique(entity, key_field)
        return create_once(
            self._client, entity, {**body, key_field: key}, key_field=key_field, find=find, unique=unique
        )

    def _create_case(self, key: str, fields: CaseFields) -> str:
        body = {name: value for name, value in self._attributes(fields).items() if value is not None}
        with self._naming_fields():
            key_field = self._fields.ticket_id()
            row = self._made_once("Case", body, key, key_field, find=lambda: self._find_case_id(key))
        return str(row["id"])

    def _row(self, entity: str, record_id: str) -> Row:
        row = self._client.get(f"{entity}/{part(record_id)}").body
        # An administrator is shown deleted records too.
        if row.get("deleted"):
            raise GoneError(f"the {entity} {record_id} was deleted in EspoCRM")
        return row

    def _attributes(self, fields: CaseFields, *, now: Row | None = None) -> dict[str, str | None]:
        """`now`: the Case as it is; a mark in its description stays."""
        attributes = self._fields.attributes()
        values = {attributes[name]: self.normalise(name, fields[name]) for name in fields if name in attributes}
        where = attributes.get("description", "")
        _, key = unmarked(str((now or {}).get(where) or ""))
        return {**values, where: marked(values[where] or "", key)} if key and where in values else values

    def _having(self, entity: str, attribute: str, value: str, *, select: Sequence[str]) -> list[str]:
        """Ids of the records with a key. Looked at once more: EspoCRM answers a filter it dislikes with everything."""
        params = listing(query.equals(attribute, value), select=select)
        rows = rows_of(self._client.get(entity, params))
        return [str(row["id"]) for row in rows if same_key(row.get(attribute), value)]

    def _find_case_id(self, key: str) -> str | None:
        key_field = self._fields.ticket_id()
        if key_field is None:
            return only(self._marked_cases(key), f"Cases have the key {key} in their description")
        return only(self._having("Case", key_field, key, select=("id", key_field)), f"Cases have the {key_field} {key}")

    def _marked_cases(self, key: str) -> list[str]:
        attribute = self._fields.of("description") or "description"
        where = query.compare("contains", attribute, mark(key))
        rows = rows_of(self._client.get("Case", listing(where, select=("id", attribute))))
        return [str(row["id"]) for row in rows if unmarked(str(row.get(attribute) or ""))[1] == key]

    def _patch(self, case_id: str, values: Mapping[str, str | None], version: object) -> Row:
        headers = {"X-Version-Number": str(version)} if version is not None else {}
        for last_try in (False, True):
            try:
                return self._client.send("PATCH", f"Case/{part(case_id)}", body=values, headers=headers).body
            except ServerFailedError as error:
                row = self._row("Case", case_id)
                if all((row.get(name) or None) == value for name, value in values.items()):
                    return row
                if last_try:
                    raise lasting("Case", error) from error
        raise AssertionError("unreachable")

    def _with_contact(self, row: Row, changes: CaseFields) -> Row:
        """The Case, its primary contact also in the list of its contacts: EspoCRM does not always keep that so."""
        contact = changes.get("contact")
        if contact is None or contact in (row.get("contactsIds") or ()):
            return row
        # The answer to a change shows the list as it was before.
        row = self._row("Case", str(row["id"]))
        if contact in (row.get("contactsIds") or ()):
            return row
        try:
            self._client.send("POST", f"Case/{part(str(row['id']))}/contacts", body={"id": contact})
        except NotFoundError as error:
            words = "this contact does not exist in EspoCRM any more"
            raise InvalidError(words, fields={"contact": words}) from error
        return self._row("Case", str(row["id"]))

    def _raise_if_gone(self, case_id: str) -> None:
        try:
            self.get_case(case_id)
        except NotFoundError as error:
            raise GoneError("the Case was deleted in EspoCRM") from error

    @contextmanager
    def _naming_fields(self) -> Iterator[None]:
        """Inside, refusals name fields as the engine does."""
        try:
            yield
        except InvalidError as error:
            if not error.fields:
                raise
            ours = {"contacts": "contact"}
            for name, attribute in self._fields.attributes().items():
                ours |= {attribute: name, attribute.removesuffix("Id"): name}
            fields = {ours.get(name, name): words for name, words in error.fields.items()}
            raise InvalidError(str(error), fields=fields) from error


def _by_mark(note: NoteRecord) -> NoteRecord:
    words, key = unmarked(note.body)
    return replace(note, body=words, key=key, for_customer=note.for_customer and key is None)
