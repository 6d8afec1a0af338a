#!/usr/bin/env python3
"""Stand-in for conda 26.3.2, as Miniforge 26.3.2-3 brings it: what this project asks of it, and nothing else.

It repeats conda's arguments, exit codes and JSON answers (conda/conda: conda/cli/main_create.py, main_install.py,
main_remove.py, main_init.py, conda/exceptions.py) and the files it leaves (conda-meta/*.json, conda-meta/history,
conda-meta/state, ~/.conda/environments.txt). It leaves out the solver (a handful of packages, the newest that fits),
downloads, the libraries below Python, and every argument that is not named here: that is an error, exit code 2.

The environments' Python is this machine's, reached through a pyvenv.cfg that conda's own environments do not have.
STANDIN_ROOM names the folder with that Python; calls are noted in its file `calls`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

from conda.models.match_spec import MatchSpec  # type: ignore[import-not-found]  # only in the installation

VERSION = "26.3.2"
INDEX = (
    ("python", "3.10.20", "h8e04a5f_0_cpython"),
    ("python", "3.11.15", "hd63d673_0_cpython"),
    ("python", "3.12.13", "h5f0e6b1_0_cpython"),
    ("pip", "26.0.1", "pyh8b19718_0"),
    ("numpy", "1.23.5", "py311h60f8152_0"),
    ("numpy", "2.3.5", "py311h1a5b2d7_0"),
    ("ffmpeg", "8.0.1", "gpl_h6d84c9d_0"),
    ("htop", "3.4.1", "h7bae524_0"),
)
ROOT = Path(sys.argv[0]).resolve().parent.parent
ROOM = Path(os.environ.get("STANDIN_ROOM", "/opt/.sim"))


class CondaError(Exception):
    """An error as conda reports it: `name` is the class in conda/exceptions.py."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def records(prefix: Path) -> dict[str, dict[str, Any]]:
    """Installed packages by name."""
    return {
        one["name"]: one for one in (json.loads(path.read_text()) for path in (prefix / "conda-meta").glob("*.json"))
    }


def choose(spec: str) -> tuple[str, str, str]:
    """The newest package of the index that fits; the index is in ascending order."""
    match = MatchSpec(spec)
    found = [one for one in INDEX if match.match({"name": one[0], "version": one[1]})]
    if not found:
        raise CondaError(
            "PackagesNotFoundError", f"The following packages are not available from current channels:\n\n  - {spec}"
        )
    return found[-1]


def link(prefix: Path, package: tuple[str, str, str]) -> None:
    """Lay a package down; its record comes last, as in conda (conda/core/link.py, CreatePrefixRecordAction)."""
    name, version, build = package
    if name == "python":
        series = ".".join(version.split(".")[:2])
        (prefix / "bin").mkdir(parents=True, exist_ok=True)
        (prefix / "lib" / f"python{series}" / "site-packages").mkdir(parents=True, exist_ok=True)
        short = prefix / "lib" / "python3.1"
        short.unlink(missing_ok=True)
        short.symlink_to(f"python{series}")
        for alias in ("python", "python3", f"python{series}"):
            (prefix / "bin" / alias).unlink(missing_ok=True)
            (prefix / "bin" / alias).symlink_to(ROOM / "python3.11")
        (prefix / "pyvenv.cfg").write_text(
            f"home = {ROOM}\ninclude-system-site-packages = false\nversion = {version}\n"
        )
    for old in (prefix / "conda-meta").glob(f"{name}-[0-9]*.json"):
        old.unlink()
    file_name = f"{name}-{version}-{build}"
    record = {
        "name": name, "version": version, "build": build, "build_number": 0, "subdir": "osx-arm64",
        "channel": "https://channel.example/conda-forge/osx-arm64", "fn": f"{file_name}.conda",
        "url": f"https://channel.example/conda-forge/osx-arm64/{file_name}.conda",
        "sha256": hashlib.sha256(file_name.encode()).hexdigest(), "files": [],
    }  # fmt: skip
    (prefix / "conda-meta" / f"{file_name}.json").write_text(json.dumps(record))


def pause(place: str) -> None:
    """Stop here for as long as a test needs the process to be killed: ROOM/hang-conda names the place."""
    flag = ROOM / "hang-conda"
    if flag.exists() and flag.read_text().strip() == place:
        signal.pause()


