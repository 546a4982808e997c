"""The records of a simulated EspoCRM and its rules for them; what people do in its pages is under plain methods.

Each way in which EspoCRM surprises is a named switch in QUIRKS: without it the server would be a well-behaved one.
"""

import copy
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

from tests.crm_sync_service.espocrm.filters import RefusedError
from tests.crm_sync_service.espocrm.schema import (
    ATTRIBUTES,
    AUDITED,
    DEFAULTS,
    LINKS,
    ME,
    READ_ONLY,
    SYSTEM,
    translation,
    validate,
)

QUIRKS = frozenset(
    {
        "create_lacks_number",
        "client_ids_dropped",
        "clash_is_500",
        "duplicate_is_409",
        "names_refuse_angles",
        "names_are_trimmed",
        "every_patch_touches",
        "increments_get_lost",
        "equal_values_pass_stale",
        "links_do_not_touch",
        "primary_stays_behind",
        "primary_swap_keeps_list",
        "answers_show_the_list_before",
        "notes_do_not_touch",
        "notes_list_is_own",
        "stream_newest_first",
        "deleted_case_refuses_notes_with_403",
        "merges_do_not_touch",
        "garbage_where_matches_all",
        "unknown_attributes_ignored",
        "contact_check_on_name_or_email",
        "wrong_relation_is_403",
        "deletes_free_the_key",
        "lists_show_one_address",
        "lock_out",
    }
)


