"""Downloads: who may have which file, and that no file can run anything (S18, S88)."""

import re

import pytest
from sqlalchemy import select

from portal_service.files.links import attachment_url, revoke_links
from portal_service.files.models import Attachment
from shared.database import Database
from tests.portal_service.web.browsing import Visitor

PDF = b"%PDF-1.7\n\x00\xff\n%%EOF\n"


@pytest.fixture
def number(carol: Visitor, png: bytes) -> int:
    return carol.file_request(
        files=[("shot.png", png), ("naïve 'a'; x=.pdf", PDF), ("page.txt", b"<script>alert(1)</script>")]
    )


def test_each_file_comes_back_byte_for_byte_and_harmless(carol: Visitor, sam: Visitor, number: int, png: bytes) -> None:
    for visitor in (carol, sam):
        for (name, path), content in zip(_files(carol, number), (png, PDF, b"<script>alert(1)</script>"), strict=True):
            response = visitor.get(path)
            assert response.data == content, name
            assert response.headers["Content-Disposition"].startswith("attachment;"), name
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
            assert response.headers["Content-Length"] == str(len(content))
    assert "filename*=UTF-8''na%C3%AFve" in carol.get(_files(carol, number)[1][1]).headers["Content-Disposition"]


def test_only_pictures_are_shown_in_the_page(carol: Visitor, number: int) -> None:
    shown = [carol.get(f"{path}/view").headers["Content-Disposition"] for _name, path in _files(carol, number)]
    assert [value.partition(";")[0] for value in shown] == ["inline", "attachment", "attachment"]
    page = carol.get(f"/cases/{number}/files").text
    assert page.count("<img ") == 1


def test_a_file_not_changed_is_not_sent_again(carol: Visitor, number: int) -> None:
    path = _files(carol, number)[0][1]
    tag = carol.get(path).headers["ETag"]
    assert carol.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_strangers_get_nothing(
    carol: Visitor, dave: Visitor, nobody: Visitor, peter: Visitor, sam: Visitor, number: int, png: bytes
) -> None:
    path = _files(carol, number)[0][1]
    assert dave.get(path).status_code == 404
    assert dave.get(f"{path}/view").status_code == 404
    assert nobody.get(path).status_code == 303
    assert peter.get(path).status_code == 200
    sam.post(f"/staff/tickets/{number}/note", body="look", files=[("internal.png", png)])
    with carol.database.read() as session:
        internal = session.scalars(select(Attachment).where(Attachment.internal)).one()
    assert sam.get(f"/attachments/{internal.id}").status_code == 200
    assert carol.get(f"/attachments/{internal.id}").status_code == 404


def test_the_signed_link_opens_for_an_account_manager_until_revoked(
    nobody: Visitor, number: int, database: Database, png: bytes
) -> None:
    with database.read() as session:
        url = attachment_url(session.scalars(select(Attachment).order_by(Attachment.position)).first(), "crm")
    path = url.removeprefix("http://localhost")
    response = nobody.get(path)
    assert response.data == png
    assert response.headers["Content-Disposition"].startswith("attachment;")
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    for forged in (path[:-2], path + "x", "/files/x", "/files/" + "a" * 4000):
        assert nobody.get(forged).status_code == 404
    with database.write() as session:
        revoke_links(session.scalars(select(Attachment).order_by(Attachment.position)).first())
    assert nobody.get(path).status_code == 404


def test_a_file_whose_content_is_missing_is_an_error_of_ours_without_a_traceback(
    carol: Visitor, number: int, tmp_path: object
) -> None:
    path = _files(carol, number)[0][1]
    storage = carol.client.application.extensions["portal"].storage
    for file in storage._root.rglob("*"):
        if file.is_file():
            file.unlink()
    assert carol.get(path).status_code == 404


def _files(carol: Visitor, number: int) -> list[tuple[str, str]]:
    page = carol.get(f"/cases/{number}/files").text
    return [(name, path) for path, name in re.findall(r'href="(/attachments/[0-9a-f-]+)">([^<]+)</a>', page)]
