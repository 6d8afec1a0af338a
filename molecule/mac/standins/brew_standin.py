"""Stand-in for Homebrew 6.0.18's brew: what this project asks of it, and nothing else.

What goes wrong it says in the words that the real brew was recorded with (brew_recorded.json), on the same stream, with
the same exit code, and it leaves the same behind. What goes well it answers in the recorded form, and it makes the same
folders and links. Every other argument, and every situation that was not recorded, is an error of the stand-in: exit
code 2. Left out are downloads, the API, what is in the cache, and the locks.

brew-index.json in the folder STANDIN_ROOM may hold other formulae and casks than the usual; calls are noted there in
the file `calls`. A name in `hang-brew` is one that is never done, a situation in `brew-situation` one that all of
`brew bundle` is in.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

PREFIX = Path(sys.argv[1])
ROOM = Path(os.environ.get("STANDIN_ROOM", "/opt/.sim"))
APPLICATIONS = Path(os.environ.get("STANDIN_APPLICATIONS", "/Applications"))
RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded.json").read_text(encoding="utf-8"))
INDEX: dict[str, dict[str, dict[str, Any]]] = {
    "formulae": {"git": {"version": "1.0"}, "htop": {"version": "1.0"}},
    "casks": {
        "visual-studio-code": {"version": "1.106.0", "app": "Visual Studio Code.app", "auto_updates": True},
        "miniforge": {"version": "26.3.2-3", "installer": True},
    },
    "taps": {},
}
GIT = '#!/bin/sh\nexec /usr/bin/git "$@"\n'


class UnrecordedError(Exception):
    """A situation that was not recorded."""


class RecordedError(Exception):
    """A situation that was recorded as a whole."""


@dataclass
class Entry:
    """A line of a Brewfile: kind is tap, brew or cask; trusted whether it says so."""

    kind: str
    name: str
    trusted: bool

    @property
    def short(self) -> str:
        """Its name without a tap's."""
        return self.name if self.kind == "tap" else self.name.rpartition("/")[2]

    @property
    def tap(self) -> str:
        """The tap that its name names, "" for none."""
        return self.name.rpartition("/")[0] if self.kind != "tap" else ""


@dataclass
class World:
    """What there is to be had, and what is said of it on the way."""

    index: dict[str, dict[str, dict[str, Any]]]
    failed: list[str] = field(default_factory=list)

    def formula(self, name: str) -> tuple[str, dict[str, Any]]:
        """A formula by one of its names: what it is called, and what is known of it.

        Raises:
            KeyError: there is none.
        """
        for one, known in self.index["formulae"].items():
            if name in {one, *known.get("aliases", ()), *known.get("oldnames", ())}:
                return one, known
        raise KeyError(name)

    def fate(self, entry: Entry) -> str:
        """The recorded situation of an entry that goes wrong, "" for none."""
        group = {"brew": "formulae", "cask": "casks", "tap": "taps"}[entry.kind]
        return str(self.index[group].get(entry.short, {}).get("fate", ""))


def say(*lines: str) -> None:
    """Print lines on stdout."""
    print("".join(f"{line}\n" for line in lines), end="", flush=True)


def complain(*lines: str) -> None:
    """Print lines on stderr."""
    print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr, flush=True)


def placed(text: str, name: str = "") -> str:
    """A recorded text with this machine's places in it."""
    names = {"{prefix}": PREFIX, "{home}": Path.home(), "{applications}": APPLICATIONS, "{name}": name}
    for before, after in names.items():
        text = text.replace(before, str(after))
    return text


def whole(situation: str) -> NoReturn:
    """Answer as in a situation that was recorded as a whole."""
    one = RECORDED[situation]
    say(*(placed(line) for line in one["stdout"]))
    complain(*(placed(line) for line in one["stderr"]))
    sys.exit(one["exit"])


