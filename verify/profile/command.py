"""`python -m verify lock`: resolve the requirements into lock files, or check that the lock files are what they give.

Three kinds of lock are written, none with the address of a package index in it:
- profiles/NAME/PLATFORM.lock, the packages of the environment, one per platform;
- controller.lock and controller-dev.lock, what runs the project, for every platform at once;
- roles/locked_packages/files/uv.txt, the uv that installs everything else, and verify/bundle/solver.txt, which only a
  bundle needs.
"""

import argparse
import difflib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from uv import find_uv_bin

from verify import ROOT
from verify.errors import UserError
from verify.profile import model as profiles
from verify.profile.lock import RENEW, SOLVER_LOCK, UV_LOCK, render
from verify.profile.model import Profile

_GENERATED = "# Written by `python -m verify lock` from pyproject.toml.\n"


@dataclass(frozen=True)
class _Target:
    """A lock file, and how to make its text."""

    path: Path
    make: Callable[[], str]


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 0 written or in agreement, 1 a lock disagrees."""
    parser = argparse.ArgumentParser(
        prog="python -m verify lock", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a lock would change")
    options = parser.parse_args(arguments)
    disagreeing = 0
    for target in _targets():
        shown = target.path.relative_to(ROOT)
        before = target.path.read_text(encoding="utf-8") if target.path.exists() else ""
        after = target.make()
        if before == after:
            print(f"{shown}: as resolved")
        elif options.check:
            disagreeing += 1
            print("\n".join(_disagreements(shown, before, after)), file=sys.stderr)
        else:
            target.path.write_text(after, encoding="utf-8")
            print(f"{shown}: written")
    if disagreeing:
        print(f"{disagreeing} lock file(s) disagree with their requirements: {RENEW}.", file=sys.stderr)
    return 1 if disagreeing else 0


def _targets() -> Iterator[_Target]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    date = project["tool"]["metal-lab"]["locked-on"]
    uv = next(one for one in project["project"]["dependencies"] if one.startswith("uv=="))
    universal = partial(_universal, date)
    yield _Target(UV_LOCK, partial(universal, "-", stdin=uv))
    yield _Target(SOLVER_LOCK, partial(universal, "-", stdin="\n".join(project["dependency-groups"]["solver"])))
    yield _Target(ROOT / "controller.lock", partial(universal, "pyproject.toml"))
    yield _Target(ROOT / "controller-dev.lock", partial(universal, "pyproject.toml", "--group", "dev"))
    for name in profiles.names():
        loaded = profiles.load(name)
        for platform in loaded.platforms:
            yield _Target(loaded.lock_path(platform), partial(_profile, loaded, platform))


def _universal(date: str, *arguments: str, stdin: str | None = None) -> str:
    return _GENERATED + _compile([*arguments, "--universal", "--python-version", "3.11"], date, ROOT, {}, stdin)


def _profile(loaded: Profile, platform: str) -> str:
    target = loaded.platform(platform)
    environment = {}
    if target.macos_deployment_target:
        # Without it uv assumes an older macOS and picks older wheels.
        environment["MACOSX_DEPLOYMENT_TARGET"] = target.macos_deployment_target
    if target.find_links:
        environment["UV_FIND_LINKS"] = find_links(target.find_links)
    files = [path.name for path in loaded.requirements_files()]
    wanted = ["--python-platform", target.uv_platform, "--python-version", loaded.python]
    body = _compile([*files, *wanted], loaded.locked_on, loaded.directory, environment)
    return render(body, inputs=loaded.lock_inputs(platform))


def find_links(default: str) -> str:
    """Where wheels outside the index come from: the machine's own setting, else the profile's."""
    return os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or default


def _compile(
    arguments: list[str], date: str, folder: Path, environment: dict[str, str], stdin: str | None = None
) -> str:
    """Print a resolution. It goes to stdout, so that the old lock's choices do not influence the new one."""
    options = ["--generate-hashes", "--no-header", "--no-config", "--exclude-newer", f"{date}T00:00:00Z"]
    done = subprocess.run(
        [find_uv_bin(), "pip", "compile", "--quiet", *arguments, *options],
        cwd=folder,
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UserError(f"uv could not resolve {' '.join(arguments)} in {folder}:\n{done.stderr.strip()}")
    return done.stdout


def _disagreements(shown: Path, before: str, after: str) -> Iterator[str]:
    """The lines that differ, each with its file and line number in the lock as it stands."""
    old, new = before.splitlines(), after.splitlines()
    for tag, start, end, new_start, new_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            for number in range(start, end):
                yield f"{shown}:{number + 1}: stands: {old[number].strip()}"
            for number in range(new_start, new_end):
                yield f"{shown}:{start + 1}: resolves to: {new[number].strip()}"
