"""Which label of softwareupdate's list is installed, and that the placeholder goes away in every case."""

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.action import command_line_tools
from ansible_collections.metal_lab.macs.plugins.action.command_line_tools import choose, fetching, guarded
from ansible_collections.metal_lab.macs.verify import ROOT

from tests.helpers.plugins import connection, run_action


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


def test_a_version_that_is_none_is_passed_over() -> None:
    odd = entry("Command Line Tools for Xcode-odd", "Command Line Tools for Xcode", "16.5b-two")
    assert choose(odd + LISTING) == "Command Line Tools for Xcode 26.2-26.2"
    assert choose(odd) is None


NEWEST = "Command Line Tools for Xcode 26.2-26.2"
PACKAGE = b"Command Line Tools"
DIGEST = hashlib.sha256(PACKAGE).hexdigest()


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-ins of a Mac's tools note their calls, and what is installed."""
    monkeypatch.setenv("STANDIN_ROOM", str(tmp_path))
    monkeypatch.setenv("STANDIN_TOOLS", str(tmp_path / "tools"))
    monkeypatch.setenv("STANDIN_PLACEHOLDER", str(tmp_path / "placeholder"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return tmp_path


def over(mac: Path) -> Any:
    """A connection to a machine on which the stand-ins are where a Mac has its tools."""
    made = connection()
    run = made.exec_command
    places = {command_line_tools.TOOLS: "tools", command_line_tools.PLACEHOLDER: "placeholder"}
    places[command_line_tools.FETCHED] = "fetched.pkg"
    standins = ROOT / "molecule" / "mac" / "standins"
    tools = {f"/usr/{one}": str(standins / Path(one).name) for one in ("sbin/softwareupdate", "sbin/installer")}
    tools["/usr/bin/xcode-select"] = str(standins / "xcode-select")

    def exec_command(line: str, **options: Any) -> Any:
        for place, other in {**{one: str(mac / name) for one, name in places.items()}, **tools}.items():
            line = line.replace(place, other)
        return run(line, **options)

    made.exec_command = exec_command
    return made


def run(made: Any, *, check: bool = False, **options: Any) -> dict[str, Any]:
    base = {"package": "", "checksum": "", "list_timeout": 11, "install_timeout": 22, "attempts": 2, **options}
    return run_action(command_line_tools.ActionModule, base, check=check, over=made)


def calls(mac: Path) -> list[str]:
    place = mac / "calls"
    return place.read_text().splitlines() if place.exists() else []


def test_what_softwareupdate_offers_is_installed_and_chosen(mac: Path) -> None:
    would = run(over(mac), check=True)
    assert would == {"changed": True, "msg": "The Command Line Tools would be installed."}
    assert calls(mac) == []
    assert run(over(mac)) == {"changed": True, "installed": NEWEST}
    assert calls(mac) == ["softwareupdate -l", f"softwareupdate -i {NEWEST}"]
    assert (mac / "developer-folder").read_text() == f"{mac}/tools\n"
    assert not (mac / "placeholder").exists()


def test_a_package_on_the_mac_is_installed_and_stays(mac: Path) -> None:
    package = mac / "a package"
    package.write_bytes(PACKAGE)
    assert run(over(mac), package=str(package)) == {"changed": True, "installed": str(package)}
    assert calls(mac) == [f"installer -pkg {package} -target /"]
    assert (mac / "developer-folder").exists()
    assert package.exists()


def test_a_package_from_an_address_is_installed_with_its_checksum_alone(mac: Path) -> None:
    package = mac / "a package"
    package.write_bytes(PACKAGE)
    address = package.as_uri()
    for wrong in ("", DIGEST[1:], DIGEST.upper(), f"{DIGEST}0"):
        made = over(mac)
        refused = run(made, package=address, checksum=wrong)
        assert f"would come from {address}. Needed: that package's SHA-256" in refused["msg"]
        assert made.lines == []
    refused = run(over(mac), package=address, checksum="0" * 64)
    assert "ended with exit code 1, 2 times" in refused["msg"]
    assert calls(mac) == []
    assert run(over(mac), package=address, checksum=DIGEST) == {"changed": True, "installed": address}
    assert calls(mac) == [f"installer -pkg {mac}/fetched.pkg -target /"]
    assert not (mac / "fetched.pkg").exists()


def test_where_nothing_is_offered_it_is_asked_again_and_then_said(mac: Path) -> None:
    (mac / "softwareupdate").write_text("empty")
    refused = run(over(mac), attempts=3)
    assert "offers no Command Line Tools (asked 3 times). Needed: a reachable" in refused["msg"]
    assert refused["msg"].endswith("Finding available software\n\nNo new software available.")
    assert calls(mac) == ["softwareupdate -l"] * 3


OFFER = (0, LISTING, "")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(1, "", ""), OFFER, (1, "", ""), (0, "", ""), (0, "", ""), (1, "", ""), (0, "", "")], ""),
        ([(0, "", "none"), (0, "", LISTING), (0, "", ""), (0, "", ""), (0, "", "")], ""),
        ([(3, "out", "err")] * 2, "softwareupdate -l` ended with exit code 3, 2 times.*It said:\nout\nerr$"),
        ([(142, "", "")] * 2, "softwareupdate -l` took longer than 11 s, 2 times"),
        ([OFFER, *[(142, "", "")] * 2], f"softwareupdate -i '{NEWEST}'` took longer than 22 s, 2 times"),
        ([OFFER, (0, "", ""), (1, "", "")], f"^'{NEWEST}' was installed without an error, and /Library"),
        ([OFFER, (0, "", ""), (0, "", ""), *[(142, "", "")] * 2], "xcode-select --switch /L.* took longer than 11 s"),
    ],
)
def test_each_step_is_tried_as_often_as_asked_for(answers: list[tuple[int, str, str]], said: str) -> None:
    made = connection(*answers)
    result = run(made)
    assert result.get("failed", False) is bool(said)
    assert re.search(said, result.get("msg", ""), re.DOTALL)
    assert len(made.lines) == len(answers)


@pytest.mark.parametrize(
    ("options", "answers", "said"),
    [
        ({"package": "/p.pkg"}, [(142, "", "")] * 2, "installer -pkg /p.pkg -target /` took longer than 22 s"),
        ({"package": "http://c/p", "checksum": DIGEST}, [(142, "", "")] * 2, "` took longer than 22 s"),
    ],
)
def test_a_package_has_the_time_of_an_installation(
    options: dict[str, Any], answers: list[tuple[int, str, str]], said: str
) -> None:
    assert said in run(connection(*answers), **options)["msg"]


def test_a_command_ends_when_its_time_is_over(mac: Path) -> None:
    (mac / "softwareupdate").write_text("hang")
    assert "took longer than 1 s, 1 times" in run(over(mac), list_timeout=1, attempts=1)["msg"]
    assert not (mac / "placeholder").exists()
