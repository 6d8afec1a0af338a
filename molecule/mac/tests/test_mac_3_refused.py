"""What is refused, with nothing changed, and the message that says why."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from macs import FRESH, converge, server_of


@contextmanager
def altered(change: str, restore: str) -> Iterator[None]:
    """Alter the fresh Mac as root, and put it right again."""
    try:
        FRESH.run(change, root=True)
        yield
    finally:
        FRESH.run(restore, root=True)


def sysctl(name: str, value: str) -> tuple[str, str]:
    table = "/opt/.sim/sysctl"
    return f"cp {table} {table}.kept; sed -i 's/^{name}: .*/{name}: {value}/' {table}", f"mv {table}.kept {table}"


PYTHON = f"{FRESH.prefix}/bin/python"
PLIST = "/System/Library/CoreServices/SystemVersion.plist"
REFUSALS: dict[str, tuple[tuple[str, str], str]] = {
    "rosetta": (sysctl("sysctl.proc_translated", "1"), "translated by Rosetta"),
    "macos 13": (
        (f"cp {PLIST} /opt/.sim/plist; sed -i 's/15.6.1/13.7.8/' {PLIST}", f"mv /opt/.sim/plist {PLIST}"),
        "Found macOS 13.7.8",
    ),
    "intel": (("echo x86_64 >/opt/.sim/machine", "rm /opt/.sim/machine"), "Found Darwin on x86_64"),
    # Without an environment, since one that is there needs no room for another.
    "too little disk": (
        (
            f"mv {PYTHON} {PYTHON}.kept; "
            "fallocate -l $(($(df -Pk /opt/.sim | awk 'NR == 2 { print $4 }') - 2000000))K /opt/.sim/fill",
            f"rm -f /opt/.sim/fill; mv {PYTHON}.kept {PYTHON}",
        ),
        "Needed for a first installation",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_preflight_refuses(case: str) -> None:
    (change, restore), message = REFUSALS[case]
    before = FRESH.state()
    with altered(change, restore):
        run = converge("--limit", "fresh")
        assert run.code != 0
        assert message in " ".join(run.output.split())
    assert FRESH.state() == before


def away(path: str) -> tuple[str, str]:
    return f"mv {path} {path}.kept", f"rm -rf {path}; mv {path}.kept {path}"


def test_a_foreign_homebrew_prefix_is_refused() -> None:
    change, restore = away("/opt/homebrew")
    with altered(
        f"{change}; mkdir /opt/homebrew; echo mine >/opt/homebrew/thesis; chown -R ana /opt/homebrew", restore
    ):
        run = converge("--limit", "fresh")
        assert "Found files in /opt/homebrew that are not Homebrew's (thesis)" in " ".join(run.output.split())
        assert FRESH.run("ls -A /opt/homebrew") == "thesis\n"


def test_a_homebrew_whose_tag_names_another_commit_is_refused() -> None:
    change, restore = away("/opt/homebrew")
    with altered(change, restore):
        run = converge("--limit", "fresh", homebrew_commit="0" * 40)
        assert f"Needed: {'0' * 40} (homebrew_commit)" in " ".join(run.output.split())
        FRESH.run("test ! -e /opt/homebrew/bin/brew")


def test_an_installer_with_another_checksum_is_refused() -> None:
    change, restore = away("/Users/ana/miniforge3")
    with altered(change, restore):
        run = converge("--limit", "fresh", miniforge_checksums={"MacOSX-arm64": "0" * 64})
        assert run.code != 0
        assert "--tags purge -e purge=Miniforge3-" in run.output, run.output
        FRESH.run("test ! -e /Users/ana/miniforge3; test ! -e /Users/ana/.local/share/metal-lab/Miniforge3-*.sh")


@pytest.mark.parametrize(
    ("mode", "message"),
    [("empty", "softwareupdate offers no Command Line Tools"), ("hang", "took longer than 2 s")],
)
def test_softwareupdate_that_fails_is_explained(mode: str, message: str) -> None:
    change, restore = away("/Library/Developer/CommandLineTools")
    with altered(f"{change}; echo {mode} >/opt/.sim/softwareupdate", f"{restore}; rm /opt/.sim/softwareupdate"):
        run = converge("--limit", "fresh", command_line_tools_list_timeout=2, command_line_tools_attempts=2)
        assert message in " ".join(run.output.split())
        assert FRESH.run("ls -A /tmp | grep CommandLineTools", check=False) == ""


def test_a_wrong_sudo_password_is_refused() -> None:
    change, restore = away("/Library/Developer/CommandLineTools")
    with altered(change, restore):
        run = converge("--limit", "fresh", ansible_become_password="wrong")  # noqa: S106
        assert run.code != 0
        assert "Incorrect sudo password" in " ".join(run.output.split())


def test_a_formula_that_fails_is_named_and_the_rest_is_installed() -> None:
    FRESH.run("rm -r /opt/homebrew/Cellar/htop")
    run = converge("--limit", "fresh", homebrew_formulae=["git", "nosuchformula", "htop"])
    said = "not there: nosuchformula. Installed all the same: Cellar/htop/1.0."
    assert said in " ".join(run.output.split())
    FRESH.run("test -d /opt/homebrew/Cellar/htop")
    assert converge("--limit", "fresh").code == 0


def test_everything_that_stands_in_the_way_is_told_at_once() -> None:
    """No administrator, an old macOS, a foreign prefix, somebody else's environment: one run, one message."""
    # From outside, because nobody inside could put it right again.
    groups = Path(f"/proc/{server_of('fresh')}/root/etc/group")
    members = groups.read_text(encoding="utf-8")
    homebrew, tools = (away(f"/{path}") for path in ("opt/homebrew", "Library/Developer/CommandLineTools"))
    old = REFUSALS["macos 13"][0]
    theirs = (f"chown root {FRESH.prefix}; chmod 755 {FRESH.prefix}", f"chown ana {FRESH.prefix}")
    changes = [homebrew, tools, old, theirs]
    foreign = "mkdir /opt/homebrew; touch /opt/homebrew/thesis"
    with altered("; ".join([*(one for one, _ in changes), foreign]), "; ".join(one for _, one in changes)):
        groups.write_text(members.replace("admin:x:80:root,ana", "admin:x:80:root"), encoding="utf-8")
        try:
            before = FRESH.state()
            run = converge("--limit", "fresh")
            assert FRESH.state() == before
        finally:
            groups.write_text(members, encoding="utf-8")
    said = " ".join(run.output.split())
    for message in (
        "Nothing was changed: 4 problems to solve first.",
        "Found macOS 13.7.8",
        "Found files in /opt/homebrew that are not Homebrew's (thesis)",
        "Found that ana is not an administrator of this Mac",
        f"Found the environment {FRESH.prefix}, which belongs to root",
    ):
        assert message in said


def test_a_run_without_the_password_that_it_needs_is_refused() -> None:
    change, restore = away("/Library/Developer/CommandLineTools")
    with altered(change, restore):
        run = converge("--limit", "fresh", ansible_become_password="")
        assert "sudo asks ana for a password, and this run has none" in " ".join(run.output.split())
        FRESH.run("test ! -e /Library/Developer/CommandLineTools")


def test_a_user_who_may_not_sudo_is_refused() -> None:
    change, restore = away("/Library/Developer/CommandLineTools")
    # From outside, because nobody inside could put it right again.
    sudoers = Path(f"/proc/{server_of('fresh')}/root/etc/sudoers")
    rules = sudoers.read_text(encoding="utf-8")
    with altered(change, restore):
        sudoers.write_text(rules.replace("%admin", "# %admin"), encoding="utf-8")
        try:
            run = converge("--limit", "fresh")
        finally:
            sudoers.write_text(rules, encoding="utf-8")
        assert run.code != 0
        assert "sudo" in run.output
        FRESH.run("test ! -e /Library/Developer/CommandLineTools")