def relink(place: Path, target: Path) -> None:
    """A relative link, also in place of another one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(os.path.relpath(target, place.parent))


# --- what is there


def keg(name: str) -> Path | None:
    """The newest version of a formula that is installed (Library/Homebrew/keg.rb)."""
    versions = sorted((PREFIX / "Cellar" / name).glob("*")) if (PREFIX / "Cellar" / name).is_dir() else []
    return versions[-1] if versions else None


def is_there(entry: Entry, world: World) -> bool:
    """Whether `bundle check` takes an entry for satisfied; it does not look at links."""
    if entry.kind == "tap":
        return tap_folder(entry.name).is_dir()
    if entry.kind == "cask":
        return any(path.name != ".metadata" for path in (PREFIX / "Caskroom" / entry.short).glob("*"))
    if keg(entry.short):
        return True
    try:
        name, _ = world.formula(entry.short)
    except KeyError:
        return False
    return keg(name) is not None


def tap_folder(name: str) -> Path:
    """Where a tap is."""
    owner, _, repository = name.partition("/")
    return PREFIX / "Library" / "Taps" / owner / f"homebrew-{repository}"


def trust() -> dict[str, list[str]]:
    """What is trusted."""
    place = Path.home() / ".homebrew" / "trust.json"
    return json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}


def note_trust(kind: str, name: str) -> None:
    """Note that something is trusted."""
    known = trust()
    if name not in known.setdefault(kind, []):
        known[kind].append(name)
        place = Path.home() / ".homebrew" / "trust.json"
        place.parent.mkdir(exist_ok=True)
        order = ("trustedtaps", "trustedformulae", "trustedcasks")
        text = json.dumps({key: known[key] for key in order if key in known}, indent=2)
        place.write_text(f"{text}\n", encoding="utf-8")


def is_trusted(entry: Entry, tap: str) -> bool:
    """Whether brew loads an entry of a tap."""
    known = trust()
    kind = "trustedformulae" if entry.kind == "brew" else "trustedcasks"
    return tap.startswith("homebrew/") or tap in known.get("trustedtaps", []) or entry.name in known.get(kind, [])


def skipped(kind: str) -> list[str]:
    """Names that brew.env files leave out. What else they may set was not recorded."""
    names: list[str] = []
    for place in (PREFIX / "etc" / "homebrew" / "brew.env", Path.home() / ".homebrew" / "brew.env"):
        for line in place.read_text(encoding="utf-8").splitlines() if place.exists() else []:
            found = re.fullmatch(r"HOMEBREW_BUNDLE_(BREW|CASK)_SKIP=(.*)", line)
            if not found:
                raise UnrecordedError(f"what follows from {line}")
            names += found[2].split() if found[1].lower() == kind else []
    return names


# --- making


def make_keg(name: str, version: str, known: dict[str, Any]) -> Path:
    """Lay a formula down in the Cellar, as a bottle has it."""
    place = PREFIX / "Cellar" / name / version
    (place / "bin").mkdir(parents=True)
    (place / ".brew").mkdir()
    keg_only = "  keg_only :versioned_formula\n" if known.get("keg_only") else ""
    (place / ".brew" / f"{name}.rb").write_text(f"class Standin < Formula\n{keg_only}end\n", encoding="utf-8")
    tool = place / "bin" / known.get("tool", name)
    text = f"#!/bin/sh\n# A stand-in that only says who it is.\necho '{name} version {version} (stand-in)'\n"
    tool.write_text(GIT if name == "git" else text, encoding="utf-8")
    tool.chmod(0o755)
    return place


def foreign(place: Path, name: str) -> str:
    """The recorded situation of what is in the way of a formula's links, "" for nothing."""
    tool = PREFIX / "bin" / next((place / "bin").iterdir()).name
    if not os.path.lexists(tool):
        return ""
    if tool.is_symlink():
        owner = tool.resolve().relative_to((PREFIX / "Cellar").resolve()).parts[0]
        return "" if owner == name else "conflicting-formula-install"
    return "foreign-file-install"


def opt_link(name: str, place: Path, known: dict[str, Any]) -> None:
    """Link a keg below opt, under each of its names but former ones (Library/Homebrew/keg.rb, optlink)."""
    for one in (name, *known.get("aliases", ())):
        relink(PREFIX / "opt" / one, place)


def link(name: str, place: Path, known: dict[str, Any]) -> None:
    """Link a keg where a shell finds it."""
    opt_link(name, place, known)
    if not known.get("keg_only"):
        for tool in (place / "bin").iterdir():
            relink(PREFIX / "bin" / tool.name, tool)
        relink(PREFIX / "var" / "homebrew" / "linked" / name, place)


def is_linked(name: str) -> bool:
    """Whether a formula is linked."""
    return (PREFIX / "var" / "homebrew" / "linked" / name).is_dir()


def dependencies(world: World, names: Iterable[str]) -> str:
    """Install what is missing of them, upgrade what is outdated; a recorded situation that stands in the way, or ""."""
    for name in names:
        _, known = world.formula(name)
        if "fate" in known:
            return "dependency-build-fails-install"
        there = keg(name)
        if there and there.name == known["version"]:
            continue
        if there and (PREFIX / "var" / "homebrew" / "pinned" / name).is_symlink():
            return "dependency-pinned-outdated-install"
        link(name, make_keg(name, known["version"], known), known)
    return ""


