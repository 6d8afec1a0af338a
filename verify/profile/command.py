"""`python -m verify lock`: resolve the requirements into lock files, or check that the lock files still satisfy them.

Three kinds of lock are written, none with the address of a package index in it:
- profiles/NAME/PLATFORM.lock, the packages of the environment, one per platform;
- controller.lock and controller-dev.lock, what runs the project, for every platform at once;
- uv-tool.lock, the uv that installs everything else, and verify/bundle/solver.txt, which only a
  bundle needs.

Writing resolves from nothing. The check begins with what is locked, so that a version or a file that the package index
has gained since changes nothing: a lock is out of date when it was edited, when what it is made from has changed, or
when it is no solution of that.
"""

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from uv import find_uv_bin

from .. import ROOT
from ..errors import UserError
from ..text import said
from . import model as profiles
from .lock import RENEW, SOLVER_LOCK, SOURCE, UV_LOCK, Lock, content_digest, render
from .model import Profile

_PROJECT = "pyproject.toml"
_UNSOLVABLE = 1
"""uv's exit code where requirements contradict each other; another one means that it could not find out."""
_FIRST_LINE = re.compile(r"^\S+==[^\\\n]+", re.MULTILINE)


@dataclass(frozen=True)
class _Target:
    """A lock file, and what it is made from.

    Attributes:
        path: the lock file.
        source: where its inputs stand, as its header names it.
        inputs: all that decides its content.
        arguments: what uv is to resolve, and for which platform.
        date: nothing uploaded after it counts.
        folder: uv works in it.
        environment: variables for uv.
        stdin: requirements, where they are not in a file.
    """

    path: Path
    source: str
    inputs: bytes
    arguments: list[str]
    date: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None

    def text(self, seed: str = "") -> str:
        """The lock's text as it resolves.

        Args:
            seed: a lock whose versions, and their hashes, are kept as far as they satisfy the requirements.
        """
        return render(_compile(self, seed), inputs=self.inputs, source=self.source)


