"""Which custom fields an installation has: asking for one that it lacks fails whole requests."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from crm_sync_service.connectors.base import InvalidError, UnauthorisedError
from crm_sync_service.connectors.suitecrm.client import SuiteClient

_CUSTOM = "_c"
_FRESH_SECONDS = 300.0


def described_fields(client: SuiteClient, module: str) -> Mapping[str, Mapping[str, Any]]:
    """What SuiteCRM says of a module's fields, by name."""
    data = client.get(f"meta/fields/{module}").get("data")
    attributes = data.get("attributes") if isinstance(data, Mapping) else None
    return attributes if isinstance(attributes, Mapping) else {}


class InstalledFields:
    """Remembered for some minutes, so that a package installed meanwhile is noticed."""

    def __init__(self, client: SuiteClient, *, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        self._known: dict[str, tuple[float, Collection[str] | None]] = {}

    def has(self, module: str, name: str) -> bool:
        """Whether a field is there; those that every SuiteCRM has are not asked for. Raises UnreachableError."""
        if not name.endswith(_CUSTOM):
            return bool(name)
        there = self._of(module)
        return there is None or name in there

    def among(self, module: str, names: Sequence[str]) -> list[str]:
        return [name for name in names if self.has(module, name)]

    def _of(self, module: str) -> Collection[str] | None:
        """None where SuiteCRM does not tell."""
        read_at, names = self._known.get(module, (0.0, None))
        if module not in self._known or self._clock() - read_at > _FRESH_SECONDS:
            try:
                names = described_fields(self._client, module).keys() or None
            except (InvalidError, UnauthorisedError):
                names = None
            self._known[module] = (self._clock(), names)
        return names
