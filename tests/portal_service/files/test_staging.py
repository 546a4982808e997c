"""Uploads that wait for their ticket: their owner's only, kept for a day, gone from the disk when nobody needs them."""

import hashlib
import io
import os
from datetime import timedelta
from pathlib import Path

import pytest

import portal_service.models  # noqa: F401 (every table that names contents)
from portal_service.files import staging
from portal_service.files.staging import LIFETIME, Upload
from portal_service.files.storage import FolderStorage, StoredFile, store_upload
from tests.portal_service.support_desk import Help

OWNER = "somebody"
LONG_AGO = LIFETIME + timedelta(hours=3)


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "files")


def stored(storage: FolderStorage, desk: Help, content: bytes) -> StoredFile:
    """A file on the disk, as old as the clock of the test says."""
    file = store_upload(storage, "notes.txt", io.BytesIO(content), limit=1000)
    path = next(storage.scratch().parent.rglob(file.sha256))
    os.utime(path, (desk.clock.now.timestamp(),) * 2)
    return file


def staged(storage: FolderStorage, desk: Help, content: bytes) -> Upload:
    with desk.write() as session:
        return staging.stage(session, [stored(storage, desk, content)], owner=OWNER, now=desk.clock.now)[0]


def clean(desk: Help, storage: FolderStorage) -> int:
    with desk.write() as session:
        return staging.forget_expired(session, storage, now=desk.clock.now)


def is_there(storage: FolderStorage, content: bytes) -> bool:
    try:
        with storage.open(hashlib.sha256(content).hexdigest()) as file:
            return file.read() == content
    except FileNotFoundError:
        return False


def test_only_its_owner_finds_it_and_only_for_a_day(desk: Help, storage: FolderStorage) -> None:
    upload = staged(storage, desk, b"mine")
    with desk.write() as session:
        assert staging.find(session, [upload.id], owner=OWNER, now=desk.clock.now) == [upload]
        assert staging.find(session, [upload.id], owner="another", now=desk.clock.now) == []
        assert staging.bytes_of(session, owner=OWNER, now=desk.clock.now) == 4
        assert staging.find(session, [upload.id], owner=OWNER, now=desk.clock.now + LIFETIME) == []


def test_files_keep_the_order_in_which_they_were_chosen(desk: Help, storage: FolderStorage) -> None:
    first, second = staged(storage, desk, b"uploaded first"), staged(storage, desk, b"uploaded second")
    with desk.write() as session:
        found = staging.find(session, [second.id, first.id, second.id], owner=OWNER, now=desk.clock.now)
    assert found == [second, first]


def test_what_nobody_sent_is_deleted_and_what_a_ticket_has_stays(desk: Help, storage: FolderStorage) -> None:
    staged(storage, desk, b"forgotten")
    sent = staged(storage, desk, b"sent")
    with desk.write() as session:
        desk.submit(session, files=(sent,))
    assert clean(desk, storage) == 0
    desk.clock.now += LONG_AGO
    assert clean(desk, storage) == 2
    assert not is_there(storage, b"forgotten")
    assert is_there(storage, b"sent")


def test_a_content_somebody_else_uploaded_meanwhile_stays(desk: Help, storage: FolderStorage) -> None:
    staged(storage, desk, b"same words")
    desk.clock.now += LONG_AGO
    second = staged(storage, desk, b"same words")
    clean(desk, storage)
    assert is_there(storage, b"same words")
    with desk.write() as session:
        assert staging.find(session, [second.id], owner=OWNER, now=desk.clock.now) == [second]


def test_a_content_that_is_written_again_while_it_is_cleaned_stays(desk: Help, storage: FolderStorage) -> None:
    """Its row comes a moment after its bytes."""
    staged(storage, desk, b"twice")
    desk.clock.now += LONG_AGO
    stored(storage, desk, b"twice")
    clean(desk, storage)
    assert is_there(storage, b"twice")


def test_a_draft_keeps_its_files_and_a_removed_one_goes(desk: Help, storage: FolderStorage) -> None:
    kept, removed = staged(storage, desk, b"kept"), staged(storage, desk, b"removed")
    with desk.write() as session:
        until = desk.clock.now + timedelta(days=30)
        staging.keep_until(session, [kept.id], owner=OWNER, until=until)
        staging.keep_until(session, [removed.id], owner="another", until=until)
        staging.drop(session, kept.id, owner="another", now=desk.clock.now)
        staging.drop(session, removed.id, owner=OWNER, now=desk.clock.now)
    desk.clock.now += timedelta(days=29)
    clean(desk, storage)
    with desk.write() as session:
        assert staging.find(session, [kept.id, removed.id], owner=OWNER, now=desk.clock.now) == [kept]
    assert is_there(storage, b"kept")
    assert not is_there(storage, b"removed")
