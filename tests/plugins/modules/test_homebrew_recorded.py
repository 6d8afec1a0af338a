"""What homebrew_bundle makes of each situation that the real brew was recorded in: changed, installed, what it says."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.metal_lab.macs.plugins.modules import homebrew_bundle
from ansible_collections.metal_lab.macs.plugins.modules.homebrew_bundle import PLACES, inventory

from tests.helpers import brew_transcripts
from tests.helpers.brew_transcripts import ABSENT
from tests.helpers.brew_world import World, changes_of, is_asked, put
from tests.helpers.plugins import run_module
from tests.helpers.transcripts import Transcript
from tests.simulator.test_brew_transcripts import LEFT_OUT, REFUSED
from verify import ROOT
from verify.checks import system
from verify.target.answers import Report
from verify.target.record import Homebrew, Record

RECORDED = brew_transcripts.transcribed()
pytestmark = pytest.mark.skipif(not RECORDED, reason=ABSENT)


def first_of_each() -> list[str]:
    """The situations that the module can be in; what was there before is all that it differs by, not what was asked."""
    found: dict[tuple[str, ...], str] = {}
    # What the module never asks: it writes the Brewfile itself, works in a folder that is there, and never as root.
    never = re.compile(r"brewfile-|as-root|deleted-cwd|unreadable-cwd")
    for name, one in sorted(RECORDED.items(), key=lambda item: ("-check" in item[0], item[0])):
        if is_asked(one) and name not in {*LEFT_OUT, *REFUSED} and not never.match(name):
            there = sorted(line for line in one["before"] if not re.search("/Caches/|/Logs/", line))
            own = name if re.match("check-api|install-api|first-run|skip-", name) else ""
            found.setdefault((*there, one["brewfile"], str(changes_of(name)), own), name)
    return sorted(found.values())


HERE = first_of_each()

FAILS: dict[str, tuple[str, str] | None] = {
    "bottle-404": ("not there: gone.", "Failed to download resource"),
    "bottle-checksum-mismatch": ("not there: badbottle.", "--tags purge -e purge="),
    "source-checksum-mismatch": ("not there: badsum.", "Formula reports different checksum"),
    "cask-404": ("not there: gonecask.", "Download failed on Cask"),
    "cask-checksum-mismatch": ("not there: badcask.", "Cask reports different checksum"),
    "unknown-formula": ("not there: no-such-formula.", "No available formula"),
    "main-20260822-install-unknown": ("not there: no-such-formula.", "No available formula"),
    "main-20260822-install-bottle": ("not there: badbottle.", "--tags purge -e purge="),
    "build-fails": ("not there: broken.", "Last 15 lines from"),
    "dependency-build-fails": ("not there: needsbroken.", "dependency: broken"),
    "dependency-pinned": ("not there: jq.", "brew unpin oniguruma"),
    "disabled-formula": ("not there: disabled.", "has been disabled"),
    "post-install-fails": ("though all that was asked for is there.", "brew said:"),
    "foreign-file": ("installed but not linked: tree.", "already exists. You may want to remove it"),
    "unlinked-foreign-file": ("installed but not linked: htop.", "already exists. You may want to remove it"),
    "conflicting-formula": ("installed but not linked: tree.", "is a symlink belonging to treeclone"),
    "cask-foreign-file": ("not there: othercask.", "It seems there is already a Binary"),
    "cask-installed-by-hand-check": ("not there: appcask.", "the existing App is different"),
    "cask-installed-by-hand-other-version-install": ("not there: appcask.", "the existing App is different"),
    "tap-unreachable": ("not there: lab/nowhere.", "Could not resolve host: github.com"),
    "install-api-no-network": ("not there: git, htop, visual-studio-code.", "Could not resolve host: formulae.brew.sh"),
    "check-api-no-network": ("not there: git, htop, visual-studio-code.", "Could not resolve host: formulae.brew.sh"),
    # Nothing is asked of brew there.
    "check-api-no-network-empty-brewfile": None,
    "first-run-portable-ruby-unreachable": ("not there: git.", "Could not resolve host: ghcr.io"),
}
"""Situations that end with an error: what the module says of it, and brew's own word that is passed on."""

WARNS = {
    "cask-app-deleted": "AppCask.app of appcask is gone, and brew takes it for installed",
    "renamed-missing": "nothing of the name oldname is there",
    "renamed-satisfied": "nothing of the name oldname is there",
    "renamed-since-new-name": "nothing of the name newname is there",
    "skip-in-brew-env": "etc/homebrew/brew.env has it in a HOMEBREW_BUNDLE_…_SKIP",
    "skip-in-user-brew-env": ".homebrew/brew.env has it in a HOMEBREW_BUNDLE_…_SKIP",
    "dependency-outdated": "brew upgraded oniguruma from 1.0 to 1.1.",
    "dependents-outdated": "brew upgraded oniguruma from 1.0 to 1.1.",
}
"""Situations with which brew is content, and the module is not."""


