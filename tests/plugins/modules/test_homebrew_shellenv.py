"""Homebrew's line in a start-up file: added once, and nothing else touched."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.modules import homebrew_shellenv

from tests.helpers.plugins import run_module

BREW = "/opt/homebrew/bin/brew"
LINE = f'eval "$({BREW} shellenv)"'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path / ".zprofile"


def add(place: Path, *, check: bool = False, brew: str = BREW) -> dict[str, Any]:
    return run_module(homebrew_shellenv.main, {"path": str(place), "brew": brew}, check=check)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"{LINE}\n"),
        (b"", f"{LINE}\n"),
        (b"x=1\n", f"x=1\n{LINE}\n"),
        (b"x=1", f"x=1\n{LINE}\n"),
        (b"x=1 \\", f"x=1 \\\n\n{LINE}\n"),
        (b"x=1 \\\n", f"x=1 \\\n\n{LINE}\n"),
        (b"caf\xe9\r\n", f"caf\udce9\r\n{LINE}\n"),
    ],
)
def test_it_is_added_once_at_the_end(place: Path, before: bytes | None, after: str) -> None:
    if before is not None:
        place.write_bytes(before)
        place.chmod(0o600)
    would = add(place, check=True)
    assert (would["changed"], place.read_bytes() if place.exists() else None) == (True, before)
    made = add(place)
    assert (made["changed"], made["diff"]) == (True, would["diff"])
    assert place.read_bytes() == after.encode("utf-8", "surrogateescape")
    assert before is None or place.stat().st_mode & 0o777 == 0o600
    assert not add(place)["changed"]


def test_a_link_stays_one(place: Path) -> None:
    kept = place.with_name("dotfiles")
    kept.write_text("x=1\n")
    place.symlink_to(kept.name)
    assert add(place)["changed"]
    assert (place.readlink(), kept.read_text()) == (Path("dotfiles"), f"x=1\n{LINE}\n")


@pytest.mark.parametrize("kind", ["read-only", "a folder", "a pipe", "a dangling link"])
def test_what_may_not_be_written_is_left_with_a_word_on_what_to_add(
    place: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "read-only":
        place.write_text("x=1\n")
        place.chmod(0o444)
    elif kind == "a folder":
        place.mkdir()
    elif kind == "a pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("gone")
    assert not add(place, check=True)["changed"]
    # The same warning is shown once.
    warning = capsys.readouterr().err.strip()
    assert warning.startswith(f"[WARNING]: Homebrew's line was not added: {place} ")
    assert warning.endswith(LINE)
    assert not add(place)["changed"]
    assert kind != "read-only" or place.read_text() == "x=1\n"


def test_a_path_is_no_code(place: Path) -> None:
    brew = place.with_name("it's $(touch made) here")
    brew.write_text("#!/bin/sh\necho found=its-$1\n")
    brew.chmod(0o755)
    add(place, brew=str(brew))
    done = subprocess.run(
        ["/bin/sh", "-c", f'. "{place}"; echo "$found"'],
        cwd=place.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, place.with_name("made").exists()) == ("its-shellenv\n", False)


def test_what_is_there_needs_no_permission_to_write(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place.write_text(f"{LINE}\n")
    place.chmod(0o444)
    assert not add(place)["changed"]
    assert capsys.readouterr().err == ""
