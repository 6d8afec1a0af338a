#!/usr/bin/env python3
"""Stand-in for conda 26.3.2, as Miniforge 26.3.2-3 brings it: what this project asks of it, and nothing else.

What goes wrong it says in the words that the real conda was recorded with (conda_recorded.json), and it ends as that
did. What goes well it answers in the recorded form, and it leaves the same files (conda-meta/*.json, history,
created_at, ~/.conda/environments.txt). Every other argument, and every situation that was not recorded, is an error of
the stand-in: exit code 2. Left out are the solver (a handful of packages, the newest that fits), downloads, and what an
error report says of the machine.

The environments' Python is this machine's, reached through a pyvenv.cfg that conda's own environments do not have.
STANDIN_ROOM names the folder with that Python; calls are noted in its file `calls`, and conda-index.json there may hold
other packages.
"""

from __future__ import annotations

import argparse
import hashlib
import http
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import conda  # type: ignore[import-not-found]  # only in the installation
from conda.base import constants  # type: ignore[import-not-found]
from conda.models.match_spec import InvalidMatchSpec, MatchSpec  # type: ignore[import-not-found]

VERSION = "26.3.2"
ROOT = Path(sys.argv[0]).resolve().parent.parent
ROOM = Path(os.environ.get("STANDIN_ROOM", "/opt/.sim"))
RECORDED: dict[str, Any] = json.loads(Path(conda.__file__).with_name("recorded.json").read_text())
RECORDED_CHANNEL = "https://conda.example/conda-forge"