def told(table: dict[str, Any], name: str) -> Any:
    """What a table has of a situation: the longest name that it begins with."""
    found = [one for one in table if name.startswith(one)]
    return table[max(found, key=len)] if found else None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose brew runs as a user, though the module here may not."""
    with tempfile.TemporaryDirectory(prefix="metal-lab-brew-") as folder:
        made = World(Path(folder))
        brew = made.prefix / "bin" / "brew"
        brew.rename(brew.with_name("brew.itself"))
        brew.write_text(
            f"#!/bin/sh\nchmod -R a+rwX '{folder}' 2>/dev/null\n"
            "u='setpriv --reuid=65534 --regid=65534 --clear-groups'; [ \"$(id -u)\" = 0 ] || u=\n"
            f"export PATH=/usr/bin:/bin HOME='{made.home}' STANDIN_ROOM='{made.room}'\n"
            f"STANDIN_APPLICATIONS='{made.applications}' exec $u '{brew}.itself' \"$@\"\n"
        )
        monkeypatch.setenv("HOME", str(made.home))
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        yield made


def asked_by(one: Transcript) -> dict[str, list[str]]:
    """What the recorded Brewfile names, as the inventory would."""
    found = re.findall(r'^(tap|brew|cask) "([^"]+)"', one["brewfile"], re.MULTILINE)
    kinds = {"taps": "tap", "formulae": "brew", "casks": "cask"}
    return {key: [name for kind, name in found if kind == word] for key, word in kinds.items()}


def bundle(world: World, names: dict[str, list[str]], *, check: bool = False) -> tuple[dict[str, Any], list[str]]:
    """The module's answer, and its warnings."""
    options = {"brew": f"{world.prefix}/bin/brew", "brewfile": f"{world.prefix}/etc/metal-lab/Brewfile", **names}
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnsibleModule, "warn", lambda _, text: said.append(text))
        return run_module(homebrew_bundle.main, options, check=check), said


@pytest.mark.parametrize("name", HERE)
def test_what_the_module_makes_of_it(world: World, name: str) -> None:
    put(world, name, RECORDED[name])
    names = asked_by(RECORDED[name])
    # The Brewfile is the module's own: only what brew does counts as a change here.
    brewfile = world.prefix / "etc" / "metal-lab" / "Brewfile"
    brewfile.write_text(homebrew_bundle.render(names["taps"], names["formulae"], names["casks"]))
    before = inventory(world.prefix)
    tree = world.holds()
    would, _ = bundle(world, names, check=True)
    assert world.holds() == tree
    done, warned = bundle(world, names)
    after = inventory(world.prefix)
    assert done["changed"] == (after != before)
    assert done["installed"] == sorted(after - before)
    if not would.get("failed") and after != before:
        assert would["changed"]
    failure = told(FAILS, name)
    if name.endswith(("-check-afterwards", "-install-again")) and failure and not done.get("failed"):
        # What went wrong then does not show any more: post_install, which brew does not repeat.
        assert name.startswith("post-install-fails")
        return
    assert bool(done.get("failed")) == bool(failure), done.get("msg")
    if failure:
        what, word = failure
        assert what in done["msg"]
        assert word in done["msg"]
        # No good entry is kept out by a bad one.
        if "api" not in name and "ruby" not in name:
            bad = re.search(r"not there: ([^.]+?)\.", done["msg"])
            assert homebrew_bundle.lacking(world.prefix, *names.values()) == (bad[1].split(", ") if bad else [])
    warning = told(WARNS, name)
    has_warning = [one for one in warned if warning and warning in one]
    assert bool(warned) == bool(has_warning) == bool(warning), warned
    said = " ".join([str(done.get("msg", "")).partition("\nbrew said")[0], *warned])
    for kind, message in verified(world, names).items():
        for one in names[kind]:
            is_wrong = f"{one} is" in message or f"of {one} is gone" in message
            pattern = rf"(there|linked|name)[:,a-z ]* {re.escape(one)}\b|(^| ){re.escape(one)} is |of {one} is gone"
            assert is_wrong == bool(re.search(pattern, said)), (message, said)
    if not failure:
        again, _ = bundle(world, names)
        assert again["changed"] is False


def verified(world: World, names: dict[str, list[str]]) -> dict[str, str]:
    """What the verification says of formulae and casks: of what is wrong, the name and what it is."""
    asked = Homebrew(str(world.prefix), tuple(names["formulae"]), tuple(names["casks"]), shellenv=False)
    record = Record("ml-m1", "conda", "/e", (), "", homebrew=asked)
    (prefix, root, *named) = system.questions(record)
    script = (ROOT / "verify" / "probes" / "system.sh").read_text(encoding="utf-8")
    line = ["sh", "-c", script, "sh", "N", prefix, root, *named]
    out = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split("\nN\n")[1]
    data = dict(text.split("=", 1) for text in out.splitlines() if "=" in text)
    judged = {one.check: one for one in system.judge(record, Report("end", data=data))}
    found = {"formulae": judged["system.formulae"], "casks": judged["system.casks"]}
    return {kind: one.message if one.result == "fail" else "" for kind, one in found.items()}


def test_what_is_looked_at_is_where_brew_puts_it() -> None:
    made = {line.partition(": ")[2] for one in RECORDED.values() for line in one["after"] if line.startswith("new: ")}
    for place in PLACES:
        pattern = re.compile(place.replace("*", r"[^/ ]+") + r"( -> .*)?")
        assert any(pattern.fullmatch(path) for path in made), place
