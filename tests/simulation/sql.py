"""The same schedules over the sync service's real tables, on SQLite: slower, and nothing of them modelled."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from crm_sync_service import lanes
from crm_sync_service.lanes import Claim
from crm_sync_service.links import ConflictFound
from crm_sync_service.models import Base, Conflict, Link, outbox
from crm_sync_service.models import Lane as LaneTable
from crm_sync_service.stored import load_work
from shared.database import Database
from shared.events import Event, Message, pack, unpack
from tests.simulation.memory import Envelope, LinkRow
from tests.simulation.memory_lanes import Lane
from tests.simulation.world import Trace, World


class _Database(Database):
    def __init__(self, path: Path, world: World) -> None:
        super().__init__(f"sqlite:///{path}", schema="sync", migrations=Path())
        self._point = world.point
        event.listen(self.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        Base.metadata.create_all(self.engine)

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._point("before commit")
        with super().write() as session:
            yield session
        self._point("after commit")


class SqlWorld(World):
    """A World whose sync service has its own database."""

    def __init__(self, seed: int, *, path: Path, trace: Trace | None = None) -> None:
        self._path = path
        self._packed: dict[int, Message] = {}
        super().__init__(seed, trace=trace)

    def open_database(self) -> Any:
        return _Database(self._path, self)

    def sync_outbox(self) -> Any:
        return outbox

    def _received(self, messages: Sequence[Envelope]) -> None:
        self.worker.receive([self._pack(message) for message in messages])

    def _pack(self, message: Envelope) -> Message:
        """The same envelope every time a message is delivered."""
        if message.id not in self._packed:
            self._packed[message.id] = pack(message.event, source="portal", now=self.clock)
        return self._packed[message.id]

    def event_of(self, message: Any) -> Event:
        return unpack(message)

    def renew(self, claims: Sequence[Claim]) -> None:
        with self.sync_database.engine.begin() as connection:
            lanes.renew(Session(connection), claims, now=self.clock)

    def retry_parked(self) -> None:
        with self.sync_database.write() as session:
            lanes.retry(session, session.scalars(select(LaneTable.ticket_id)).all(), now=self.clock)

    def conflict_rows(self) -> Sequence[Any]:
        with self.sync_database.read() as session:
            return session.scalars(select(Conflict).order_by(Conflict.id)).all()

    @contextmanager
    def deciding(self) -> Iterator[Any]:
        with Session(self.sync_database.engine) as session, session.begin():
            yield session

    def lane_of(self, ticket_id: uuid.UUID) -> Lane | None:
        with self.sync_database.read() as session:
            row = session.get(LaneTable, ticket_id)
        return Lane(ticket_id=ticket_id, due_at=row.due_at, state=row.state, cause=row.cause) if row else None

    def link_of(self, ticket_id: uuid.UUID) -> LinkRow | None:
        with self.sync_database.read() as session:
            row = session.get(Link, ticket_id)
            if row is None:
                return None
            return LinkRow(
                link=load_work(session, ticket_id).link,
                in_sync=row.in_sync,
                reason=row.reason,
                compared_version=row.compared_version,
            )

    def conflicts(self) -> Sequence[tuple[uuid.UUID, ConflictFound]]:
        names = ConflictFound.__dataclass_fields__
        with self.sync_database.read() as session:
            rows = session.scalars(select(Conflict)).all()
        return [(row.ticket_id, ConflictFound(**{name: getattr(row, name) for name in names})) for row in rows]

    def unsent(self) -> int:
        with self.sync_database.read() as session:
            return outbox.waiting(session)[0]
