"""A user's start-up file: read and written to the byte, or left. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from . import lab_record, regular


class LeftError(Exception):
    """Why a file is left as it is."""


def read(path: Path) -> str:
    """What it holds; bytes that are no UTF-8 come back as they were.

    "" where it is not there, or is nothing that a shell can read (`obstacle` says of that that it cannot be written).
    """
    try:
        return regular.text(path, "surrogateescape")
    except OSError as error:
        nothing = (FileNotFoundError, NotADirectoryError, PermissionError, regular.OddFileError)
        # ELOOP: a link that leads to itself.
        if isinstance(error, nothing) or error.errno == errno.ELOOP:
            return ""
        raise


def shown(text: str) -> str:
    """A text as a diff can show it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def write(path: Path, text: str) -> None:
    """Write it whole or not at all, with the permissions and the owner that it has.

    Args:
        path: the file itself, not a link to it.
        text: as `read` gives it.
    """
    copy(path, text.encode("utf-8", "surrogateescape"), path.stat() if path.exists() else None)


def copy(path: Path, content: bytes, like: os.stat_result | None) -> None:
    """Write a file, with the permissions and the owner of another."""
    if like is None:
        lab_record.replace(path, content)
        return
    lab_record.replace(path, content, mode=like.st_mode & 0o7777)
    if (like.st_uid, like.st_gid) != (path.stat().st_uid, path.stat().st_gid):
        os.chown(path, like.st_uid, like.st_gid)


def obstacle(named: Path) -> str:
    """Why it cannot be written, "" if it can. One without any permission to write is meant to stay as it is."""
    path = Path(os.path.realpath(named))
    leads = f" leads to {path}, which" if named.is_symlink() else ""
    if not path.exists():
        if named.is_symlink():
            return f"{named}{leads} is not there"
        above = next(one for one in path.parents if one.exists())
        return "" if os.access(above, os.W_OK) else f"{named} is not there, and {above} may not be written"
    wrong = {
        f"{named}{leads} is no file": not path.is_file(),
        f"{named}{leads} may not be read": not os.access(path, os.R_OK),
        f"{named}{leads} is too large": path.stat().st_size > regular.MAX_BYTES,
        f"{named}{leads} is read-only": not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK),
        f"{named} lies in {path.parent}, which may not be written": not os.access(path.parent, os.W_OK),
    }
    return next((said for said, so in wrong.items() if so), "")


def change(named: Path, edit: Callable[[str], str], *, apply: bool) -> dict[str, str]:
    """Bring a file to what `edit` makes of its text; returns the diff, {} where it is so already.

    Raises:
        LeftError: that cannot be done.
    """
    before = read(named)
    after = edit(before)
    if after == before:
        return {}
    if wrong := obstacle(named):
        raise LeftError(wrong)
    if apply:
        try:
            write(Path(os.path.realpath(named)), after)
        except OSError as error:
            raise LeftError(f"{named} could not be written ({error.strerror})") from error
    return lab_record.part(named, shown(before), shown(after))


def missing_ends(line: str) -> int:
    """How many line ends a last line needs before a command can begin after it: it may have none, or go on there."""
    text = line[:-1] if line.endswith("\n") else line
    goes_on = (len(text) - len(text.rstrip("\\"))) % 2
    return goes_on + (text == line)
