"""Whether a record that a Case is to name exists: SuiteCRM takes any id, shows nothing and wipes it later."""

from collections.abc import Callable, Mapping

from crm_sync_service.connectors.base import InvalidError, NotFoundError
from crm_sync_service.connectors.suitecrm.client import SuiteClient

_MODULES: Mapping[str, str] = {"account": "Accounts", "assignee": "Users", "contact": "Contacts"}
_NOUNS: Mapping[str, str] = {"account": "account", "assignee": "user", "contact": "contact"}
_FRESH_SECONDS = 60.0
_MOST = 10_000


class References:
    """Remembers for a minute which records were there."""

    def __init__(self, client: SuiteClient, *, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        self._seen: dict[tuple[str, str], float] = {}

    def problem(self, name: str, record_id: str) -> str | None:
        """Why a field cannot name this record, or None."""
        key = (name, record_id)
        seen = self._seen.get(key)
        if seen is not None and self._clock() - seen < _FRESH_SECONDS:
            return None
        module = _MODULES[name]
        try:
            self._client.get(f"module/{module}/{record_id}", {f"fields[{module}]": "date_modified"})
        except (NotFoundError, InvalidError):
            return f"SuiteCRM has no {_NOUNS[name]} with the id {record_id}"
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[key] = self._clock()
        return None

    def check(self, name: str, record_id: str) -> None:
        """Raises InvalidError."""
        words = self.problem(name, record_id)
        if words:
            raise InvalidError(words, fields={name: words})