class _NoSolutionError(UserError):
    """The requirements contradict each other."""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 0 written or in agreement, 1 a lock is out of date."""
    parser = argparse.ArgumentParser(
        prog="python -m verify lock", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a lock is out of date")
    parser.add_argument(
        "--profile", metavar="NAME_OR_FOLDER", help="that profile's locks alone (default: all that the project has)"
    )
    options = parser.parse_args(arguments)
    outdated = 0
    for target in _targets() if options.profile is None else _of_profile(profiles.load(options.profile)):
        shown = target.path.relative_to(ROOT) if target.path.is_relative_to(ROOT) else target.path
        before = target.path.read_text(encoding="utf-8") if target.path.exists() else ""
        if options.check:
            problems = list(_problems(target, shown, before))
            outdated += bool(problems)
            print(
                said("\n".join(problems)) or f"{shown}: satisfies its requirements",
                file=sys.stderr if problems else None,
            )
        elif before == (after := target.text()):
            print(f"{shown}: as resolved")
        else:
            target.path.write_text(after, encoding="utf-8")
            print(f"{shown}: written")
    if outdated:
        print(f"{outdated} lock file(s) are out of date: {RENEW}.", file=sys.stderr)
    return 1 if outdated else 0


def _targets() -> Iterator[_Target]:
    with (ROOT / _PROJECT).open("rb") as file:
        project = tomllib.load(file)
    date = project["tool"]["metal-lab"]["locked-on"]
    needed, groups = project["project"]["dependencies"], project["dependency-groups"]
    (floor,) = re.findall(r">=\s*([\d.]+)", project["project"]["requires-python"])
    uv = [one for one in needed if one.startswith("uv==")]
    for path, wanted, arguments in (
        (UV_LOCK, uv, ["-"]),
        (SOLVER_LOCK, groups["solver"], ["-"]),
        (ROOT / "controller.lock", needed, [_PROJECT]),
        (ROOT / "controller-dev.lock", [*needed, *groups["dev"]], [_PROJECT, "--group", "dev"]),
    ):
        lines = "\n".join(wanted)
        everywhere = [*arguments, "--universal", "--python-version", floor]
        yield _Target(path, _PROJECT, f"{date}\n{lines}".encode(), everywhere, date, ROOT, stdin=lines)
    for name in profiles.names():
        yield from _of_profile(profiles.load(name))


def _of_profile(loaded: Profile) -> Iterator[_Target]:
    for platform in loaded.platforms:
        yield _of_platform(loaded, platform)


def _of_platform(loaded: Profile, platform: str) -> _Target:
    target = loaded.platform(platform)
    environment = {}
    if target.macos_deployment_target:
        # Without it uv assumes an older macOS and picks older wheels.
        environment["MACOSX_DEPLOYMENT_TARGET"] = target.macos_deployment_target
    if target.find_links:
        environment["UV_FIND_LINKS"] = find_links(target.find_links)
    files = [path.name for path in loaded.requirements_files()]
    arguments = [*files, "--python-platform", target.uv_platform, "--python-version", loaded.python]
    path, inputs = loaded.lock_path(platform), loaded.lock_inputs(platform)
    return _Target(path, SOURCE, inputs, arguments, loaded.locked_on, loaded.directory, environment)


def find_links(default: str) -> str:
    """Where wheels outside the index come from: the machine's own setting, else the profile's."""
    return os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or default


def _compile(target: _Target, seed: str) -> str:
    options = ["--generate-hashes", "--no-header", "--no-config", "--exclude-newer", f"{target.date}T00:00:00Z"]
    with tempfile.TemporaryDirectory() as folder:
        # uv keeps the choices that it finds in the file that it writes.
        output = Path(folder) / "lock"
        if seed:
            output.write_text(seed, encoding="utf-8")
        done = subprocess.run(
            [find_uv_bin(), "pip", "compile", "--quiet", *target.arguments, *options, "--output-file", output],
            cwd=target.folder,
            env={**os.environ, **target.environment},
            input=target.stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = f"uv could not resolve {' '.join(target.arguments)} in {target.folder}:\n{done.stderr.strip()}"
            raise _NoSolutionError(said) if done.returncode == _UNSOLVABLE else UserError(said)
        return output.read_text(encoding="utf-8")


def _problems(target: _Target, shown: Path, before: str) -> Iterator[str]:
    """What is wrong with a lock as it stands."""
    intact, seed = True, before
    try:
        Lock.read(target.path, inputs=target.inputs, source=target.source)
    except UserError as error:
        intact = False
        yield str(error)
        if not before:
            return
        if f"# content sha256: {content_digest(target.path)}\n" not in before:
            # The index is asked for all hashes again, which shows whose were edited.
            seed = "".join(f"{line}\n" for line in _FIRST_LINE.findall(before))
    try:
        after = target.text(seed)
    except UserError as error:
        if intact and not isinstance(error, _NoSolutionError):
            raise
        yield f"{shown}: {error}"
    else:
        yield from _differences(shown, before, after)


def _differences(shown: Path, before: str, after: str) -> Iterator[str]:
    """The lines that differ, each with its file, its line number in the lock as it stands, and the package."""
    old, new = before.splitlines(), after.splitlines()
    for tag, start, end, new_start, new_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            differing = [(at + 1, "stands", _package(old, at)) for at in range(start, end)]
            differing += [(start + 1, "resolves to", _package(new, at)) for at in range(new_start, new_end)]
            yield from (f"{shown}:{at}: {how}: {line}" for at, how, line in differing if line)


def _package(lines: list[str], at: int) -> str:
    """A line of a lock, with the package that it belongs to; "" for one of the header, which follows from the rest."""
    first = next((line for line in reversed(lines[: at + 1]) if not line.startswith(" ")), "#")
    if first.startswith("#"):
        return ""
    return " ".join(part.strip(" \\") for part in dict.fromkeys((first, lines[at])))
