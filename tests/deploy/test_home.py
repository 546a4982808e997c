"""The folder of a local stack: one stack at a time, and never emptied by mistake."""

from pathlib import Path

import pytest

from deploy.local.home import AlreadyRunningError, held, start_over
from shared.settings import SettingsError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secret.key").write_text("k")
    (tmp_path / "portal.db").write_text("data")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_text("file")
    return tmp_path


def test_a_second_stack_in_the_same_folder_is_told_that_one_runs(home: Path) -> None:
    with held(home), pytest.raises(AlreadyRunningError, match=r"already runs in .* \(process \d+\)"), held(home):
        pass
    with held(home):
        pass


def test_starting_over_empties_the_folder(home: Path) -> None:
    with held(home):
        start_over(home)
        assert [entry.name for entry in home.iterdir()] == ["up.lock"]


def test_a_folder_of_somebody_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="not made by Casebridge"):
        start_over(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_data_kept_elsewhere_is_not_silently_left_behind(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://host/database")
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        start_over(home)
    assert (home / "portal.db").exists()
