"""What stands at the environment's place, and whose it is."""

import json
from pathlib import Path

import lab_record
import pytest

from roles.uv_env.library import uv_env_absent
from roles.uv_env.library.uv_env import RefusedError, inspect


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path


def make(prefix: Path, version: str = "3.11.7") -> None:
    """A virtual environment as far as it is looked at."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").touch()
    (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\nimplementation = CPython\nversion_info = {version}\n")


def note(prefix: Path, provider: str = "uv") -> None:
    """A record that claims the environment."""
    record = {"schema": 1, "profile": "ml-m1", "provider": provider, "prefix": str(prefix), "frameworks": []}
    lab_record.write("ml-m1", record)


def test_an_empty_or_absent_place_is_free(home: Path) -> None:
    assert not inspect(home / "env", "ml-m1", "3.11", recreate=False).usable
    (home / "env").mkdir()
    assert not inspect(home / "env", "ml-m1", "3.11", recreate=False).usable


def test_ours_with_the_right_python_is_usable(home: Path) -> None:
    make(home / "env")
    note(home / "env")
    assert inspect(home / "env", "ml-m1", "3.11", recreate=False).usable


def test_ours_whose_python_is_gone_is_made_again(home: Path) -> None:
    make(home / "env")
    note(home / "env")
    (home / "env" / "bin" / "python").unlink()
    (home / "env" / "bin" / "python").symlink_to("/nowhere/python3.11")
    assert not inspect(home / "env", "ml-m1", "3.11", recreate=False).usable


def test_somebody_elses_files_are_refused(home: Path) -> None:
    make(home / "env")
    with pytest.raises(RefusedError, match="holds files that metal-lab did not put there"):
        inspect(home / "env", "ml-m1", "3.11", recreate=True)


def test_a_file_in_the_place_is_refused(home: Path) -> None:
    (home / "env").touch()
    with pytest.raises(RefusedError, match="did not put there"):
        inspect(home / "env", "ml-m1", "3.11", recreate=False)


def test_another_python_is_refused_unless_asked_for(home: Path) -> None:
    make(home / "env", "3.12.1")
    note(home / "env")
    with pytest.raises(RefusedError, match=r"has Python 3\.12.*needs 3\.11.*uv_env_recreate"):
        inspect(home / "env", "ml-m1", "3.11", recreate=False)
    assert inspect(home / "env", "ml-m1", "3.11", recreate=True).python == "3.12"


def test_a_second_place_or_provider_for_the_same_profile_is_refused(home: Path) -> None:
    note(home / "env")
    with pytest.raises(RefusedError, match=r"already at .*/env .*playbooks/uninstall\.yml"):
        inspect(home / "elsewhere", "ml-m1", "3.11", recreate=False)
    note(home / "env", provider="conda")
    with pytest.raises(RefusedError, match="made by conda"):
        inspect(home / "env", "ml-m1", "3.11", recreate=False)


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 2}', '{"schema": 1}', "not json"])
def test_a_record_that_is_not_ours_is_an_error(home: Path, content: str) -> None:
    path = lab_record.path("ml-m1")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(lab_record.RecordError, match="Move it away"):
        inspect(home / "env", "ml-m1", "3.11", recreate=False)


def test_uninstall_takes_only_what_the_record_names(home: Path) -> None:
    make(home / "env")
    note(home / "env")
    data = lab_record.data_folder()
    (data / "uv").mkdir()
    (data / "the user's notes").touch()
    assert uv_env_absent.ours("ml-m1", home / "env") == [home / "env", data / "uv", data / "ml-m1.json"]
    (data / "other.json").write_text(json.dumps({}))
    assert uv_env_absent.ours("ml-m1", home / "env") == [home / "env", data / "ml-m1.json"]


def test_only_empty_folders_below_the_home_are_pruned(home: Path) -> None:
    (home / "a" / "b" / "c").mkdir(parents=True)
    (home / "a" / "kept").touch()
    lab_record.prune(home / "a" / "b" / "c")
    assert sorted(path.name for path in home.rglob("*")) == ["a", "kept"]
    (home / "a" / "kept").unlink()
    lab_record.prune(home / "a")
    assert home.exists()
    assert list(home.iterdir()) == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        lab_record.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["record"]