class State:
    """Tables in memory; every method takes the lock."""

    def __init__(self, *, quirks: frozenset[str] = QUIRKS, now: Callable[[], datetime] | None = None) -> None:
        self.quirks = set(quirks)
        self.lock = threading.RLock()
        self.tables: dict[str, dict[str, dict[str, Any]]] = {entity: {} for entity in ATTRIBUTES}
        self.custom: dict[str, dict[str, int]] = {
            "Case": {"portalTicketId": 64, "product": 100, "portalTicketNumber": 32, "portalTicketUrl": 255},
            "Note": {"portalReplyId": 64},
        }
        self.unique = {("Case", "portalTicketId"), ("Note", "portalReplyId")}
        self.says_unique: Mapping[str, Any] = {"type": "unique"}
        """As people write it into the metadata."""
        self.duplicate_checked = {("Case", "portalTicketId")}
        self.between: list[Callable[[], None]] = []
        """Run once each between a check and the write that relies on it, as another request would."""
        self.narrow: Literal["refuses", "loses"] | None = None
        """What the database does to characters of four bytes."""
        self.next_id: str | None = None
        """For the record that is made next."""
        self._now = now or (lambda: datetime.now(UTC))
        self.numbers: dict[str, int] = {}
        """Of records that get another number than the next one, by id."""
        self._ids = count(1)
        self._counters = {"Case": 1, "Note": 1}

    def has(self, quirk: str) -> bool:
        assert quirk in QUIRKS, quirk
        return quirk in self.quirks

    def stamp(self) -> str:
        return self._now().strftime("%Y-%m-%d %H:%M:%S")

    def attributes(self, entity: str) -> Callable[[str], bool]:
        names = {*ATTRIBUTES[entity], *SYSTEM, *self.custom.get(entity, ()), "contacts"}
        return names.__contains__

    def live(self, entity: str) -> list[dict[str, Any]]:
        return [row for row in self.tables[entity].values() if not row["deleted"]]

    def find(self, entity: str, record_id: str, *, reading: bool) -> dict[str, Any]:
        row = self.tables[entity].get(record_id)
        if row is None or row["deleted"]:
            raise RefusedError(404, f"Record {record_id} {'does not exist' if reading else 'not found'}.")
        return row

    def keep(self, entity: str, record_id: str | None = None, **values: Any) -> str:
        """A record that is there already, whatever the rules say."""
        made, self.next_id = self.next_id, None
        record_id = record_id or made or f"{0x6B024A51 + next(self._ids):x}{next(self._ids):09x}"
        at = self.stamp()
        row = {**dict.fromkeys(ATTRIBUTES[entity]), **dict.fromkeys(self.custom.get(entity, ()))}
        row |= copy.deepcopy(dict(DEFAULTS.get(entity, {})))
        row |= {"id": record_id, "createdAt": at, "modifiedAt": at, "createdById": ME, "modifiedById": None}
        row |= {"deleted": False, "versionNumber": 1, "deleteId": "0"}
        row |= {name: at for name in ("streamUpdatedAt",) if name in row} | values
        if entity in self._counters:
            row["number"] = self.numbers.get(record_id, self._counters[entity])
            self._counters[entity] = max(self._counters[entity], row["number"] + 1)
        if entity == "User" and row["lastName"] is None:
            row["lastName"] = row["userName"]
        if entity in {"Contact", "User"}:
            row["name"] = " ".join(filter(None, (row["firstName"], row["lastName"]))) or row.get("userName")
        if entity in {"Contact", "User", "Account"}:
            _fill_addresses(row, values)
        self.tables[entity][record_id] = row
        return record_id

    def create(self, entity: str, values: Mapping[str, Any], *, by: str, skip_check: bool = False) -> dict[str, Any]:
        with self.lock:
            given = self.checked(entity, values, new=True)
            if not skip_check:
                self._refuse_duplicates(entity, given)
        self._interrupt()
        with self.lock:
            self._refuse_clash(entity, given, None)
            wanted = None if self.has("client_ids_dropped") else values.get("id")
            record_id = self.keep(entity, wanted, **given, createdById=by)
            row = self.tables[entity][record_id]
            self._attach(entity, row, given)
            if entity == "Case" and row["contactId"] and row["contactId"] not in row["contactsIds"]:
                row["contactsIds"].append(row["contactId"])
            if entity == "Note":
                self._after_note(row)
            elif entity in {"Case", "Account", "Contact"}:
                self.note_of_system("Create", entity, record_id, by=by)
            return row

    def _interrupt(self) -> None:
        while self.between:
            self.between.pop(0)()

    def _after_note(self, row: dict[str, Any]) -> None:
        case = self.tables["Case"].get(str(row["parentId"]))
        if case is not None:
            case["streamUpdatedAt"] = row["createdAt"]
            if not self.has("notes_do_not_touch"):
                self._touch(case, by=row["createdById"])

    def note_of_system(self, kind: str, entity: str, record_id: str, *, by: str, data: Any = None) -> None:
        self.keep("Note", type=kind, parentType=entity, parentId=record_id, createdById=by, data=data or {})

    def update(
        self, entity: str, record_id: str, values: Mapping[str, Any], *, by: str, version: str | None = None
    ) -> dict[str, Any]:
        with self.lock:
            row = self.find(entity, record_id, reading=False)
            given = self.checked(entity, values, new=False, old=row)
            changing = {name: value for name, value in given.items() if row.get(name) != value}
            seen = row["versionNumber"]
            equal_passes = self.has("equal_values_pass_stale") and not changing
            if version is not None and entity == "Case" and version != str(seen) and not equal_passes:
                current = {name: row.get(name) for name in changing}
                raise RefusedError(409, "modified", {"values": current, "versionNumber": seen})
        self._interrupt()
        with self.lock:
            self._refuse_clash(entity, given, record_id)
            contacts_before = list(row.get("contactsIds") or ())
            if entity == "Case":
                self._relate(row, given)
            row.update(given)
            self._attach(entity, row, given)
            if changing or self.has("every_patch_touches"):
                self._touch(row, by=by)
                if self.has("increments_get_lost"):
                    row["versionNumber"] = seen + 1
            self._audit(entity, row, changing, by=by)
            stale = "contactsIds" not in values and self.has("answers_show_the_list_before")
            return {**row, "contactsIds": contacts_before} if entity == "Case" and stale else row

    def _attach(self, entity: str, row: dict[str, Any], given: Mapping[str, Any]) -> None:
        """A file belongs to one record: using it again moves it."""
        for file_id in given.get("attachmentsIds") or ():
            for other in (*self.tables["Note"].values(), *self.tables["Case"].values()):
                if other is not row and file_id in (other["attachmentsIds"] or ()):
                    other["attachmentsIds"] = [one for one in other["attachmentsIds"] if one != file_id]
            self.tables["Attachment"][file_id] |= {"parentType": entity, "parentId": row["id"]}

    def _audit(self, entity: str, row: dict[str, Any], changing: Mapping[str, Any], *, by: str) -> None:
        if entity != "Case" or not AUDITED & changing.keys():
            return
        row["streamUpdatedAt"] = self.stamp()
        if "assignedUserId" in changing:
            self.note_of_system("Assign", entity, row["id"], by=by)
        if {"status", "priority", "type"} & changing.keys():
            self.note_of_system("Update", entity, row["id"], by=by, data={"value": row["status"]})

    def _touch(self, row: dict[str, Any], *, by: str) -> None:
        row["modifiedAt"], row["modifiedById"] = self.stamp(), by
        row["versionNumber"] += 1

    def _relate(self, row: dict[str, Any], given: dict[str, Any]) -> None:
        """Primary contact and list of contacts, and how they drift apart."""
        if "contactsIds" in given:
            given["contactsIds"] = list(given["contactsIds"])
        if "contactId" not in given or given["contactId"] == row["contactId"]:
            if "contactsIds" in given and not self.has("primary_stays_behind"):
                given.setdefault("contactId", row["contactId"] if row["contactId"] in given["contactsIds"] else None)
            return
        contacts = list(given.get("contactsIds", row["contactsIds"]))
        old, new = row["contactId"], given["contactId"]
        if old in contacts and (new is None or not self.has("primary_swap_keeps_list")):
            contacts.remove(old)
        if new is not None and new not in contacts:
            contacts.append(new)
        given["contactsIds"] = contacts

    def link(self, case_id: str, contact_ids: list[str], *, remove: bool = False) -> bool:
        with self.lock:
            row = self.tables["Case"].get(case_id)
            if row is None or row["deleted"]:
                raise RefusedError(404)
            if not remove and not all(self._is_live("Contact", one) for one in contact_ids):
                raise RefusedError(404)
            for one in contact_ids:
                if remove and one in row["contactsIds"]:
                    row["contactsIds"].remove(one)
                    if row["contactId"] == one and not self.has("primary_stays_behind"):
                        row["contactId"] = None
                elif not remove and one not in row["contactsIds"]:
                    row["contactsIds"].append(one)
            if not self.has("links_do_not_touch"):
                self._touch(row, by=ME)
            return bool(contact_ids)

    def delete(self, entity: str, record_id: str, *, by: str = "bob") -> None:
        with self.lock:
            row = self.find(entity, record_id, reading=False)
            row |= {"deleted": True, "modifiedAt": self.stamp(), "modifiedById": by}
            row["deleteId"] = record_id if self.has("deletes_free_the_key") else "0"
            if entity == "Contact":
                for case in self.live("Case"):
                    case["contactsIds"] = [one for one in case["contactsIds"] if one != record_id]

    def merge(self, entity: str, source: str, *, into: str, by: str = "bob") -> None:
        """People merge two accounts or two contacts."""
        with self.lock:
            gone, kept = self.find(entity, source, reading=False), self.find(entity, into, reading=False)
            attribute = {"Account": "accountId", "Contact": "contactId"}[entity]
            for case in self.live("Case"):
                moved = case[attribute] == source or source in case["contactsIds"]
                case[attribute] = into if case[attribute] == source else case[attribute]
                case["contactsIds"] = list(dict.fromkeys(into if one == source else one for one in case["contactsIds"]))
                if moved and not self.has("merges_do_not_touch"):
                    self._touch(case, by="bob")
            for item in gone.get("emailAddressData") or ():
                kept["emailAddressData"].append({**item, "primary": False})
            gone["deleted"] = True
            self._touch(kept, by=by)

    def checked(
        self, entity: str, values: Mapping[str, Any], *, new: bool, old: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The values as they will be stored. Raises RefusedError."""
        known = {*ATTRIBUTES[entity], *self.custom.get(entity, ())} - READ_ONLY
        given = {name: value for name, value in values.items() if name in known}
        unknown = set(values) - known - READ_ONLY
        if unknown and not self.has("unknown_attributes_ignored"):
            raise RefusedError(400, f"Unknown attributes {sorted(unknown)}.")
        if not isinstance(given.get("contactsIds", []), list):
            del given["contactsIds"]
        for name, value in list(given.items()):
            given[name] = self._stored(entity, name, value)
        validate(
            entity, given, new=new, custom=self.custom.get(entity, {}), angles_refused=self.has("names_refuse_angles")
        )
        for name in (*LINKS, "contactsIds"):
            if entity in {"Case", "Contact"} and given.get(name) and (old is None or old.get(name) != given[name]):
                self._refuse_relation(name, given[name])
        return given

    def _stored(self, entity: str, name: str, value: Any) -> Any:
        is_name = name in {"name", "firstName", "lastName"} or name in self.custom.get(entity, ())
        if is_name and isinstance(value, int):
            value = str(value)
        if is_name and isinstance(value, dict):
            value = "Object"
        if is_name and isinstance(value, str) and self.has("names_are_trimmed"):
            value = value.strip(" \t\n\r\0\x0b")
        if isinstance(value, str) and self.narrow and any(letter > "\uffff" for letter in value):
            if self.narrow == "refuses":
                raise RefusedError(500, None)
            value = "".join("????" if letter > "\uffff" else letter for letter in value)
        if value == "" and (name in self.custom.get(entity, ()) or name in {"post", "description"}):
            return None
        return value

    def _refuse_relation(self, name: str, value: Any) -> None:
        link, entity = name.removesuffix("Id"), LINKS.get(name, "Contact")
        link = "contacts" if name == "contactsIds" else link
        status = 403 if self.has("wrong_relation_is_403") else 400
        for one in value if isinstance(value, list) else [value]:
            user = self.tables["User"].get(one) if entity == "User" else None
            if one == "system" or (user and not user["deleted"] and not user["isActive"]):
                body = translation("cannotRelateForbidden", {"foreignEntityType": entity, "action": "read"})
                raise RefusedError(status, f"No foreign record access for link operation (Case:{link}).", body)
            if not self._is_live(entity, one):
                body = translation("cannotRelateNonExisting", {"foreignEntityType": entity})
                words = f"Can't relate with non-existing record. entity type: Case, link: {link}."
                raise RefusedError(status, words, body)

    def _is_live(self, entity: str, record_id: Any) -> bool:
        row = self.tables[entity].get(str(record_id))
        return row is not None and not row["deleted"]

    def _refuse_duplicates(self, entity: str, given: Mapping[str, Any]) -> None:
        alike = [row for row in self.live(entity) if self._alike(entity, row, given)]
        if alike and self.has("duplicate_is_409"):
            raise RefusedError(409, "duplicate", [self.shown(entity, row) for row in alike])

    def _alike(self, entity: str, row: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
        for name in self.custom.get(entity, ()):
            if (entity, name) in self.duplicate_checked and given.get(name) and _same(row.get(name), given[name]):
                return True
        if entity not in {"Account", "Contact"}:
            return False
        name = " ".join(filter(None, (given.get("firstName"), given.get("lastName")))) or given.get("name")
        addresses = [item["lower"] for item in row.get("emailAddressData") or ()]
        same_address = bool(given.get("emailAddress")) and given["emailAddress"].lower() in addresses
        same_name = self.has("contact_check_on_name_or_email") and _same(row["name"], name)
        return same_address or same_name

    def _refuse_clash(self, entity: str, given: Mapping[str, Any], record_id: str | None) -> None:
        for row in self.tables[entity].values():
            for name in self.custom.get(entity, ()):
                if (entity, name) not in self.unique or row["id"] == record_id or row["deleteId"] != "0":
                    continue
                if given.get(name) and _same(row.get(name), given[name]):
                    if not self.has("clash_is_500"):
                        raise RefusedError(409, "duplicate", [self.shown(entity, row)])
                    raise RefusedError(500, None)

    def shown(self, entity: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row with the names of what it refers to."""
        shown = {name: value for name, value in row.items() if name not in {"apiKey", "file"}}
        for name, target in {**LINKS, "createdById": "User", "modifiedById": "User"}.items():
            if name in shown:
                there = self.tables[target].get(str(row[name]))
                dead = there is None or there["deleted"]
                shown[name.removesuffix("Id") + "Name"] = None if dead or there is None else there["name"]
        return shown


def _same(stored: Any, given: Any) -> bool:
    return isinstance(stored, str) and isinstance(given, str) and stored.casefold() == given.casefold()


def _fill_addresses(row: dict[str, Any], values: Mapping[str, Any]) -> None:
    data = values.get("emailAddressData") or ([{"emailAddress": row["emailAddress"]}] if row["emailAddress"] else [])
    row["emailAddressData"] = [
        {"emailAddress": one["emailAddress"], "lower": one["emailAddress"].lower(), "primary": i == 0}
        for i, one in enumerate(data)
    ]
