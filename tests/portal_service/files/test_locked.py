"""Files that open with a password only are refused; all others are taken."""

import io
import struct
import zipfile
from pathlib import Path

import pytest
from pypdf import PdfWriter

from portal_service.files.errors import FileRefused
from portal_service.files.locked import LOCKED
from portal_service.files.storage import FolderStorage, StoredFile, store_upload

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def pdf(*, to_open: str | None = None, to_change: str | None = None) -> bytes:
    writer, content = PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    if to_open is not None or to_change is not None:
        writer.encrypt(user_password=to_open or "", owner_password=to_change, algorithm="AES-256")
    writer.write(content)
    return content.getvalue()


def archive(*, locked: bool) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("log.txt", "words")
    plain = bytearray(content.getvalue())
    if locked:  # no library here writes such archives: set the flag where readers look for it
        at = plain.index(b"PK\x01\x02") + 8
        plain[at : at + 2] = struct.pack("<H", struct.unpack("<H", plain[at : at + 2])[0] | 1)
    return bytes(plain)


def store(folder: Path, name: str, content: bytes) -> StoredFile:
    return store_upload(FolderStorage(folder), name, io.BytesIO(content), limit=10_000_000)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("contract.pdf", pdf(to_open="secret")),
        ("logs.zip", archive(locked=True)),
        ("plan.docx", OLE + b"\0" * 2_000_000 + "EncryptedPackage".encode("utf-16-le")),
    ],
    ids=["pdf", "zip", "office"],
)
def test_a_file_nobody_here_could_open_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(FileRefused) as refused:
        store(tmp_path, name, content)
    assert refused.value.message_key == LOCKED
    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.pdf", pdf()),
        ("no-printing.pdf", pdf(to_change="owner")),
        ("damaged.pdf", b"%PDF-1.7\n/Encrypt 1 0 R\n" + b"\xff" * 100),
        ("logs.zip", archive(locked=False)),
        ("damaged.zip", b"PK\x03\x04" + b"\0" * 30),
        ("old.doc", OLE + b"\0" * 100),
    ],
    ids=["pdf", "pdf without printing", "damaged pdf", "zip", "damaged zip", "old office"],
)
def test_what_opens_is_taken(tmp_path: Path, name: str, content: bytes) -> None:
    assert store(tmp_path, name, content).size == len(content)
