"""The stand-ins of Miniforge's installer and of conda, on their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from match_spec import InvalidMatchSpec, MatchSpec
from pack_installer import pack


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A conda installation in a home of its own."""
    room = tmp_path / "room"
    room.mkdir()
    (room / "python3.11").symlink_to(sys.executable)
    monkeypatch.setenv("STANDIN_ROOM", str(room))
    monkeypatch.setenv("HOME", str(tmp_path))
    pack(tmp_path / "installer.sh")
    assert install(tmp_path, "-b", "-p", str(tmp_path / "conda")).returncode == 0
    return tmp_path / "conda"


def install(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = ["bash", str(tmp_path / "installer.sh"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def conda(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root / "lib" / "python3.11" / "site-packages")}
    line = [str(root / "bin" / "conda"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


def test_the_installer_refuses_an_existing_prefix_and_an_unknown_option(root: Path, tmp_path: Path) -> None:
    assert install(tmp_path, "-b", "-p", str(root)).returncode == 1
    assert install(tmp_path, "-b", "-u", "-p", str(tmp_path / "other")).returncode == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["update", "--all"],
        ["init", "fish"],
        ["create", "--prefix", "/nowhere", "--yes", "--json", "--quiet", "python"],
        ["install", "--prefix", "/nowhere", "--name", "x", "--yes", "--json", "--quiet", "pip"],
        ["shell.fish", "hook"],
    ],
    ids=" ".join,
)
def test_conda_refuses_what_it_does_not_know(root: Path, arguments: list[str]) -> None:
    assert conda(root, *arguments).returncode == 2


PLAIN = ("--yes", "--json", "--quiet", "--override-channels", "-c")


def test_condas_default_channels_are_refused(root: Path, tmp_path: Path) -> None:
    assert conda(root, "create", "--prefix", str(tmp_path / "e"), *PLAIN, "defaults", "python=3.11").returncode == 2


def test_an_environment_that_is_none_is_an_error_in_json(root: Path, tmp_path: Path) -> None:
    done = conda(root, "remove", "--prefix", str(tmp_path / "none"), *PLAIN, "conda-forge", "htop")
    assert done.returncode == 1
    assert json.loads(done.stdout)["exception_name"] == "EnvironmentLocationNotFound"


def test_init_writes_one_block_and_then_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".zshrc").write_text("alias ll='ls -l'\n")
    assert "\nmodified      " in conda(root, "init", "zsh").stdout
    once = (tmp_path / ".zshrc").read_text()
    assert once.startswith("alias ll='ls -l'\n")
    assert conda(root, "init", "zsh").stdout.endswith("No action taken.\n")
    assert (tmp_path / ".zshrc").read_text() == once


def test_a_specification_is_a_name_or_a_name_with_a_release() -> None:
    assert MatchSpec("python=3.1").match({"name": "python", "version": "3.1.5"})
    assert not MatchSpec("python=3.1").match({"name": "python", "version": "3.11.5"})
    assert MatchSpec("pip").match({"name": "pip", "version": "26.0"})
    assert not MatchSpec("pip").match({"name": "pipx", "version": "1.0"})
    with pytest.raises(InvalidMatchSpec):
        MatchSpec("python>=3.10,<3.12")


def test_a_least_version_counts_numbers() -> None:
    assert MatchSpec("numpy>=2").match({"name": "numpy", "version": "10.0"})
    assert not MatchSpec("numpy>=2").match({"name": "numpy", "version": "1.26.3"})
