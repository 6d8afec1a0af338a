"""A prefix and a home with the stand-in of brew in it, in which a recorded situation is made."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.helpers.brew_transcripts import COMPACT, FATES
from tests.helpers.transcripts import Transcript
from verify import ROOT

STANDINS = ROOT / "molecule" / "mac" / "standins"

ONE: dict[str, Any] = {"version": "1.0"}
FORMULAE = {
    **dict.fromkeys(("git", "tree", "slow"), ONE),
    "treeclone": {**ONE, "tool": "tree"},
    "htop": {**ONE, "aliases": ["htop-alias"]},
    "pyx@3.14": {"version": "3.14", "aliases": ["pyx"], "tool": "pyx"},
    "newname": {**ONE, "oldnames": ["oldname"]},
    "kegonly": {**ONE, "keg_only": True},
    "oniguruma": ONE,
    "jq": {**ONE, "depends": ["oniguruma"]},
    "jqtoo": {**ONE, "depends": ["oniguruma"]},
    "deprecated": ONE,
    "needsbroken": {**ONE, "depends": ["broken"]},
    "extra": {**ONE, "tap": "lab/extra"},
    **{
        name: {**ONE, "fate": fate} for fate, name in FATES.items() if name in {"gone", "badbottle", "badsum", "broken"}
    },
    **{name: {**ONE, "fate": fate} for fate, name in FATES.items() if name in {"disabled", "postfail"}},
}
CASKS = {
    "visual-studio-code": {"version": "1.106.0", "binary": "code"},
    "othercask": {**ONE, "binary": "othercask"},
    "appcask": {**ONE, "app": "AppCask.app"},
    "fontcask": ONE,
    "depcask": {**ONE, "binary": "depcask", "depends": ["tree"]},
    "extracask": {**ONE, "binary": "extracask", "tap": "lab/extra"},
    **{name: {**ONE, "fate": fate} for fate, name in FATES.items() if name in {"gonecask", "badcask"}},
}
TAPS: dict[str, dict[str, Any]] = {
    "lab/extra": {},
    "homebrew/core": {},
    "lab/nowhere": {"fate": "tap-unreachable-install"},
}
"""The recorded taps, as far as the stand-in goes by them."""

SITUATIONS = ("check-api-no-network", "check-api-no-network-empty-brewfile", "first-run-portable-ruby-unreachable")
"""What all of a run is in; `install-api-no-network` too."""


def is_asked(one: Transcript) -> bool:
    """Whether the project asks brew in this way."""
    return "bundle" in one["argv"]


class World:
    """A prefix and a home with the stand-in in it, in which a recorded situation is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix, self.home, self.room = folder / "homebrew", folder / "home", folder / "room"
        self.applications = folder / "Applications"
        library = self.prefix / "Library" / "Homebrew"
        for place in (library, self.home, self.room, self.applications, self.prefix / "bin", folder / "closed"):
            place.mkdir(parents=True)
        (self.room / "python3.11").symlink_to("/usr/bin/python3.11")
        shutil.copy(STANDINS / "brew", self.prefix / "bin" / "brew")
        shutil.copy(STANDINS / "brew_standin.py", library / "brew.py")
        shutil.copy(COMPACT, library / "recorded.json")

    def index(self, **changes: Any) -> None:
        index = {"formulae": {**FORMULAE}, "casks": {**CASKS}, "taps": TAPS}
        for name, change in changes.items():
            group = "casks" if name in CASKS else "formulae"
            index[group] = {**index[group], name: {**index[group][name], **change}}
        (self.room / "brew-index.json").write_text(json.dumps(index))

    def open_up(self) -> None:
        """Give everything to the user that the stand-in runs as: it refuses root, as brew does."""
        for path in (self.folder, *self.folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o777)
        (self.folder / "closed").chmod(0o300)

    def place(self, text: str) -> str:
        """A recorded text with this world's folders in it."""
        text = text.replace("/opt/homebrew", str(self.prefix)).replace("/Users/ana", str(self.home))
        return text.replace("/Applications", str(self.applications))

    def make(self, before: list[str]) -> None:
        """What there was before."""
        # A folder of another name is a link before there is anything in it.
        for line in sorted(before, key=lambda one: " -> " not in one):
            path, _, target = line.removeprefix("there: ").partition(" -> ")
            if not line.startswith("there: ") or re.search(r"Caches|Logs|var/homebrew/tmp", path):
                continue
            if ": " in path:
                file, _, text = path.partition(": ")
                self.at(file).write_text(text)
                continue
            place = self.at(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            if target:
                if path.startswith("Cellar/"):
                    (place.parent / target).mkdir()
                place.unlink(missing_ok=True)
                place.symlink_to(self.place(target))
                if target.endswith(".app") and not any("is gone" in one for one in before):
                    Path(self.place(target)).mkdir(parents=True)
            elif re.match(r"(Cellar|Caskroom)/|Library/Taps/", path):
                place.mkdir(parents=True, exist_ok=True)
            elif not place.exists():
                place.touch()
            if re.fullmatch(r"Cellar/[^/]+/[^/]+", path):
                self.keg(place)

    def keg(self, place: Path) -> None:
        """What a bottle has in it."""
        tool = FORMULAE.get(place.parent.name, {}).get("tool", place.parent.name)
        for file in (place / "bin" / tool, place / ".brew" / f"{place.parent.name}.rb"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            if FORMULAE.get(place.parent.name, {}).get("keg_only") and file.suffix == ".rb":
                file.write_text("class Kegonly < Formula\n  keg_only :versioned_formula\nend\n")

    def at(self, path: str) -> Path:
        return self.home / path[2:] if path.startswith("~/") else self.prefix / path

    def holds(self) -> set[str]:
        """What there is, of what was recorded."""
        found = set()
        for pattern in ("Cellar/*/*", "Caskroom/*/*", "Caskroom/*/*/*", "opt/*", "bin/*", "var/homebrew/linked/*"):
            found |= {self.told(path) for path in self.prefix.glob(pattern)}
        found |= {self.told(path) for path in self.prefix.glob("Library/Taps/*/*")}
        return {path for path in found if "/.metadata" not in path}

    def told(self, path: Path) -> str:
        name = str(path.relative_to(self.prefix))
        return f"{name} -> {path.readlink()}" if path.is_symlink() else name

    def run(self, *arguments: str, cwd: Path | None = None, as_root: bool = False, **more: str) -> Any:
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        line = [*([] if as_root or os.geteuid() else user), str(self.prefix / "bin" / "brew"), *arguments]
        if cwd and not cwd.exists():
            line = ["sh", "-c", 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"', str(cwd), *line]
            cwd = None
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "STANDIN_ROOM": str(self.room),
            "STANDIN_APPLICATIONS": str(self.applications),
            **more,
        }
        return subprocess.run(line, env=environment, cwd=cwd or self.home, capture_output=True, text=True, check=False)


def changes_of(name: str) -> dict[str, Any]:
    """What the taps have in a situation that is told in words alone."""
    newer = {"version": "1.1"}
    if name.startswith(("dependency-outdated", "dependents-outdated", "dependency-pinned")):
        return {"oniguruma": newer, "jq": {}}
    if name.startswith(("outdated", "pinned")):
        return {"htop": newer}
    if name.startswith("cask-outdated"):
        return {"othercask": newer}
    if "auto-updates" in name:
        return {"appcask": {"auto_updates": True}}
    return {}


def put(world: World, name: str, one: Transcript) -> None:
    """Make a recorded situation."""
    world.make(one["before"])
    world.index(**changes_of(name))
    _dress(world, name, one)
    world.open_up()


def _dress(world: World, name: str, one: Transcript) -> None:
    """What only the situation's words tell of what was there before."""
    if one["brewfile"] is not None:
        brewfile = world.prefix / "etc" / "metal-lab" / "Brewfile"
        brewfile.parent.mkdir(parents=True, exist_ok=True)
        brewfile.write_text(one["brewfile"])
    if name.startswith("skip-in-brew-env"):
        (world.prefix / "etc" / "homebrew" / "brew.env").write_text("HOMEBREW_BUNDLE_BREW_SKIP=tree htop\n")
    if name.startswith("skip-in-user"):
        (world.home / ".homebrew" / "brew.env").write_text("HOMEBREW_BUNDLE_CASK_SKIP=othercask\n")
    if name.startswith("brew-env"):
        (world.home / ".homebrew" / "brew.env").write_text("HOMEBREW_COLOR=1\n")
    if name in {*SITUATIONS, "install-api-no-network"}:
        (world.room / "brew-situation").write_text(name)
    if found := re.search(r"AppCask\.app(?: ([\d.]+))? is there", " ".join(one["before"])):
        (world.applications / "AppCask.app").mkdir()
        (world.applications / "AppCask.app" / "version").write_text(found[1] or "")
