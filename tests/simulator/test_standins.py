"""The stand-ins answer as the tools they imitate, and refuse what they do not know."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.helpers.brew_world import World
from verify import ROOT

STANDINS = ROOT / "molecule" / "mac" / "standins"
LABEL = "Command Line Tools for Xcode 26.2-26.2"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """The folder in which stand-ins keep their state."""
    place = tmp_path / "room"
    place.mkdir()
    shutil.copy(STANDINS / "sysctl.table", place / "sysctl")
    return place


def run(room: Path, name: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STANDIN_ROOM": str(room), **more}
    line = [str(STANDINS / name), *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("sw_vers", ["-productversion"], 1),
        ("sysctl", ["-a"], 1),
        ("sysctl", [], 1),
        ("dscl", [".", "-list", "/Users"], 64),
        ("system_profiler", ["SPHardwareDataType"], 1),
        ("xcode-select", ["--install"], 1),
        ("softwareupdate", ["-ia"], 64),
        ("installer", ["-pkg", "x.pkg", "-target", "/Volumes/x"], 64),
        ("installer", ["-pkg", "/none.pkg", "-target", "/"], 1),
    ],
)
def test_an_unknown_argument_is_an_error(room: Path, name: str, arguments: list[str], code: int) -> None:
    done = run(room, name, *arguments)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr


def test_sysctl_prints_values_and_is_silent_when_told_so(room: Path) -> None:
    assert run(room, "sysctl", "-n", "hw.memsize").stdout == "17179869184\n"
    assert run(room, "sysctl", "hw.ncpu").stdout == "hw.ncpu: 8\n"
    unknown = run(room, "sysctl", "-n", "hw.nosuch")
    assert (unknown.returncode, unknown.stderr) == (1, "sysctl: unknown oid 'hw.nosuch'\n")
    silent = run(room, "sysctl", "-in", "hw.nosuch")
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")


def test_dscl_reads_a_users_shell_or_says_that_there_is_none(room: Path) -> None:
    assert run(room, "dscl", "/Search", "-read", "/Users/root", "UserShell").stdout.startswith("UserShell: /")
    assert run(room, "dscl", "/Search", "-read", "/Users/nobodyhere", "UserShell").returncode == 56


def test_system_profiler_prints_json_with_the_gpus_cores(room: Path) -> None:
    shown = json.loads(run(room, "system_profiler", "SPDisplaysDataType", "-json").stdout)
    assert shown["SPDisplaysDataType"][0]["sppci_cores"] == "8"


def test_xcode_select_knows_the_folder_after_it_was_set(room: Path) -> None:
    (room / "developer-folder").touch()
    assert run(room, "xcode-select", "-p").returncode == 2
    assert run(room, "xcode-select", "--switch", "/nowhere").returncode == 1
    (room / "developer-folder").write_text("/Library/Developer/CommandLineTools\n")
    assert run(room, "xcode-select", "-p").stdout == "/Library/Developer/CommandLineTools\n"


def test_softwareupdate_offers_the_tools_only_beside_the_placeholder(room: Path) -> None:
    placeholder = room / "placeholder"
    variables = {"STANDIN_PLACEHOLDER": str(placeholder), "STANDIN_TOOLS": str(room / "tools")}
    without = run(room, "softwareupdate", "-l", **variables)
    assert (without.returncode, without.stderr) == (0, "No new software available.\n")
    placeholder.touch()
    assert f"* Label: {LABEL}\n" in run(room, "softwareupdate", "-l", **variables).stdout
    (room / "softwareupdate").write_text("empty")
    assert "Label" not in run(room, "softwareupdate", "-l", **variables).stdout


def test_softwareupdate_installs_the_label_and_no_other_and_only_for_root(room: Path) -> None:
    placeholder = room / "placeholder"
    placeholder.touch()
    variables = {"STANDIN_PLACEHOLDER": str(placeholder), "STANDIN_TOOLS": str(room / "tools")}
    if os.geteuid() != 0:
        assert "Must be run as root" in run(room, "softwareupdate", "-i", LABEL, **variables).stderr
        return
    assert "No such update" in run(room, "softwareupdate", "-i", "Command Line Tools", **variables).stderr
    assert not (room / "tools").exists()
    assert f"Installed {LABEL}" in run(room, "softwareupdate", "-i", LABEL, **variables).stdout
    assert os.access(room / "tools" / "usr" / "bin" / "git", os.X_OK)


def test_the_shim_asks_for_the_tools(tmp_path: Path) -> None:
    shutil.copy(STANDINS / "clt_shim", tmp_path / "git")
    done = subprocess.run([tmp_path / "git", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No developer tools were found" in done.stderr


def test_brew_checks_and_installs_a_brewfile_and_refuses_what_it_does_not_know() -> None:
    """What it says in full is held against the recordings; this runs without them."""
    with tempfile.TemporaryDirectory(prefix="metal-lab-brew-") as folder:
        world = World(Path(folder))
        brewfile = world.home / "Brewfile"
        brewfile.write_text('# ours\nbrew "git"\nbrew "nosuch"\n')
        world.index()
        world.open_up()
        check = ("bundle", "check", "--verbose", "--no-upgrade", f"--file={brewfile}")
        install = ("bundle", "install", "--no-upgrade", f"--file={brewfile}")
        assert "→ Formula nosuch needs to be installed." in world.run(*check).stderr
        failed = world.run(*install)
        assert (failed.returncode, world.holds()) == (1, {"bin/brew"})
        assert "`brew bundle` failed! Failed to fetch git, nosuch" in failed.stderr
        brewfile.write_text('brew "git"\n')
        assert "Installing git" in world.run(*install).stdout
        assert world.run(*check).stdout == "The Brewfile's dependencies are satisfied.\n"
        for arguments in ((), ("upgrade",), ("install", "git"), ("bundle", "check")):
            assert world.run(*arguments).returncode == 2
        brewfile.write_text('brew "git", args: ["HEAD"]\n')
        assert "the stand-in does not know" in world.run(*install).stderr
