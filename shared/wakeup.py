"""Waiting for a commit of another process or thread, so that what it stored is looked at within milliseconds."""

import sqlite3
import time
from typing import Protocol

import psycopg

from shared.database import Database
from shared.outbox import NOTIFY_CHANNEL

_POLL_SECONDS = 0.01


class Wakeup:
    """For one thread, with a connection of its own to the database."""

    def __init__(self, database: Database) -> None:
        self._signal: _Signal = _Notifications(database) if database.is_postgresql else _DataVersion(database)

    def wait(self, timeout: float) -> None:
        """Return after `timeout` seconds, or early when something was committed since the last wait."""
        self._signal.wait(timeout)

    def close(self) -> None:
        self._signal.close()


class _Signal(Protocol):
    def wait(self, timeout: float) -> None: ...
    def close(self) -> None: ...


class _DataVersion:
    """SQLite counts the commits of other connections; asking for the count reads no table."""

    def __init__(self, database: Database) -> None:
        self._connection = sqlite3.connect(database.url.database or "", isolation_level=None, check_same_thread=False)
        self._seen = self._version()

    def wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while (version := self._version()) == self._seen and time.monotonic() < deadline:
            time.sleep(min(_POLL_SECONDS, timeout))
        self._seen = version

    def close(self) -> None:
        self._connection.close()

    def _version(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.OperationalError:
            # Locked for a moment, as while somebody recovers the file: whoever waits may as well look.
            return -1


class _Notifications:
    """PostgreSQL tells of each outbox row; a lost connection means waiting in full until there is a new one."""

    def __init__(self, database: Database) -> None:
        self._address = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: psycopg.Connection | None = None
        self._listen()

    def wait(self, timeout: float) -> None:
        if self._connection is None:
            time.sleep(timeout)
            self._listen()
            return
        try:
            for _ in self._connection.notifies(timeout=timeout, stop_after=1):
                pass
        except psycopg.OperationalError:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _listen(self) -> None:
        try:
            self._connection = psycopg.connect(self._address, autocommit=True, connect_timeout=10)
            self._connection.execute(f"LISTEN {NOTIFY_CHANNEL}")
        except psycopg.OperationalError:
            self.close()
