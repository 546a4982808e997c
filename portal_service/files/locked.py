"""Files that nobody here could open, because they ask for a password."""

import zipfile
from pathlib import Path

from portal_service.files.errors import FileRefused
from portal_service.messages import message

LOCKED = message("%(name)s is protected by a password, so nobody here can open it. Please send it without one.")

_ENCRYPTED_ENTRY = 0x1
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Office stores an encrypted document as a stream of this name.
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_CHUNK = 1024 * 1024


def refuse_locked(path: Path, name: str, head: bytes) -> None:
    """Raises FileRefused for a PDF, a zip archive or an Office document that opens with a password only.

    A PDF that only forbids printing or editing opens without one, and is taken. What cannot be understood is taken,
    too: a damaged file may still tell an agent something.
    """
    if (
        (head.startswith(b"%PDF") and _is_locked_pdf(path))
        or (head.startswith(b"PK") and _is_locked_zip(path))
        or (head.startswith(_OLE) and _holds(path, _ENCRYPTED_PACKAGE))
    ):
        raise FileRefused(LOCKED, name=name)


def _is_locked_pdf(path: Path) -> bool:
    if not _holds(path, b"/Encrypt"):
        return False
    # Only now: it takes 13 MB of memory, and hardly any process ever sees such a file.
    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import PyPdfError  # noqa: PLC0415

    try:
        reader = PdfReader(path)
        return reader.is_encrypted and not reader.decrypt("")
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OSError):
        return False


def _is_locked_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(entry.flag_bits & _ENCRYPTED_ENTRY for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False


def _holds(path: Path, needle: bytes) -> bool:
    """Whether the bytes occur in a file, also across two chunks."""
    with path.open("rb") as file:
        before = b""
        while chunk := file.read(_CHUNK):
            if needle in before + chunk:
                return True
            before = chunk[-len(needle) :]
    return False