class Package(NamedTuple):
    """A package of the index."""

    name: str
    version: str
    build: str
    subdir: str = "osx-arm64"
    depends: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Its name without an ending."""
        return f"{self.name}-{self.version}-{self.build}"

    def matches(self, spec: str) -> bool:
        """Whether it satisfies a specification."""
        return bool(MatchSpec(spec).match({"name": self.name, "version": self.version}))

    def in_history(self) -> str:
        """How a line of conda-meta/history names it."""
        return f"conda-forge/{self.subdir}::{self.file}"

    def in_answer(self) -> dict[str, Any]:
        """How an answer lists it under LINK or UNLINK."""
        return {
            "base_url": "https://channel.example/conda-forge", "build_number": 0, "build_string": self.build,
            "channel": "conda-forge", "dist_name": self.file, "name": self.name, "platform": self.subdir,
            "version": self.version,
        }  # fmt: skip


PYTHON = ("pip",)
INDEX = (
    Package("python", "3.10.20", "h8e04a5f_0_cpython", depends=PYTHON),
    Package("python", "3.11.15", "hd63d673_0_cpython", depends=PYTHON),
    Package("python", "3.12.13", "h5f0e6b1_0_cpython", depends=PYTHON),
    Package("pip", "26.0.1", "pyh8b19718_0", "noarch", ("python",)),
    Package("numpy", "1.23.5", "py311h60f8152_0", depends=("python",)),
    Package("numpy", "2.3.5", "py311h1a5b2d7_0", depends=("python",)),
    Package("ffmpeg", "8.0.1", "gpl_h6d84c9d_0"),
    Package("htop", "3.4.1", "h7bae524_0"),
)
"""In ascending order of versions. What comes by itself: python brings pip, as conda has it."""


class RecordedError(Exception):
    """conda ends as it did in a recorded situation.

    Attributes:
        situation: its name.
        replaced: what stands in the recorded texts, and what is to stand there.
    """

    def __init__(self, situation: str, replaced: dict[str, str] | None = None) -> None:
        super().__init__(situation)
        self.situation = situation
        self.replaced = replaced or {}


class UnrecordedError(Exception):
    """What conda would do is not known."""


def index() -> list[Package]:
    """What the channel has."""
    other = ROOM / "conda-index.json"
    if not other.exists():
        return list(INDEX)
    listed = json.loads(other.read_text())
    return [Package(name, version, build, subdir, tuple(depends)) for name, version, build, subdir, depends in listed]


def installed(prefix: Path) -> dict[str, Package]:
    """Packages by name."""
    found = {}
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            one = json.loads(path.read_text())
        except ValueError:
            raise RecordedError("remove-corrupt-record", {"numpy-1.23.5-py311h60f8152_0": path.stem}) from None
        found[one["name"]] = Package(
            one["name"], one["version"], one["build"], one["subdir"], tuple(one.get("depends", ()))
        )
    return found


def choose(options: argparse.Namespace, there: dict[str, Package]) -> list[Package]:
    """What is to be linked: for each specification that nothing satisfies yet the newest, and what these depend on."""
    known, specs = index(), list(options.specs)
    chosen: dict[str, Package] = {}
    missing = []
    while specs:
        spec = specs.pop(0)
        if any(one.matches(spec) for one in [*there.values(), *chosen.values()]):
            continue
        found = [one for one in known if one.matches(spec)]
        if not found:
            missing.append(spec)
        elif found[-1].name in chosen:
            raise UnrecordedError(f"a conflict about {spec}")
        else:
            chosen[found[-1].name] = found[-1]
            specs += found[-1].depends
    if missing:
        raise RecordedError(
            f"{options.command}-package-not-found" if options.command == "create" else "install-dry-run-not-found",
            {"no-such-package": "\n  - ".join(missing), "conda.example": "channel.example", "linux-64": "osx-arm64"},
        )
    if "python" in there and "python" in chosen:
        raise UnrecordedError("another Python in an environment that has one")
    for one in there.values():
        if one.name not in chosen and not all(
            any(x.matches(d) for x in {**there, **chosen}.values()) for d in one.depends
        ):
            raise UnrecordedError(f"a change on which {one.name} depends")
    return [one for one in known if chosen.get(one.name) == one]


def write_files(prefix: Path, package: Package) -> None:
    """Lay a package down, but for its record."""
    if package.name != "python":
        return
    series = ".".join(package.version.split(".")[:2])
    (prefix / "bin").mkdir(parents=True, exist_ok=True)
    (prefix / "lib" / f"python{series}" / "site-packages").mkdir(parents=True, exist_ok=True)
    short = prefix / "lib" / "python3.1"
    short.unlink(missing_ok=True)
    short.symlink_to(f"python{series}")
    for alias in ("python", "python3", f"python{series}"):
        (prefix / "bin" / alias).unlink(missing_ok=True)
        (prefix / "bin" / alias).symlink_to(ROOM / "python3.11")
    (prefix / "pyvenv.cfg").write_text(
        f"home = {ROOM}\ninclude-system-site-packages = false\nversion = {package.version}\n"
    )


def write_record(prefix: Path, package: Package) -> None:
    """Say that a package is there."""
    place = f"https://channel.example/conda-forge/{package.subdir}"
    record = {
        "name": package.name, "version": package.version, "build": package.build, "build_number": 0,
        "subdir": package.subdir, "channel": place, "fn": f"{package.file}.conda",
        "url": f"{place}/{package.file}.conda", "sha256": hashlib.sha256(package.file.encode()).hexdigest(),
        "depends": package.depends, "files": [],
    }  # fmt: skip
    (prefix / "conda-meta" / f"{package.file}.json").write_text(json.dumps(record))


def pause(place: str) -> None:
    """Stop here for as long as a test needs the process to be ended: ROOM/hang-conda names the place."""
    flag = ROOM / "hang-conda"
    if flag.exists() and flag.read_text().strip() == place:
        signal.pause()


def transact(
    options: argparse.Namespace, unlink: list[Package], link: list[Package], kept: Iterable[Package] = ()
) -> dict[str, Any]:
    """Change an environment, and answer."""
    if not options.dry_run:
        change(options, unlink, link)
        write_history(options, unlink, [*link, *kept])
        register(Path(options.prefix))
    actions: dict[str, Any] = {"FETCH": [], "PREFIX": options.prefix}
    for kind, ones in (("UNLINK", unlink), ("LINK", link)):
        if ones:
            actions[kind] = [one.in_answer() for one in ones]
    dry = {"dry_run": True} if options.dry_run else {}
    return {"success": True, "actions": actions, "prefix": options.prefix, **dry}


def change(options: argparse.Namespace, unlink: list[Package], link: list[Package]) -> None:
    """As conda does it: unlink, link, the records last; back where that fails or is ended."""
    prefix = Path(options.prefix)
    meta = prefix / "conda-meta"
    ends_as(f"{options.command}-{{}}-fetching")
    pause("fetching")
    if options.failure and RECORDED[options.failure]["at"] == "fetch":
        raise RecordedError(options.failure)
    meta.mkdir(parents=True, exist_ok=True)
    aside = [(meta / f"{one.file}.json", meta / f"{one.file}.json.c~") for one in unlink]
    try:
        for record, beside in aside:
            record.rename(beside)
        for one in link:
            write_files(prefix, one)
        for place in ("linking", "post-link"):
            ends_as(f"create-{{}}-{place}" if options.command == "create" else "install-{}")
            pause(place)
        if options.failure:
            raise RecordedError(options.failure)
    except RecordedError:
        # The rollback of conda 26.3.2 deletes the history, and leaves a new folder standing.
        for record, beside in aside:
            beside.rename(record)
        (meta / "history").unlink(missing_ok=True)
        (meta / "created_at").touch()
        register(prefix)
        raise
    for _, beside in aside:
        beside.unlink()
    for one in link:
        write_record(prefix, one)
    (meta / "created_at").touch()


def ends_as(situation: str) -> None:
    """From now on Ctrl-C and the end of a session lead to a recorded situation; {} in its name is the signal's."""

    def stop(number: int, _frame: object) -> NoReturn:
        raise RecordedError(situation.format(signal.Signals(number).name.lower()))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def write_history(options: argparse.Namespace, unlinked: list[Package], linked: list[Package]) -> None:
    """One more entry in conda-meta/history."""
    verb = "remove" if options.command == "remove" else "update"
    lines = [
        time.strftime("==> %Y-%m-%d %H:%M:%S <=="),
        f"# cmd: {ROOT}/bin/conda {' '.join(sys.argv[1:])}",
        f"# conda version: {VERSION}",
        *sorted(f"-{one.in_history()}" for one in unlinked),
        *sorted(f"+{one.in_history()}" for one in linked),
        f"# {verb} specs: {options.specs}",
    ]
    with (Path(options.prefix) / "conda-meta" / "history").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def register(prefix: Path) -> None:
    """Add it to the list of the user's environments."""
    known = Path.home() / ".conda" / "environments.txt"
    known.parent.mkdir(exist_ok=True)
    known.touch()
    if str(prefix) not in known.read_text().splitlines():
        with known.open("a") as file:
            file.write(f"{prefix}\n")


