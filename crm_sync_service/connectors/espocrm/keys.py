"""Making a record once, where the CRM chooses its id: a unique key of ours decides."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    AmbiguousError,
    CrmError,
    ForbiddenError,
    InvalidError,
    UnreachableError,
)
from crm_sync_service.connectors.espocrm.client import DuplicateError, EspoClient, ServerFailedError
from crm_sync_service.connectors.espocrm.query import part
from crm_sync_service.connectors.espocrm.records import Row

SKIP_CHECK = {"X-Skip-Duplicate-Check": "true"}
_ATTEMPTS = 3
_MARK = re.compile(r"(?:\n\n)?\[casebridge ([0-9a-zA-Z:-]{8,80})\]")


def create_once(
    client: EspoClient,
    entity: str,
    body: Mapping[str, Any],
    *,
    key_field: str,
    find: Callable[[], str | None],
    unique: bool = True,
) -> Row:
    """The record as answered. `find`: the id of a record with this key, by asking. `unique`: EspoCRM keeps it so.

    A clash of keys may look like any fault of the server, and an unclear answer hides a record that was made: both
    are settled by looking for the key. Raises AlreadyExistsError with the id, and what the client raises.
    """
    if not unique:
        _refuse_known(entity, find())
    key = str(body[key_field])
    headers: Mapping[str, str] = {}
    failures = 0
    for _ in range(_ATTEMPTS):
        try:
            return _kept(client, entity, client.send("POST", entity, body=body, headers=headers).body, key_field, key)
        except DuplicateError as error:
            ours = [str(row["id"]) for row in error.rows if same_key(row.get(key_field), key)]
            found = ours[0] if ours else find()
            # Alike in something else, by a rule of this installation: the key alone decides for us.
            headers = SKIP_CHECK
        except UnreachableError as error:
            found, failures = find(), failures + 1
            if found is None and (failures > 1 or not isinstance(error, ServerFailedError)):
                raise lasting(entity, error) from error
        _refuse_known(entity, found)
    raise InvalidError(f"EspoCRM takes every new {entity} for a duplicate: look at its duplicate checks")


def create_marked(client: EspoClient, entity: str, body: Mapping[str, Any], *, find: Callable[[], str | None]) -> Row:
    """The same where no field holds the key but the text does: what is being made at this moment is not seen."""
    _refuse_known(entity, find())
    try:
        return client.send("POST", entity, body=body, headers=SKIP_CHECK).body
    except UnreachableError:
        _refuse_known(entity, find())
        raise


def _refuse_known(entity: str, found: str | None) -> None:
    if found is not None:
        raise AlreadyExistsError(f"there is a {entity} with this key already", record_id=found)


def mark(key: str) -> str:
    """What stands at the end of a text for its key, where EspoCRM has no field for that."""
    return f"[casebridge {key}]"


def marked(words: str, key: str | None) -> str:
    return "\n\n".join(filter(None, (words, mark(key)))) if key else words


def unmarked(stored: str) -> tuple[str, str | None]:
    """The words without their mark, and the key."""
    found = _MARK.search(stored)
    return (stored[: found.start()] + stored[found.end() :], found[1]) if found else (stored, None)


def _kept(client: EspoClient, entity: str, row: Row, key_field: str, key: str) -> Row:
    """A record that was made, with its key: EspoCRM drops in silence what the role may not write."""
    if not row.get("id"):
        raise UnreachableError(f"EspoCRM answered the making of a {entity} with no record")
    if same_key(row.get(key_field), key):
        return row
    client.send("DELETE", f"{entity}/{part(str(row['id']))}")
    raise ForbiddenError(f"EspoCRM does not keep {key_field} of a {entity}: let the API user's role edit that field")


def lasting(entity: str, error: UnreachableError) -> CrmError:
    """A server that fails at just this record, and answers everything else, has a reason that lies in the record."""
    if not isinstance(error, ServerFailedError):
        return error
    return CrmError(f"EspoCRM fails at writing this {entity} though it answers otherwise: {error}")


def same_key(stored: Any, key: str) -> bool:
    """EspoCRM compares keys without regard to case."""
    return isinstance(stored, str) and stored.lower() == key.lower()


def only(found: Sequence[str], words: str) -> str | None:
    """The one id there is. Raises AmbiguousError."""
    if len(found) > 1:
        raise AmbiguousError(f"{len(found)} {words}: delete or merge all but one", record_ids=found)
    return found[0] if found else None
