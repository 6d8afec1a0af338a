"""conda's block in a start-up file, by conda itself (the stand-in)."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.modules import conda_init
from ansible_collections.metal_lab.macs.plugins.modules.conda_init import obstacle, start_file

from tests.helpers.plugins import run_module
from tests.plugins.modules.conda_env.conftest import Lab


def init(lab: Lab, *, check: bool = False, **options: Any) -> dict[str, Any]:
    return run_module(conda_init.main, {"root": str(lab.root), "shell": "zsh", **options}, check=check)


def test_the_block_is_written_once_and_in_check_mode_not_at_all(lab: Lab) -> None:
    place = lab.home / ".zshrc"
    place.write_text("alias ll='ls -l'\n")
    would = init(lab, check=True)
    assert (would["changed"], place.read_text()) == (True, "alias ll='ls -l'\n")
    assert would["diff"]["after"] == "alias ll='ls -l'\n(conda's block)\n"
    made = init(lab)
    assert (made["changed"], made["diff"]["after"]) == (True, place.read_text())
    assert f"'{lab.root}/bin/conda' 'shell.zsh' 'hook'" in place.read_text()
    assert init(lab)["changed"] is False


def test_it_goes_where_zsh_looks(lab: Lab) -> None:
    (lab.home / "dots").mkdir()
    assert init(lab, zdotdir=str(lab.home / "dots"))["changed"]
    assert (lab.home / "dots" / ".zshrc").exists()
    assert not (lab.home / ".zshrc").exists()


def test_no_setting_of_the_users_reaches_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (lab.home / ".condarc").write_text("channels: [conda-forge\n")
    monkeypatch.setenv("CONDA_OFFLINE", "true")
    assert init(lab)["changed"]


def test_bytes_that_are_not_utf8_are_left_with_a_warning(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """conda itself ends with an error report (recorded: init-zsh-not-utf8-rc)."""
    place = lab.home / ".zshrc"
    place.write_bytes(b"# sch\xf6n\n")
    answer = init(lab)
    assert (answer["changed"], place.read_bytes(), lab.calls) == (False, b"# sch\xf6n\n", [])
    assert f"{place} has bytes in it that are not UTF-8" in capsys.readouterr().err


def test_what_conda_cannot_write_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """conda itself would ask for sudo (recorded: init-zsh-readonly-rc, init-zsh-readonly-home)."""
    rc = tmp_path / ".zshrc"
    assert obstacle(rc) == ""
    asked: list[Path] = []
    monkeypatch.setattr(os, "access", lambda path, _: asked.append(path))
    assert "may not be written by this user" in obstacle(rc)
    rc.touch()
    assert "may not be written by this user" in obstacle(rc)
    assert asked == [tmp_path, rc]
    (tmp_path / "folder").mkdir()
    assert "cannot be read (Is a directory)" in obstacle(tmp_path / "folder")


def test_conda_that_fails_is_shown(lab: Lab) -> None:
    lab.conda_says(err="no\n", code=1)
    assert init(lab)["msg"] == "conda init zsh failed: no"


def test_bash_has_another_file_on_a_mac(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert start_file("fish", "") == tmp_path / ".config" / "fish" / "config.fish"
    assert obstacle(start_file("fish", "")) == ""
    for platform, name in (("darwin", ".bash_profile"), ("linux", ".bashrc")):
        monkeypatch.setattr(sys, "platform", platform)
        assert start_file("bash", "") == tmp_path / name