def create(options: argparse.Namespace) -> dict[str, Any]:
    """Make an environment; history comes when all is linked."""
    prefix = Path(options.prefix)
    if (prefix / "conda-meta").exists():
        raise CondaError("CondaValueError", f"prefix already exists: {prefix}")
    chosen = [choose(spec) for spec in options.specs]
    (prefix / "conda-meta").mkdir(parents=True)
    pause("create")
    for one in chosen:
        link(prefix, one)
    (prefix / "conda-meta" / "history").write_text(f"==> stand-in <==\n# update specs: {options.specs}\n")
    known = Path.home() / ".conda" / "environments.txt"
    known.parent.mkdir(exist_ok=True)
    with known.open("a") as file:
        file.write(f"{prefix}\n")
    return answer(prefix, link=chosen)


def install(options: argparse.Namespace) -> dict[str, Any]:
    """Add or change packages; what satisfies already is left."""
    prefix = environment(options.prefix)
    there = list(records(prefix).values())
    lacking = [spec for spec in options.specs if not any(MatchSpec(spec).match(one) for one in there)]
    if not lacking:
        return {"message": "All requested packages already installed.", "success": True}
    chosen = [choose(spec) for spec in lacking]
    for one in chosen:
        link(prefix, one)
    return answer(prefix, link=chosen)


def remove(options: argparse.Namespace) -> dict[str, Any]:
    """Remove packages, or with --all everything."""
    prefix = environment(options.prefix)
    if options.all:
        shutil.rmtree(prefix)
        return answer(prefix, link=[])
    missing = [name for name in options.specs if name not in records(prefix)]
    if missing or not options.specs:
        raise CondaError(
            "PackagesNotFoundError", f"The following packages are missing from the target environment:\n  - {missing}"
        )
    for name in options.specs:
        (prefix / "conda-meta" / (records(prefix)[name]["fn"].removesuffix(".conda") + ".json")).unlink()
    return answer(prefix, link=[])


def environment(prefix: str) -> Path:
    """An existing environment's folder."""
    if not (Path(prefix) / "conda-meta" / "history").is_file():
        raise CondaError("EnvironmentLocationNotFound", f"Not a conda environment: {prefix}")
    return Path(prefix)


def answer(prefix: Path, link: list[tuple[str, str, str]]) -> dict[str, Any]:
    """conda's JSON answer to a change."""
    names = [{"name": one[0], "version": one[1], "dist_name": "-".join(one)} for one in link]
    return {"success": True, "prefix": str(prefix), "actions": {"LINK": names, "PREFIX": str(prefix)}}


def init(arguments: list[str]) -> int:
    """`conda init zsh`: one block in ~/.zshrc, in the form of conda/core/initialize.py; says what it modified."""
    if arguments != ["zsh"]:
        return unknown(["init", *arguments])
    place = Path.home() / ".zshrc"
    before = place.read_text() if place.exists() else ""
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
    head, found, rest = before.partition(first)
    after = head + block + rest.partition(last)[2].removeprefix("\n") if found else f"{before}\n{block}\n"
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
    if arguments == ["--version"]:
        print(f"conda {VERSION}")
        return 0
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command == "init":
        return init(rest)
    if command.startswith("shell."):
        return shell(arguments)
    if command not in {"create", "install", "remove"}:
        return unknown(arguments)
    parser = argparse.ArgumentParser(prog=f"conda {command}", allow_abbrev=False)
    parser.add_argument("--prefix", required=True)
    for flag in ("--yes", "--json", "--quiet"):
        parser.add_argument(flag, action="store_true", required=True)
    if command == "remove":
        parser.add_argument("--all", action="store_true")
    else:
        parser.add_argument("--override-channels", action="store_true", required=True)
        parser.add_argument("-c", action="append", required=True, dest="channels")
    parser.add_argument("specs", nargs="*")
    options = parser.parse_args(rest)
    try:
        for channel in getattr(options, "channels", []):
            if channel != "conda-forge":
                ask_channel(channel)
        print(json.dumps({"create": create, "install": install, "remove": remove}[command](options)))
    except CondaError as error:
        print(json.dumps({"error": f"{error.name}: {error}", "exception_name": error.name, "message": str(error)}))
        return 1
    return 0


def ask_channel(channel: str) -> None:
    """Read what a channel named by its address says that it has, as conda does first."""
    try:
        with urllib.request.urlopen(f"{channel}/osx-arm64/repodata.json") as answer:  # noqa: S310 (http and file are meant)
            json.load(answer)
    except (OSError, ValueError) as error:
        raise CondaError("UnavailableInvalidChannel", f"HTTP 404 NOT FOUND for channel {channel} ({error})") from error


def note(arguments: list[str]) -> None:
    """Keep this call for the tests that count processes."""
    with (ROOM / "calls").open("a") as file:
        file.write(f"conda {shlex.join(arguments)}\n")


def run() -> NoReturn:
    """The console entry point."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
