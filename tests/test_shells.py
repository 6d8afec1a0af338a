"""Every script for sh under every shell that may be sh: read, and those that matter run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.plugins import by_shell
from tests.helpers.shells import shells
from tests.plugins.action.test_preflight import put_tools
from verify import ROOT

FACTS = ROOT / "plugins" / "plugin_utils" / "facts.sh"
SHELLS = shells()


def scripts() -> list[str]:
    """Every file of the project that sh reads, by path."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    found = []
    for name in listed.stdout.split("\0"):
        place = ROOT / name
        if name and place.is_file() and not place.is_symlink():
            with place.open("rb") as file:
                first = file.readline(100)
            if re.match(rb"#!/bin/sh\b|#!/usr/bin/env sh\b|# shellcheck shell=sh\b", first):
                found.append(name)
    return found


SCRIPTS = scripts()


def test_no_script_is_left_out() -> None:
    assert {"converge", "run-tests", "verify/probes/system.sh", "plugins/plugin_utils/facts.sh"} <= set(SCRIPTS)
    # A kind of shell script that nobody looks at would be one without the line that says whose it is.
    named = {
        str(path.relative_to(ROOT))
        for folder in ("plugins", "roles", "verify")
        for path in (ROOT / folder).rglob("*.sh")
    }
    assert named <= set(SCRIPTS)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no dash and no busybox")
