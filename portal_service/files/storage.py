"""Where the bytes of attachments are: by their content, so that nothing is stored twice and no name can harm."""

import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

from portal_service.files.content import HEAD_BYTES, content_type, ending_of
from portal_service.files.errors import FileRefused
from portal_service.files.locked import refuse_locked
from portal_service.messages import message

_CHUNK = 1024 * 1024
_MAX_NAME = 300
# Control and formatting characters: the latter can make `exe.png` of `gnp.exe`.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}

TOO_LARGE = message("%(name)s is too large: a file may have at most %(limit)s MB.")
EMPTY = message("%(name)s is empty. Please choose the file again.")


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file that is safely stored, not yet part of a ticket."""

    name: str
    content_type: str
    size: int
    """Bytes."""
    sha256: str


class Storage(Protocol):
    """A place for bytes. An S3 bucket or a folder."""

    def put(self, path: Path, sha256: str) -> None:
        """Keep the content of a local file, which is moved or copied, under its hash; durable on return."""

    def open(self, sha256: str) -> IO[bytes]:
        """Raises FileNotFoundError."""

    def remove(self, sha256: str, *, unless_newer_than: datetime) -> None:
        """Delete a content nothing refers to, unless it was written again since that moment."""

    def scratch(self) -> Path:
        """A local folder for files on their way in."""


class FolderStorage:
    """Files in a local folder, named by their hash, written so that a crash leaves none half written."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._scratch = root / "incoming"
        self._scratch.mkdir(parents=True, exist_ok=True)

    def put(self, path: Path, sha256: str) -> None:
        target = self._path(sha256)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
        _sync_folder(target.parent)

    def open(self, sha256: str) -> IO[bytes]:
        return self._path(sha256).open("rb")

    def remove(self, sha256: str, *, unless_newer_than: datetime) -> None:
        path, aside = self._path(sha256), self._scratch / f"removed-{sha256}"
        try:
            path.replace(aside)
        except FileNotFoundError:
            return
        # Looked at after it was moved: whoever writes it from now on makes a file of his own.
        if aside.stat().st_mtime > unless_newer_than.timestamp():
            aside.replace(path)
        else:
            aside.unlink()

    def scratch(self) -> Path:
        return self._scratch

    def _path(self, sha256: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise FileNotFoundError(sha256)
        return self._root / sha256[:2] / sha256


def store_upload(storage: Storage, name: str, stream: IO[bytes], *, limit: int) -> StoredFile:
    """Store an upload of at most `limit` bytes.

    Raises FileRefused for what is too large, empty, locked by a password or of no allowed kind. The type comes from the
    content; the name only has to agree with it. The name is kept for display (S18).
    """
    shown = safe_name(name)
    with tempfile.NamedTemporaryFile(dir=storage.scratch(), delete=False) as copy:
        path = Path(copy.name)
        try:
            head, size, digest = _copy(stream, copy, name=shown, limit=limit)
            ending_of(shown)
            refuse_locked(path, shown, head)
            kind = content_type(shown, head)
            storage.put(path, digest)
        finally:
            path.unlink(missing_ok=True)
    return StoredFile(name=shown, content_type=kind, size=size, sha256=digest)


def safe_name(name: str) -> str:
    """A file name without folders and without characters that are not seen; the ending survives shortening."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    visible = "".join(c for c in last if unicodedata.category(c) not in _INVISIBLE).strip(" .") or "file"
    stem, dot, ending = visible.rpartition(".")
    return visible if len(visible) <= _MAX_NAME else stem[: _MAX_NAME - len(ending) - 1] + dot + ending[-20:]


def _copy(
    stream: IO[bytes], copy: "tempfile._TemporaryFileWrapper[bytes]", *, name: str, limit: int
) -> tuple[bytes, int, str]:
    digest, size, head = hashlib.sha256(), 0, b""
    for chunk in _chunks(stream):
        size += len(chunk)
        if size > limit:
            raise FileRefused(TOO_LARGE, name=name, limit=str(limit // (1024 * 1024)))
        head = head or chunk[:HEAD_BYTES]
        digest.update(chunk)
        copy.write(chunk)
    if not size:
        raise FileRefused(EMPTY, name=name)
    copy.flush()
    os.fsync(copy.fileno())
    return head, size, digest.hexdigest()


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def _sync_folder(folder: Path) -> None:
    # Without this the name may be lost at a power cut although the content is on the disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