def install_formula(entry: Entry, world: World) -> str:
    """Install or link a formula; the recorded situation in which that goes wrong, or ""."""
    name, known = world.formula(entry.short)
    if any(keg(old) for old in known.get("oldnames", ())):
        return ""
    if place := keg(name):
        situation = "" if is_linked(name) or known.get("keg_only") else foreign(place, name)
        if not situation and not is_linked(name):
            link(name, place, known)
        return situation and f"{situation}-again"
    if fate := dependencies(world, known.get("depends", ())) or world.fate(entry):
        leave(fate, name, known)
        return fate
    place = make_keg(name, known["version"], known)
    situation = foreign(place, name)
    if situation:
        opt_link(name, place, known)
    else:
        link(name, place, known)
    return situation


def leave(situation: str, name: str, known: dict[str, Any]) -> None:
    """Leave of a formula what was recorded to be left."""
    left = " ".join(RECORDED[situation]["left"])
    if "Cellar/" in left:
        place = make_keg(name, known["version"], known)
        opt_link(name, place, known)
        if "linked/" in left:
            link(name, place, known)


def install_cask(entry: Entry, world: World) -> str:
    """Install a cask; the recorded situation in which that goes wrong, or ""."""
    token, known = entry.short, world.index["casks"][entry.short]
    if "fate" in known:
        return str(known["fate"])
    if situation := dependencies(world, known.get("depends", ())):
        raise UnrecordedError(f"a cask's dependency: {situation}")
    room = PREFIX / "Caskroom" / token
    place = room / known["version"]
    if known.get("installer"):
        room.mkdir(parents=True)
        line = ["bash", str(ROOM / "miniforge.sh"), "-b", "-p", str(room / "base")]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        return ""
    if app := known.get("app"):
        there = APPLICATIONS / app
        version = (there / "version").read_text().strip() if (there / "version").exists() else ""
        if there.exists() and version != known["version"] and not known.get("auto_updates"):
            return "cask-installed-by-hand-other-version-install"
        there.mkdir(parents=True, exist_ok=True)
        (place / app).parent.mkdir(parents=True)
        (place / app).symlink_to(there)
    else:
        tool = PREFIX / "bin" / token
        if known.get("binary") and os.path.lexists(tool):
            return "cask-foreign-file-install"
        unpacked = place / f"{token}-{known['version']}"
        unpacked.mkdir(parents=True)
        if binary := known.get("binary"):
            (unpacked / token).touch(mode=0o755)
            (PREFIX / "bin").mkdir(exist_ok=True)
            (PREFIX / "bin" / binary).symlink_to(unpacked / token)
    (room / ".metadata").mkdir(exist_ok=True)
    return ""


# --- bundle


ENTRY = re.compile(r'(tap|brew|cask) "([^"\\]+)"(?:, nil)?(, trusted: true)?(?:, nonsense: true)?')


def read(file: Path) -> list[Entry]:
    """A Brewfile's entries."""
    if not file.is_file():
        raise RecordedError("brewfile-missing-check")
    entries = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        found = ENTRY.fullmatch(line)
        if not found and re.match(r"brw ", line):
            raise RecordedError("brewfile-nameerror-check")
        if not found:
            raise UnrecordedError(f"the line {line}")
        entries.append(Entry(found[1], found[2], bool(found[3])))
    return entries


def wanted(entries: list[Entry], world: World, *, times: dict[str, int]) -> list[Entry]:
    """The entries that no brew.env leaves out."""
    kept = []
    for entry in entries:
        if entry.kind == "cask" and entry.short not in world.index["casks"]:
            raise UnrecordedError(f"an unknown cask, {entry.name}, as a Mac answers it")
        if entry.kind != "tap" and entry.name in skipped(entry.kind):
            say(*[f"Skipping {entry.name}"] * times[entry.kind])
        else:
            kept.append(entry)
    return kept


def refusal(entry: Entry, tap: str) -> list[str]:
    """What is said of an entry from a tap that is not trusted."""
    kind, full = ("formula" if entry.kind == "brew" else "cask"), f"{tap}/{entry.short}"
    return [
        f"Error: Refusing to load {kind} {full} from untrusted tap {tap}.",
        f"Run `brew trust --{kind} {full}` or `brew trust {tap}` to trust it.",
    ]