def test_all_shells_are_here() -> None:
    """Debian's packages of run-tests bring them."""
    assert SHELLS.keys() == {"dash", "bash", "zsh", "busybox"}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_shell_reads_it(name: str, shell: str) -> None:
    line = [*SHELLS[shell].split(), "-n", str(ROOT / name)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_preflights_facts_are_the_same_in_every_shell(tmp_path: Path) -> None:
    tools = put_tools(tmp_path)
    homebrew = tmp_path / "a homebrew of ç"
    (homebrew / ".git").mkdir(parents=True)
    (homebrew / ".git" / "HEAD").write_text("ref: refs/heads/stable\n")
    (homebrew / "bin").mkdir()
    (homebrew / "bin" / "brew").touch()
    # How much is free changes while this runs.
    put_tools(tmp_path, df="printf 'F 1024-blocks Used Available Capacity Mounted on\\n/d 9 8 7 6%% /\\n'")
    asked = (FACTS, tmp_path / "home", "ml-m1", "", str(homebrew))
    (same,) = {by_shell(*asked, path=f"{tools}:/usr/bin:/bin", shell=shell) for shell in SHELLS.values()}
    assert same.endswith("end=1\n")
    assert "homebrew=clone\n" in same


def prefix_of_every_kind(folder: Path) -> Path:
    """A Homebrew with a formula and a cask in each state that the verification tells."""
    prefix = folder / "a homebrew"
    for name, text in (("linked", ""), ("loose", "class L"), ("apart", "  keg_only :x\n"), ("bare", None)):
        keg = prefix / "Cellar" / name / "1.0"
        keg.mkdir(parents=True)
        if text is not None:
            (keg / ".brew").mkdir()
            (keg / ".brew" / f"{name}.rb").write_text(text)
        (prefix / "opt").mkdir(exist_ok=True)
        (prefix / "opt" / name).symlink_to(f"../Cellar/{name}/1.0")
    linked = prefix / "var" / "homebrew" / "linked"
    linked.mkdir(parents=True)
    (linked / "linked").symlink_to(prefix / "Cellar" / "linked" / "1.0")
    (prefix / "opt" / "gone").symlink_to("../Cellar/gone/1.0")
    (prefix / "Caskroom" / "app" / "1.0").mkdir(parents=True)
    (prefix / "Caskroom" / "trashed" / "1.0").mkdir(parents=True)
    (prefix / "Caskroom" / "trashed" / "1.0" / "T.app").symlink_to("/Applications/T of ç.app")
    (prefix / "bin").mkdir()
    (prefix / "bin" / "brew").write_text("#!/bin/sh\necho warning >&2\necho Homebrew 7.0.6\n")
    (prefix / "bin" / "brew").chmod(0o755)
    return prefix


@pytest.mark.parametrize("shell", SHELLS)
def test_the_verification_asks_of_homebrew_in_every_shell(shell: str, tmp_path: Path) -> None:
    prefix = prefix_of_every_kind(tmp_path)
    formulae = {
        **{"linked": "present", "o/t/linked": "present", "apart": "present", "bare": "present"},
        **{"loose": "unlinked", "gone": "missing", "never": "missing"},
    }
    casks = {"app": "present", "trashed": "gone /Applications/T of ç.app", "no": "missing"}
    names = [*(f"formula:{one}" for one in formulae), *(f"cask:{one}" for one in casks)]
    script = ROOT / "verify" / "probes" / "system.sh"
    said = by_shell(script, tmp_path, "N", str(prefix), "", *names, shell=SHELLS[shell], inline=True)
    told = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    expected = {
        **{f"formula:{key}": one for key, one in formulae.items()},
        **{f"cask:{key}": one for key, one in casks.items()},
    }
    assert told == {**expected, "homebrew": "0 Homebrew 7.0.6"}
    (prefix / ".git").mkdir()
    (prefix / ".git" / "HEAD").write_text("ref: refs/heads/stable\n")
    said = by_shell(script, tmp_path, "N", str(prefix), "", shell=SHELLS[shell], inline=True)
    assert "homebrew=cut-off\n" in said
    # Not waited for.
    (prefix / ".git" / "HEAD").unlink()
    os.mkfifo(prefix / ".git" / "HEAD")
    assert "homebrew=0 " in by_shell(script, tmp_path, "N", str(prefix), "", shell=SHELLS[shell], inline=True)


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_lock_keeps_two_runs_apart_in_every_shell(shell: str, links: bool, tmp_path: Path) -> None:
    """Also where a file cannot have two names, as on exFAT."""
    (tmp_path / "tools").mkdir()
    if not links:
        (tmp_path / "tools" / "ln").write_text("#!/bin/sh\necho 'ln: Operation not supported' >&2\nexit 1\n")
        (tmp_path / "tools" / "ln").chmod(0o755)
    script = ROOT / "plugins" / "plugin_utils" / "lock.sh"
    lock = str(tmp_path / "a folder" / "run.lock")

    def ask(action: str, run: str, dead: str = "") -> str:
        given = (action, lock, run, "eva on ç", "now", dead)
        said = by_shell(script, tmp_path, *given, path=f"{tmp_path}/tools:/usr/bin:/bin", shell=SHELLS[shell])
        told = dict(line.split("=", 1) for line in said.splitlines())
        assert told["lock_end"] == "1"
        return told["lock"]

    asked = [
        ask("look", "h/b/1"), ask("take", "h/b/1"), ask("take", "h/b/2"), ask("take", "h/b/2", "h/b/1"),
        ask("release", "h/b/2"), ask("look", "h/b/3"),
    ]  # fmt: skip
    assert asked == ["free", "taken", "held", "taken", "released", "free"]
    assert not (tmp_path / "a folder").exists()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("name", "arguments", "said", "code"),
    [
        ("converge", ["--help"], "Usage: ./converge", 0),
        ("run-tests", ["--help"], "Usage: ./run-tests", 0),
        ("run-tests", ["--packages", "unit"], "busybox", 0),
        ("run-tests", ["nosuch"], "nosuch", 2),
    ],
)
def test_the_commands_answer_in_every_shell(name: str, arguments: list[str], said: str, code: int, shell: str) -> None:
    line = [*SHELLS[shell].split(), str(ROOT / name), *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_converge_starts_in_every_shell(shell: str, tmp_path: Path) -> None:
    """With a toolchain that is there, in a folder with a space in its name."""
    root = tmp_path / "a clone"
    (root / ".venv" / "bin").mkdir(parents=True)
    for name in ("converge", "controller.lock"):
        shutil.copy(ROOT / name, root / name)
    (root / ".venv" / "controller.stamp").write_text(f"{root}\n{(root / 'controller.lock').read_text()}")
    for name, text in (("python", "echo whole"), ("ansible-playbook", 'printf "%s|" "$@"; echo "$LC_ALL"')):
        (root / ".venv" / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (root / ".venv" / "bin" / name).chmod(0o755)
    line = [*SHELLS[shell].split(), str(root / "converge"), "--tags", "it's a *"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "pt_PT"}
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=environment, stdin=subprocess.DEVNULL)
    utf8 = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    assert done.stdout == f"{root}/site.yml|--tags|it's a *|{utf8}\n"