def create(options: argparse.Namespace) -> dict[str, Any]:
    """Make an environment; of one that is there nothing is left."""
    prefix = Path(options.prefix)
    if " " in str(prefix):
        said = f"Environment paths should not contain spaces. Prefix: '{prefix}'"
        print(f"WARNING conda.core.prefix_data:validate_path(334): {said}", file=sys.stderr)
    chosen = choose(options, {})
    if prefix.is_file() or not os.access(next(one for one in prefix.parents if one.exists()), os.W_OK):
        raise RecordedError("create-prefix-is-file")
    if (prefix / "conda-meta" / "history").is_file() and not options.dry_run:
        shutil.rmtree(prefix)
    there = installed(prefix)
    return transact(options, [], [one for one in chosen if one.name not in there], there.values())


def install(options: argparse.Namespace) -> dict[str, Any]:
    """Add or change packages; what satisfies already is left."""
    prefix = environment(options)
    if (prefix / "conda-meta" / "pinned").exists():
        raise UnrecordedError("conda-meta/pinned, with which the recorded solver does otherwise than Miniforge's")
    there = installed(prefix)
    chosen = choose(options, there)
    if not (chosen or options.failure):
        return {"success": True, "message": "All requested packages already installed."}
    return transact(options, [there[one.name] for one in chosen if one.name in there], chosen)


def remove(options: argparse.Namespace) -> dict[str, Any]:
    """Remove packages, and what depends on them."""
    if not options.specs:
        raise RecordedError("remove-no-names")
    there = installed(environment(options))
    missing = [name for name in options.specs if name not in there]
    if missing:
        raise RecordedError("remove-not-installed", {"ffmpeg": "\n  - ".join(missing)})
    gone = set(options.specs)
    while (
        more := {one.name for one in there.values() if any(there[n].matches(d) for n in gone for d in one.depends)}
        - gone
    ):
        gone |= more
    if "python" in gone and not options.dry_run:
        raise UnrecordedError("an environment without Python")
    return transact(options, [one for one in there.values() if one.name in gone], [])


def environment(options: argparse.Namespace) -> Path:
    """An existing environment's folder, if it may be changed."""
    prefix = Path(options.prefix)
    history = prefix / "conda-meta" / "history"
    if not prefix.exists():
        raise RecordedError("install-no-prefix")
    if not history.is_file():
        raise RecordedError("install-no-history")
    frozen = prefix / "conda-meta" / "frozen"
    if frozen.exists():
        said = json.loads(frozen.read_text() or "{}").get("message")
        recorded = "Kept for the course of autumn 2026."
        raise RecordedError("install-frozen-message", {recorded: said}) if said else RecordedError("install-frozen")
    try:
        history.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RecordedError("install-corrupt-history") from None
    return prefix


