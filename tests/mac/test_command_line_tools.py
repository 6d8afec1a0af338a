"""Which label of softwareupdate's list is installed, and that the placeholder goes away in every case."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from roles.command_line_tools.action_plugins import command_line_tools
from roles.command_line_tools.action_plugins.command_line_tools import choose, fetching, guarded


def entry(label: str, title: str, version: str) -> str:
    """One entry as macOS 15 prints it: a tab before Title, a blank after the last comma."""
    return f"* Label: {label}\n\tTitle: {title}, Version: {version}, Size: 793216KiB, Recommended: YES, \n"


BETA = entry("Command Line Tools beta 3 for Xcode-26.3", "Command Line Tools beta 3 for Xcode", "26.3")
LISTING = "Software Update Tool\n\nFinding available software\n" + "".join(
    (
        entry("Command Line Tools for Xcode-16.2", "Command Line Tools for Xcode", "16.2"),
        entry("Command Line Tools for Xcode-16.4", "Command Line Tools for Xcode", "16.4"),
        entry("macOS Tahoe 27.1-27B78", "macOS Tahoe 27.1", "27.1"),
        entry("Command Line Tools for Xcode 26.2-26.2", "Command Line Tools for Xcode 26.2", "26.2"),
        BETA,
    )
)


def test_the_newest_release_by_its_stated_version() -> None:
    assert choose(LISTING) == "Command Line Tools for Xcode 26.2-26.2"


def test_versions_are_compared_as_versions() -> None:
    listing = LISTING.replace("26.2", "16.10")
    assert choose(listing) == "Command Line Tools for Xcode 16.10-16.10"


def test_line_ends_of_a_terminal_do_not_matter() -> None:
    assert choose(LISTING.replace("\n", "\r\n")) == "Command Line Tools for Xcode 26.2-26.2"


@pytest.mark.parametrize(
    "listing", ["", "No new software available.\n", LISTING.replace("Command Line Tools", "Tools")]
)
def test_none_where_none_is_offered(listing: str) -> None:
    assert choose(listing) is None


def test_a_beta_alone_is_not_taken() -> None:
    assert choose(BETA) is None


@pytest.mark.parametrize(
    ("command", "seconds", "code"), [(["true"], 60, 0), (["false"], 60, 1), (["sleep", "300"], 1, 142)]
)
def test_the_placeholder_goes_away_in_every_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], seconds: int, code: int
) -> None:
    placeholder = tmp_path / "a placeholder"
    monkeypatch.setattr(command_line_tools, "PLACEHOLDER", str(placeholder))
    script = guarded(seconds, "sh", "-c", f"test -e '{placeholder}' && exec {' '.join(command)}")
    assert subprocess.run(["/bin/sh", "-c", script], check=False).returncode == code
    assert not placeholder.exists()


def test_a_package_from_an_address_is_kept_only_with_its_checksum(tmp_path: Path) -> None:
    package, place = tmp_path / "a package", tmp_path / "its place"
    package.write_bytes(b"tools")
    good = hashlib.sha256(b"tools").hexdigest()
    for digest, code in ((good, 0), ("0" * 64, 1)):
        script = fetching(package.as_uri(), digest, str(place))
        assert subprocess.run(["/bin/sh", "-c", script], check=False, capture_output=True).returncode == code
        assert place.exists() == (code == 0)
    assert subprocess.run(["/bin/sh", "-c", fetching("file:///none", good, str(place))], check=False).returncode == 1
