"""A start-up file that may not be written, and why."""

import os
from pathlib import Path

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils.startup_file import missing_ends, obstacle, read, write


def test_nothing_is_in_the_way_of_a_file_of_ones_own(tmp_path: Path) -> None:
    rc = tmp_path / "rc"
    assert (obstacle(rc), obstacle(tmp_path / "made" / "later" / "rc")) == ("", "")
    rc.touch()
    (tmp_path / "link").symlink_to("rc")
    assert (obstacle(rc), obstacle(tmp_path / "link")) == ("", "")


def test_what_is_in_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom permissions do not bind (root) is told of them as the system does."""
    rc, link = tmp_path / "rc", tmp_path / "link"
    link.symlink_to("rc")
    assert obstacle(link) == f"{link} leads to {rc}, which is not there"
    allowed = {os.R_OK, os.W_OK}
    folder_allowed = True

    def access(path: Path, mode: int) -> bool:
        return mode in allowed if path == rc else folder_allowed

    monkeypatch.setattr(os, "access", access)
    folder_allowed = False
    assert obstacle(rc) == f"{rc} is not there, and {tmp_path} may not be written"
    rc.touch()
    assert obstacle(rc) == f"{rc} lies in {tmp_path}, which may not be written"
    folder_allowed = True
    allowed.remove(os.W_OK)
    assert obstacle(link) == f"{link} leads to {rc}, which is read-only"
    allowed.clear()
    assert obstacle(rc) == f"{rc} may not be read"
    allowed.update({os.R_OK, os.W_OK})
    rc.chmod(0o444)
    assert obstacle(rc) == f"{rc} is read-only"
    rc.unlink()
    rc.mkdir()
    assert obstacle(rc) == f"{rc} is no file"
    assert read(rc) == read(tmp_path / "none") == ""


def test_what_cannot_be_read_whole_is_left(tmp_path: Path) -> None:
    large, circle = tmp_path / "large", tmp_path / "circle"
    large.touch()
    os.truncate(large, 65_000_000)
    circle.symlink_to(circle)
    assert (read(large), read(circle)) == ("", "")
    assert obstacle(large) == f"{large} is too large"
    assert obstacle(circle) == f"{circle} leads to {circle}, which is not there"


def test_bytes_and_permissions_stay(tmp_path: Path) -> None:
    rc = tmp_path / "rc"
    rc.write_bytes(b"\xff\r\n")
    rc.chmod(0o640)
    write(rc, f"{read(rc)}x")
    assert (rc.read_bytes(), rc.stat().st_mode & 0o777) == (b"\xff\r\nx", 0o640)


@pytest.mark.parametrize(
    ("line", "count"),
    [("a\n", 0), ("a", 1), ("a\\\n", 1), ("a\\", 2), ("a\\\\\n", 0), ("a\\\\\\", 2), ("", 1), ("\n", 0)],
)
def test_line_ends_that_are_missing(line: str, count: int) -> None:
    assert missing_ends(line) == count