def settings() -> None:
    """conda's configuration files and variables: each has a recorded effect, or none that is known."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("CONDA_")}
    for name in ("CONDA_ROOT", "CONDA_EXE", "CONDA_PYTHON_EXE", "CONDA_SHLVL"):
        variables.pop(name, None)
    texts = {}
    for place in constants.SEARCH_PATH:
        path = Path(place.replace("$CONDA_ROOT", str(ROOT))).expanduser()
        text = path.read_text() if path.is_file() else ""
        if text not in {"", "channels:\n  - conda-forge\n"}:  # Nothing, or what Miniforge's installer writes.
            texts[str(path)] = text
    for name, one in RECORDED.items():
        text = one.get("condarc")
        if text and list(texts.values()) == [text] and not variables:
            raise RecordedError(name)
    odd = [*texts, *(name for name in variables if name not in {"CONDA_PREFIX", "CONDA_DEFAULT_ENV"})]
    if odd:
        raise UnrecordedError(f"what follows from {', '.join(odd)}")


def answer(error: RecordedError) -> int:
    """Say what conda said then; returns its exit code."""
    one = RECORDED[error.situation]
    places = {"{prefix}": error.replaced.pop("prefix", ""), "{root}": str(ROOT), "{home}": str(Path.home())}

    def ours(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: ours(part) for key, part in value.items()}
        if isinstance(value, list):
            return [ours(part) for part in value]
        if isinstance(value, str):
            for before, after in {**error.replaced, **places}.items():
                value = value.replace(before, after)
        return value

    if one["stdout"]:
        print(json.dumps(ours(one["stdout"]), indent=2, sort_keys=True), end="\n\n")
    print("".join(f"{line}\n" for line in ours(one["stderr"])), end="", file=sys.stderr)
    return int(one["exit"])


def init(arguments: list[str]) -> int:
    """`conda init zsh`: its block in .zshrc, in the place of every other conda's (conda/core/initialize.py)."""
    if arguments != ["zsh"]:
        return unknown(["init", *arguments])
    place = Path(os.environ.get("ZDOTDIR", Path.home())) / ".zshrc"
    try:
        before = place.read_text(encoding="utf-8") if place.exists() else ""
    except UnicodeDecodeError:
        return unknown(["init", *arguments, "(an error report)"])
    first, last = "# >>> conda initialize >>>", "# <<< conda initialize <<<"
    lines = [
        first,
        "# !! Contents within this block are managed by 'conda init' !!",
        f"__conda_setup=\"$('{ROOT}/bin/conda' 'shell.zsh' 'hook' 2> /dev/null)\"",
        "if [ $? -eq 0 ]; then",
        '    eval "$__conda_setup"',
        "else",
        f'    if [ -f "{ROOT}/etc/profile.d/conda.sh" ]; then',
        f'        . "{ROOT}/etc/profile.d/conda.sh"',
        "    else",
        f'        export PATH="{ROOT}/bin:$PATH"',
        "    fi",
        "fi",
        "unset __conda_setup",
        last,
    ]
    block = "\n".join(lines) + "\n"
    blocks = re.compile(rf"^{first}\n.*?{last}\n?", re.MULTILINE | re.DOTALL)
    if re.search(r"(?m)^[^#\n]*(/bin/activate|/conda\.sh|PATH=.*conda)", blocks.sub("", before)):
        return unknown(["init", *arguments, "(lines that conda init comments out)"])
    after = blocks.sub(lambda _: block, before)
    if first not in after:
        after += f"\n{block}\n"
    for name in (
        "condabin/conda", "bin/conda", "bin/activate", "bin/deactivate", "etc/profile.d/conda.sh",
        "etc/fish/conf.d/conda.fish", "shell/condabin/Conda.psm1", "shell/condabin/conda-hook.ps1",
        "lib/python3.11/site-packages/xontrib/conda.xsh", "etc/profile.d/conda.csh",
    ):  # fmt: skip
        print(f"{'no change':<14}{ROOT / name}")
    if after != before:
        place.write_text(after)
    print(f"{'modified' if after != before else 'no change':<14}{place}")
    print(
        "\n==> For changes to take effect, close and re-open your current shell. <==\n"
        if after != before
        else "No action taken."
    )
    return 0


