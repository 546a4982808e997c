"""What the desk refuses, each with a sentence for a person."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crm_sync_service.desk.models import Stamped


class DeskError(Exception):
    """The base of everything the desk refuses."""


class NotFoundError(DeskError):
    def __init__(self, kind: str, record_id: object) -> None:
        super().__init__(f"There is no {kind} with the id {record_id}.")


class DeletedError(DeskError):
    """The record was deleted, or merged into another one."""

    def __init__(self, kind: str, merged_into: uuid.UUID | None) -> None:
        self.merged_into = merged_into
        super().__init__(f"This {kind} was merged into another one." if merged_into else f"This {kind} was deleted.")


class ExistsError(DeskError):
    """The id chosen by the client is taken, perhaps by a deleted record."""

    def __init__(self, kind: str, *, deleted: bool) -> None:
        self.deleted = deleted
        super().__init__(f"There is already a {kind} with this id{', but it was deleted' if deleted else ''}.")


class StaleError(DeskError):
    """The record has changed since the version that the change was based on."""

    def __init__(self, record: "Stamped") -> None:
        self.model = type(record)
        self.record_id = record.id
        super().__init__(
            f"It was changed meanwhile by {record.modified_by} and is at version {record.version} now: "
            "read it again and decide anew."
        )


class InvalidError(DeskError):
    """Values the desk does not take, by field."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        self.words = " ".join(self.fields.values())
        super().__init__(" ".join(f"{name}: {words}" for name, words in self.fields.items()))