def check(file: Path, world: World) -> int:
    """`brew bundle check --verbose --no-upgrade`."""
    entries = wanted(read(file), world, times={"brew": 2, "cask": 1})
    trusted = [one.name for one in entries if one.kind == "tap" and one.trusted]
    for entry in entries:
        is_refused = entry.tap and not entry.trusted and entry.tap not in trusted and not is_trusted(entry, entry.tap)
        if entry.kind == "cask" and is_refused and is_there(entry, world):
            complain(*refusal(entry, entry.tap))
            return 1
    missing = [entry for entry in entries if not is_there(entry, world)]
    if not missing:
        say("The Brewfile's dependencies are satisfied.")
        return 0
    complain("brew bundle can't satisfy your Brewfile's dependencies.")
    for kind, word, done in (("tap", "Tap", "tapped"), ("cask", "Cask", "installed"), ("brew", "Formula", "installed")):
        for entry in missing:
            if entry.kind == kind:
                name = entry.short if kind == "cask" else entry.name
                complain(f"→ {word} {name} needs to be {done}.")
    complain("Satisfy missing dependencies with `brew bundle install`.")
    return 1


def install(file: Path, world: World) -> int:
    """`brew bundle install --no-upgrade`: everything is fetched before anything is installed."""
    entries = wanted(read(file), world, times={"brew": 1, "cask": 1})
    trusted_taps = [one.name for one in entries if one.kind == "tap" and one.trusted]
    for name in trusted_taps:
        note_trust("trustedtaps", name)
    taps = [one for one in entries if one.kind == "tap"]
    missing = [one for one in entries if one.kind != "tap" and not is_there(one, world)]
    all_tapped = all(is_there(tap, world) for tap in taps)
    for entry in missing if all_tapped else ():
        if entry.kind == "cask" and entry.tap and not entry.trusted and not is_trusted(entry, entry.tap):
            complain(*refusal(entry, entry.tap))
            return 1
    if missing and all_tapped:
        names = ", ".join(_shown(one) for one in missing)
        say(f"Fetching {names}")
        if code := fetch(missing, names, world):
            return code
    for one in taps:
        add_tap(one, world)
    for entry in missing:
        tap = _tap_of(entry, world)
        if tap and not entry.trusted and not is_trusted(entry, tap):
            complain(*refusal(entry, tap))
            return 1
    for entry in (one for one in entries if one.kind != "tap"):
        add(entry, world, is_new=entry in missing)
    count = len(world.failed)
    if count:
        complain(f"`brew bundle` failed! {count} Brewfile {_dependencies(count)} failed to install")
        return 1
    say(f"`brew bundle` complete! {len(entries)} Brewfile {_dependencies(len(entries))} now installed.")
    return 0


def _shown(entry: Entry) -> str:
    return entry.short if entry.kind == "cask" else entry.name


def _dependencies(count: int) -> str:
    return "dependency" if count == 1 else "dependencies"


def _tap_of(entry: Entry, world: World) -> str:
    """The tap that an entry comes from, "" for Homebrew's own."""
    group = world.index["formulae" if entry.kind == "brew" else "casks"]
    return entry.tap or str(group.get(entry.short, {}).get("tap", ""))


def fetch(missing: list[Entry], names: str, world: World) -> int:
    """Fetch all that is missing; 0 where everything came."""
    lines: list[str] = []
    for entry in missing:
        tap = _tap_of(entry, world)
        if tap and not entry.tap and not is_trusted(entry, tap):
            lines += refusal(entry, tap)
            break
        try:
            known = world.formula(entry.short)[1] if entry.kind == "brew" else world.index["casks"][entry.short]
        except KeyError:
            lines.append(f'Error: No available formula with the name "{entry.name}".')
            break
        if RECORDED.get(known.get("fate", ""), {}).get("at") == "fetch":
            lines += [
                f"Fetching: {names}",
                *(placed(line, entry.short) for line in RECORDED[known["fate"]]["stdout"]),
                *(
                    f"✔︎ {'Bottle' if one.kind == 'brew' else 'Cask'} {_shown(one)} ({_version(one, world)})"
                    for one in missing
                    if one is not entry
                ),
            ]
            break
    if lines:
        say(*lines)
        complain(f"`brew bundle` failed! Failed to fetch {names}")
        return 1
    return 0


def _version(entry: Entry, world: World) -> str:
    known = world.formula(entry.short)[1] if entry.kind == "brew" else world.index["casks"][entry.short]
    return str(known["version"])


def add_tap(tap: Entry, world: World) -> None:
    """Tap what is not tapped."""
    if is_there(tap, world):
        say(f"Using {tap.name}")
        return
    say(f"Tapping {tap.name}")
    owner, _, repository = tap.name.partition("/")
    known = world.index["taps"].get(tap.name)
    if known is None:
        raise UnrecordedError(f"a tap that the index does not have: {tap.name}")
    if fate := known.get("fate"):
        say(*(placed(line, repository) for line in RECORDED[fate]["stdout"]))
        complain(f"Tapping {tap.name} has failed!")
        world.failed.append(tap.name)
        return
    (PREFIX / "Library" / "Taps" / owner / f"homebrew-{repository}").mkdir(parents=True)


