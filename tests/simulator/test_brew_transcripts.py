"""What the real brew was recorded to do, held against its stand-in: exit code, each stream, what is left behind."""

import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import brew_transcripts
from tests.helpers.brew_transcripts import ABSENT, COMPACT, places
from tests.helpers.brew_world import World, is_asked, put

RECORDED = brew_transcripts.transcribed()
pytestmark = pytest.mark.skipif(not RECORDED, reason=ABSENT)

REFUSED = {
    **dict.fromkeys(("brew-env-color-check", "brew-env-forbidden-install"), "what else brew.env may set"),
    **dict.fromkeys(
        ("brewfile-bad-args-install", "brewfile-no-string-check", "brewfile-no-string-install"),
        "a Brewfile that no role writes",
    ),
    **dict.fromkeys(("brewfile-syntax-check", "brewfile-syntax-install"), "one that is not Ruby"),
    **dict.fromkeys(("unknown-cask-check", "unknown-cask-install"), "a cask that is not known: a Mac says otherwise"),
    **dict.fromkeys(
        ("outdated-check-upgrade", "several-missing-check-upgrade", "satisfied-check-quiet"),
        "options that the project does not give",
    ),
}
"""Situations that the stand-in does not know, and refuses."""

LEFT_OUT = {
    **dict.fromkeys(("disk-full-cellar-install", "disk-full-temp-install"), "how much room there is"),
    **dict.fromkeys(
        ("locked-install", "not-writable-group-install", "no-network-install", "library-incomplete-check"),
        "another brew at work, permissions, the network, half a Library",
    ),
    "build-fails-install": "questions to GitHub; without them it is build-fails-install-no-github",
    "tap-unreachable-with-formula-install": "a formula that nobody can load",
}
"""Situations that the stand-in cannot tell from others."""


@pytest.fixture
def world() -> Iterator[World]:
    """Not below pytest's own folder, which only its user can enter."""
    with tempfile.TemporaryDirectory(prefix="metal-lab-brew-") as folder:
        yield World(Path(folder))


def test_the_compact_form_is_what_was_recorded() -> None:
    assert json.loads(COMPACT.read_text(encoding="utf-8")) == brew_transcripts.situations()


def test_what_is_left_out_was_recorded() -> None:
    assert {*REFUSED, *LEFT_OUT} <= RECORDED.keys()


@pytest.mark.parametrize("name", [name for name, one in RECORDED.items() if is_asked(one) and name not in LEFT_OUT])
def test_the_stand_in_does_what_brew_did(world: World, name: str) -> None:
    one = RECORDED[name]
    put(world, name, one)
    before = world.holds()
    arguments = [world.place(argument) for argument in one["argv"][1:]]
    done = world.run(*arguments, cwd=folder_of(world, name), as_root=name == "as-root-check")
    if name in REFUSED:
        assert (done.returncode, "the stand-in does not know" in done.stderr) == (2, True), (done.stdout, done.stderr)
        return
    assert done.returncode == one["exit_code"], (done.stdout, done.stderr)
    for stream, said in (("stdout", done.stdout), ("stderr", done.stderr)):
        assert comparable(said) == comparable(world.place(one[stream])), stream
    after = world.holds()
    news = [line for line in one["after"] if line.startswith("new: ")]
    gone = [line for line in one["after"] if line.startswith("gone: ")]
    assert (after - before, before - after) == (owned(world, news), owned(world, gone))
    told = [line.partition("trust.json: ")[2] for line in news if "trust.json: " in line]
    if told:
        assert json.loads((world.home / ".homebrew" / "trust.json").read_text()) == json.loads(told[0])


def owned(world: World, recorded: list[str]) -> set[str]:
    """What was recorded to be new or gone, as far as the stand-in makes it; an app lies where the world has them."""
    found = {world.place(path).replace(f"{world.prefix}/Cellar", "../Cellar") for path in places(recorded)}
    return {path.replace(str(world.home / ".config" / "apps"), str(world.applications)) for path in found}


def folder_of(world: World, name: str) -> Path | None:
    if name.startswith("unreadable-cwd"):
        return world.folder / "closed"
    return world.folder / "gone" if name.startswith("deleted-cwd") else None


def comparable(text: str) -> Counter[str]:
    """Lines without their order, which is not the same each time, and without what only the rig says."""
    kept = [line for line in text.splitlines() if not brew_transcripts.RIG.fullmatch(line)]
    rig = r"Warning: Treating `.*|curl: \(6\) Could not resolve host: formulae\.brew\.sh|HTTP status: 000"
    shell = r"(shell-init|chdir): error retrieving current directory: .*"
    kept = [line for line in kept if not re.fullmatch(f"{rig}|{shell}", line)]
    # The entries that came well, and the rig's taps; the stand-in tells of neither.
    kept = [line for line in kept if not line.startswith("Homebrew/homebrew-")]
    return Counter(
        line for line in kept if not re.match(r"✔︎ (Bottle|Cask|Formula) |HTTP status: 000Failure|Error: Failure", line)
    )


@pytest.mark.parametrize(
    "name",
    [
        *("prefix", "version-fresh-clone-api", "no-git-version", "no-tags-version", "half-checkout-version"),
        *("library-missing-version", "install-cask-missing", "install-cask-satisfied", "unreadable-cwd-version"),
        *("shellenv-bash", "shellenv-zsh", "shellenv-no-argument", "shellenv-path-already-set"),
    ],
)
def test_so_it_does_with_the_other_commands(world: World, name: str) -> None:
    one = RECORDED[name]
    world.make(one["before"])
    world.index()
    if name == "version-fresh-clone-api":
        make_clone(world.prefix, one["version"])
    if name == "library-missing-version":
        shutil.rmtree(world.prefix / "Library" / "Homebrew")
    world.open_up()
    before = world.holds()
    more: dict[str, Any] = {"SHELL": "/bin/zsh"} if name == "shellenv-no-argument" else {}
    if name == "shellenv-path-already-set":
        more = {"PATH": f"{world.prefix}/bin:{world.prefix}/sbin:/usr/bin:/bin"}
    done = world.run(*one["argv"][1:], cwd=folder_of(world, name), **more)
    assert done.returncode == one["exit_code"], (done.stdout, done.stderr)
    for stream, said in (("stdout", done.stdout), ("stderr", done.stderr)):
        assert comparable(said) == comparable(world.place(one[stream])), stream
    assert world.holds() - before == owned(world, [line for line in one["after"] if line.startswith("new: ")])


def make_clone(prefix: Path, tag: str) -> None:
    """A repository in the prefix whose one commit has a tag."""
    own = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "safe.directory=*"]
    for line in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"], ["tag", tag]):
        subprocess.run(["git", *own, "-C", str(prefix), *line], check=True)
    (prefix.parent / "home" / ".gitconfig").write_text("[safe]\n directory = *\n")


def test_what_the_project_does_not_ask_is_refused(world: World) -> None:
    world.index()
    world.open_up()
    others = {
        tuple(one["argv"][1:]): name
        for name, one in RECORDED.items()
        if one["argv"][0].endswith("/brew")
        and one["argv"][1] in {"tap", "list", "trust", "migrate", "update", "install"}
        and "--cask" not in one["argv"]
    }
    assert len(others) > 5
    for arguments, name in others.items():
        assert world.run(*arguments).returncode == 2, name
