"""The folder in which a local stack keeps everything: one stack at a time, and emptied only on request."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.settings import SettingsError

_LOCK = "up.lock"
_MARK = "secret.key"
_ELSEWHERE = ("DATABASE_URL", "PORTAL_DATABASE_URL", "SYNC_DATABASE_URL", "CRM_DATABASE_URL", "BROKER_URL")


class AlreadyRunningError(SettingsError):
    """Another stack works in this folder."""


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Keep others out of the folder while the block runs; a killed holder leaves nothing behind that hinders.

    Raises AlreadyRunningError.
    """
    with (home / _LOCK).open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise AlreadyRunningError(
                f"Casebridge already runs in {home} (process {holder}): use that one, stop it, or "
                "choose another folder with CASEBRIDGE_HOME and other ports"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def start_over(home: Path) -> None:
    """Delete everything in the folder, which `held` keeps for us. Raises SettingsError rather than do harm."""
    elsewhere = [name for name in _ELSEWHERE if os.environ.get(name)]
    if elsewhere:
        raise SettingsError(
            f"starting over empties {home}, but {' and '.join(elsewhere)} keep data elsewhere: "
            "empty that yourself and start without FRESH"
        )
    found = [entry for entry in home.iterdir() if entry.name != _LOCK]
    if found and not (home / _MARK).exists():
        raise SettingsError(f"{home} was not made by Casebridge (it has no {_MARK}), so it is not emptied")
    for entry in found:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
