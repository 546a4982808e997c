"""Which fields of this EspoCRM hold what, found out from its metadata once."""

import threading
from collections.abc import Mapping
from typing import Any

from crm_sync_service.connectors.base import FieldInfo, UnauthorisedError
from crm_sync_service.connectors.espocrm.client import EspoClient
from crm_sync_service.connectors.espocrm.settings import AUTO, USUAL_NAMES, EspoCrmSettings

REMEDY = "install the extension that `casebridge espocrm-package` makes, in Administration, Extensions"
_LINKS = {"link": "Id", "linkMultiple": "Ids", "linkOne": "Id", "attachmentMultiple": "Ids"}
_VARCHAR_LENGTH = 255


class Fields:
    """Names of the synced attributes; asks EspoCRM when one is first needed that the settings leave open."""

    def __init__(self, client: EspoClient, settings: EspoCrmSettings) -> None:
        self._client = client
        self._settings = settings
        self._lock = threading.Lock()
        self._known: dict[str, Mapping[str, Any]] = {}
        self._indexes: dict[str, Mapping[str, Any]] = {}

    def attributes(self) -> dict[str, str]:
        """Attribute of a Case by CaseField, without those this CRM has no field for. Raises what reading raises."""
        pairs = {name: self._resolve("Case", name, wanted) for name, wanted in self._settings.fields.items()}
        return {name: attribute for name, attribute in pairs.items() if attribute}

    def of(self, name: str) -> str | None:
        """One attribute; None if it is not synced. Raises what reading raises."""
        wanted = self._settings.fields.get(name)
        return self._resolve("Case", name, wanted) if wanted else None

    def ticket_id(self) -> str | None:
        """The key of Cases; None where there is none. Raises UnauthorisedError if one is named that is not there."""
        return self._key("Case", "ticket_id", self._settings.ticket_id_field)

    def reply_id(self) -> str | None:
        """The same for Notes."""
        return self._key("Note", "reply_id", self._settings.reply_id_field)

    def is_unique(self, entity: str, name: str) -> bool:
        """By an index of the database: the duplicate check alone does not see what is made at the same moment."""
        with self._lock:
            if entity not in self._indexes:
                answer = self._client.get("Metadata", {"key": f"entityDefs.{entity}.indexes"})
                self._indexes[entity] = answer.data if isinstance(answer.data, dict) else {}
            indexes = self._indexes[entity].values()
        return any(_keeps_unique(index) and name in index.get("columns", ()) for index in indexes)

    def definitions(self, entity: str) -> Mapping[str, Any]:
        """The fields of an entity as its metadata has them, read once."""
        with self._lock:
            if entity not in self._known:
                answer = self._client.get("Metadata", {"key": f"entityDefs.{entity}.fields"})
                self._known[entity] = answer.data if isinstance(answer.data, dict) else {}
            return self._known[entity]

    def forget(self) -> None:
        """Ask again next time: somebody may have added a field."""
        with self._lock:
            self._known.clear()
            self._indexes.clear()

    def described(self, labels: Mapping[str, Any]) -> dict[str, FieldInfo]:
        """The fields of a Case by attribute. `labels`: of options, by field."""
        found = {}
        for name, definition in self.definitions("Case").items():
            kind = str(definition.get("type"))
            found[name + _LINKS.get(kind, "")] = _info(kind, definition, labels.get(name) or {})
        return found

    def _key(self, entity: str, name: str, wanted: str) -> str | None:
        # A field that is not there would be dropped in silence, and every repeated create would make a second record.
        found = self._resolve(entity, name, wanted)
        if found is not None and found not in self.definitions(entity):
            self.forget()
            raise UnauthorisedError(f"EspoCRM has no field {found} on {entity}: {REMEDY}")
        return found

    def _resolve(self, entity: str, name: str, wanted: str) -> str | None:
        if wanted != AUTO:
            return wanted
        there = self.definitions(entity)
        return next((usual for usual in USUAL_NAMES.get(name, ()) if usual in there), None)


def _keeps_unique(index: Mapping[str, Any]) -> bool:
    """EspoCRM knows two ways of saying it."""
    return index.get("type") == "unique" or index.get("unique") is True


def _info(kind: str, definition: Mapping[str, Any], labels: Mapping[str, str]) -> FieldInfo:
    options = definition.get("options")
    length = definition.get("maxLength") or (_VARCHAR_LENGTH if kind == "varchar" else None)
    return FieldInfo(
        type=kind,
        length=length,
        options={str(key): str(labels.get(key, key)) for key in options} if isinstance(options, list) else None,
        required=bool(definition.get("required")),
    )
