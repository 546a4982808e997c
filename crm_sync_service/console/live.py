"""A Case as it is in the CRM now, read because a person asks; the pages never wait for it otherwise."""

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from crm_sync_service import gate
from crm_sync_service.connectors.base import CaseRecord, Connector, CrmError
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.models import Link
from shared.database import Database

_PATIENCE_SECONDS = 8.0
_READERS = 4

T = TypeVar("T")


class NoAnswerError(Exception):
    """The CRM could not be asked; the text says why."""


@dataclass(frozen=True, kw_only=True)
class LiveCase:
    """What the CRM says of one Case."""

    record: CaseRecord
    fields: Mapping[str, str | None]
    """In the portal's terms."""


@dataclass(frozen=True)
class LiveCrm:
    """The CRM of the settings, opened when it is first needed."""

    open: Callable[[], tuple[Connector, CaseMapping]]
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_READERS, thread_name_prefix="live"), repr=False
    )

    @cached_property
    def _opened(self) -> tuple[Connector, CaseMapping]:
        return self.open()

    @property
    def connector(self) -> Connector:
        return self._opened[0]

    @property
    def mapping(self) -> CaseMapping:
        return self._opened[1]

    def case(self, case_id: str) -> LiveCase:
        """Raises NoAnswerError."""
        record = self.ask(lambda: self.connector.get_case(case_id))
        return LiveCase(record=record, fields=self.mapping.theirs(record.fields))

    def case_of(self, database: Database, ticket_id: uuid.UUID) -> tuple[LiveCase | None, str]:
        """A ticket's Case and, if it could not be read, why; neither if there is none."""
        with database.read() as session:
            link = session.get(Link, ticket_id)
        return self.look(database, link.case_id) if link and link.case_id else (None, "")

    def look(self, database: Database, case_id: str) -> tuple[LiveCase | None, str]:
        """A Case and, if it could not be read, why. While the CRM is not to be called, it is not."""
        with database.read() as session:
            open_ = gate.may_call(session, self.connector.name)
        if not open_:
            return None, "the CRM is not called at the moment; the overview says why"
        try:
            return self.case(case_id), ""
        except NoAnswerError as error:
            return None, str(error)

    def ask(self, question: Callable[[], T], *, patience: float = _PATIENCE_SECONDS) -> T:
        """Wait `patience` seconds for an answer. Raises NoAnswerError."""
        asked: Future[T] = self._pool.submit(question)
        try:
            return asked.result(timeout=patience)
        except FutureTimeoutError:
            asked.cancel()
            raise NoAnswerError(f"the CRM has not answered for {patience:g} s") from None
        except CrmError as error:
            raise NoAnswerError(str(error)) from error