def shell(arguments: list[str]) -> int:
    """`conda shell.zsh hook` and `conda shell.posix activate X`: lines to be evaluated by the shell."""
    kind, *rest = arguments
    if kind == "shell.zsh" and rest == ["hook"]:
        print((ROOT / "etc" / "profile.d" / "conda.sh").read_text())
        print("conda activate base")
        return 0
    if kind != "shell.posix" or rest[:1] != ["activate"] or not rest[1:]:
        return unknown(arguments)
    (name,) = rest[1:]
    prefix = ROOT if name == "base" else Path(name) if "/" in name else ROOT / "envs" / name
    if not (prefix / "conda-meta" / "history").is_file():
        print(f"EnvironmentNameNotFound: Could not find conda environment: {name}", file=sys.stderr)
        return 1
    old = os.environ.get("CONDA_PREFIX")
    path = [part for part in os.environ["PATH"].split(":") if part != f"{old}/bin"]
    state = prefix / "conda-meta" / "state"
    variables = {
        **(json.loads(state.read_text())["env_vars"] if state.exists() else {}),
        "PATH": ":".join([f"{prefix}/bin", *path]),
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": prefix.name if prefix != ROOT else "base",
    }
    print("".join(f"export {key}={shlex.quote(value)}\n" for key, value in variables.items()), end="")
    return 0


def unknown(arguments: list[str]) -> int:
    """Refuse what the stand-in does not know."""
    print(f"conda: error: the stand-in does not know: {shlex.join(arguments)}", file=sys.stderr)
    return 2


def main(arguments: list[str]) -> int:
    """Run a command; returns the exit code."""
    note(arguments)
    command = arguments[0] if arguments else ""
    if arguments == ["--version"]:
        print(f"conda {VERSION}")
        return 0
    if command == "init":
        return init(arguments[1:])
    if command.startswith("shell."):
        return shell(arguments)
    return packages(arguments) if command in ASKED else unknown(arguments)


def packages(arguments: list[str]) -> int:
    """`conda create`, `install` and `remove`."""
    command, *rest = arguments
    parser = argparse.ArgumentParser(prog=f"conda {command}", allow_abbrev=False)
    parser.add_argument("--prefix", required=True)
    for flag in ("--yes", "--json", "--quiet", "--override-channels"):
        parser.add_argument(flag, action="store_true", required=True)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("-c", action="append", required=True, dest="channels")
    parser.add_argument("specs", nargs="*")
    options = parser.parse_args(rest, argparse.Namespace(command=command, failure=None))
    try:
        settings()
        for channel in [] if recorded(options) else options.channels:
            if channel != "conda-forge":
                ask_channel(channel)
        print(json.dumps(ASKED[command](options), indent=2), end="")
    except RecordedError as error:
        error.replaced["prefix"] = options.prefix
        return answer(error)
    except (UnrecordedError, InvalidMatchSpec) as error:
        return unknown([*arguments, f"({error})"])
    return 0


ASKED = {"create": create, "install": install, "remove": remove}


def recorded(options: argparse.Namespace) -> bool:
    """Whether conda was recorded to fail with just these channels and specifications: at once, or when it links."""
    for name, one in RECORDED.items():
        asked = {"command": options.command, "channels": options.channels, "specs": options.specs}
        if one.get("asked") == asked:
            if one["at"] == "solve":
                raise RecordedError(name)
            if not options.dry_run:
                options.failure = name
            options.specs = [spec for spec in options.specs if spec in one["known"]]
            return True
    return False


def ask_channel(channel: str) -> None:
    """Read what a channel named by its address says that it has, as conda does first."""
    host = channel.partition("://")[2].partition("/")[0]
    name = channel.rpartition("/")[2]
    if channel == RECORDED_CHANNEL:
        return
    if not host and not channel.startswith("file:"):
        raise UnrecordedError(f"the channel {channel}")
    try:
        with urllib.request.urlopen(f"{channel}/osx-arm64/repodata.json") as answer:  # noqa: S310 (http and file are meant)
            json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.NOT_FOUND:
            raise UnrecordedError(f"HTTP {error.code}") from error
        recorded = {"https://conda.example/no-such-channel": channel, "no-such-channel": name}
        raise RecordedError("install-channel-404", recorded) from error
    except urllib.error.URLError as error:
        raise RecordedError("create-connection-refused", {"refused.example": host}) from error
    except ValueError as error:
        raise RecordedError("create-channel-no-index") from error


def note(arguments: list[str]) -> None:
    """Keep this call for the tests that count processes."""
    with (ROOM / "calls").open("a") as file:
        file.write(f"conda {shlex.join(arguments)}\n")


def run() -> NoReturn:
    """The console entry point."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
