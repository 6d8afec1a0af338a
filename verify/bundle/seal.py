"""What a bundle says of itself, once it is whole: bundle.json, and SHA256SUMS of every file."""

import json
from pathlib import Path

from .. import documents
from ..errors import UserError
from ..profile.lock import content_digest
from ..profile.model import Profile
from . import allowed
from .fetch import sha256

SUMS, ABOUT = "SHA256SUMS", "bundle.json"
PARTS = {
    "index": "index/simple",
    "conda": "conda",
    "homebrew-api": "homebrew/api",
    "homebrew-bottles": "homebrew/v2",
    "homebrew-git": "git/brew.git",
    "miniforge": "miniforge",
    "command-line-tools": "packages/CommandLineTools.pkg",
}
"""Part of a bundle to what shows that it is there; of what allowed.py names, all that a bundle can hold."""


def seal(folder: Path, profile: Profile, platforms: list[str]) -> bool:
    """Write both; returns whether anything changed.

    Args:
        folder: the bundle's.
        profile: what it was made for.
        platforms: for which machines.

    Raises:
        UserError: a link or something else than a file is in it, or its bundle.json of before is none.
    """
    if link := next((path for path in sorted(folder.rglob("*")) if path.is_symlink()), None):
        raise UserError(f"{link} is a link, and a bundle has none: nothing may lead out of it. Remove it.")
    if odd := next((path for path in sorted(folder.rglob("*")) if not (path.is_file() or path.is_dir())), None):
        raise UserError(f"{odd} is no file, and no web server can give it away. Remove it.")
    if any((folder / name).is_dir() for name in (ABOUT, SUMS)):
        raise UserError(f"{folder} has a folder named {ABOUT} or {SUMS}. Needed: a file, or nothing. Remove it.")
    locks = {name: content_digest(profile.lock_path(name)) for name in platforms}
    about = {
        "profile": profile.name,
        "holds": [part for part, place in PARTS.items() if (folder / place).exists()],
        # A bundle may be made for one platform after the other.
        "locks": {**_locks(folder / ABOUT), **locks},
    }
    changed = _write(folder / ABOUT, json.dumps(about, indent=2, sort_keys=True) + "\n")
    # git notes in FETCH_HEAD what it fetched last, which belongs to no clone.
    whole = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part")
    files = sorted(path for path in whole if path != folder / SUMS and path.name != "FETCH_HEAD")
    # As sha256sum and shasum -a 256 write and check it.
    lines = [f"{sha256(path)}  {path.relative_to(folder)}\n" for path in files]
    return _write(folder / SUMS, "".join(lines)) or changed


def _locks(about: Path) -> dict[str, str]:
    if not about.exists():
        return {}
    try:
        return allowed.about(documents.read_text(about)).locks
    except (ValueError, UserError) as error:
        raise UserError(f"{about} is not what a bundle says of itself: {error}. Remove it.") from error


def _write(path: Path, text: str) -> bool:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True
