"""Which conda is used, which place is free for one, and whether a shell knows it."""

import json
from pathlib import Path

import pytest

from roles.miniforge.library.conda_installation import CondaFoundError, find, initialised, marker


def make(root: Path, subdir: str = "osx-arm64") -> Path:
    """A conda installation as far as it is looked at."""
    (root / "bin").mkdir(parents=True)
    (root / "conda-meta").mkdir()
    (root / "bin" / "conda").touch(mode=0o755)
    (root / "conda-meta" / "a-noarch.json").write_text(json.dumps({"name": "a", "subdir": "noarch"}))
    (root / "conda-meta" / "python-3.12.json").write_text(json.dumps({"name": "python", "subdir": subdir}))
    return root


def test_the_first_that_is_there_is_used(tmp_path: Path) -> None:
    mamba = make(tmp_path / "mambaforge")
    make(tmp_path / "miniconda3")
    places = [tmp_path / name for name in ("miniforge3", "mambaforge", "miniconda3")]
    assert find(places, tmp_path / "miniforge3", "osx-arm64") == mamba


def test_a_free_place_is_free(tmp_path: Path) -> None:
    prefix = tmp_path / "miniforge3"
    assert find([prefix], prefix, "osx-arm64") is None
    prefix.mkdir()
    assert find([prefix], prefix, "osx-arm64") is None


def test_one_made_for_intel_is_refused(tmp_path: Path) -> None:
    found = make(tmp_path / "miniconda3", "osx-64")
    with pytest.raises(CondaFoundError, match=r"made for osx-64\. Needed: osx-arm64"):
        find([found], tmp_path / "miniforge3", "osx-arm64")


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    prefix = tmp_path / "miniforge3"
    prefix.mkdir()
    (prefix / "thesis").touch()
    with pytest.raises(CondaFoundError, match="nothing is overwritten"):
        find([prefix], prefix, "osx-arm64")


def test_an_installation_that_was_cut_off_counts_as_none(tmp_path: Path) -> None:
    prefix = make(tmp_path / "miniforge3")
    marker(prefix).touch()
    assert find([prefix], prefix, "osx-arm64") is None


def test_a_shell_knows_the_conda_whose_block_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "miniforge3"
    setup = f"__conda_setup=\"$('{root}/bin/conda' 'shell.zsh' 'hook')\""
    block = f"# >>> conda initialize >>>\n{setup}\n# <<< conda initialize <<<\n"
    assert not initialised(root, "zsh", "")
    (tmp_path / ".zshrc").write_text(f"x\n{block}")
    assert initialised(root, "zsh", "")
    assert not initialised(tmp_path / "other", "zsh", "")
    assert not initialised(root, "bash", "")
    assert not initialised(root, "zsh", str(tmp_path / "dots"))
    (tmp_path / ".zshrc").rename(tmp_path / ".zlogin")
    assert initialised(root, "zsh", "")