def add(entry: Entry, world: World, *, is_new: bool) -> None:
    """Install an entry, or use what is there."""
    shown = _shown(entry)
    say(f"{'Installing' if is_new else 'Using'} {shown}")
    hang = ROOM / "hang-brew"
    if is_new and hang.exists() and hang.read_text(encoding="utf-8").strip() == shown:
        time.sleep(600)
    situation = install_formula(entry, world) if entry.kind == "brew" else install_cask(entry, world) if is_new else ""
    if entry.tap and not situation:
        note_trust("trustedformulae" if entry.kind == "brew" else "trustedcasks", entry.name)
    if situation:
        say(*(placed(line, entry.short) for line in RECORDED[situation]["stdout"]))
        complain(*(placed(line, entry.short) for line in RECORDED[situation]["stderr"]))
        complain(f"Installing {shown} has failed!")
        world.failed.append(entry.name)


def install_command(token: str, world: World) -> int:
    """`brew install --cask TOKEN`."""
    entry = Entry("cask", token, trusted=False)
    if is_there(entry, world):
        return 0
    if token not in world.index["casks"]:
        raise UnrecordedError(f"brew install --cask {token}")
    known = world.index["casks"][token]
    if "fate" in known:
        raise UnrecordedError(f"brew install --cask {token}, which fails")
    install_cask(entry, world)
    complain(f"==> Fetching downloads for: {token}", f"✔︎ Cask {token} ({known['version']})")
    say(f"==> Installing Cask {token}")
    if binary := known.get("binary"):
        say(f"==> Linking Binary '{token}' to '{PREFIX}/bin/{binary}'")
    say(f"🍺  {token} was successfully installed!")
    return 0


# --- the rest


def version() -> int:
    """`brew --version`, of which the first line is what git says."""
    line = ["git", "-C", str(PREFIX), "describe", "--tags"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        whole("no-git-version")
    say(f"Homebrew {done.stdout.strip()}")
    return 0


def shellenv(shell: str) -> int:
    """`brew shellenv [SHELL]`: lines to be evaluated, nothing where PATH begins with Homebrew's folders already."""
    if os.environ.get("PATH", "").split(":")[:2] == [f"{PREFIX}/bin", f"{PREFIX}/sbin"]:
        return 0
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if f"shellenv-{shell}" not in RECORDED:
        raise UnrecordedError(f"brew shellenv for {shell or 'no shell'}")
    whole(f"shellenv-{shell}")


def may_run() -> None:
    """What brew looks at before any command.

    Raises:
        RecordedError: it refuses.
    """
    if os.getuid() == 0:
        raise RecordedError("as-root-check")
    try:
        here = os.getcwd()  # noqa: PTH109 (brew asks for just that)
    except OSError:
        raise RecordedError("deleted-cwd-check") from None
    if not os.access(here, os.R_OK):
        raise RecordedError("unreadable-cwd-version")


def main(arguments: list[str]) -> int:
    """Run a command; returns the exit code."""
    with (ROOM / "calls").open("a", encoding="utf-8") as calls:
        calls.write(f"brew {' '.join(arguments)}\n")
    index = ROOM / "brew-index.json"
    world = World(json.loads(index.read_text(encoding="utf-8")) if index.exists() else INDEX)
    try:
        may_run()
        return run(arguments, world)
    except RecordedError as error:
        whole(str(error))
    except UnrecordedError as error:
        complain(f"Error: the stand-in does not know: brew {' '.join(arguments)} ({error})")
        return 2


def run(arguments: list[str], world: World) -> int:
    """Run a command that brew is not kept from."""
    *options, last = arguments or [""]
    file = Path(last.partition("--file=")[2])
    situation = ROOM / "brew-situation"
    if situation.exists() and arguments[:1] == ["bundle"]:
        raise RecordedError(situation.read_text(encoding="utf-8").strip())
    if last.startswith("--file="):
        if options == ["bundle", "check", "--verbose", "--no-upgrade"]:
            return check(file, world)
        if options == ["bundle", "install", "--no-upgrade"]:
            return install(file, world)
    if options == ["install", "--cask"]:
        return install_command(last, world)
    if arguments == ["--version"]:
        return version()
    if arguments == ["--prefix"]:
        say(str(PREFIX))
        return 0
    if arguments[:1] == ["shellenv"] and len(arguments) <= 2:  # noqa: PLR2004 (the command and a shell)
        return shellenv(last if options else "")
    raise UnrecordedError("another command")


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
