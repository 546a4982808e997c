import hashlib
import io
from pathlib import Path

import pytest

from portal_service.files.content import MISMATCH, NOT_ALLOWED
from portal_service.files.errors import FileRefused, LinkRefused
from portal_service.files.links import attachment_url, read_link, revoke_links
from portal_service.files.storage import EMPTY, TOO_LARGE, FolderStorage, StoredFile, safe_name, store_upload
from portal_service.tickets.queries import ticket_files
from tests.portal_service.support_desk import Help

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + b"0" * 50
PDF = b"%PDF-1.7\n%\xe2\xe3\n"
WEBM = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm" + b"0" * 50
EXE = b"MZ\x90\0\3" + b"\0" * 100
LIMIT = 1024 * 1024


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "files")


def store(storage: FolderStorage, name: str, content: bytes, *, limit: int = LIMIT) -> StoredFile:
    return store_upload(storage, name, io.BytesIO(content), limit=limit)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("screen.PNG", PNG, "image/png"),
        ("photo.jpeg", JPEG, "image/jpeg"),
        ("really-a-jpeg.png", JPEG, "image/jpeg"),
        ("invoice.pdf", PDF, "application/pdf"),
        ("recording.webm", WEBM, "video/webm"),
        ("recording.mp4", b"\0\0\0\x18ftypmp42" + b"\0" * 20, "video/mp4"),
        ("engine.log", "Fehler: größer\r\n".encode(), "text/plain"),
        ("windows.txt", "hello".encode("utf-16"), "text/plain"),
        ("all.zip", b"PK\x03\x04" + b"\0" * 30, "application/zip"),
        ("book.xlsx", b"PK\x03\x04" + b"\0" * 30, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ],
)
def test_what_customers_send_is_kept_byte_for_byte(
    storage: FolderStorage, name: str, content: bytes, kind: str
) -> None:
    stored = store(storage, name, content)
    assert (stored.name, stored.content_type, stored.size) == (name, kind, len(content))
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    with storage.open(stored.sha256) as file:
        assert file.read() == content


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("setup.exe", EXE, NOT_ALLOWED),
        ("page.html", b"<script>alert(1)</script>", NOT_ALLOWED),
        ("picture.svg", b"<svg onload='alert(1)'/>", NOT_ALLOWED),
        ("noending", b"text", NOT_ALLOWED),
        (".htaccess", b"text", NOT_ALLOWED),
        ("screen.png", EXE, MISMATCH),
        ("screen.png.txt", EXE, MISMATCH),
        ("screen.png", b"<html>", MISMATCH),
        ("run.txt", b"#!/bin/sh\nrm -rf /", MISMATCH),
        ("invoice.pdf", JPEG, MISMATCH),
        ("all.zip", b"Rar!\x1a\x07", MISMATCH),
        ("empty.txt", b"", EMPTY),
        ("big.txt", b"x" * (LIMIT + 1), TOO_LARGE),
    ],
)
def test_a_refused_file_says_why_and_leaves_nothing(
    storage: FolderStorage, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    with pytest.raises(FileRefused) as refused:
        store(storage, name, content)
    assert refused.value.message_key == reason
    assert safe_name(name) in str(refused.value)
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


def test_a_file_of_exactly_the_limit_is_taken(storage: FolderStorage) -> None:
    assert store(storage, "big.txt", b"x" * LIMIT).size == LIMIT


def test_one_content_is_stored_once(storage: FolderStorage, tmp_path: Path) -> None:
    assert store(storage, "a.png", PNG).sha256 == store(storage, "b.png", PNG).sha256
    assert len([path for path in (tmp_path / "files").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("sha256", ["../../etc/passwd", "", "0" * 63, "Z" * 64, "0" * 64])
def test_nothing_outside_the_folder_opens(storage: FolderStorage, sha256: str) -> None:
    with pytest.raises(FileNotFoundError):
        storage.open(sha256)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\fakepath\\screen.png", "screen.png"),
        ("in\u202egnp.exe.txt", "ingnp.exe.txt"),
        (".ht\u200baccess", "htaccess"),
        ("a\r\nb.txt", "ab.txt"),
        ("", "file"),
        ("..", "file"),
        ("x" * 400 + ".png", "x" * 296 + ".png"),
        ("截图 – März.png", "截图 – März.png"),
    ],
)
def test_names_are_shown_without_what_could_harm(name: str, shown: str) -> None:
    assert safe_name(name) == shown


def test_a_link_opens_its_attachment_until_revoked_and_no_other_text_does(desk: Help) -> None:
    file = StoredFile(name="screen.png", content_type="image/png", size=3, sha256="ab" * 32)
    with desk.write() as session:
        ticket = desk.submit(session, files=(file, file))
        one, other = ticket_files(session, ticket, public_only=True)
        url = attachment_url(one, "crm")
        assert url == attachment_url(one, "crm") != attachment_url(other, "crm")
        assert url.startswith("https://support.test/files/")
        token = url.rpartition("/")[2]
        assert read_link(session, token) is one
        for wrong in ("", "x", token[:-1], token + "A", token[1:], token.swapcase(), str(one.id)):
            with pytest.raises(LinkRefused):
                read_link(session, wrong)
        revoke_links(one)
        with pytest.raises(LinkRefused):
            read_link(session, token)
        assert read_link(session, attachment_url(one, "crm").rpartition("/")[2]) is one


def test_the_case_gets_the_links_of_public_files(desk: Help) -> None:
    file = StoredFile(name="screen.png", content_type="image/png", size=3, sha256="ab" * 32)
    with desk.write() as session:
        desk.submit(session, files=(file,))
        (event,) = desk.told(session)
        assert [(link.name, link.size) for link in event.attachments] == [("screen.png", 3)]  # type: ignore[union-attr]
