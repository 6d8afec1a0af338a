"""Homebrew's clone and Brewfile: what is adopted, refused and taken up again."""

import getpass
import os
import subprocess
from pathlib import Path

import pytest

from roles.homebrew.library.homebrew_bundle import advice, failures, installed, render
from roles.homebrew.library.homebrew_clone import HomebrewError, clone, look

USER = getpass.getuser()


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with bin/brew and the tag 6.0.18."""
    place = tmp_path / "remote"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "brew").write_text("#!/bin/sh\n")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@localhost")
    for line in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"], ["tag", "6.0.18"]):
        subprocess.run(["git", "-C", str(place), *line], check=True)
    return place


def commit(remote: Path) -> str:
    line = ["git", "-C", str(remote), "rev-parse", "HEAD"]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    place = tmp_path / "homebrew"
    place.mkdir()
    return place


def test_a_clone_has_the_release_its_tag_and_homebrews_folders(remote: Path, prefix: Path) -> None:
    clone(prefix, str(remote), "6.0.18", commit(remote))
    assert look(prefix, str(remote), USER)
    said = subprocess.run(["git", "-C", str(prefix), "describe", "--tags"], check=True, capture_output=True, text=True)
    assert said.stdout == "6.0.18\n"
    assert (prefix / "Cellar").stat().st_mode & 0o777 == 0o775
    assert (prefix / "share" / "zsh" / "site-functions").stat().st_mode & 0o777 == 0o755


def test_another_commit_is_refused_before_anything_is_checked_out(remote: Path, prefix: Path) -> None:
    with pytest.raises(HomebrewError, match="names commit"):
        clone(prefix, str(remote), "6.0.18", "0" * 40)
    assert not (prefix / "bin").exists()


def test_a_clone_that_was_cut_off_is_taken_up_again(remote: Path, prefix: Path) -> None:
    with pytest.raises(HomebrewError):
        clone(prefix, str(remote), "6.0.18", "0" * 40)
    assert not look(prefix, str(remote), USER)
    clone(prefix, str(remote), "6.0.18", commit(remote))
    assert look(prefix, str(remote), USER)


def test_after_a_failure_another_remote_may_be_named(remote: Path, prefix: Path, tmp_path: Path) -> None:
    """As the message of the failure tells to do."""
    with pytest.raises(HomebrewError, match="homebrew_git_remote"):
        clone(prefix, str(tmp_path / "nowhere"), "6.0.18", commit(remote))
    assert not look(prefix, str(remote), USER)
    clone(prefix, str(remote), "6.0.18", commit(remote))
    assert look(prefix, str(remote), USER)


def test_a_remote_that_is_not_there_is_explained(tmp_path: Path, prefix: Path) -> None:
    with pytest.raises(HomebrewError, match="homebrew_git_remote"):
        clone(prefix, str(tmp_path / "nowhere"), "6.0.18", "0" * 40)


def test_somebody_elses_files_are_refused(prefix: Path, remote: Path) -> None:
    (prefix / "thesis").touch()
    with pytest.raises(HomebrewError, match=r"not Homebrew's \(thesis\)"):
        look(prefix, str(remote), USER)


def test_another_clone_in_the_prefix_is_refused(prefix: Path, remote: Path) -> None:
    subprocess.run(["git", "-C", str(prefix), "init", "-q"], check=True)
    subprocess.run(["git", "-C", str(prefix), "config", "remote.origin.url", "https://example.org/x"], check=True)
    with pytest.raises(HomebrewError, match="not Homebrew's"):
        look(prefix, str(remote), USER)


def test_homebrew_of_another_user_is_refused_with_the_setting_to_change(prefix: Path, remote: Path) -> None:
    clone(prefix, str(remote), "6.0.18", commit(remote))
    with pytest.raises(HomebrewError, match=f"Set homebrew_user to {USER}"):
        look(prefix, str(remote), "somebody")


def test_a_missing_prefix_is_free(tmp_path: Path, remote: Path) -> None:
    assert not look(tmp_path / "none", str(remote), USER)
    assert os.path.lexists(tmp_path / "none") is False


OUTPUT = """Using git
Installing htop
Installing nosuch
Installing nosuch has failed!
Installing visual-studio-code
"""


def test_what_brew_installed_and_what_it_could_not() -> None:
    assert installed(OUTPUT) == ["htop", "visual-studio-code"]
    assert failures(OUTPUT) == ["nosuch"]
    assert installed("Using git\nUsing htop\n") == []


def test_a_bottle_that_came_altered_is_named_by_what_the_cache_knows_it_by() -> None:
    """As brew 6.0 says it, with one download at a time, with several, and where a bottle is poured."""
    digest, other = "a" * 64, "b" * 64
    for said in (
        f"Error: Bottle reports different checksum: {digest}\n       SHA-256 checksum of downloaded file: {other}",
        f"Error: Bottle reports different checksum:   {digest}",
        f"Error: git: SHA256 mismatch\nExpected: {digest}\n  Actual: {other}\n    File: /x.tar.gz\nTo retry",
    ):
        assert f"--tags purge -e purge={digest}`." in advice(said)
        assert other not in advice(said)


def test_another_failure_is_the_brewfiles() -> None:
    assert "homebrew_formulae" in advice('Error: No available formula with the name "nosuch".')


def test_a_name_in_the_brewfile_is_never_code() -> None:
    assert render(["o/t"], ["git", "html2text"], ["visual-studio-code"]).splitlines() == [
        "# Ansible managed by the role homebrew.",
        'tap "o/t"',
        'brew "git"',
        'brew "html2text"',
        'cask "visual-studio-code"',
    ]
    # In Ruby `"#{...}"` runs what is in it, `"\#{...}"` does not.
    assert render([], ['#{system("id")}"; exit\n'], []).splitlines()[1] == r'brew "\#{system(\"id\")}\"; exit\n"'
