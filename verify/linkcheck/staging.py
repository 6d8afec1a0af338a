"""Laying a Mac's wheels down in a folder, on any machine, by uv; nothing is imported or executed.

uv checks the hashes, takes wheels from its cache and links them into place, so that the folder costs next to no space.
"""

import os
import resource
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from packaging.pylock import (
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
    is_valid_pylock_path,
)
from uv import find_uv_bin

from ..errors import UserError
from ..macos import show_version
from ..profile.model import Platform, Profile
from . import macho
from .packages import Target

if TYPE_CHECKING:
    from packaging.markers import Environment

_SECONDS = 600
"""Of the processor's time, for laying down one choice of packages; that of profile ml-m1 takes 30, with downloads."""


def lay_down_lock(profile: Profile, platform: Platform, folder: Path, macos: str) -> None:
    """Put the packages of a profile's lock into a folder, in the wheels that uv takes on a release of macOS.

    Raises:
        UserError: uv could not, with its message.
    """
    lock = ["--require-hashes", "--no-deps", "-r", str(profile.lock_path(platform.name))]
    _install(profile.python, replace(platform, macos_deployment_target=macos), folder, lock)


def lay_down(
    requirements: list[str], python: str, platform: Platform, folder: Path, *, until: str, cache: Path
) -> None:
    """Put packages into a folder, with what they need.

    Args:
        requirements: pins, for example tensorflow==2.16.1.
        python: minor version.
        platform: for which machine.
        folder: an empty folder.
        until: day (YYYY-MM-DD) after which uploads are ignored.
        cache: where uv keeps what it downloads.

    Raises:
        UserError: uv could not, with its message.
    """
    _install(python, platform, folder, ["--exclude-newer", f"{until}T00:00:00Z", *requirements], cache)


def lay_down_alone(requirements: list[str], python: str, platform: Platform, folder: Path, *, cache: Path) -> None:
    """Put exactly these packages into a folder, whatever they say they need.

    Raises:
        UserError: uv could not, with its message.
    """
    _install(python, platform, folder, ["--no-deps", *requirements], cache)


def lay_down_file(file: Path, target: Target, folder: Path) -> None:
    """Put the packages of a requirements file or a lock into a folder, as a Mac with the target's oldest macOS would.

    Args:
        file: a pylock.toml or pylock.NAME.toml (PEP 751), a uv.lock, or requirements for pip.
        target: what they are meant for.
        folder: a new folder.

    Raises:
        UserError: the file cannot be read, or the packages cannot be had as wheels.
    """
    requirements = folder.with_suffix(".txt")
    if is_valid_pylock_path(file):
        requirements.write_text("".join(_wheels(file, target)), encoding="utf-8")
        arguments = ["--require-hashes", "--no-deps", "-r", str(requirements)]
    elif file.name == "uv.lock":
        export = ["export", "--quiet", "--no-config", "--frozen", "--no-emit-project", "--no-header", "--no-annotate"]
        export += ["--format", "requirements.txt", "--output-file", str(requirements)]
        where = ["--project", str(file.parent), "--python", sys.executable, "--no-python-downloads"]
        _run([*export, *where], dict(os.environ), f"read {file}")
        arguments = ["--no-deps", "-r", str(requirements)]
    else:
        arguments = ["-r", str(file)]
    platform = Platform("darwin-arm64", "aarch64-apple-darwin", macos_deployment_target=show_version(target.floor))
    _install(target.python, platform, folder, arguments)


def _wheels(file: Path, target: Target) -> Iterator[str]:
    """The wheels that a lock gives to a target, as lines of requirements."""
    try:
        lock = Pylock.from_dict(tomllib.loads(file.read_text(encoding="utf-8")))
        chosen = list(lock.select(environment=cast("Environment", target.markers), tags=target.tags))
    except (OSError, ValueError, PylockSelectError, PylockValidationError) as error:
        raise UserError(f"{file} cannot be used: {error}") from error
    for package, wheel in chosen:
        if not isinstance(wheel, PackageWheel) or "sha256" not in wheel.hashes:
            raise UserError(
                f"{file} has no wheel of {package.name} for Python {target.python}: only wheels are checked."
            )
        place = wheel.url or (file.parent / str(wheel.path)).resolve().as_uri()
        yield f"{package.name} @ {place} --hash=sha256:{wheel.hashes['sha256']}\n"


def _install(python: str, platform: Platform, folder: Path, arguments: list[str], cache: Path | None = None) -> None:
    environment = dict(os.environ)
    if cache is not None:
        environment["UV_CACHE_DIR"] = str(cache)
    if platform.macos_deployment_target:
        # Without it uv assumes an older macOS and picks older wheels.
        environment["MACOSX_DEPLOYMENT_TARGET"] = platform.macos_deployment_target
    command = ["pip", "install", "--quiet", "--no-config", "--only-binary", ":all:"]
    command += ["--link-mode", "hardlink"]  # on a Mac it would make clones, which cannot be told to be the same file
    where = [
        "--python",
        sys.executable,
        "--python-version",
        python,
        "--python-platform",
        platform.uv_platform,
    ]
    what = f"lay the packages down for {platform.name}"
    _run([*command, *where, "--target", str(folder), *arguments], environment, what)


def _run(arguments: list[str], environment: dict[str, str], what: str) -> None:
    command = [find_uv_bin(), *arguments]
    with _limited(resource.RLIMIT_FSIZE, macho.MAX_FILE), _limited(resource.RLIMIT_CPU, _SECONDS):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode in (-signal.SIGXFSZ, -signal.SIGXCPU):
        raise UserError(
            f"uv could not {what}: a wheel has a file of more than {macho.MAX_FILE} bytes, or it takes more than "
            f"{_SECONDS} seconds of the processor to unpack them."
        )
    if done.returncode != 0:
        raise UserError(f"uv could not {what}:\n{done.stderr.strip()}")


@contextmanager
def _limited(which: int, most: int) -> Iterator[None]:
    """Have what is started meanwhile get a limit: of this process itself, and of what it starts."""
    soft, hard = resource.getrlimit(which)
    others = [one for one in (soft, hard) if one != resource.RLIM_INFINITY]
    resource.setrlimit(which, (min([most, *others]), hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (soft, hard))
