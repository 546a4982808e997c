"""Setting up a checkout: which Python, where pip comes from, and when nothing needs doing."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from deploy import bootstrap

WHEEL = b"PK pretend this is pip"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a folder, as pip can be configured to use."""
    folder = tmp_path / "simple" / "pip"
    folder.mkdir(parents=True)
    good = hashlib.sha256(WHEEL).hexdigest()
    (folder / "pip-24.0-py3-none-any.whl").write_bytes(b"an older one")
    (folder / "pip-25.3-py3-none-any.whl").write_bytes(WHEEL)
    (folder / "index.html").write_text(
        '<a href="pip-24.0-py3-none-any.whl">24.0</a>'
        f'<a href="pip-25.3-py3-none-any.whl#sha256={good}" data-requires-python="&gt;=3.9">25.3</a>'
        '<a href="pip-26.0.tar.gz">26.0</a>'
    )
    monkeypatch.setenv("PIP_INDEX_URL", f"file://{tmp_path}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file://{tmp_path}/none")
    return folder


def test_the_newest_pip_of_the_configured_index_is_taken(index: Path, tmp_path: Path) -> None:
    wheel = bootstrap.download_pip(tmp_path)
    assert wheel.name == "pip-25.3-py3-none-any.whl"
    assert wheel.read_bytes() == WHEEL


def test_a_damaged_download_is_refused(index: Path, tmp_path: Path) -> None:
    (index / "pip-25.3-py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(bootstrap.CannotSetUpError, match="damaged"):
        bootstrap.download_pip(tmp_path)


def test_indexes_come_from_pips_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://mirror.example/simple\nextra-index-url = https://a.example https://b.example\n"
    )
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert bootstrap.indexes() == ["https://mirror.example/simple", "https://a.example", "https://b.example"]


def test_an_old_python_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(bootstrap.CannotSetUpError, match=r"Python 3\.11 or newer is needed.*is 3\.9\.2"):
        bootstrap.check_python()


def test_installed_again_only_when_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.touch()
    monkeypatch.setattr(bootstrap, "PYTHON", python)
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / "stamp.json")
    wanted = {"pyproject": "abc", "python": "3.11"}
    assert not bootstrap.is_installed(wanted, "")
    bootstrap.STAMP.write_text(json.dumps(wanted | {"extras": "dev"}))
    assert bootstrap.is_installed(wanted, "dev")
    assert bootstrap.is_installed(wanted, "")
    assert not bootstrap.is_installed(wanted | {"pyproject": "changed"}, "")
    bootstrap.STAMP.write_text(json.dumps(wanted | {"extras": ""}))
    assert not bootstrap.is_installed(wanted, "dev")
    bootstrap.STAMP.write_text("{broken")
    assert not bootstrap.is_installed(wanted, "")
