"""Databases: one per service, SQLite by default, PostgreSQL in production, used in the same way.

Functions take a `Session` and never commit. An edge (a view, a consumer, a command) opens the transaction:
`with database.write() as session:` or, where nothing changes, `with database.read() as session:`.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
_SQLITE_WAIT_SECONDS = 20
_RESTED_SECONDS = 1.0


class DatabaseUnavailableError(Exception):
    """The database cannot be reached or used; the text says what to do."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. Refuses naive values; SQLite, which has no time zones, gets and gives UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (signature of the base class)
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite numbers rows by itself only for its own INTEGER type."""


def new_metadata() -> MetaData:
    return MetaData(naming_convention=NAMING)


class FairLock:
    """A lock for the threads of one process, who get it in the order in which they came; reentrant.

    With an ordinary lock a thread that writes in a loop takes it again before any other wakes up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[tuple[int, threading.Event]] = deque()
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._lock:
            if self._owner in {None, me}:
                self._owner, self._depth = me, self._depth + 1
                return
            my_turn = threading.Event()
            self._queue.append((me, my_turn))
        my_turn.wait()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth:
                return
            self._owner = None
            if self._queue:
                self._owner, turn = self._queue.popleft()
                self._depth = 1
                turn.set()


class Database:
    """One service's database: its engine, its sessions and its migrations."""

    def __init__(self, url: str, *, schema: str, migrations: Path, pool_size: int = 5) -> None:
        """`schema` names the PostgreSQL schema (SQLite has none); `pool_size` bounds connections per process."""
        self.url = make_url(url)
        self.schema = schema
        self._migrations = migrations
        # SQLite has one writer at a time and lets the others ask again and again; threads of one process queue instead.
        self._turn: AbstractContextManager[object] = (
            nullcontext() if self.url.get_backend_name() == "postgresql" else FairLock()
        )
        self.engine = _create_engine(self.url.render_as_string(hide_password=False), schema, pool_size)
        self._write = sessionmaker(self.engine.execution_options(sqlite_begin="IMMEDIATE"), expire_on_commit=False)
        # On PostgreSQL a statement sees what is committed by then, whether BEGIN and ROLLBACK stand around it or not.
        looking = self.engine.execution_options(isolation_level="AUTOCOMMIT") if self.is_postgresql else self.engine
        self._read = sessionmaker(looking, expire_on_commit=False, autoflush=False)

    @property
    def is_postgresql(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at the end of the block and rolls back on any exception."""
        with self._turn, self._write.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A view that takes no write lock and is there to change nothing."""
        with self._read() as session:
            yield session

    def upgrade(self) -> None:
        """Bring the schema to the newest revision. Raises DatabaseUnavailableError."""
        try:
            if self.is_postgresql:
                with self.engine.begin() as connection:
                    # Processes that start together create the schema one after the other.
                    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": self.schema})
                    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"'))
            with self.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
                config = self.alembic_config()
                config.attributes["connection"] = connection
                alembic.command.upgrade(config, "head")
        except DBAPIError as error:
            raise self.explain(error) from error
        except CommandError as error:
            raise DatabaseUnavailableError(
                f"the {self.schema} database cannot be migrated: {error}. It was probably made by a newer version: "
                "install that one, or use a backup that this version made"
            ) from error

    def check(self) -> None:
        """Raises DatabaseUnavailableError unless the database answers and has the newest schema."""
        try:
            with self.engine.connect() as connection:
                current = MigrationContext.configure(connection).get_current_revision()
        except DBAPIError as error:
            raise self.explain(error) from error
        newest = ScriptDirectory.from_config(self.alembic_config()).get_current_head()
        if current != newest:
            raise DatabaseUnavailableError(
                f"the {self.schema} database has schema {current}, but {newest} is needed: run `casebridge migrate`"
            )

    def alembic_config(self) -> alembic.config.Config:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(self._migrations))
        return config

    def explain(self, error: DBAPIError) -> DatabaseUnavailableError:
        """The database's own words with what to do about them; never the password."""
        place = self.url.render_as_string(hide_password=True)
        return DatabaseUnavailableError(
            f"the {self.schema} database at {place} cannot be used: {str(error.orig).strip()}. "
            "Check that it runs, that the address and rights are right and that the disk is not full."
        )

    def dispose(self) -> None:
        self.engine.dispose()


@contextmanager
def opened(database: Database) -> Iterator[Database]:
    """A database for the length of a command, its connections closed at the end."""
    try:
        yield database
    finally:
        database.dispose()


def _create_engine(url: str, schema: str, pool_size: int) -> Engine:
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            connect_args={"timeout": _SQLITE_WAIT_SECONDS, "check_same_thread": False},
            pool_size=pool_size,
            hide_parameters=True,  # errors are logged, and parameters are people's texts
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        hide_parameters=True,
        connect_args={
            # Without jit: compiling a statement takes the server longer than any of ours runs.
            "options": (
                f"-c search_path={schema} -c timezone=UTC -c jit=off -c idle_in_transaction_session_timeout=60000"
            ),
            "connect_timeout": 10,
            "application_name": f"casebridge-{schema}",
        },
    )
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", partial(_ping_after_rest, engine.dialect))
    return engine


def _note_rest(_connection: Any, record: Any) -> None:
    record.info["rests_since"] = time.monotonic()


def _ping_after_rest(dialect: Dialect, connection: Any, record: Any, _proxy: Any) -> None:
    """Try a connection that nobody used for a while: the server may have gone since. A busy one needs no trial."""
    if time.monotonic() - record.info.get("rests_since", time.monotonic()) < _RESTED_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError("the server went away") from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver must not open transactions by itself: _begin_sqlite chooses how each one starts.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def is_out_of_space(error: OperationalError) -> bool:
    """Whether a failed write met a full or read-only disk rather than a passing lock."""
    words = str(error.orig).lower()
    return any(word in words for word in ("full", "readonly", "read-only", "no space", "disk i/o"))
