import gzip
from pathlib import Path

import pytest

from portal_service.imports.errors import CannotImport
from portal_service.imports.source import has_broken_bytes, open_source

TEXT = "id,subject\n1,Café ‘quoted’ – naïve\n2,plain\n"


def read(path: Path, encoding: str | None = None) -> tuple[str, str]:
    with open_source(path, encoding=encoding) as source:
        return source.encoding, "".join(source.lines())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_the_encoding_is_found_from_the_bytes(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(TEXT.encode(encoding))

    found, text = read(path)

    assert text == TEXT
    assert found == encoding


def test_one_broken_line_does_not_turn_utf8_into_something_else(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes("1,Łódź\n2,München\n".encode() + b"3,caf\xe9\n")

    encoding, text = read(path)

    assert encoding == "utf-8"
    assert [has_broken_bytes(line) for line in text.splitlines()] == [False, False, True]


def test_gzip_is_unpacked_and_a_cut_off_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    whole, cut = tmp_path / "old.csv.gz", tmp_path / "cut.csv.gz"
    packed = gzip.compress(TEXT.encode() * 1000)
    whole.write_bytes(packed)
    cut.write_bytes(packed[:-20])

    assert read(whole)[1] == TEXT * 1000
    with pytest.raises(CannotImport, match="copy it again"):
        read(cut)


def test_lines_are_those_an_editor_counts(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b'1,"a\rb"\r\n2,c\r\n')
    assert read(path)[1].count("\n") == 2
    with open_source(path) as source:
        assert list(source.lines()) == ['1,"a\rb"\r\n', "2,c\r\n"]
    path.write_bytes(b"id,subject\r1,old Mac\r")
    with open_source(path) as source:
        assert list(source.lines()) == ["id,subject\r", "1,old Mac\r"]


def test_an_encoding_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"id\n")
    with pytest.raises(CannotImport, match="no encoding 'utf-9'"):
        read(path, "utf-9")
