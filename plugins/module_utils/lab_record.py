"""The record of an environment: what was put on this machine, and where. Runs on the target's Python (3.8+).

It lies in ~/.local/share/metal-lab/PROFILE.json, independent of where the environment is, so that verify and
uninstall need nothing but the profile's name. Keys: schema, profile, provider, prefix, frameworks; shell and
shell_created where a shell file has our block; homebrew (prefix, formulae, casks, shellenv) and conda (root, init)
where they were asked for.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from . import regular

SCHEMA = 1
_KINDS = {
    **{"frameworks": list, "homebrew": dict, "conda": dict, "created": bool},
    **{"shell": str, "shell_created": bool, "shell_written": dict},
}


class RecordError(Exception):
    """The record is not one that this version wrote; the message says what to do."""


def data_folder() -> Path:
    """The project's own folder in the user's home, on the target."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "metal-lab"


def path(profile: str) -> Path:
    """Where a profile's record is."""
    return data_folder() / f"{profile}.json"


def read(profile: str) -> dict[str, Any]:
    """Return the record, {} where there is none.

    Raises:
        RecordError: it is there and not usable.
    """
    place = path(profile)
    try:
        record = json.loads(regular.text(place))
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']!r}")
        if not all(isinstance(record[key], str) for key in ("profile", "provider", "prefix")):
            raise ValueError("profile, provider and prefix must be texts")
        if wrong := [key for key, kind in _KINDS.items() if not isinstance(record.get(key, kind()), kind)]:
            raise ValueError(f"{wrong[0]} is of another type")
        _check_prefix(record["prefix"])
    except FileNotFoundError:
        return {}
    except regular.OddFileError as error:
        raise RecordError(str(error)) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(f"{place} is not a record of this version of metal-lab ({error!r}). Move it away.") from error
    return dict(record)


def being_made(place: Path) -> Path:
    """The file beside a folder that is there only while the folder is being made.

    A folder that has it is half made, whatever is in it. The first line is the path of what was set aside for it, if
    anything; the second, if there is one, the command that makes it.
    """
    return place.with_name(f".{place.name}.being-made")


def being_made_says(place: Path) -> tuple[str, str]:
    """What that file says: the path of what was set aside, and the command that makes the folder, or "" for none."""
    aside, *command = regular.text(being_made(place)).split("\n", 1)
    return aside, "".join(command).strip()


def _check_prefix(prefix: str) -> None:
    """An environment's folder, which uninstall deletes, is a whole path, and nothing that holds more than itself.

    Raises:
        ValueError: it is not so.
    """
    folder = Path(prefix)
    if not folder.is_absolute() or ".." in folder.parts or not prefix.isprintable():
        raise ValueError(f"prefix {prefix!r}")
    for kept in (Path.home(), data_folder()):
        if folder in (kept, *kept.parents) or folder.resolve() in (kept.resolve(), *kept.resolve().parents):
            raise ValueError(f"prefix {prefix!r}")


def others(profile: str) -> dict[str, dict[str, Any]]:
    """The records of the other profiles on this machine, by name; without those that are not usable."""
    found = {}
    for place in sorted(data_folder().glob("*.json")):
        try:
            found[place.stem] = read(place.stem)
        except RecordError:
            continue
    found.pop(profile, None)
    return found


def text(record: dict[str, Any]) -> str:
    """The record as it is stored."""
    # One key a line and no escapes: preflight reads it with sed, before there is a Python.
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n" if record else ""


def write(profile: str, record: dict[str, Any]) -> None:
    """Store the record."""
    replace(path(profile), text(record).encode())


def replace(place: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file whole or not at all: beside its place, then over it.

    Args:
        place: the file; a symbolic link is not followed.
        content: all of it.
        mode: its permissions; None means those of a new file.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    number, beside = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is None:
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        os.chmod(beside, mode)  # noqa: PTH101
        os.replace(beside, place)  # noqa: PTH105
    except BaseException:
        os.unlink(beside)  # noqa: PTH108
        raise


def prune(folder: Path) -> None:
    """Take away a folder and those above it that are empty then, up to the user's home."""
    for one in (folder, *folder.parents):
        if one == Path.home() or not one.is_dir() or any(one.iterdir()):
            return
        one.rmdir()


def part(header: object, before: str, after: str) -> dict[str, str]:
    """One entry of a module's diff."""
    return {"before_header": str(header), "after_header": str(header), "before": before, "after": after}
