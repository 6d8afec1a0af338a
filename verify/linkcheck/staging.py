"""Laying a Mac's wheels down in a folder, on any machine, by uv; nothing is imported or executed.

uv checks the hashes, takes wheels from its cache and links them into place, so that the folder costs next to no space.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from uv import find_uv_bin

from ..errors import UserError
from ..profile.model import Platform, Profile


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


def _install(python: str, platform: Platform, folder: Path, arguments: list[str], cache: Path | None = None) -> None:
    environment = dict(os.environ)
    if cache is not None:
        environment["UV_CACHE_DIR"] = str(cache)
    if platform.macos_deployment_target:
        # Without it uv assumes an older macOS and picks older wheels.
        environment["MACOSX_DEPLOYMENT_TARGET"] = platform.macos_deployment_target
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--only-binary", ":all:"]
    command += ["--link-mode", "hardlink"]  # on a Mac it would make clones, which cannot be told to be the same file
    where = [
        "--python",
        sys.executable,
        "--python-version",
        python,
        "--python-platform",
        platform.uv_platform,
    ]
    done = subprocess.run(
        [*command, *where, "--target", str(folder), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UserError(f"uv could not lay the packages down for {platform.name}:\n{done.stderr.strip()}")
